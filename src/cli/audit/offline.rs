//! Verification of exports and receipts, with nothing but files and a key.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use serde_json::{Value, json};

use super::{ReceiptVerifyArgs, VerifyArgs};
use crate::audit::entry::Side;
use crate::audit::event::Event;
use crate::audit::handover::{HandOver, HandOverError, KeyChain};
use crate::audit::journal::{ExportFiles, Fault, Report, verify_export, verify_growth};
use crate::audit::note::VerifierKey;
use crate::cli::fault::CliError;
use crate::cli::receipt::{parse_key, verify_with as verify_receipt_with};
use crate::cli::{files, print};

/// Verifies an export.
pub(super) fn verify(args: &VerifyArgs) -> Result<(), CliError> {
    let key = parse_key(&args.key)?;
    let folder = Folder::open(&args.folder)?;
    let (mut shown, mut failed) = (0_u64, None);
    let mut seen = |index: u64, side: Side, event: &Event| {
        if args.show {
            let told = args.output.show(
                || format!("entry {index}, {}: {}", side_name(side), event_text(event)),
                &json!({ "index": index, "side": side_name(side), "event": event_json(event) }),
            );
            shown = shown.saturating_add(1);
            failed = failed.take().or(told.err());
        }
    };
    let refused = |error| refused(&args.folder, error);
    let report = verify_export(&folder, &key, &mut |_, _| {}, &mut seen).map_err(refused)?;
    if let Some(error) = failed {
        return Err(error);
    }
    handovers_taken(&report.keys, args.no_handover)?;
    let older = match &args.since {
        Some(path) => Some(
            report
                .keys
                .open(&files::read_text(path)?)
                .map_err(|error| CliError::because(format!("`{}` does not hold", path.display()), error))?,
        ),
        None => None,
    };
    let grown = older.as_ref().map(|older| verify_growth(&folder, &report, older)).transpose();
    grown.map_err(refused)?;
    let since = older.as_ref().map(|older| older.size);
    args.output.show(
        || {
            let grown = since.map_or_else(String::new, |size| {
                format!("\nits first {size} entries are those of the older checkpoint")
            });
            format!(
                "the journal is whole: {} entries, root {}\nit is `{}`; {} of its entries were opened{}{grown}",
                report.size,
                report.root,
                report.origin,
                report.opened,
                followed_text(&report.keys)
            )
        },
        &json!({
            "origin": report.origin, "size": report.size, "root": report.root.to_string(),
            "opened": report.opened, "since": since, "key": report.keys.newest().to_string(),
            "key_changes": followed_json(&report.keys),
        }),
    )
}

/// Verifies the export in a folder, and shows what its openings say to `seen` on the way.
///
/// # Errors
/// [`CliError`] when it does not hold; what `seen` got is worth nothing then.
pub(in crate::cli) fn verify_folder(
    folder: &Path,
    key: &VerifierKey,
    seen: &mut dyn FnMut(u64, Side, &Event),
) -> Result<Report, CliError> {
    verify_export(&Folder::open(folder)?, key, &mut |_, _| {}, seen).map_err(|error| refused(folder, error))
}

fn refused(folder: &Path, error: Fault<io::Error>) -> CliError {
    CliError::because(format!("REFUSED: the export in `{}` does not hold", folder.display()), error)
}

/// Verifies a receipt.
pub(super) fn receipt(args: &ReceiptVerifyArgs) -> Result<(), CliError> {
    let key = parse_key(&args.key)?;
    let changes = match &args.handover {
        Some(path) => vec![parse_handover(&files::read_text(path)?, &key)?],
        None => Vec::new(),
    };
    let keys = KeyChain::new(&key, changes).map_err(refused_handover)?;
    let verified = verify_receipt_with(&files::read_text(&args.file)?, &keys)?;
    args.output.show(
        || {
            let says = verified.event.as_ref().map_or_else(
                || "it does not say what the entry states".to_owned(),
                |event| format!("it says {}", event_text(event)),
            );
            format!(
                "the receipt holds: entry {} of {} in `{}`\n{says}",
                verified.index,
                verified.size,
                key.name()
            )
        },
        &json!({
            "origin": key.name(), "index": verified.index, "size": verified.size,
            "event": verified.event.as_ref().map(event_json),
        }),
    )
}

/// A hand-over of this key's journal.
pub(super) fn parse_handover(text: &str, key: &VerifierKey) -> Result<HandOver, CliError> {
    HandOver::parse(text, key.name()).map_err(refused_handover)
}

/// The refusal of hand-overs.
pub(super) fn refused_handover(error: HandOverError) -> CliError {
    CliError::because("REFUSED: the hand-over does not hold", error)
}

/// Refuses keys that hand-overs lead to where the caller wants none of them.
pub(super) fn handovers_taken(keys: &KeyChain, none: bool) -> Result<(), CliError> {
    match keys.followed().first() {
        Some(change) if none => Err(CliError::Found(format!(
            "REFUSED: the log's key changed at entry {}, and with --no-handover no other than the one you gave is trusted",
            change.index
        ))),
        _ => Ok(()),
    }
}

/// What the reader has to know of keys that are trusted on the word of a hand-over.
pub(super) fn followed_text(keys: &KeyChain) -> String {
    let told = |change: &HandOver| {
        format!(
            "\nthe log's key changed at entry {}: both keys signed the head of {} entries\nfrom there on it is signed by \
             {}\ncompare that key with what the holder tells you on another way, and use it from now on",
            change.index, change.size, change.new
        )
    };
    keys.followed().iter().map(told).collect()
}

/// The same as JSON.
pub(super) fn followed_json(keys: &KeyChain) -> Value {
    let told = |change: &HandOver| json!({ "index": change.index, "size": change.size, "key": change.new.to_string() });
    keys.followed().iter().map(told).collect()
}

/// An event on several lines.
pub(super) fn event_text(event: &Event) -> String {
    let facts = event.render();
    let facts = facts.iter().map(|(name, value)| format!("\n  {name}  {value}"));
    format!("{} at {} by {}{}", event.kind, event.at, event.actor, facts.collect::<String>())
}

/// An event as JSON.
pub(super) fn event_json(event: &Event) -> Value {
    let facts = event.render().into_iter().map(|(name, value)| (name.to_owned(), json!(value)));
    json!({
        "kind": event.kind.name(), "time": event.at.to_string(), "actor": event.actor,
        "facts": facts.collect::<serde_json::Map<_, _>>(),
    })
}

/// The side's name.
pub(super) const fn side_name(side: Side) -> &'static str {
    match side {
        Side::Partner => "partner's side",
        Side::Holder => "holder's side",
    }
}

/// An export in a folder. Paths lead nowhere else, and links are not followed out of it.
pub(in crate::cli) struct Folder {
    root: PathBuf,
}

impl Folder {
    pub(in crate::cli) fn open(folder: &Path) -> Result<Self, CliError> {
        let root = folder.canonicalize().map_err(|source| CliError::read(folder, source))?;
        if root.is_dir() {
            Ok(Self { root })
        } else {
            Err(CliError::read(folder, io::Error::from(io::ErrorKind::NotADirectory)))
        }
    }
}

impl ExportFiles for Folder {
    type Error = io::Error;

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, io::Error> {
        let outside = || io::Error::other("it leads out of the folder");
        if !Path::new(path).components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(outside());
        }
        match self.root.join(path).canonicalize() {
            Ok(file) if file.starts_with(&self.root) => fs::read(file).map(Some),
            Ok(_) => Err(outside()),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn paths(&self, visit: &mut dyn FnMut(&str)) -> Result<(), io::Error> {
        let mut folders = vec![(self.root.clone(), String::new())];
        while let Some((folder, prefix)) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
                if entry.file_type()?.is_dir() {
                    folders.push((entry.path(), format!("{path}/")));
                } else {
                    visit(&path);
                }
            }
        }
        Ok(())
    }
}

/// Tells that something was written, beside the output.
pub(super) fn kept(what: &str, path: &Path) {
    print::note(&format!("{what} is kept in {}", path.display()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_the_folder_is_read() {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("export");
        fs::create_dir(&inner).unwrap();
        fs::write(outer.path().join("secret"), "x").unwrap();
        fs::write(inner.join("checkpoint"), "c").unwrap();
        std::os::unix::fs::symlink(outer.path().join("secret"), inner.join("link")).unwrap();
        let folder = Folder::open(&inner).unwrap();
        assert_eq!(folder.read("checkpoint").unwrap().unwrap(), b"c");
        assert!(folder.read("missing/file").unwrap().is_none());
        for path in ["../secret", "/etc/passwd", "link"] {
            assert!(folder.read(path).is_err(), "`{path}` must not be read");
        }
        let mut paths = Vec::new();
        folder.paths(&mut |path| paths.push(path.to_owned())).unwrap();
        paths.sort();
        assert_eq!(paths, ["checkpoint", "link"]);
    }
}

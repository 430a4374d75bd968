//! Verification of exports and receipts, with nothing but files and a key.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use serde_json::{Value, json};

use super::{ReceiptArgs, VerifyArgs};
use crate::audit::checkpoint::Checkpoint;
use crate::audit::entry::Side;
use crate::audit::event::Event;
use crate::audit::journal::{ExportFiles, verify_export, verify_growth};
use crate::cli::fault::CliError;
use crate::cli::receipt::{parse_key, verify as verify_receipt};
use crate::cli::{files, print};

/// Verifies an export.
pub(super) fn verify(args: &VerifyArgs) -> Result<(), CliError> {
    let key = parse_key(&args.key)?;
    let older = match &args.since {
        Some(path) => Some(
            Checkpoint::open(&files::read_text(path)?, &key)
                .map_err(|error| CliError::because(format!("`{}` does not hold", path.display()), error))?,
        ),
        None => None,
    };
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
    let refused = |error: crate::audit::journal::Fault<io::Error>| {
        CliError::because(format!("REFUSED: the export in `{}` does not hold", args.folder.display()), error)
    };
    let report = verify_export(&folder, &key, &mut |_, _| {}, &mut seen).map_err(refused)?;
    if let Some(error) = failed {
        return Err(error);
    }
    let grown = older.as_ref().map(|older| verify_growth(&folder, &report, older)).transpose();
    grown.map_err(refused)?;
    let since = older.as_ref().map(|older| older.size);
    args.output.show(
        || {
            let grown = since.map_or_else(String::new, |size| {
                format!("\nits first {size} entries are those of the older checkpoint")
            });
            format!(
                "the journal is whole: {} entries, root {}\nit is `{}`; {} of its entries were opened{grown}",
                report.size, report.root, report.origin, report.opened
            )
        },
        &json!({
            "origin": report.origin, "size": report.size, "root": report.root.to_string(),
            "opened": report.opened, "since": since,
        }),
    )
}

/// Verifies a receipt.
pub(super) fn receipt(args: &ReceiptArgs) -> Result<(), CliError> {
    let key = parse_key(&args.key)?;
    let verified = verify_receipt(&files::read_text(&args.file)?, &key)?;
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
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    pub(super) fn open(folder: &Path) -> Result<Self, CliError> {
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

//! Before anybody can ask: the ceremony, the server, the partner's key, and the gallery.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::cast::Cast;
use super::folder::Folder;
use super::page::{self, grouped, seconds};
use super::server::Server;
use super::stage::{Stage, as_text, play_offline, play_offline_in_part};
use crate::cli::fault::CliError;
use crate::cli::files;

/// The first start.
pub(super) fn ceremony(folder: &Folder, policy: &Path) -> Result<(), CliError> {
    page::chapter(1, "The first start")?;
    page::say(
        "Nobody founds the service alone. The first start is a ceremony: it names at least two administrators and \
         a privacy officer, who watches over the log, and puts the rules in force. Here it is held with people made \
         up for the demonstration.",
    )?;
    let holder = folder.holder();
    let mut words = vec!["onebit", "init", "--development", as_text(holder.as_os_str())?];
    if policy != Path::new(POLICY) {
        words.extend(["--policy", as_text(policy.as_os_str())?]);
    }
    let done = play_offline_in_part(&words, &["Founded", "People"])?.succeeded()?;
    page::took(done.took)?;
    page::say(
        "Ada and Wei administer. Tama and Sina are officers, who decide what may be released; Priya may advise them. \
         Mere is the privacy officer. Nobody has two of these roles. The partners are the border agencies of \
         Australia and Canada, each with a system that asks.",
    )?;
    if port_is_free(&folder.config())? {
        return Ok(());
    }
    page::say(
        "The port in the configuration is taken on this machine, so the system will choose another one.",
    )
}

/// Whether the address in the configuration can be listened at; if it can't, any port will do.
fn port_is_free(config: &Path) -> Result<bool, CliError> {
    let text = files::read_text(config)?;
    let given = text.lines().find_map(|line| line.strip_prefix("listen = \"")?.strip_suffix('"'));
    let address: Option<SocketAddr> = given.and_then(|given| given.parse().ok());
    let (Some(given), Some(mut address)) = (given, address) else {
        return Err(CliError::Found(format!("`{}` does not say where to listen", config.display())));
    };
    if TcpListener::bind(address).is_ok() {
        return Ok(true);
    }
    address.set_port(0);
    files::replace_private(config, text.replace(given, &address.to_string()).as_bytes())?;
    Ok(false)
}

/// The server, and where it listens.
pub(super) fn server(folder: &Folder) -> Result<(Server, String), CliError> {
    page::chapter(2, "The server starts")?;
    page::say(
        "It can be reached from this machine alone. Every connection is encrypted, and both sides show who they are \
         with a certificate.",
    )?;
    let (server, started) = Server::start(folder)?;
    page::output(&format!("listening on {}", started.address))?;
    page::took(started.took)?;
    page::say(
        "Before it opened its door it opened its store, which is encrypted under a key that lies elsewhere, noted \
         its own start in the log, and put a question to itself to see that it can answer.",
    )?;
    Ok((server, started.address))
}

/// The partner's key for releases.
pub(super) fn release_key(stage: &Stage, cast: &Cast, folder: &Folder) -> Result<(), CliError> {
    page::chapter(3, "The partner's key for what may be released")?;
    page::say(
        "The border agency of Australia makes a pair of keys. The secret one never leaves it. What the holder \
         releases later is sealed to the public one, so that nobody but the agency can open it.",
    )?;
    let key = folder.release_key();
    let key = as_text(key.as_os_str())?;
    stage.play(&cast.gateway, &["onebit", "release-key", "new", "--out", key])?;
    let registered =
        stage.play(&cast.gateway, &["onebit", "release-key", "register", "--release-key", key])?;
    let change = registered.value("change")?;
    page::say(
        "The holder does not take a key on the word of a machine: two of its people, in different roles, compare \
         the fingerprint with the one that the agency told them on another way, and sign.",
    )?;
    stage.play(&cast.administrator, &["onebit", "change", "confirm", change])?;
    let confirmed = stage.play(&cast.privacy, &["onebit", "change", "confirm", change])?;
    match confirmed.value("state")? {
        "confirmed" => Ok(()),
        other => Err(CliError::Found(format!("the release key is `{other}` after two people confirmed it"))),
    }
}

/// Whom the story is about, and where their samples lie.
pub(super) struct People {
    /// The source id of the enrolled person, and the fields of the record.
    pub(super) traveller: (String, Value),
    /// The source id of the hidden person, and why.
    pub(super) hidden: (String, String),
    /// Another sample of the enrolled person.
    pub(super) traveller_sample: PathBuf,
    /// A sample of somebody who is not enrolled.
    pub(super) stranger_sample: PathBuf,
    /// Another sample of the hidden person.
    pub(super) hidden_sample: PathBuf,
}

/// The gallery.
pub(super) fn gallery(stage: &Stage, cast: &Cast, folder: &Folder, people: u64) -> Result<People, CliError> {
    page::chapter(4, &format!("{} people who do not exist", grouped(people)))?;
    page::say(
        "Each of them has a template, the 256 numbers into which a computer turns a face (here drawn at random), \
         and a record: a name, a date of birth, a document. One in forty is hidden from all partners: children, \
         victims, witnesses, people under a protected identity.",
    )?;
    let out = folder.people();
    let out_text = as_text(out.as_os_str())?;
    let made = play_offline(&["onebit", "synth", "--people", &people.to_string(), "--out", out_text])?
        .succeeded()?;
    page::took(made.took)?;
    page::say(
        "They are enrolled by the system that the holder keeps its records in, and an official answers for the batch.",
    )?;
    let [npy, manifest, records] =
        ["gallery.npy", "gallery.manifest.jsonl", "records.jsonl"].map(|name| format!("{out_text}/{name}"));
    let done = stage.play_watched(
        &cast.enrolment,
        &[
            "onebit",
            "enrol",
            "--collection",
            "watch-face",
            "--official",
            "registrar",
            "--npy",
            &npy,
            "--manifest",
            &manifest,
            "--records",
            &records,
        ],
    )?;
    match done.value("enrolled")? {
        all if all == format!("{people} people") => {}
        some => return Err(CliError::Found(format!("{some} of {people} were enrolled"))),
    }
    let a_second = (people * 1_000).checked_div(u64::try_from(done.took.as_millis()).unwrap_or(u64::MAX));
    page::found(&format!(
        "{} people in {}, {} a second. When it says so, all of them are encrypted on disk, in the log, and found by \
         a search.",
        grouped(people),
        seconds(done.took),
        grouped(a_second.unwrap_or_default())
    ))?;
    choose(folder)
}

/// Takes an enrolled person, a stranger and a hidden person from the probes, and gives the partner their samples.
fn choose(folder: &Folder) -> Result<People, CliError> {
    let probes = lines(&folder.people().join("probes.jsonl"))?;
    let of = |kind: &str, nth: usize| {
        let named = |probe: &&Value| {
            probe.get("probe").and_then(Value::as_str).is_some_and(|it| it.starts_with(kind))
        };
        let found = probes.iter().filter(named).nth(nth);
        found.ok_or_else(|| CliError::Found(format!("there is no probe of a {kind} in the data set")))
    };
    let sample = |name: &str, probe: &Value| {
        let path = folder.partner().join(name);
        // The partner doesn't know whose sample it is, nor what it will be answered.
        let known = json!({ "embedding": probe.get("embedding"), "quality": probe.get("quality") });
        files::write_private(&path, known.to_string().as_bytes()).map(|()| path)
    };
    let (traveller, stranger, hidden) = (of("mate", MATE)?, of("stranger", 0)?, of("hidden", 0)?);
    let traveller_id = text(traveller, "mate_of")?;
    let hidden_id = text(hidden, "mate_of")?;
    let record = with_source_id(&folder.people().join("records.jsonl"), &traveller_id)?;
    let hidden_record = with_source_id(&folder.people().join("records.jsonl"), &hidden_id)?;
    let why = hidden_record.pointer("/restrictions/0").and_then(Value::as_str).unwrap_or("hidden").to_owned();
    Ok(People {
        traveller_sample: sample("traveller.json", traveller)?,
        stranger_sample: sample("stranger.json", stranger)?,
        hidden_sample: sample("hidden.json", hidden)?,
        traveller: (traveller_id, record.get("fields").cloned().unwrap_or_default()),
        hidden: (hidden_id, why),
    })
}

fn lines(path: &Path) -> Result<Vec<Value>, CliError> {
    let text = files::read_text(path)?;
    let parsed = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>();
    parsed.map_err(|error| CliError::because(format!("`{}` can't be used", path.display()), error))
}

/// The line of one person in a file of records.
fn with_source_id(path: &Path, source_id: &str) -> Result<Value, CliError> {
    let file = File::open(path).map_err(|source| CliError::read(path, source))?;
    let marked = format!("\"{source_id}\"");
    let found = BufReader::new(file).lines().map_while(Result::ok).find(|line| line.contains(&marked));
    let missing = || CliError::Found(format!("`{}` has no record of `{source_id}`", path.display()));
    let line = found.ok_or_else(missing)?;
    serde_json::from_str(&line)
        .map_err(|error| CliError::because(format!("`{}` can't be used", path.display()), error))
}

fn text(value: &Value, name: &str) -> Result<String, CliError> {
    let text = value.get(name).and_then(Value::as_str).map(str::to_owned);
    text.ok_or_else(|| CliError::Found(format!("a line of the data set has no `{name}`")))
}

/// Where the ceremony looks for rules by itself.
const POLICY: &str = "policy";
/// A sample that is neither the most nor the least alike of those that the data set has.
const MATE: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_left_to_the_system() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("onebit.toml");
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let text = format!("[server]\nlisten = \"{}\"\n", taken.local_addr().unwrap());
        std::fs::write(&config, &text).unwrap();
        assert!(!port_is_free(&config).unwrap());
        assert_eq!(std::fs::read_to_string(&config).unwrap(), "[server]\nlisten = \"127.0.0.1:0\"\n");
        assert!(port_is_free(&config).unwrap());
    }
}

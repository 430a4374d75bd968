//! The life of keys with the real executable: a root in a token, another root, other keys of a class, and kills at
//! each step of all that.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use onebit::grpc::pb::partner::Answer;
use serde_json::Value;
use tempfile::TempDir;

use crate::holder::{Holder, HolderOptions, ONEBIT, copy, who};
use crate::story::{answer_about, fact, of_kind};

const PIN: &str = "correct-horse";

/// A folder of SoftHSM with one token, `onebit`.
struct Tokens(TempDir);

impl Tokens {
    fn new() -> Self {
        let tokens = Self(TempDir::new().unwrap());
        fs::create_dir(tokens.0.path().join("tokens")).unwrap();
        let text = format!(
            "directories.tokendir = {}/tokens\nobjectstore.backend = file\n",
            tokens.0.path().display()
        );
        fs::write(tokens.configuration(), text).unwrap();
        let made = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", "onebit", "--pin", PIN, "--so-pin", "officer-1"])
            .env("SOFTHSM2_CONF", tokens.configuration())
            .stdout(Stdio::null())
            .status()
            .expect("softhsm2-util is not there; `.ci/setup lint` installs the package softhsm2");
        assert!(made.success(), "no token was made: {made}");
        tokens
    }

    fn configuration(&self) -> PathBuf {
        self.0.path().join("softhsm2.conf")
    }

    /// The executable, which finds the token.
    fn command(&self) -> Command {
        let mut command = Command::new(ONEBIT);
        command.env("SOFTHSM2_CONF", self.configuration());
        command
    }

    /// A copy of the holder's configuration whose root lies in the token.
    fn configure(&self, holder: &Holder, name: &str) -> PathBuf {
        let pin = holder.path("secrets/pin");
        secret(&pin, PIN);
        let module = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"];
        let module = module.iter().find(|path| Path::new(path).exists()).expect("SoftHSM's module is there");
        let root = format!(
            "file = 'secrets/root-in-token.toml'\ntoken_module = '{module}'\ntoken_label = 'onebit'\n\
             token_pin_file = 'secrets/pin'"
        );
        configured(holder, name, &root)
    }
}

/// A copy of the holder's configuration with another section `root_key`.
fn configured(holder: &Holder, name: &str, root: &str) -> PathBuf {
    let mut document: toml::Table = fs::read_to_string(holder.config()).unwrap().parse().unwrap();
    document.insert("root_key".to_owned(), root.parse::<toml::Table>().unwrap().into());
    let path = holder.path(name);
    fs::write(&path, document.to_string()).unwrap();
    path
}

fn secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn output(command: &mut Command, args: &[&str]) -> Output {
    command.args(args).stdin(Stdio::null()).output().unwrap()
}

fn done(command: &mut Command, args: &[&str]) -> String {
    let ran = output(command, args);
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success(), "onebit {args:?} should have succeeded, but {}:\n{said}", ran.status);
    String::from_utf8(ran.stdout).unwrap()
}

fn refused(command: &mut Command, args: &[&str]) -> String {
    let ran = output(command, args);
    assert!(!ran.status.success(), "onebit {args:?} should have failed");
    String::from_utf8_lossy(&ran.stderr).into_owned()
}

/// What a server says that does not start.
fn start_refused(mut command: Command, config: &Path) -> String {
    refused(&mut command, &["serve", "--config", config.to_str().unwrap()])
}

fn status(config: &Path) -> Value {
    let text = done(
        &mut Command::new(ONEBIT),
        &["keys", "status", "--output", "json", "--config", config.to_str().unwrap()],
    );
    serde_json::from_str(&text).unwrap()
}

/// The names of keys of a class, and whether each is in use.
fn keys_of(status: &Value, class: &str) -> Vec<(String, bool)> {
    let keys = status["keys"].as_array().unwrap();
    let name = |key: &Value| key["key"].as_str().unwrap().to_owned();
    let of_class = keys.iter().filter(|key| name(key).split(':').next() == Some(class));
    of_class.map(|key| (name(key), key["in_use"].as_bool().unwrap())).collect()
}

fn is_whole(command: &mut Command, config: &Path) -> bool {
    output(command, &["audit", "fsck", "--config", config.to_str().unwrap()]).status.success()
}

#[tokio::test]
async fn a_holder_whose_root_lies_in_a_token_is_founded_answers_and_starts_again() {
    let tokens = Tokens::new();
    let mut holder = Holder::prepared(&HolderOptions::default());
    fs::remove_dir_all(holder.store_folder()).unwrap();
    fs::remove_dir_all(holder.heads_folder()).unwrap();
    fs::remove_dir_all(holder.path("secrets")).unwrap();
    fs::create_dir(holder.path("secrets")).unwrap();
    let config = tokens.configure(&holder, "onebit.toml");
    let config = config.to_str().unwrap();
    let ceremony = holder.path("ceremony.toml");
    let init = ["init", "--config", config, "--ceremony", ceremony.to_str().unwrap()];
    let said = refused(&mut tokens.command(), &init);
    assert!(said.contains("onebit keys token new"), "{said}");
    assert!(!holder.store_folder().exists(), "nothing is founded without the token's key");
    done(&mut tokens.command(), &["keys", "token", "new", "--config", config]);
    let said = done(&mut tokens.command(), &init);
    assert!(said.contains("wrapped by the token"), "{said}");
    let file = fs::read_to_string(holder.path("secrets/root-in-token.toml")).unwrap();
    assert!(file.contains("token_key = \"onebit-root\"") && !file.contains(PIN), "{file}");
    let said = done(&mut tokens.command(), &["config", "check", config]);
    assert!(said.contains("opened by the key `onebit-root` of the token `onebit`"), "{said}");

    holder.serve_by(tokens.command()).await;
    holder.enrol(0..1).await;
    assert_eq!(answer_about(&holder.channel(who::AU).await, 0).await, Answer::Hit);
    holder.stop().await;
    holder.serve_by(tokens.command()).await;
    assert_eq!(answer_about(&holder.channel(who::AU).await, 0).await, Answer::Hit);
    holder.stop().await;

    // A wrong PIN is tried once, however often the server is started.
    let (pin, at) = (holder.path("secrets/pin"), holder.config());
    secret(&pin, "wrong-horse");
    let said = start_refused(tokens.command(), &at);
    assert!(said.contains("wrong PIN for token `onebit`"), "{said}");
    for text in ["wrong-horse", PIN] {
        secret(&pin, text);
        let said = start_refused(tokens.command(), &at);
        assert!(said.contains("onebit keys token try"), "{said}");
    }
    done(&mut tokens.command(), &["keys", "token", "try", "--config", config]);
    holder.serve_by(tokens.command()).await;
    holder.stop().await;

    // Without the token there is nothing, and it says what is missing.
    let mut elsewhere = Command::new(ONEBIT);
    elsewhere.env("SOFTHSM2_CONF", Tokens::new().configuration());
    let said = start_refused(elsewhere, &at);
    assert!(said.contains("does not start") || said.contains("there is no token `onebit`"), "{said}");
    let other = Tokens::new();
    let said = start_refused(other.command(), &at);
    assert!(said.contains("has no AES key `onebit-root`"), "{said}");
    done(&mut other.command(), &["keys", "token", "new", "--config", config]);
    let said = start_refused(other.command(), &at);
    assert!(said.contains("does not open this root file"), "{said}");
}

#[tokio::test]
async fn a_root_moves_into_a_token_and_each_step_is_an_entry() {
    let tokens = Tokens::new();
    let mut holder = Holder::start(HolderOptions::people(2)).await;
    let (old, new) = (holder.config(), tokens.configure(&holder, "in-token.toml"));
    let (from, to) = (old.to_str().unwrap(), new.to_str().unwrap());
    let rotate = ["keys", "rotate", "root", "--config", from, "--to", to, "--because", "into the token"];
    let said = refused(&mut tokens.command(), &rotate);
    assert!(said.contains("another server uses the store"), "{said}");
    let before = status(&old);
    let [(first, true)] = &keys_of(&before, "root")[..] else { panic!("one root at first: {before}") };
    holder.stop().await;

    done(&mut tokens.command(), &["keys", "token", "new", "--config", to]);
    done(&mut tokens.command(), &rotate);
    let between = status(&new);
    assert_eq!(between["root"]["opens_this_store"], true);
    let [(kept, false), (second, true)] = &keys_of(&between, "root")[..] else { panic!("{between}") };
    assert_eq!(kept, first);
    // Either opens everything, and the server starts with either.
    for (config, mut command) in [(&old, Command::new(ONEBIT)), (&new, tokens.command())] {
        assert!(is_whole(&mut command, config), "{} should open the store", config.display());
    }
    holder.serve().await;
    holder.stop().await;
    let retire = |config: &str, key: &str| {
        output(&mut tokens.command(), &["keys", "retire", key, "--config", config, "--because", "it moved"])
    };
    assert!(!retire(to, second).status.success(), "the root in use is not retired");
    assert!(retire(to, first).status.success());
    let said = start_refused(tokens.command(), &old);
    assert!(said.contains("the root key is none that opens this store"), "{said}");
    let said = refused(&mut tokens.command(), &["config", "check", from]);
    assert!(said.contains("opens nothing of the store"), "{said}");
    fs::copy(&new, &old).unwrap();
    holder.serve_by(tokens.command()).await;
    assert_eq!(answer_about(&holder.channel(who::AU).await, 1).await, Answer::Hit);
    let entries = holder.entries("holder").await;
    let operations = of_kind(&entries, "key.operation");
    let [rotated, retired] = operations[..] else { panic!("{} entries", operations.len()) };
    assert_eq!((fact(rotated, "operation"), fact(rotated, "key")), ("rotated", first.as_str()));
    assert_eq!((fact(rotated, "new-key"), fact(rotated, "reason")), (second.as_str(), "into the token"));
    assert_eq!((fact(retired, "operation"), fact(retired, "key")), ("retired", first.as_str()));
}

#[tokio::test]
async fn keys_of_a_class_are_rotated_and_retired_and_everybody_is_found_as_before() {
    let mut holder = Holder::start(HolderOptions::people(3)).await;
    holder.stop().await;
    let config = holder.config();
    let at = config.to_str().unwrap();
    let run = |args: &[&str]| {
        output(&mut Command::new(ONEBIT), &[args, &["--config", at, "--because", "two years"]].concat())
    };
    for class in
        ["subject-keys", "payload-keys", "named-keys", "registry", "snapshot-keys", "collection-keys"]
    {
        let ran = run(&["keys", "rotate", class]);
        assert!(ran.status.success(), "{class}: {}", String::from_utf8_lossy(&ran.stderr));
        let (first, second) = (format!("{class}:1"), format!("{class}:2"));
        let shown = keys_of(&status(&config), class);
        assert_eq!(shown, [(first.clone(), false), (second, true)]);
        assert!(run(&["keys", "retire", &first]).status.success());
    }
    for (key, hint) in [
        ("subject-keys:2", "is the key that seals"),
        ("subject-keys:1", "there is no key"),
        ("tags:1", "for the life of the store"),
        ("log:first", "onebit change propose log-key"),
        ("collection:watch-face:1", "onebit change propose renew-collection"),
    ] {
        let ran = run(&["keys", "retire", key]);
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(!ran.status.success() && said.contains(hint), "{key}: {said}");
    }
    assert!(is_whole(&mut Command::new(ONEBIT), &config));
    holder.serve().await;
    assert_eq!(answer_about(&holder.channel(who::AU).await, 2).await, Answer::Hit);
    let entries = holder.entries("holder").await;
    assert_eq!(of_kind(&entries, "key.operation").len(), 12, "six rotations, six ends");
    // Beside the running server, without the passphrase: names and numbers alone.
    let shown = status(&config);
    let beneath = |key: &str| {
        let keys = shown["keys"].as_array().unwrap();
        keys.iter().find(|one| one["key"] == key).unwrap()["beneath"].as_u64()
    };
    assert_eq!((beneath("subject-keys:2"), beneath("named-keys:2")), (Some(3), Some(1)));
    assert_eq!((beneath("collection:watch-face:1"), beneath("tags:1")), (Some(3), None));
}

#[tokio::test]
async fn a_passphrase_comes_as_a_credential_of_systemd() {
    let mut holder = Holder::prepared(&HolderOptions::default());
    let credentials = TempDir::new().unwrap();
    let handed_over = credentials.path().join("root-passphrase");
    fs::rename(holder.path("secrets/passphrase"), &handed_over).unwrap();
    fs::set_permissions(&handed_over, fs::Permissions::from_mode(0o400)).unwrap();
    let root = "file = 'secrets/root-key.toml'\npassphrase_credential = 'root-passphrase'";
    let config = configured(&holder, "onebit.toml", root);
    let said = start_refused(Command::new(ONEBIT), &config);
    assert!(said.contains("LoadCredential=root-passphrase:"), "{said}");
    let mut command = Command::new(ONEBIT);
    command.env("CREDENTIALS_DIRECTORY", credentials.path());
    holder.serve_by(command).await;
    holder.stop().await;
}

/// At a terminal of its own, where somebody types these lines.
fn typed(config: &Path, lines: &str, args: &str) -> Output {
    let line = format!("{ONEBIT} {args} {}", config.display());
    let mut typing = Command::new("script")
        .args(["--quiet", "--return", "--echo", "never", "--command", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("`script` is there: it comes with every Debian");
    let mut terminal = typing.stdin.take().unwrap();
    // What is typed before the question is thrown away, so the question comes first.
    let mut shown = typing.stdout.take().unwrap();
    let mut output = Vec::new();
    for line in lines.lines() {
        let seen = output.len();
        while !output[seen..].ends_with(b": ") {
            let mut byte = [0];
            if shown.read(&mut byte).unwrap() == 0 {
                break;
            }
            output.push(byte[0]);
        }
        terminal.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
    shown.read_to_end(&mut output).unwrap();
    drop(terminal);
    let status = typing.wait().unwrap();
    Output { status, stdout: output, stderr: Vec::new() }
}

#[test]
fn a_passphrase_is_typed_unseen() {
    let holder = Holder::prepared(&HolderOptions::default());
    let words = fs::read_to_string(holder.path("secrets/passphrase")).unwrap();
    let root = "file = 'secrets/root-key.toml'\npassphrase_asked = true";
    let config = configured(&holder, "onebit.toml", root);
    let right = typed(&config, &words, "config check");
    let said = String::from_utf8_lossy(&right.stdout).into_owned();
    assert!(right.status.success() && said.contains("opened by a passphrase that is typed"), "{said}");
    assert!(!said.contains(words.trim()), "it was shown: {said}");
    let wrong = typed(&config, "otter lantern mosaic gravel", "config check");
    let said = String::from_utf8_lossy(&wrong.stdout).into_owned();
    assert!(!wrong.status.success() && said.contains("wrong passphrase"), "{said}");
    // Without a terminal nobody is asked, and nothing waits.
    let mut alone = Command::new("setsid");
    alone.args(["--wait", ONEBIT]);
    let said = refused(&mut alone, &["serve", "--config", config.to_str().unwrap()]);
    assert!(said.contains("there is no terminal"), "{said}");
}

/// A holder's folder with nobody in it, to be copied and killed in.
struct Killed {
    base: Holder,
}

/// What the kill left, and whether the command came to its end before.
struct Left {
    folder: TempDir,
    ended: bool,
}

impl Killed {
    fn new() -> Self {
        let base = Holder::prepared(&HolderOptions::default());
        let next = "file = 'secrets/root-2.toml'\npassphrase_file = 'secrets/passphrase'";
        configured(&base, "next.toml", next);
        Self { base }
    }

    /// Runs a command in a copy of the folder and kills it at one of a thread's calls of a name.
    fn at(&self, call: &str, when: u32, args: &[&str]) -> Left {
        let folder = TempDir::new().unwrap();
        copy(&self.base.path(""), folder.path());
        let ran = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e"])
            .arg(format!("trace={call}"))
            .arg("-e")
            .arg(format!("inject={call}:signal=SIGKILL:when={when}"))
            .arg(ONEBIT)
            .args(args)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .expect("strace is not there; `.ci/setup` installs it");
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        let ended = ran.status.success();
        assert!(ended || ran.status.code().is_none_or(|code| code > 128), "it failed by itself: {said}");
        Left { folder, ended }
    }

    /// Kills at every step that such a call makes until there is none left, and looks at what each kill left.
    fn at_each_step(&self, calls: &[&str], args: &[&str], look: impl Fn(u32, &Left)) {
        let mut step = 0;
        for call in calls {
            for when in 1.. {
                assert!(when < STEPS_MAX, "{STEPS_MAX} calls of `{call}` were not enough");
                let left = self.at(call, when, args);
                step += 1;
                look(step, &left);
                if left.ended {
                    break;
                }
            }
        }
        assert!(step > STEPS_MIN, "only {step} steps were found; are these the calls that are made?");
    }
}

impl Left {
    fn opens(&self, config: &str) -> bool {
        is_whole(Command::new(ONEBIT).current_dir(self.folder.path()), Path::new(config))
    }

    fn run(&self, args: &[&str]) -> Output {
        output(Command::new(ONEBIT).current_dir(self.folder.path()), args)
    }

    fn roots(&self) -> usize {
        keys_of(&status(&self.folder.path().join("onebit.toml")), "root").len()
    }
}

const ROTATE_ROOT: [&str; 9] =
    ["keys", "rotate", "root", "--config", "onebit.toml", "--to", "next.toml", "--because", "a kill"];

#[test]
fn killed_at_any_step_of_a_rotation_the_old_root_opens_the_store_and_the_new_one_as_soon_as_it_is_known() {
    let killed = Killed::new();
    killed.at_each_step(&CALLS, &ROTATE_ROOT, |when, left| {
        assert!(left.opens("onebit.toml"), "killed at step {when}, the old root opens nothing");
        let is_known = left.roots() == 2;
        assert_eq!(left.opens("next.toml"), is_known, "killed at step {when}");
        assert!(is_known || !left.ended, "it ended and the new root is not known");
        if when % AGAIN_EVERY == 0 || is_known {
            let again = left.run(&ROTATE_ROOT);
            assert!(again.status.success(), "step {when}: {}", String::from_utf8_lossy(&again.stderr));
            assert!(left.opens("next.toml"), "killed at step {when} and done again");
        }
    });
}

#[test]
fn killed_at_any_step_of_a_retirement_the_new_root_opens_the_store() {
    let killed = Killed::new();
    let folder = killed.base.path("");
    let ran = output(Command::new(ONEBIT).current_dir(&folder), &ROTATE_ROOT);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let shown = status(&killed.base.config());
    let (old, _) = keys_of(&shown, "root").into_iter().find(|(_, in_use)| !in_use).unwrap();
    let retire = ["keys", "retire", &old, "--config", "next.toml", "--because", "a kill"];
    killed.at_each_step(&OF_THE_DATABASES, &retire, |when, left| {
        assert!(left.opens("next.toml"), "killed at step {when}, the new root opens nothing");
        let is_gone = left.roots() == 1;
        assert_eq!(left.opens("onebit.toml"), !is_gone, "killed at step {when}");
        assert!(is_gone || !left.ended, "it ended and the old root still opens the store");
    });
}

#[test]
fn killed_at_any_step_of_a_class_everything_opens_and_the_same_command_finishes() {
    let killed = Killed::new();
    let rotate = ["keys", "rotate", "named-keys", "--config", "onebit.toml", "--because", "a kill"];
    killed.at_each_step(&OF_THE_DATABASES, &rotate, |when, left| {
        assert!(left.opens("onebit.toml"), "killed at step {when}, something does not open");
        if when % AGAIN_EVERY == 0 {
            let again = left.run(&rotate);
            assert!(again.status.success(), "step {when}: {}", String::from_utf8_lossy(&again.stderr));
            let retire = ["keys", "retire", "named-keys:1", "--config", "onebit.toml", "--because", "a kill"];
            let retired = left.run(&retire);
            assert!(retired.status.success(), "step {when}: {}", String::from_utf8_lossy(&retired.stderr));
            assert!(left.opens("onebit.toml"), "killed at step {when} and done again");
        }
    });
}

/// What makes something durable, otherwise named, gone or shorter.
const CALLS: [&str; 5] = ["fdatasync", "fsync", "rename", "unlink", "ftruncate"];
/// Those of them that a command makes which writes to the databases alone.
const OF_THE_DATABASES: [&str; 2] = ["fdatasync", "ftruncate"];
const STEPS_MIN: u32 = 10;
const STEPS_MAX: u32 = 200;
/// To do it again after each kill would take minutes.
const AGAIN_EVERY: u32 = 5;

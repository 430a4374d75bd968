//! With a real token: SoftHSM's module, in a folder of its own.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;
use crate::keys::{RootError, RootFile, RootKey, TokenRootFile};
use crate::secret::{Secret, SystemEntropy};

const PIN: &str = "correct-horse";
/// Where Debian puts it, and where others do.
const MODULES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];

fn module() -> PathBuf {
    let found = MODULES.iter().map(PathBuf::from).find(|path| path.exists());
    found.expect("SoftHSM is not there; `.ci/setup lint` installs the package softhsm2")
}

fn token(label: &str) -> Token {
    Token { module: module(), label: label.to_owned(), key: "onebit-root".to_owned() }
}

fn pin(text: &str) -> SecretBytes {
    SecretBytes::new(text.as_bytes().to_vec())
}

fn refusal(token: &Token, with: &str, tries: Tries) -> TokenError {
    token.log_in(&pin(with), tries).err().expect("this login should have been refused")
}

/// SoftHSM reads where its tokens lie from the environment, which a test may not change for the tests beside it. So
/// each test runs once more, in a process of its own; gives whether this is that process.
fn in_a_process_with_tokens(test: &str) -> bool {
    if std::env::var_os("SOFTHSM2_CONF").is_some() {
        return true;
    }
    let folder = tempfile::tempdir().unwrap();
    let (tokens, conf) = (folder.path().join("tokens"), folder.path().join("softhsm2.conf"));
    fs::create_dir(&tokens).unwrap();
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        tokens.display()
    );
    fs::write(&conf, text).unwrap();
    for label in ["onebit", "other"] {
        token_make(&conf, label);
    }
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("keys::token::tests::{test}"), "--nocapture"])
        .env("SOFTHSM2_CONF", &conf)
        .status()
        .unwrap();
    assert!(status.success(), "the test in its own process ended with {status}");
    false
}

fn token_make(conf: &Path, label: &str) {
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "officer-1"])
        .env("SOFTHSM2_CONF", conf)
        .stdout(Stdio::null())
        .status()
        .expect("softhsm2-util is not there; `.ci/setup lint` installs the package softhsm2");
    assert!(made.success(), "no token was made: {made}");
}

#[test]
fn a_token_wraps_a_root_and_no_other_token_or_file_opens_it() {
    if !in_a_process_with_tokens("a_token_wraps_a_root_and_no_other_token_or_file_opens_it") {
        return;
    }
    let entropy = SystemEntropy::new();
    let session = token("onebit").log_in(&pin("correct-horse\n"), Tries::Spared).unwrap();
    assert!(matches!(session.key_check(), Err(TokenError::NoKey { .. })), "no key was made yet");
    session.key_make().unwrap();
    assert!(matches!(session.key_make(), Err(TokenError::Keys { count: 1, .. })), "one of a name is enough");
    let (root, text) = TokenRootFile::create(&session, &entropy).unwrap();
    assert!(TokenRootFile::open(&text, &session).unwrap().id() == root.id());
    drop(session);

    // A login later, as at the next start.
    let session = token("onebit").log_in(&pin(PIN), Tries::Spared).unwrap();
    assert!(TokenRootFile::open(&text, &session).unwrap().id() == root.id());
    // What the file says is authenticated by the token, not only by the checksum.
    let (other, _) = TokenRootFile::create(&session, &entropy).unwrap();
    let renamed = TokenRootFile::parse(&text).unwrap().renamed(other.id());
    let refused = TokenRootFile::open(&renamed, &session).err().unwrap();
    assert!(
        matches!(&refused, RootError::Token(error) if matches!(**error, TokenError::Closed(_))),
        "{refused}"
    );
    drop(session);

    let session = token("other").log_in(&pin(PIN), Tries::Spared).unwrap();
    session.key_make().unwrap();
    let refused = TokenRootFile::open(&text, &session).err().unwrap();
    assert!(
        matches!(&refused, RootError::Token(error) if matches!(**error, TokenError::Closed(_))),
        "{refused}"
    );
    let words = pin("otter lantern mosaic gravel");
    assert!(matches!(RootFile::open(&text, &words).err(), Some(RootError::ByToken)));
    let root = RootKey::new(Secret::take(&mut [5; 32]));
    let by_words = RootFile::wrap(&root, &words, &entropy).unwrap();
    assert!(matches!(TokenRootFile::open(&by_words, &session).err(), Some(RootError::ByPassphrase)));
    for damaged in
        [text.replacen("wrapped = \"", "wrapped = \"AA", 1), text.replacen("version = 2", "version = 3", 1)]
    {
        assert!(TokenRootFile::open(&damaged, &session).is_err(), "this opened, but must not:\n{damaged}");
    }
}

#[test]
fn a_wrong_pin_is_tried_once_and_not_again_until_a_person_says_so() {
    if !in_a_process_with_tokens("a_wrong_pin_is_tried_once_and_not_again_until_a_person_says_so") {
        return;
    }
    let token = token("onebit");
    drop(token.log_in(&pin(PIN), Tries::Spared).unwrap());
    assert!(matches!(refusal(&token, "wrong-horse", Tries::Spared), TokenError::Pin(_)));
    // Even the right one is not tried: nobody knows yet that it is right.
    for with in ["wrong-horse", PIN] {
        let refused = refusal(&token, with, Tries::Spared);
        assert!(matches!(refused, TokenError::PinLow(_)), "{refused}");
        assert!(refused.to_string().contains("onebit keys token try"), "{refused}");
    }
    assert!(matches!(refusal(&token, "wrong-horse", Tries::Used), TokenError::Pin(_)));
    drop(token.log_in(&pin(PIN), Tries::Used).unwrap());
    drop(token.log_in(&pin(PIN), Tries::Spared).unwrap());
    assert!(matches!(refusal(&token, "\u{e9}", Tries::Spared), TokenError::Pin(_)));
    let bytes = SecretBytes::new(vec![0xff, 0xfe]);
    assert!(matches!(token.log_in(&bytes, Tries::Used).err(), Some(TokenError::PinForm)));
}

#[test]
fn what_is_missing_is_named() {
    if !in_a_process_with_tokens("what_is_missing_is_named") {
        return;
    }
    let no_module = Token { module: "/nowhere/module.so".into(), ..token("onebit") };
    assert!(matches!(refusal(&no_module, PIN, Tries::Spared), TokenError::Module { .. }));
    // A library that is no module, which every machine has.
    let libc = fs::read_to_string("/proc/self/maps").unwrap();
    let libc =
        libc.lines().find_map(|line| line.split(' ').next_back().filter(|path| path.contains("libc.so")));
    let no_pkcs11 = Token { module: libc.expect("a C library is loaded").into(), ..token("onebit") };
    assert!(matches!(refusal(&no_pkcs11, PIN, Tries::Spared), TokenError::Module { .. }));
    let refused = refusal(&token("nobody"), PIN, Tries::Spared);
    let TokenError::Missing { there, .. } = &refused else { panic!("{refused}") };
    assert!(there.contains("`onebit`") && there.contains("`other`"), "{there}");
}

#[test]
fn a_key_that_could_be_taken_out_is_refused() {
    if !in_a_process_with_tokens("a_key_that_could_be_taken_out_is_refused") {
        return;
    }
    let token = token("onebit");
    let session = token.log_in(&pin(PIN), Tries::Spared).unwrap();
    let loose = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::ValueLen(KEY_BYTES.into()),
        Attribute::Label(token.key.clone().into_bytes()),
        Attribute::Token(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(true),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
    ];
    session.session.generate_key(&Mechanism::AesKeyGen, &loose).unwrap();
    assert!(matches!(session.key_check(), Err(TokenError::Loose { .. })));
    assert!(session.encrypt(b"", b"x", &SystemEntropy::new()).is_err(), "nothing is wrapped by such a key");
}

//! The demonstration, short: the whole story as `make demo` shows it, with few people and without a terminal.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use onebit::cli::synth::People;

#[test]
fn the_story_ends_as_it_is_told() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("demo");
    let shown = demo(&folder, &[("ONEBIT_DEMO_PEOPLE", "500")]);
    let (told, errors) = (said(&shown.stdout), said(&shown.stderr));
    assert!(
        shown.status.success(),
        "the demonstration failed; what it said last:\n{}\n{errors}",
        last(&told)
    );

    check_in_order(
        &told,
        &[
            " 1  The first start",
            "listening on 127.0.0.1:",
            "\n      state     confirmed\n",
            "enrolled  500 people",
            "rejected  none",
            "\n      HIT\n",
            "\n      NO HIT\n",
            "`minor`",
            "\n      NO HIT\n",
            "an enrolled person    HIT",
            "a stranger            NO HIT",
            "a hidden person       NO HIT",
            "\n        hidden-subject  nobody\n",
            "the case is partially-approved now",
            "\n      state       pending\n",
            "the case is released now",
            "\n      family-name: ",
            "\n      state       acknowledged\n",
            "the journal is whole",
            "the journal is whole",
            "REFUSED",
            "Refused, and it names the entry.",
            "10  What to try next",
            "The server was asked to stop",
        ],
    );
    assert!(!told.contains('\u{1b}'), "colours are for terminals alone");
    assert_eq!(
        told.matches("\n        hidden-subject  ").count(),
        2,
        "the stranger's and the hidden person's entry are shown"
    );
    check_released(&told);
    assert!(!folder.join("server.pid").exists(), "the server must be stopped when there is no terminal");
    check_privacy(&folder);
}

#[test]
fn a_folder_of_others_is_left_alone() {
    let outer = tempfile::tempdir().unwrap();
    fs::write(outer.path().join("thesis.txt"), "x").unwrap();
    let shown = demo(outer.path(), &[]);
    assert_eq!(shown.status.code(), Some(1));
    assert!(said(&shown.stderr).contains("is left alone"), "{}", said(&shown.stderr));
    assert_eq!(
        fs::read_dir(outer.path()).unwrap().count(),
        1,
        "nothing may be written to a folder of others"
    );
}

#[test]
fn a_step_that_fails_ends_the_story_and_the_server() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("demo");
    let program = Path::new(env!("CARGO_BIN_EXE_onebit"));
    let policy = outer.path().join("no-policy");
    let shown = Command::new(program)
        .args([
            "demo",
            "--people",
            "100",
            "--folder",
            folder.to_str().unwrap(),
            "--policy",
            policy.to_str().unwrap(),
        ])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(shown.status.code(), Some(1), "{}", said(&shown.stderr));
    assert!(said(&shown.stderr).contains("`onebit init` failed"), "{}", said(&shown.stderr));
    assert!(!folder.join("server.pid").exists());
}

/// Runs the demonstration as a pipeline does.
fn demo(folder: &Path, environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_onebit"))
        .args(["demo", "--folder", folder.to_str().unwrap()])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CI", "true")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn check_in_order(told: &str, wanted: &[&str]) {
    let mut rest = told;
    for words in wanted {
        let Some((_, after)) = rest.split_once(words) else {
            panic!(
                "`{}` is not told, or not in its place; the story ends so:\n{}",
                words.escape_debug(),
                last(told)
            );
        };
        // The line feed before the next line may be the one after this.
        rest = if words.ends_with('\n') { &told[told.len() - after.len() - 1..] } else { after };
    }
}

/// What the partner opened must be the record of somebody who was enrolled, and nothing that was not asked for.
fn check_released(told: &str) {
    let (_, opened) = told.split_once("$ onebit open ").expect("the release is opened");
    let opened = opened.split_once("These are the fields").expect("the release is compared").0;
    let people = People::new(1, 256);
    let released: Vec<(&str, &str)> = opened
        .lines()
        .filter_map(|line| line.trim().split_once(": "))
        .filter(|(name, _)| ["family-name", "given-names", "date-of-birth", "document-number"].contains(name))
        .collect();
    let names: Vec<&str> = released.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), 3, "three fields were asked for, and {names:?} were released");
    let is_of =
        |person: &u64| released.iter().all(|(name, value)| people.record(*person)[*name].value == *value);
    assert!((0..500).any(|person| is_of(&person)), "what was released is nobody's record: {released:?}");
}

/// Keys and samples lie in files that nobody else may read.
fn check_privacy(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    for name in
        ["partner/release.key", "partner/traveller.json", "partner/release.json", "server.log", "as/mere"]
    {
        let mode = fs::metadata(folder.join(name))
            .unwrap_or_else(|error| panic!("`{name}`: {error}"))
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "`{name}` may be read by others");
    }
}

fn last(told: &str) -> String {
    let lines: Vec<&str> = told.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

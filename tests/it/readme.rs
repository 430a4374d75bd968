//! The README's first query, as it stands on the page: set-up, `buf curl`, Python.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::holder::{ONEBIT, free_address, repository};

/// Where the page says that the server listens.
const PORT: &str = "7443";

#[test]
fn the_first_query_of_the_readme_works_as_written() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["fixtures", "proto", "policy", "node_modules"] {
        assert!(repository().join(name).exists(), "`{name}` is missing; run `make test`, which sets it up");
        symlink(repository().join(name), folder.path().join(name)).unwrap();
    }
    let address = free_address();
    let port = address.rsplit_once(':').unwrap().1;
    // The tests have built the executable; and the page's port may be taken here.
    let setup = block("setup").replace("make build\n", "").replace(
        "onebit init --development first\n",
        &format!("onebit init --development first\nsed -i s/{PORT}/{port}/ first/onebit.toml\n"),
    );
    let script = [
        "set -eu\ntrap 'kill %1' EXIT\n".to_owned(),
        setup.replace(&format!("localhost:{PORT}"), &format!("localhost:{port}")),
        block("first-query-buf").replace(&format!("localhost:{PORT}"), &format!("localhost:{port}")),
        block("first-query-python").replace(&format!("localhost:{PORT}"), &format!("localhost:{port}")),
    ]
    .join("\n");
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(folder.path())
        .env("CARGO_TARGET_DIR", target_folder())
        .env(
            "PATH",
            format!("{}:{}", Path::new(ONEBIT).parent().unwrap().display(), std::env::var("PATH").unwrap()),
        )
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the README's commands failed:\n{out}\n{err}");
    assert!(out.contains("\"answer\": \"ANSWER_HIT\""), "`buf curl` should show a hit:\n{out}\n{err}");
    assert!(out.contains("ANSWER_HIT for mate-000"), "Python should show a hit:\n{out}\n{err}");
    assert_eq!(out.matches("c2sp.org/tlog-proof@v1").count(), 2, "both should show a receipt:\n{out}");
}

#[test]
fn every_test_that_the_page_names_exists() {
    let page = fs::read_to_string(repository().join("README.md")).unwrap();
    let (_, promises) = page.split_once("## What it promises").expect("the README has the promises");
    let (promises, _) = promises.split_once("\n## ").expect("the promises end");
    let tests = ["src", "tests"].map(|folder| sources(&repository().join(folder))).concat();
    let named: Vec<&str> = promises.split('`').filter(|part| part.matches('_').count() > 2).collect();
    assert!(named.len() > 30, "{} tests are named; does the search still work?", named.len());
    for name in named {
        assert!(
            tests.contains(&format!("fn {name}(")),
            "the README names the test `{name}`, which is nowhere"
        );
    }
}

/// All Rust sources below a folder.
fn sources(folder: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all += &sources(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all += &fs::read_to_string(&path).unwrap();
        }
    }
    all
}

/// The folder whose `release` holds the executable.
fn target_folder() -> &'static Path {
    Path::new(ONEBIT).ancestors().nth(2).unwrap()
}

/// The commands behind a mark of the README.
fn block(mark: &str) -> String {
    let page = fs::read_to_string(repository().join("README.md")).unwrap();
    let (_, rest) = page.split_once(&format!("<!-- run: {mark} -->")).expect("the README has the mark");
    let (_, rest) = rest.split_once("```sh\n").expect("commands follow the mark");
    rest.split_once("```").expect("the commands end").0.to_owned()
}

//! A story in a real browser: a script of `tests/browser/`, which says where somebody else has to act.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::holder::{Holder, repository, who};

/// Debian's, which set-up installs.
pub(crate) fn chromium() -> String {
    std::env::var("ONEBIT_CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".to_owned())
}

/// A script that runs.
pub(crate) struct Story {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Story {
    /// Starts a script of `tests/browser/` with a story as its argument.
    pub(crate) fn start(script: &str, story: &Value) -> Self {
        let packages = repository().join("node_modules/playwright-core");
        assert!(packages.is_dir(), "the packages of the browser tests are not there; run `.ci/setup lint`");
        let mut child = Command::new("node")
            .arg(repository().join("tests/browser").join(script))
            .arg(story.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`node` should start; run `.ci/setup lint`");
        let stdin = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, stdin, lines }
    }

    /// What it says next; confirms what it asks to have confirmed.
    pub(crate) fn next(&mut self, holder: &Holder) -> Option<Value> {
        let said: Value = serde_json::from_str(&self.lines.next()?.unwrap()).unwrap();
        if let Some(change) = said["confirm"].as_str() {
            holder.onebit(who::PRIVACY, &["change", "confirm", change]).ok();
            self.answer(&json!({}));
        }
        Some(said)
    }

    /// Tells it that something is done.
    pub(crate) fn answer(&mut self, done: &Value) {
        writeln!(self.stdin, "{done}").unwrap();
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self) {
        assert!(
            self.child.wait().unwrap().success(),
            "the story in the browser failed; what it said stands above"
        );
    }
}

use std::path::{Path, PathBuf};
use std::sync::Arc;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::*;

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(format: LogFormat, filter: &str, work: impl FnOnce()) -> String {
    let page = Page::default();
    let settings = LogSettings { format, filter: filter.to_owned() };
    let layer = log_layer(&settings, page.clone()).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
    let bytes = page.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn events() {
    let embedding = [0.1_f32, 0.2, 0.3];
    let span =
        tracing::info_span!("rpc", rpc = "AskQuery", official = "officer-7", reason = tracing::field::Empty);
    span.record("reason", "late");
    let _entered = span.enter();
    tracing::info!(
        case = "CASE-2026-17",
        embedding = ?embedding,
        subject.name = "Ada",
        whatever = 3.25,
        count = 12_u64,
        error = "`Ada` is not a name; use `-`, not `CASE-2026-17`",
        "line is written"
    );
}

#[test]
fn only_allowed_fields_come_out() {
    for format in [LogFormat::Json, LogFormat::Text] {
        let page = logged(format, "trace", events);
        for shown in ["AskQuery", "late", "12", "line is written"] {
            assert!(page.contains(shown), "`{shown}` should stand in {page}");
        }
        for hidden in ["CASE", "0.1", "Ada", "3.25", "officer", "embedding", "case", "whatever"] {
            assert!(!page.contains(hidden), "`{hidden}` must not come out: {page}");
        }
    }
}

#[test]
fn json_lines_are_json_and_carry_the_spans_fields() {
    let page = logged(LogFormat::Json, "info", events);
    let line: Value = serde_json::from_str(&page).unwrap();
    assert_eq!(
        (&line["rpc"], &line["count"], &line["level"]),
        (&"AskQuery".into(), &12.into(), &"info".into())
    );
    assert_eq!(line["error"], "…");
}

#[test]
fn text_is_one_printable_line_and_not_long() {
    let long = "x".repeat(10_000);
    let page = logged(LogFormat::Text, "info", || {
        tracing::info!(reason = "one\ntwo\u{1b}[31m", kind = long.as_str(), "cut");
    });
    assert_eq!(page.lines().count(), 1);
    assert!(!page.contains('\u{1b}') && page.len() < TEXT_MAX_CHARS + 200, "not cut: {page}");
}

#[test]
fn other_crates_say_neither_message_nor_fields() {
    let page = logged(LogFormat::Json, "trace,h2=trace,hyper=trace,elsewhere=trace", || {
        tracing::warn!(target: "h2::codec", reason = "payload", "frame with secret bytes");
        tracing::debug!(target: "h2::codec", "must be capped");
        tracing::trace!(target: "hyper", "must be capped");
        tracing::debug!(target: "elsewhere::deep", "asked for");
        tracing::info!(target: "unnamed", "not asked for");
    });
    let targets: Vec<Value> =
        page.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["target"].clone()).collect();
    assert_eq!(targets, ["h2::codec", "elsewhere::deep"]);
    assert!(!page.contains("secret") && !page.contains("payload"), "{page}");
}

#[test]
fn filters_have_one_form() {
    assert!(Filter::parse("debug,rusqlite=info").is_ok());
    for bad in ["", "loud", "a=b=c", "onebit=loudly", "info,h2"] {
        assert!(Filter::parse(bad).is_err(), "`{bad}` should have been refused");
    }
    assert!(logged(LogFormat::Text, "off", events).is_empty());
}

#[test]
fn causes_are_told_without_their_input() {
    #[derive(Debug, thiserror::Error)]
    #[error("the file `{0}` can't be read; check `{0}` again")]
    struct Outer(&'static str, #[source] io::Error);
    let error = Outer("/cases/Ada` or `17", io::Error::other("disk says `no`, twice"));
    assert_eq!(chain(&error).to_string(), "the file … again: disk says …, twice");
}

#[test]
fn metrics_have_buckets_and_no_forbidden_labels() {
    let recorder = metrics_builder().unwrap().build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        metrics_describe();
        handshake_refused("revoked");
        metrics::histogram!(RPC_SECONDS, "rpc" => "AskQuery").record(0.3);
        metrics::histogram!(COMMIT_TRANSACTIONS).record(3.0);
    });
    let page = handle.render();
    assert!(page.contains("onebit_handshakes_refused_total{reason=\"revoked\"} 1"), "{page}");
    assert!(page.contains("onebit_rpc_seconds_bucket{rpc=\"AskQuery\",le=\"0.5\"} 1"), "{page}");
    assert!(page.contains("onebit_commit_transactions_bucket{le=\"4\"} 1"), "{page}");
}

#[test]
fn metrics_are_served_where_asked() {
    let outside = metrics_init(Some(SocketAddr::from(([127, 0, 0, 1], 0))));
    assert!(matches!(outside, Err(TelemetryError::NoRuntime)));
}

/// The sources' own events: messages are bare literals, fields and labels stand in the list.
#[test]
fn every_event_in_the_sources_is_static_and_allowed() {
    let sources = Path::new(file!()).parent().and_then(Path::parent).unwrap();
    let mut seen = 0;
    let mut wrong = Vec::new();
    for path in rust_files(sources) {
        // Only these tests break the rule on purpose.
        if path.ends_with("telemetry/tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        check_calls(tokens, &mut |name, problem| {
            seen += 1;
            wrong.extend(problem.map(|problem| format!("{}: `{name}!`: {problem}", path.display())));
        });
    }
    assert!(seen > 0, "no event was found; has the search lost its way?");
    assert!(wrong.is_empty(), "see the top of telemetry.rs for how to log:\n{}", wrong.join("\n"));
}

#[test]
fn the_search_for_events_finds_what_is_wrong() {
    for (call, good) in [
        ("tracing::info!(reason = word, \"all well\")", true),
        ("info!(name: \"x\", error = %chain(&error), \"all well\")", true),
        ("select! { a => { warn!(count, \"nested\") } }", true),
        ("counter!(RPCS, \"rpc\" => rpc, \"code\" => code)", true),
        ("tracing::info!(\"query {id}\")", false),
        ("tracing::info!(\"query {}\", id)", false),
        ("tracing::info!(case = 3, \"all well\")", false),
        ("tracing::info!(%subject, \"all well\")", false),
        ("debug_span!(\"rpc\", official = name)", false),
        ("select! { a => { warn!(case, \"nested\") } }", false),
        ("counter!(RPCS, \"outcome\" => outcome)", false),
    ] {
        let mut problems = 0;
        check_calls(call.parse().unwrap(), &mut |_, problem| problems += usize::from(problem.is_some()));
        assert_eq!(problems == 0, good, "judged wrongly: {call}");
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// Finds `name!(…)` at any depth, within other macros too.
fn check_calls(tokens: TokenStream, found: &mut dyn FnMut(&str, Option<String>)) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (place, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token {
            check_calls(group.stream(), found);
        }
        if let [TokenTree::Ident(name), TokenTree::Punct(bang), TokenTree::Group(group)] =
            &tokens[place..tokens.len().min(place + 3)]
            && bang.as_char() == '!'
            && group.delimiter() != Delimiter::None
        {
            let name = name.to_string();
            let arguments = split(group.stream());
            match name.as_str() {
                "trace" | "debug" | "info" | "warn" | "error" | "event" => {
                    found(&name, event_problem(&arguments));
                }
                "span" | "trace_span" | "debug_span" | "info_span" | "warn_span" | "error_span" => {
                    found(&name, event_problem(&arguments));
                }
                "counter" | "gauge" | "histogram" => found(&name, label_problem(&arguments)),
                _ => {}
            }
        }
    }
}

fn split(tokens: TokenStream) -> Vec<Vec<TokenTree>> {
    let mut arguments = vec![Vec::new()];
    for token in tokens {
        match &token {
            TokenTree::Punct(comma) if comma.as_char() == ',' => arguments.push(Vec::new()),
            _ => arguments.last_mut().unwrap().push(token),
        }
    }
    arguments.retain(|argument| !argument.is_empty());
    arguments
}

fn event_problem(arguments: &[Vec<TokenTree>]) -> Option<String> {
    for (place, argument) in arguments.iter().enumerate() {
        if let TokenTree::Literal(literal) = &argument[0] {
            if literal.to_string().contains('{') {
                return Some("the message holds a value; make it a field".to_owned());
            }
            // A span's name comes first and its fields after it; an event's message comes last.
            if place != 0 && place + 1 != arguments.len() {
                return Some("values after the message; make them fields".to_owned());
            }
            continue;
        }
        let mut name = String::new();
        let mut setting = false;
        for token in argument {
            match token {
                TokenTree::Ident(part) => name.push_str(&part.to_string()),
                TokenTree::Punct(dot) if dot.as_char() == '.' => name.push('.'),
                TokenTree::Punct(sign) if matches!(sign.as_char(), '%' | '?') && name.is_empty() => {}
                TokenTree::Punct(colon) if colon.as_char() == ':' => {
                    setting = true;
                    break;
                }
                _ => break,
            }
        }
        // `target: …`, `name: …`, `parent: …`, and `Level::INFO`.
        if !setting && !ALLOWED_FIELDS.contains(&name.as_str()) {
            return Some(format!("the field `{name}` is not in ALLOWED_FIELDS"));
        }
        if setting && !matches!(name.as_str(), "target" | "name" | "parent" | "Level" | "tracing") {
            return Some(format!("`{name}:` is not known here"));
        }
    }
    // `info!("text", value)`: the message is first, and what follows it is no field.
    match arguments {
        [first, second, ..]
            if matches!(first[0], TokenTree::Literal(_)) && second.len() == 1 && !has_name(second) =>
        {
            Some("values after the message; make them fields".to_owned())
        }
        _ => None,
    }
}

fn has_name(argument: &[TokenTree]) -> bool {
    matches!(&argument[0], TokenTree::Ident(name) if ALLOWED_FIELDS.contains(&name.to_string().as_str()))
}

fn label_problem(arguments: &[Vec<TokenTree>]) -> Option<String> {
    arguments.iter().skip(1).find_map(|argument| match &argument[0] {
        TokenTree::Literal(label)
            if [
                "\"rpc\"",
                "\"step\"",
                "\"code\"",
                "\"reason\"",
                "\"job\"",
                "\"collection\"",
                "\"witness\"",
                "\"kind\"",
            ]
            .contains(&label.to_string().as_str()) =>
        {
            None
        }
        other => Some(format!("the label {other} is not known here; labels are never outcomes")),
    })
}

//! A client that is not ours: Python's gRPC with stubs made of the schemas, and the code of the integrators' guide as
//! it stands on the page.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use onebit::approval::sample_digest;
use onebit::grpc::pb::partner::ListSchemesRequest;
use onebit::grpc::pb::partner::agreement_service_client::AgreementServiceClient;
use onebit::ids::RequestId;
use onebit::template::{Quality, QualityScore, Sample};
use serde_json::{Value, json};

use crate::holder::{Holder, HolderOptions, repository, who};
use crate::story::{Choice, FIELDS, STRANGER, people, sample_of};

const PERSON: u64 = 7;
const REQUEST_ID: &str = "0b7c8a52-6e1f-4b0e-9a44-0a1c2d3e4f50";

#[tokio::test(flavor = "multi_thread")]
async fn the_guides_python_goes_from_a_query_to_an_opened_release() {
    let holder = Holder::start(HolderOptions::people(40)).await;
    let folder = tempfile::tempdir().unwrap();
    make_stubs(&folder.path().join("stubs"));
    let program = folder.path().join("story.py");
    fs::write(&program, format!("{}\n{}", guide(), include_str!("../python/guide_story.py"))).unwrap();

    let [certificate, key] = who::AU.credential();
    let story = json!({
        "address": format!("localhost:{}", holder.port()),
        "ca": holder.path("ca.pem"),
        "certificate": holder.path(certificate.to_str().unwrap()),
        "key": holder.path(key.to_str().unwrap()),
        "log_key": holder.path("partners/au-border/log-key.txt"),
        "mate": sample_of(PERSON, 1),
        "stranger": sample_of(STRANGER, 0),
        "vectors": vectors(&holder).await,
        "fields": FIELDS,
        "request_id": REQUEST_ID,
    });
    let mut child = Command::new(python())
        .arg(&program)
        .arg(story.to_string())
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut last = Value::Null;
    let quality = Quality::Score(QualityScore::new(77).unwrap());
    let sample = Sample::embedding(sample_of(PERSON, 1), quality);
    let fresh = sample_digest(RequestId::parse_uuid(REQUEST_ID).unwrap(), &sample).to_string();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        last = serde_json::from_str(&line.unwrap()).unwrap();
        if let Some(digest) = last["fresh_sample_digest"].as_str() {
            assert_eq!(
                digest, fresh,
                "the guide signs another digest of a fresh sample than the holder checks"
            );
        }
        if let Some(change) = last["change"].as_str() {
            // A partner's own proof takes two people of the holder.
            holder.onebit(who::ADMIN, &["change", "confirm", change]).ok();
            holder.onebit(who::PRIVACY, &["change", "confirm", change]).ok();
            writeln!(stdin, "done").unwrap();
        }
        if let Some(disclosure) = last["disclosure"].as_str() {
            for officer in [who::OFFICER, who::OTHER_OFFICER] {
                holder.decide(officer, disclosure, Choice::Grant(&FIELDS)).await.unwrap();
            }
            writeln!(stdin, "done").unwrap();
        }
    }
    assert!(child.wait().unwrap().success(), "the guide's Python failed; what it said stands above");
    let record = people().record(PERSON);
    for name in FIELDS {
        let (_, field) = record.iter().find(|(field, _)| **field == name).unwrap();
        assert_eq!(last["fields"][name], field.value, "the field `{name}` did not arrive as it was enrolled");
    }
}

/// The environment's Python, which `make test` sets up.
pub(crate) fn python() -> String {
    std::env::var("ONEBIT_PYTHON").unwrap_or_else(|_| {
        let cache = std::env::var("XDG_CACHE_HOME")
            .unwrap_or_else(|_| format!("{}/.cache", std::env::var("HOME").expect("HOME should be set")));
        format!("{cache}/onebit/venv/bin/python")
    })
}

/// Runs the environment's Python to its end, and gives what it printed.
pub(crate) fn run_python(args: &[&str], folder: &Path) -> String {
    let output = Command::new(python()).args(args).current_dir(folder).stderr(Stdio::inherit()).output();
    let output =
        output.unwrap_or_else(|error| panic!("`{}`: {error}; run `make test`, which sets it up", python()));
    assert!(output.status.success(), "Python failed; what it said stands above");
    String::from_utf8(output.stdout).unwrap()
}

fn make_stubs(folder: &Path) {
    fs::create_dir(folder).unwrap();
    let protos = repository().join("proto");
    let mut args = vec![
        "-m".to_owned(),
        "grpc_tools.protoc".to_owned(),
        format!("-I{}", protos.display()),
        format!("--python_out={}", folder.display()),
        format!("--grpc_python_out={}", folder.display()),
    ];
    for entry in fs::read_dir(protos.join("onebit/partner/v1")).unwrap() {
        args.push(entry.unwrap().path().display().to_string());
    }
    run_python(&args.iter().map(String::as_str).collect::<Vec<_>>(), folder);
}

/// Every Python block of the guide, in order, as its reader would put them into one file.
fn guide() -> String {
    let page = fs::read_to_string(repository().join("docs/integrators-guide.md")).unwrap();
    let blocks: Vec<&str> =
        page.split("```python\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(blocks.len() > 5, "the guide's blocks should be found");
    blocks.join("\n")
}

/// The outputs that the scheme expects, by the name of their input: the demo's extractor is this table here.
async fn vectors(holder: &Holder) -> Value {
    let mut service = AgreementServiceClient::new(holder.channel(who::AU).await);
    let schemes = service.list_schemes(ListSchemesRequest {}).await.unwrap().into_inner().schemes;
    let vectors = schemes.into_iter().flat_map(|scheme| scheme.test_vectors);
    vectors.map(|vector| (vector.input, json!(vector.embedding))).collect::<serde_json::Map<_, _>>().into()
}

//! Whatever is wrong with a request gets the status that `docs/status-codes.md` names, and none tells who is
//! enrolled: each is asked about an enrolled, a hidden and an unknown person, and told in the same bytes.
//!
//! Wrong, doubled and expired certificates are in `identity.rs`, another's disclosure in `disclosure.rs`, a server
//! killed in the middle of enrolment in `enrolment.rs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use onebit::authz::Action;
use onebit::grpc::pb::partner::sample::Form;
use onebit::grpc::pb::partner::{Answer, Embedding, Question, Sample};
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_types::StatusExt;

use crate::holder::{Holder, HolderOptions, ONEBIT, copy, repository, until, who};
use crate::roles::{call, call_path};
use crate::story::{
    COLLECTION, HIDDEN, OrRefused as _, STRANGER, answer_about, ask, bytes_of, question, question_about,
    reason, refusal, sample_of,
};

/// An enrolled person, a hidden one, and one who is not there.
const ASKED_ABOUT: [u64; 3] = [0, HIDDEN, STRANGER];
const PEOPLE: u64 = 20;

type Spoil = fn(&mut Question);

/// What can be wrong with a question, the code and reason it gets, and the field that is named.
const SPOILT: &[(&str, Spoil, Code, &str, &str)] = &[
    (
        "an unknown agreement",
        |it| it.agreement = "agreements/no-such-one".to_owned(),
        Code::PermissionDenied,
        "AGREEMENT_UNKNOWN",
        "",
    ),
    (
        "another's agreement",
        |it| it.agreement = "agreements/ca-border-identity".to_owned(),
        Code::PermissionDenied,
        "AGREEMENT_UNKNOWN",
        "",
    ),
    (
        "a purpose outside the agreement",
        |it| it.purpose = "curiosity".to_owned(),
        Code::PermissionDenied,
        "PURPOSE_NOT_IN_AGREEMENT",
        "",
    ),
    (
        "a collection outside the agreement",
        |it| it.collection = "collections/other-face".to_owned(),
        Code::PermissionDenied,
        "COLLECTION_NOT_IN_AGREEMENT",
        "",
    ),
    (
        "a collection that is not there",
        |it| it.collection = "collections/no-such-one".to_owned(),
        Code::PermissionDenied,
        "COLLECTION_NOT_IN_AGREEMENT",
        "",
    ),
    (
        "too few components",
        |it| values(it).truncate(255),
        Code::InvalidArgument,
        "FIELD_INVALID",
        "question.samples",
    ),
    (
        "too many components",
        |it| values(it).push(0.0),
        Code::InvalidArgument,
        "FIELD_INVALID",
        "question.samples",
    ),
    ("no component", |it| values(it).clear(), Code::InvalidArgument, "FIELD_INVALID", "question.samples"),
    ("NaN", |it| values(it)[7] = f32::NAN, Code::InvalidArgument, "FIELD_INVALID", "question.samples"),
    (
        "infinity",
        |it| values(it)[7] = f32::INFINITY,
        Code::InvalidArgument,
        "FIELD_INVALID",
        "question.samples",
    ),
    ("a zero vector", |it| values(it).fill(0.0), Code::InvalidArgument, "FIELD_INVALID", "question.samples"),
    (
        "another length",
        |it| values(it).iter_mut().for_each(|value| *value *= 3.0),
        Code::InvalidArgument,
        "FIELD_INVALID",
        "question.samples",
    ),
    (
        "a sample without its form",
        |it| it.samples[0].form = None,
        Code::InvalidArgument,
        "FIELD_INVALID",
        "question.samples[0].form",
    ),
    (
        "a quality that is none",
        |it| it.samples[0].quality = Some(101),
        Code::InvalidArgument,
        "FIELD_INVALID",
        "question.samples[0].quality",
    ),
    (
        "a quality below the scheme's least",
        |it| it.samples[0].quality = Some(39),
        Code::InvalidArgument,
        "FIELD_INVALID",
        "question.samples",
    ),
    (
        "an unknown quality where one is asked",
        |it| it.samples[0].quality = None,
        Code::InvalidArgument,
        "FIELD_INVALID",
        "question.samples",
    ),
    ("no sample", |it| it.samples.clear(), Code::InvalidArgument, "FIELD_INVALID", "question.samples"),
    (
        "no request id",
        |it| it.request_id.clear(),
        Code::InvalidArgument,
        "FIELD_INVALID",
        "question.request_id",
    ),
    (
        "a request id that is no UUID",
        |it| it.request_id = "17".to_owned(),
        Code::InvalidArgument,
        "FIELD_INVALID",
        "question.request_id",
    ),
    (
        "no collection",
        |it| it.collection.clear(),
        Code::InvalidArgument,
        "FIELD_INVALID",
        "question.collection",
    ),
    ("no purpose", |it| it.purpose.clear(), Code::InvalidArgument, "FIELD_INVALID", "question.purpose"),
    (
        "no case",
        |it| it.case_reference.clear(),
        Code::InvalidArgument,
        "FIELD_INVALID",
        "question.case_reference",
    ),
    (
        "a case too long",
        |it| it.case_reference = "x".repeat(129),
        Code::InvalidArgument,
        "FIELD_INVALID",
        "question.case_reference",
    ),
    ("no official", |it| it.official.clear(), Code::InvalidArgument, "FIELD_INVALID", "question.official"),
    (
        "control characters",
        |it| it.official = "a\u{1b}[31m".to_owned(),
        Code::InvalidArgument,
        "FIELD_INVALID",
        "question.official",
    ),
    (
        "no legal basis",
        |it| it.legal_basis.clear(),
        Code::InvalidArgument,
        "FIELD_INVALID",
        "question.legal_basis",
    ),
    ("an unspecified enum", |it| it.urgency = 0, Code::InvalidArgument, "FIELD_INVALID", "question.urgency"),
    ("an unknown enum", |it| it.urgency = 99, Code::InvalidArgument, "FIELD_INVALID", "question.urgency"),
    ("no time", |it| it.send_time = None, Code::InvalidArgument, "FIELD_INVALID", "question.send_time"),
    (
        "a clock that is behind",
        |it| it.send_time.as_mut().unwrap().seconds -= 600,
        Code::InvalidArgument,
        "CLOCK_SKEW",
        "",
    ),
    (
        "a clock that is ahead",
        |it| it.send_time.as_mut().unwrap().seconds += 600,
        Code::InvalidArgument,
        "CLOCK_SKEW",
        "",
    ),
];

#[tokio::test]
async fn whatever_is_wrong_with_a_question_is_told_as_documented_and_alike_for_everybody() {
    let holder = Holder::start(HolderOptions::people(PEOPLE)).await;
    add_collection(&holder);
    let au = holder.channel(who::AU).await;
    let mut wrong = Vec::new();
    for (what, spoil, code, due, field) in SPOILT {
        assert_documented(*code, due);
        let mut told = Vec::new();
        for person in ASKED_ABOUT {
            let mut question = question_about(person);
            spoil(&mut question);
            let Err(status) = ask(&au, question).await else {
                wrong.push(format!("{what} was answered"));
                continue;
            };
            if (status.code(), reason(&status).as_str()) != (*code, due) {
                wrong.push(format!(
                    "{what} is told as {:?} {} ({})",
                    status.code(),
                    reason(&status),
                    status.message()
                ));
            }
            let named =
                status.get_details_bad_request().and_then(|bad| bad.field_violations.into_iter().next());
            if !named.as_ref().map_or(field.is_empty(), |named| {
                named.field.starts_with(field) && !named.description.is_empty()
            }) {
                wrong.push(format!("{what} should name `{field}`, and names {named:?}"));
            }
            if status.get_details_help().is_none_or(|help| help.links.is_empty()) {
                wrong.push(format!("{what} comes without a link to what to do"));
            }
            told.push(bytes_of(&status));
        }
        if told.iter().any(|one| *one != told[0]) {
            wrong.push(format!(
                "{what} is told otherwise for an enrolled, a hidden or an unknown person: {told:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(answer_about(&au, 0).await, Answer::Hit, "the same connection is as good as before");
}

#[tokio::test]
async fn anothers_agreement_and_collection_are_told_as_those_that_do_not_exist() {
    let holder = Holder::start(HolderOptions::default()).await;
    add_collection(&holder);
    let au = holder.channel(who::AU).await;
    let told = async |spoil: Spoil| {
        let mut question = question_about(0);
        spoil(&mut question);
        bytes_of(&ask(&au, question).await.refused())
    };
    assert_eq!(
        told(|it| it.agreement = "agreements/ca-border-identity".to_owned()).await,
        told(|it| it.agreement = "agreements/no-such-one".to_owned()).await
    );
    assert_eq!(
        told(|it| it.collection = "collections/other-face".to_owned()).await,
        told(|it| it.collection = "collections/no-such-one".to_owned()).await
    );
}

#[tokio::test]
async fn a_replay_with_other_content_is_refused_whoever_it_is_about() {
    let holder = Holder::start(HolderOptions::people(PEOPLE)).await;
    let au = holder.channel(who::AU).await;
    assert_documented(Code::AlreadyExists, "REQUEST_ID_USED");
    let mut told = Vec::new();
    for first in ASKED_ABOUT {
        let asked = question_about(first);
        ask(&au, asked.clone()).await.unwrap();
        for second in ASKED_ABOUT {
            let other = Question { samples: question(vec![sample_of(second, 1)]).samples, ..asked.clone() };
            told.push(ask(&au, other).await.refused());
        }
    }
    for status in &told {
        assert_eq!((status.code(), reason(status).as_str()), (Code::AlreadyExists, "REQUEST_ID_USED"));
        assert_eq!(bytes_of(status), bytes_of(&told[0]));
    }
}

#[tokio::test]
async fn what_is_no_call_of_ours_or_too_long_is_refused_by_the_transport() {
    let holder = Holder::start(HolderOptions::people(PEOPLE)).await;
    let au = holder.channel(who::AU).await;
    let mut told = Vec::new();
    for person in ASKED_ABOUT {
        let mut long = question_about(person);
        long.samples = vec![Sample {
            form: Some(Form::Embedding(Embedding { values: vec![0.5; 20_000] })),
            quality: Some(80),
        }];
        told.push(ask(&au, long).await.refused());
    }
    for status in &told {
        assert_eq!(status.code(), Code::OutOfRange, "{status}");
        assert_eq!(bytes_of(status), bytes_of(&told[0]));
    }
    let no_message = call(&au, Action::AskQuery, vec![0xff; 16]).await;
    assert_eq!(refusal(no_message).0, Code::Internal, "bytes that are no message");
    let no_question = call(&au, Action::AskQuery, Vec::new()).await;
    assert_eq!(refusal(no_question), (Code::InvalidArgument, "FIELD_INVALID".to_owned()));
    for path in ["/onebit.partner.v1.QueryService/AskScore", "/onebit.partner.v2.QueryService/AskQuery"] {
        assert_eq!(refusal(call_path(&au, path, Vec::new()).await).0, Code::Unimplemented, "{path}");
    }
    for code in ["OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL"] {
        assert!(
            status_codes().contains(&format!("| `{code}` |")),
            "`{code}` without details is not documented"
        );
    }
    assert_eq!(answer_about(&au, 0).await, Answer::Hit, "the same connection is as good as before");
}

/// Nothing is answered that is not durable: with a full disk everybody is told to come again, and alike. After a
/// commit that failed nobody knows what the disk holds, so the server says that it does not serve; started again
/// with room, it goes on, and what it answered before is all there.
#[tokio::test]
async fn a_full_disk_answers_nobody_and_loses_nothing() {
    let mut holder = Holder::prepared(&HolderOptions::default());
    let disk = Disk::under(&holder.store_folder());
    holder.serve().await;
    holder.enrol(0..PEOPLE).await;
    let key = holder.log_key("au-border");
    let au = holder.channel(who::AU).await;
    let mut answered = 0_u64;
    for person in ASKED_ABOUT {
        ask(&au, question_about(person)).await.unwrap();
        answered += 1;
    }
    disk.fill(&mut holder).await;
    let au = holder.channel(who::AU).await;
    let mut full = None;
    for _ in 0..MOST_UNTIL_FULL {
        match ask(&au, question_about(0)).await {
            Ok(_) => answered += 1,
            Err(status) => {
                full = Some(status);
                break;
            }
        }
    }
    let full = full.expect("the disk should have been full");
    assert_documented(Code::Unavailable, "UNAVAILABLE");
    assert_eq!((full.code(), reason(&full).as_str()), (Code::Unavailable, "UNAVAILABLE"), "{full}");
    assert!(full.get_details_retry_info().is_some(), "it should say that asking again can help");
    for person in ASKED_ABOUT {
        let status =
            ask(&au, question_about(person)).await.refused_or("something was answered on a full disk");
        assert_eq!(bytes_of(&status), bytes_of(&full), "a full disk must tell nothing about person {person}");
    }

    until("the server says that it does not serve", || async {
        holder.health().await == Some(ServingStatus::NotServing)
    })
    .await;
    disk.empty(&mut holder).await;
    let au = holder.channel(who::AU).await;
    for person in ASKED_ABOUT {
        ask(&au, question_about(person)).await.unwrap();
        answered += 1;
    }
    let own = holder.onebit(who::AU, &["audit", "own", "--log-key", &key, "--output", "json"]).json();
    let entries = holder.entries("au-border").await;
    let kept = u64::try_from(crate::story::of_kind(&entries, "query.answered").len()).unwrap();
    // The question at which the disk was full may stand there: whoever asks it again gets that answer.
    assert!(
        (answered..=answered + 1).contains(&kept),
        "{answered} were answered and {kept} entries are there; each answer must have its entry: {own}"
    );
    assert_eq!(answer_about(&holder.channel(who::AU).await, 0).await, Answer::Hit);
}

/// A second collection of the same scheme, which no agreement opens.
fn add_collection(holder: &Holder) {
    let folder = holder.path("rules");
    copy(&repository().join("policy"), &folder);
    let text = fs::read_to_string(folder.join("collections/watch-face.toml")).unwrap();
    fs::write(
        folder.join("collections/other-face.toml"),
        text.replace("name = \"watch-face\"", "name = \"other-face\""),
    )
    .unwrap();
    holder.change(who::ADMIN, who::PRIVACY, &["policy", "rules"]);
    assert_eq!(COLLECTION, "collections/watch-face");
}

fn values(question: &mut Question) -> &mut Vec<f32> {
    let Some(Form::Embedding(embedding)) = &mut question.samples[0].form else {
        panic!("a sample is an embedding")
    };
    &mut embedding.values
}

fn assert_documented(code: Code, reason: &str) {
    let name = onebit::grpc::refused::code_name(code);
    let row = format!("`{reason}` | `{name}` |");
    assert!(status_codes().contains(&row), "`docs/status-codes.md` should have a row with {row}");
}

fn status_codes() -> String {
    fs::read_to_string(repository().join("docs/status-codes.md")).unwrap()
}

/// A disk that can be filled: a small file system of its own where this process may mount one, and otherwise a
/// limit on the size of files, under which the server is started again.
enum Disk {
    Mounted(PathBuf),
    Limited,
}

impl Disk {
    fn under(folder: &Path) -> Self {
        let aside = folder.with_extension("aside");
        fs::rename(folder, &aside).unwrap();
        fs::create_dir(folder).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(folder).output();
        let disk = if mounted.is_ok_and(|it| it.status.success()) {
            Self::Mounted(folder.to_owned())
        } else {
            println!(
                "no file system may be mounted here: the size of files is limited in place of a full disk"
            );
            Self::Limited
        };
        copy(&aside, folder);
        fs::remove_dir_all(&aside).unwrap();
        disk
    }

    async fn fill(&self, holder: &mut Holder) {
        match self {
            Self::Mounted(folder) => {
                let filler = fs::File::create(folder.join("filler")).unwrap();
                let block = vec![0; 4_096];
                while std::io::Write::write_all(&mut &filler, &block).is_ok() {}
            }
            Self::Limited => {
                holder.stop().await;
                let store = holder.store_folder();
                let largest = fs::read_dir(store)
                    .unwrap()
                    .map(|file| file.unwrap().metadata().unwrap().len())
                    .max()
                    .unwrap();
                let mut command = Command::new("sh");
                // In units of 512 bytes (POSIX); the signal would end the server where the disk only says no.
                let limit = largest / 512 + 64;
                command.args(["-c", &format!("trap '' XFSZ; ulimit -f {limit}; exec \"$@\""), "sh", ONEBIT]);
                holder.serve_by(command).await;
            }
        }
    }

    async fn empty(&self, holder: &mut Holder) {
        match self {
            Self::Mounted(folder) => {
                fs::remove_file(folder.join("filler")).unwrap();
                holder.restart().await;
            }
            Self::Limited => holder.restart().await,
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Self::Mounted(folder) = self {
            // Lazily: the server may still be there when a test fails.
            let _told_elsewhere = Command::new("umount").arg("-l").arg(folder).status();
        }
    }
}

/// More questions than fit into what is left of the write-ahead log.
const MOST_UNTIL_FULL: u32 = 400;

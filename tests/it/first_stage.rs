//! What searches begin with, as it is configured: an index of Faiss answers as Onebit's own first stage does, and what
//! may not stand there is refused with its reason.

use crate::holder::{Holder, HolderOptions, who};

/// With these words in the refusal, on the line of the key, by the check of a configuration and by a start.
#[track_caller]
fn refused(index: &str, words: &[&str]) {
    let holder = Holder::prepared(&HolderOptions::default().config("search", "index", index));
    let checked = holder.onebit(who::ADMIN, &["config", "check", "onebit.toml"]).failed();
    for told in [checked, holder.start_refused()] {
        let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in [&["`search.index`"], words].concat() {
            assert!(told.contains(words), "`{index}` should be refused with `{words}`: {told}");
        }
    }
}

#[test]
fn graphs_and_inverted_files_are_refused_with_the_reason() {
    for index in ["faiss:HNSW32", "faiss:IVF1024,Flat", "faiss:IVF4096,PQ64x4fs", "faiss:NSG32"] {
        let what = format!("`{index}` looks at some templates only");
        refused(index, &[&what, "depends on the probe", "write one of `Flat`"]);
    }
}

#[test]
fn what_is_no_first_stage_is_refused_with_what_is_one() {
    refused("faiss:PQ64x4fs,Refine(SQ8)", &["is more than a first stage", "write the index alone"]);
    refused("faiss:SQ7", &["no index that a search can begin with", "`SQ8`"]);
    refused("faiss", &["`faiss` is no first stage", "write `onebit`"]);
}

#[cfg(not(feature = "faiss"))]
#[test]
fn a_build_without_faiss_refuses_it_and_says_how_to_get_it() {
    refused("faiss:SQ8", &["was built without Faiss", "--features faiss"]);
}

#[cfg(feature = "faiss")]
mod with_faiss {
    use onebit::grpc::pb::partner::Answer;

    use super::*;
    use crate::story::{HIDDEN, STRANGER, answer_about};

    /// More than eight times the fewest that are compared a second time, so that the first stage has to choose.
    const PEOPLE: u64 = 2_200;
    const ERASED: u64 = 7;

    async fn answers_are(holder: &Holder, erased: Answer) {
        let channel = holder.channel(who::AU).await;
        for (person, expected) in [
            (0, Answer::Hit),
            (PEOPLE - 1, Answer::Hit),
            (ERASED, erased),
            (HIDDEN, Answer::NoHit),
            (STRANGER, Answer::NoHit),
        ] {
            assert_eq!(answer_about(&channel, person).await, expected, "about person {person}");
        }
    }

    #[tokio::test]
    async fn a_server_that_begins_with_faiss_answers_as_ever() {
        let options = HolderOptions::people(PEOPLE).config("search", "index", "faiss:SQ8");
        let mut holder = Holder::start(options).await;
        let checked = holder.onebit(who::ADMIN, &["config", "check", "onebit.toml"]).ok();
        assert!(checked.contains("first stage `faiss:SQ8`"), "{checked}");
        let log = holder.log_output();
        assert!(log.contains("Faiss chooses what is compared") && log.contains("not wiped"), "{log}");

        answers_are(&holder, Answer::Hit).await;
        let erase = ["subject", "erase", "--source-id", "syn-000007", "--reason", "asked for it"];
        holder.onebit(who::ENROLLER, &erase).ok();
        answers_are(&holder, Answer::NoHit).await;
        holder.restart().await;
        answers_are(&holder, Answer::NoHit).await;
        holder.enrol(ERASED..ERASED + 1).await;
        answers_are(&holder, Answer::Hit).await;
        holder.stop().await;
    }

    #[tokio::test]
    async fn an_index_that_does_not_fit_a_collection_is_told_at_the_start() {
        // 48 parts of 256 components are none.
        let holder = Holder::prepared(&HolderOptions::default().config("search", "index", "faiss:PQ48x4fs"));
        let told = holder.start_refused();
        let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in ["collection `watch-face`", "`faiss:PQ48x4fs` can't hold templates of 256 components"] {
            assert!(told.contains(words), "{told}");
        }
    }
}

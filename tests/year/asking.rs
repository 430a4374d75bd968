//! Questions as partners' systems send them, over mutual TLS, each with a sample that is searched for.

use std::fs;

use onebit::grpc::pb::partner::{Answer, Question};
use tokio::task::JoinSet;

use crate::founding::credential;
use crate::holder::Holder;
use crate::story::{STRANGER, ask, people, question_about};
use crate::year::{PARTNERS, Year};

/// Asks so many questions about enrolled people, hidden ones among them, and strangers, by all partners in turn; each is
/// answered as it should be.
pub(crate) async fn ask_all(holder: &Holder, year: &Year, questions: u64) {
    let partners = u64::try_from(PARTNERS.len()).unwrap();
    let mut asking = JoinSet::new();
    for (number, partner) in (0..).zip(&PARTNERS) {
        let [certificate, key] =
            credential(holder, partner.name).map(|file| fs::read_to_string(file).unwrap());
        let channel = holder.channel_with(&certificate, &key).await.unwrap();
        let enrolled = year.people;
        asking.spawn(async move {
            for asked in (number..questions).step_by(PARTNERS.len()) {
                let turn = asked / partners;
                let person = if turn % 2 == 0 { turn % enrolled } else { STRANGER + turn };
                let due = match people().restriction(person) {
                    None if person < enrolled => Answer::Hit,
                    _ => Answer::NoHit,
                };
                let question = Question { case_reference: format!("R-{turn}"), ..question_about(person) };
                let answered = ask(&channel, question).await.unwrap();
                assert_eq!(answered.answer(), due, "person {person} asked about by {}", partner.name);
            }
        });
    }
    asking.join_all().await;
}

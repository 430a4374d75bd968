//! The officers' pages, as a visitor without a browser asks for them.

use crate::console::{Shown, Visitor, passkey_of, with_console};
use crate::holder::{HolderOptions, who};
use crate::story::FIELDS;

const WORDS: &str = "Two passports, one face; tēnā koe.";

fn form(page: &Shown, officer: &str) -> Vec<(&'static str, String)> {
    let mut form = vec![
        ("token", page.field("token")),
        ("officer", officer.to_owned()),
        ("mark", page.field("mark")),
        ("decisions-seen", page.field("decisions-seen")),
        ("reason", WORDS.to_owned()),
    ];
    form.extend(FIELDS.map(|field| ("field", field.to_owned())));
    form
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_typed_when_a_session_ended_comes_back_to_whoever_typed_it_and_to_nobody_else() {
    let (holder, origin) = with_console(HolderOptions::people(5)).await;
    let query = holder.hit(2).await;
    let disclosure = holder.request(&query, &FIELDS).await;
    let decide = format!("/cases/{}/decide", disclosure.split_once('/').unwrap().1);
    let [mut one, mut other] = [Visitor::new(&holder, &origin), Visitor::new(&holder, &origin)];
    let keys = [
        passkey_of(&holder, &origin, who::OFFICER).await,
        passkey_of(&holder, &origin, who::OTHER_OFFICER).await,
    ];
    one.sign_in(&keys[0]).await;
    other.sign_in(&keys[1]).await;
    let page = one.get(&decide).await;
    assert_eq!(page.status, 200, "{}", page.body);

    one.cookies.clear();
    for name in [who::OTHER_OFFICER.name(), "nobody", ""] {
        let planted = one.post(&decide, &form(&page, name)).await;
        assert_eq!((planted.status, planted.header("location")), (303, "/sign-in"), "as `{name}`");
        assert!(!other.get(&decide).await.body.contains(WORDS), "words were planted for another officer");
    }
    let kept = one.post(&decide, &form(&page, who::OFFICER.name())).await;
    assert_eq!(kept.header("location"), format!("/sign-in?next={}", decide.replace('/', "%2F")));
    assert!(!other.get(&decide).await.body.contains(WORDS), "another officer reads what was typed");
    one.sign_in(&keys[0]).await;
    assert!(one.get(&decide).await.body.contains(WORDS), "what was typed is lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn style_and_script_are_kept_for_good_under_a_name_of_their_content() {
    let (holder, origin) = with_console(HolderOptions::default()).await;
    let mut visitor = Visitor::new(&holder, &origin);
    let page = visitor.get("/sign-in").await;
    for name in ["console-", "passkey-", "icon-"] {
        let rest = page.body.split_once(&format!("/assets/{name}")).expect("the page names the file").1;
        let file = format!("/assets/{name}{}", rest.split('"').next().unwrap());
        let shown = visitor.get(&file).await;
        assert_eq!(shown.status, 200, "{file}");
        assert_eq!(shown.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(shown.header("x-content-type-options"), "nosniff");
    }
    assert_eq!(visitor.get("/assets/console-0000000000000000.css").await.status, 404);
}

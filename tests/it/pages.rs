//! The officers' and the privacy officers' pages, as a visitor without a browser asks for them.

use onebit::grpc::pb::partner::Question;

use crate::console::{Shown, Visitor, passkey_as, passkey_of, with_console};
use crate::holder::{Holder, HolderOptions, who};
use crate::story::{FIELDS, ask, fact, of_kind, question_about};

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

const CASE: &str = "C-2026-4711";
const WHY: &str = "complaint 2026-17, Ngāti";

/// A privacy officer at the console, signed in.
async fn privacy_officer(holder: &Holder, origin: &str) -> Visitor {
    let passkey = passkey_as(holder, origin, "wiremu", "privacy-officer").await;
    let mut visitor = Visitor::new(holder, origin);
    assert_eq!(visitor.sign_in(&passkey).await.status, 303);
    visitor
}

fn search_form(page: &Shown, attribute: &str, value: &str) -> Vec<(&'static str, String)> {
    vec![
        ("token", page.field("token")),
        ("attribute", attribute.to_owned()),
        ("value", value.to_owned()),
        ("reason", WHY.to_owned()),
    ]
}

/// The form of something that is done beside deciding.
fn deed_form(page: &Shown, officer: &str, words: &str) -> Vec<(&'static str, String)> {
    vec![
        ("token", page.field("token")),
        ("officer", officer.to_owned()),
        ("mark", page.field("mark")),
        ("words", words.to_owned()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_has_an_address_that_says_nothing_of_what_was_searched_for() {
    let (holder, origin) = with_console(HolderOptions::people(5)).await;
    let au = holder.channel(who::AU).await;
    for person in 0..2 {
        ask(&au, Question { case_reference: CASE.to_owned(), ..question_about(person) }).await.unwrap();
    }
    let mut one = privacy_officer(&holder, &origin).await;
    let home = one.get("/").await;
    assert!(home.body.contains("href=\"/log\""), "{}", home.body);
    let form = one.get("/log").await;
    let kept = one.post("/log", &search_form(&form, "case", CASE)).await;
    assert_eq!(kept.status, 303, "{}", kept.body);
    let address = kept.header("location").to_owned();
    let number = address.strip_prefix("/log/searches/").expect("an address of a search");
    assert!(number.bytes().all(|byte| byte.is_ascii_digit()), "`{address}` says more than a number");
    let found = one.get(&address).await;
    assert_eq!(found.status, 200, "{}", found.body);
    assert_eq!(found.body.matches("/log/entries/au-border/").count(), 2, "{}", found.body);
    assert!(found.body.contains(CASE) && found.body.contains(&format!("{origin}{address}")));

    // A colleague with the address, in a session of her own: asked why first.
    let passkey = passkey_as(&holder, &origin, "hinemoa", "privacy-officer").await;
    let mut other = Visitor::new(&holder, &origin);
    other.sign_in(&passkey).await;
    let asked = other.get(&address).await;
    assert!(asked.body.contains("Why do you read the log?") && !asked.body.contains(CASE), "{}", asked.body);
    let empty = vec![("next", asked.field("next")), ("reason", " ".to_owned())];
    assert!(other.post_with("/log/reason", &asked, empty).await.body.contains("Say why you read the log"));
    let given = vec![("next", asked.field("next")), ("reason", "the same complaint".to_owned())];
    let given = other.post_with("/log/reason", &asked, given).await;
    assert_eq!((given.status, given.header("location")), (303, address.as_str()));
    let seen = other.get(&address).await;
    assert_eq!(seen.body.matches("/log/entries/au-border/").count(), 2);

    let entries = holder.entries("holder").await;
    let noted: Vec<_> = of_kind(&entries, "log.searched")
        .into_iter()
        .map(|entry| {
            (entry.actor.as_str(), fact(entry, "value"), fact(entry, "range-count"), fact(entry, "reason"))
        })
        .collect();
    assert_eq!(
        noted,
        [
            ("wiremu", CASE, "0", WHY),
            ("wiremu", CASE, "25", WHY),
            ("hinemoa", CASE, "25", "the same complaint"),
        ],
        "each page is an entry with its reader's reason"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_shown_with_what_decided_and_a_proof_that_was_checked() {
    let (holder, origin) = with_console(HolderOptions::people(5)).await;
    let query = holder.hit(2).await;
    let disclosure = holder.request(&query, &FIELDS).await;
    let mut visitor = privacy_officer(&holder, &origin).await;
    let form = visitor.get("/log").await;
    let kept = visitor.post("/log", &search_form(&form, "query", &query)).await;
    let found = visitor.get(kept.header("location")).await;
    for (index, says) in [
        (0, ["A query was answered", "Hit", "partner-asks", "Everything about this case"]),
        (
            1,
            [
                "A partner asked for fields",
                "partner-requests",
                "What became of this disclosure",
                "family-name",
            ],
        ),
    ] {
        let address = format!("/log/entries/au-border/{index}");
        assert!(found.body.contains(&address), "{}", found.body);
        let page = visitor.get(&address).await;
        assert_eq!(page.status, 200, "{}", page.body);
        for words in says {
            assert!(
                page.body.contains(words),
                "`{words}` is not on the page of entry {index}:\n{}",
                page.body
            );
        }
        assert!(page.body.contains("It holds") && !page.body.contains("Does not hold"), "{}", page.body);
        let proof = page.body.split("id=\"proof\">").nth(1).unwrap().split("</pre>").next().unwrap();
        let proof = proof.replace("&#43;", "+").replace("&#x2B;", "+").replace("&#x2f;", "/");
        std::fs::write(holder.path("shown.proof"), proof).unwrap();
        let key = holder.log_key("au-border");
        let told = holder.onebit(who::PRIVACY, &["receipt", "verify", "shown.proof", "--key", &key]).ok();
        assert!(told.contains(if index == 0 { "query.answered" } else { "disclosure.requested" }), "{told}");
    }
    let id = disclosure.split_once('/').unwrap().1;
    let line = visitor.get(&format!("/log/disclosures/{id}")).await;
    assert_eq!(line.body.matches("/log/entries/au-border/").count(), 1, "{}", line.body);
    assert_eq!(visitor.get("/log/entries/au-border/99").await.status, 404);
    assert_eq!(visitor.get("/log/entries/nobody/0").await.status, 404);
    assert_eq!(visitor.get("/log/searches/0").await.status, 404, "an entry that is no search is none");
}

#[tokio::test(flavor = "multi_thread")]
async fn officers_are_refused_the_pages_of_the_log_whatever_they_name() {
    let (holder, origin) = with_console(HolderOptions::people(5)).await;
    let _query = holder.hit(2).await;
    let mut visitor = Visitor::new(&holder, &origin);
    visitor.sign_in(&passkey_of(&holder, &origin, who::OFFICER).await).await;
    let home = visitor.get("/").await;
    assert!(!home.body.contains("href=\"/log\""), "{}", home.body);
    assert_eq!(visitor.get("/log").await.status, 404);
    let mut told = Vec::new();
    for path in
        ["/log/entries/au-border/0", "/log/entries/au-border/99", "/log/searches/0", "/log/searches/99"]
    {
        let refused = visitor.get(path).await;
        assert_eq!(refused.status, 403, "{path}: {}", refused.body);
        told.push(refused.body);
    }
    assert!(told.iter().all(|page| *page == told[0]), "the pages differ: {told:#?}");
    let form = visitor.get("/cases").await;
    let posted = visitor.post("/log", &search_form(&form, "case", CASE)).await;
    assert_eq!(posted.status, 403);
    let entries = holder.entries("holder").await;
    assert_eq!(of_kind(&entries, "log.searched").len(), 0);
    assert_eq!(of_kind(&entries, "request.refused").len(), 5, "a refusal is an entry");
}

#[tokio::test(flavor = "multi_thread")]
async fn officers_do_on_pages_what_they_do_beside_deciding_and_each_is_checked_first() {
    let (mut holder, origin) = with_console(HolderOptions::people(5)).await;
    holder.release_key();
    let disclosure = holder.request(&holder.hit(2).await, &FIELDS).await;
    let case = format!("/cases/{}", disclosure.split_once('/').unwrap().1);
    let at = |deed: &str| format!("{case}/deeds/{deed}");
    let [mut one, mut other] = [Visitor::new(&holder, &origin), Visitor::new(&holder, &origin)];
    let keys = [
        passkey_of(&holder, &origin, who::OFFICER).await,
        passkey_of(&holder, &origin, who::OTHER_OFFICER).await,
    ];
    one.sign_in(&keys[0]).await;
    other.sign_in(&keys[1]).await;

    let page = one.get(&case).await;
    for (deed, there) in [
        ("claim", true),
        ("note", true),
        ("recuse", true),
        ("put-back", false),
        ("revoke", false),
        ("lock", false),
    ] {
        assert_eq!(page.body.contains(&format!("/deeds/{deed}\"")), there, "{deed}: {}", page.body);
    }
    // What is not there is refused with the page of the case, which says why.
    let form = one.get(&at("note")).await;
    for deed in ["put-back", "revoke", "lock"] {
        let refused = one.post(&at(deed), &deed_form(&form, who::OFFICER.name(), "x")).await;
        assert!(
            refused.status == 409 && refused.body.contains("t do this with the case now"),
            "{deed}: {}",
            refused.body
        );
    }
    assert_eq!(one.get(&at("no-such-deed")).await.status, 404);
    assert_eq!(one.post(&at("claim"), &[("token", "x".to_owned())]).await.status, 403);

    let claimed = one.post_with(&at("claim"), &page, vec![]).await;
    assert_eq!((claimed.status, claimed.header("location")), (303, case.as_str()), "{}", claimed.body);
    let page = one.get(&case).await;
    assert!(
        page.body.contains("You have claimed this case") && page.body.contains("Working on it"),
        "{}",
        page.body
    );
    assert!(!one.get(&case).await.body.contains("You have claimed this case"), "it is said once");
    assert!(other.get(&case).await.body.contains(&format!("<li>{}, since", who::OFFICER.name())));
    assert_eq!(one.post_with(&at("put-back"), &page, vec![]).await.status, 303);
    assert!(!one.get(&case).await.body.contains("Working on it"));

    // Nothing and too much are told, and what was typed stays.
    let form = one.get(&at("note")).await;
    let empty = one.post(&at("note"), &deed_form(&form, who::OFFICER.name(), "  ")).await;
    assert!(empty.status == 422 && empty.body.contains("Enter the note"), "{}", empty.body);
    let long = one.post(&at("note"), &deed_form(&form, who::OFFICER.name(), &"ā".repeat(2_001))).await;
    assert!(long.status == 422 && long.body.contains("2001 characters") && long.body.contains("āāā"));
    // A session that ends while somebody types: the words are there again, for whoever typed them.
    let session = std::mem::take(&mut one.cookies);
    let kept = one.post(&at("note"), &deed_form(&form, who::OFFICER.name(), WORDS)).await;
    assert_eq!(kept.header("location"), format!("/sign-in?next={}", at("note").replace('/', "%2F")));
    let planted = one.post(&at("note"), &deed_form(&form, who::OTHER_OFFICER.name(), "planted")).await;
    assert_eq!(planted.header("location"), "/sign-in");
    assert!(!other.get(&at("note")).await.body.contains("planted"));
    one.cookies = session;
    let form = one.get(&at("note")).await;
    assert!(form.body.contains(WORDS) && form.body.contains("nothing was done"), "{}", form.body);
    assert_eq!(one.post(&at("note"), &deed_form(&form, who::OFFICER.name(), WORDS)).await.status, 303);
    assert!(other.get(&case).await.body.contains(WORDS), "colleagues read notes");

    // The partner is asked; what was checked before somebody else decided is checked again.
    let form = one.get(&at("question")).await;
    let sent = one.post(&at("question"), &deed_form(&form, who::OFFICER.name(), "Which passport?")).await;
    assert_eq!(sent.header("location"), format!("{}/check", at("question")));
    let check = one.get(&format!("{}/check", at("question"))).await;
    assert!(
        check.body.contains("Which passport?") && check.body.contains("count no longer"),
        "{}",
        check.body
    );
    let stale = vec![("seen", check.field("seen"))];
    let approve = ["review", "approve", &disclosure, "--all-fields", "--reason", "well founded"];
    holder.onebit(who::OTHER_OFFICER, &approve).ok();
    let again = one.post_with(&format!("{}/check", at("question")), &check, stale).await;
    assert!(again.status == 409 && again.body.contains("Check it again"), "{}", again.body);
    let seen = vec![("seen", again.field("seen"))];
    assert_eq!(one.post_with(&format!("{}/check", at("question")), &again, seen).await.status, 303);
    let page = one.get(&case).await;
    for words in
        ["The partner was asked", "Decisions that count no longer", "Not answered yet", "well founded"]
    {
        assert!(page.body.contains(words), "{words}: {}", page.body);
    }
    assert!(!page.body.contains("/decide\""), "nobody decides while the partner is asked");

    // One officer steps back, and the other finds that it is somebody else; the first is late.
    let deed = async |visitor: &mut Visitor, who: &str, kind: &str, words: &str| {
        let form = visitor.get(&at(kind)).await;
        visitor.post(&at(kind), &deed_form(&form, who, words)).await;
        let check = visitor.get(&format!("{}/check", at(kind))).await;
        let seen = vec![("seen", check.field("seen"))];
        visitor.post_with(&format!("{}/check", at(kind)), &check, seen).await
    };
    assert_eq!(deed(&mut one, who::OFFICER.name(), "recuse", "A neighbour of mine.").await.status, 303);
    let page = other.get(&case).await;
    assert!(
        page.body.contains("Stepped back") && page.body.contains("A neighbour of mine."),
        "{}",
        page.body
    );
    let mine = one.get(&case).await;
    assert!(!mine.body.contains("/deeds/"), "whoever stepped back does nothing more: {}", mine.body);
    assert!(one.get(&format!("{case}/decide")).await.body.contains("You have stepped back"));
    assert_eq!(
        deed(&mut other, who::OTHER_OFFICER.name(), "hit-erroneous", "Another face.").await.status,
        303
    );
    let page = other.get(&case).await;
    for words in ["Denied", "The hit was found to be of somebody else", "Another face."] {
        assert!(page.body.contains(words), "{words}: {}", page.body);
    }
    assert_eq!(other.get(&at("hit-erroneous")).await.status, 409);
    holder.stop().await;
    let words = holder.onebit(who::ADMIN, &["audit", "fsck", "--config", "onebit.toml"]).ok();
    assert!(words.contains("The store is whole."), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_is_filtered_by_its_address_and_a_case_leads_to_what_else_was_asked() {
    let (holder, origin) = with_console(HolderOptions::people(5)).await;
    let mut cases = Vec::new();
    for person in [2, 2, 3] {
        let disclosure = holder.request(&holder.hit(person).await, &FIELDS).await;
        cases.push(format!("/cases/{}", disclosure.split_once('/').unwrap().1));
    }
    let mut visitor = Visitor::new(&holder, &origin);
    let key = passkey_of(&holder, &origin, who::OFFICER).await;
    visitor.sign_in(&key).await;
    let case = visitor.get(&cases[0]).await;
    let (person, official) = case.body.split_once("Other requests from the same official").unwrap();
    assert!(person.contains(&cases[1]) && !person.contains(&cases[2]), "{person}");
    assert!(official.contains(&cases[1]) && official.contains(&cases[2]), "{official}");
    assert!(visitor.get(&cases[2]).await.body.contains("Nobody has asked for anything else of this person"));

    let queue = visitor.get("/cases").await;
    assert!(queue.body.contains("3 cases"), "{}", queue.body);
    let basis = queue.body.split_once("legal-basis=").expect("rows lead to their legal basis").1;
    let basis = format!("/cases?legal-basis={}", basis.split('"').next().unwrap());
    assert!(visitor.get(&basis).await.body.contains("3 cases"));
    for (query, count) in [
        ("partner=au-border", "3 cases"),
        ("partner=ca-border", "0 cases"),
        ("legal-basis=None%20such", "0 cases"),
        ("age=hours-4&state=pending&partner=au-border", "3 cases"),
        ("age=over-day-1", "0 cases"),
        ("state=released", "0 cases"),
    ] {
        let shown = visitor.get(&format!("/cases?{query}")).await;
        assert!(
            shown.body.contains(&format!("<p class=\"govuk-body\" id=\"count\">{count}</p>")),
            "{query}: {}",
            shown.body
        );
    }
    let purpose = queue.body.split_once("id=\"purpose\"").unwrap().1.split_once("</select>").unwrap().0;
    assert!(purpose.matches("<option").count() > 1, "{purpose}");

    let listed = |args: &[&str]| {
        let all = [&["review", "list", "--output", "json"], args].concat();
        holder.onebit(who::OFFICER, &all).json().as_array().unwrap().len()
    };
    assert_eq!(listed(&["--partner", "au-border", "--younger-than", "4"]), 3);
    assert_eq!(listed(&["--partner", "ca-border"]), 0);
    assert_eq!(listed(&["--older-than", "1"]), 0);
    assert_eq!(listed(&["--legal-basis", "None such"]), 0);
    let id = cases[0].rsplit('/').next().unwrap();
    let shown = holder.onebit(who::OFFICER, &["review", "show", id, "--output", "json"]).json();
    let others = |part: &str| shown[part].as_array().unwrap().len();
    assert_eq!((others("same_person"), others("same_official")), (1, 2), "{shown}");
    let text = holder.onebit(who::OFFICER, &["review", "show", id]).ok();
    assert!(
        text.contains("asked about the same person") && text.contains("asked by the same official"),
        "{text}"
    );
}

/// Requests of people are the privacy officers' alone, and their pages show a reference and no person.
#[tokio::test(flavor = "multi_thread")]
async fn requests_of_people_are_shown_to_privacy_officers_alone() {
    let (holder, origin) = with_console(HolderOptions::people(1)).await;
    let source = crate::story::people().source_id(0);
    let open = ["open", "--kind", "access", "--reference", "R-77", "--received", "2026-01-12"];
    let more = ["--source-id", &source, "--output", "json"];
    let opened = holder.onebit(who::PRIVACY, &[&["subject", "request"], &open[..], &more].concat()).json();
    let address = opened["request"].as_str().unwrap().replace("subject-requests", "/requests");
    let mut privacy = privacy_officer(&holder, &origin).await;
    let list = privacy.get("/requests").await;
    assert!(
        list.body.contains(&format!("href=\"{address}\"")) && list.body.contains("R-77"),
        "{}",
        list.body
    );
    assert!(list.body.contains("time is over"), "its clock is shown");
    let one = privacy.get(&address).await;
    assert!(one.body.contains("10 February 2026") && one.body.contains("In the gallery"), "{}", one.body);
    assert!(!one.body.contains(&source), "the page names the person");
    assert_eq!(privacy.get("/requests/nothing").await.status, 404);
    assert_eq!(privacy.get("/requests/00000000000000000000000000000001").await.status, 404);
    let mut officer = Visitor::new(&holder, &origin);
    officer.sign_in(&passkey_of(&holder, &origin, who::OFFICER).await).await;
    for page in ["/requests", address.as_str()] {
        assert_eq!(officer.get(page).await.status, 403, "{page}");
    }
    assert!(!officer.get("/").await.body.contains("/requests"), "nobody else is led there");
}

//! What an officer does with a case beside deciding it: a form where there is something to say, a page to check where it
//! can't be undone, and the page of the case again.

use askama::Template;
use axum::extract::{Path, Request, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::case::{address, changed, id_of, told};
use super::decide::{officer_of, sign_in_for};
use super::frame::Frame;
use super::kept::DeedDraft;
use super::words;
use crate::approval::DeedKind;
use crate::console::form::{TOKEN_FIELD, fields as form_fields};
use crate::console::{Console, Fault, Fields, SignedForm, SignedIn, led_to, page};
use crate::gate::{Dossier, GateError};
use crate::ids::DisclosureId;

/// The form, with what was typed before.
pub(super) async fn form(
    Shared(console): Shared<Console>,
    Path((case, deed)): Path<(String, String)>,
    who: SignedIn,
) -> Result<Response, Response> {
    let (id, kind) = named(&case, &deed)?;
    if !kind.has_words() {
        return Ok(led_to(&address(id)));
    }
    let dossier = match dossier_for(&console, &who, id, kind).await {
        Ok(dossier) => dossier,
        Err(reply) => return Ok(reply),
    };
    let draft = console.kept().deed(&who.caller().actor().name, id, kind).unwrap_or_default();
    Ok(page(&DeedPage::new(&console, &who, (&dossier, kind), &draft, None)))
}

/// Takes the form. What can be undone or harms nothing is done at once, the rest is checked once more. Where the session
/// has ended, what was typed waits for the officer to sign in again.
pub(super) async fn sent(
    Shared(console): Shared<Console>,
    Path((case, deed)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Response> {
    let (id, kind) = named(&case, &deed)?;
    let (mut parts, body) = request.into_parts();
    let signed_in = SignedIn::find(&mut parts, &console).await;
    let sent =
        form_fields(Request::from_parts(parts, body), &console).await.map_err(IntoResponse::into_response)?;
    let now = console.gate().present();
    let who = match signed_in {
        Ok(who) => who,
        Err(reply) => {
            let Some(officer) = officer_of(&console, id, &sent) else { return Ok(reply) };
            let draft = DeedDraft { words: words_of(&sent), is_rescued: true };
            console.kept().deed_keep(&officer, id, (kind, draft), now);
            return Ok(sign_in_for(&deed_address(id, kind)));
        }
    };
    if !who.token().is(sent.get(TOKEN_FIELD).unwrap_or_default()) {
        return Err(Fault::Token.into_response());
    }
    let dossier = match dossier_for(&console, &who, id, kind).await {
        Ok(dossier) => dossier,
        Err(reply) => return Ok(reply),
    };
    if !kind.has_words() {
        return done(&console, &who, id, (kind, String::new())).await;
    }
    let draft = DeedDraft { words: words_of(&sent), is_rescued: false };
    console.kept().deed_keep(&who.caller().actor().name, id, (kind, draft.clone()), now);
    if let Some(problem) = problem(kind, &draft.words) {
        let mut reply = page(&DeedPage::new(&console, &who, (&dossier, kind), &draft, Some(problem)));
        *reply.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        return Ok(reply);
    }
    if kind == DeedKind::Note {
        return done(&console, &who, id, (kind, draft.words)).await;
    }
    Ok(led_to(&format!("{}/check", deed_address(id, kind))))
}

/// What was typed and what follows from it, once more.
pub(super) async fn check(
    Shared(console): Shared<Console>,
    Path((case, deed)): Path<(String, String)>,
    who: SignedIn,
) -> Result<Response, Response> {
    let (id, kind) = named(&case, &deed)?;
    check_shown(&console, &who, (id, kind), None).await
}

/// Does it, unless the case has changed since it was checked.
pub(super) async fn confirmed(
    Shared(console): Shared<Console>,
    Path((case, deed)): Path<(String, String)>,
    form: SignedForm,
) -> Result<Response, Response> {
    let (id, kind) = named(&case, &deed)?;
    let who = &form.who;
    let dossier = match dossier_for(&console, who, id, kind).await {
        Ok(dossier) => dossier,
        Err(reply) => return Ok(reply),
    };
    let draft = console.kept().deed(&who.caller().actor().name, id, kind).unwrap_or_default();
    if form.fields.get(SEEN_FIELD) != Some(&seen(&dossier, &draft.words)) {
        let words = "The case or your words have changed since this page was made, so nothing was done. Check it again.";
        return check_shown(&console, who, (id, kind), Some(words.to_owned())).await;
    }
    done(&console, who, id, (kind, draft.words)).await
}

async fn check_shown(
    console: &Console,
    who: &SignedIn,
    (id, kind): (DisclosureId, DeedKind),
    trouble: Option<String>,
) -> Result<Response, Response> {
    let dossier = match dossier_for(console, who, id, kind).await {
        Ok(dossier) => dossier,
        Err(reply) => return Ok(reply),
    };
    let draft = console.kept().deed(&who.caller().actor().name, id, kind);
    let Some(draft) = draft.filter(|draft| problem(kind, &draft.words).is_none()) else {
        return Ok(led_to(&deed_address(id, kind)));
    };
    let text = text(kind);
    let status = if trouble.is_some() { StatusCode::CONFLICT } else { StatusCode::OK };
    let mut reply = page(&DeedCheckPage {
        frame: Frame::of(who, text.check),
        trouble: trouble.unwrap_or_default(),
        address: address(id),
        name: kind.as_str(),
        partner: dossier.partner_title.clone(),
        state: words::of_state(dossier.detail.case.disclosure.state()).0,
        text,
        seen: seen(&dossier, &draft.words),
        words: draft.words,
    });
    *reply.status_mut() = status;
    Ok(reply)
}

async fn done(
    console: &Console,
    who: &SignedIn,
    id: DisclosureId,
    (kind, words): (DeedKind, String),
) -> Result<Response, Response> {
    let gate = console.gate();
    match gate.case_tend(who.caller(), id, kind, words).await {
        Ok(_) => {
            let officer = &who.caller().actor().name;
            console.kept().deed_done(officer, id, (kind, text(kind).done), gate.present());
            Ok(led_to(&address(id)))
        }
        Err(GateError::NotNow(words)) => Ok(changed(console, who, id, refused(&words)).await),
        Err(error) => Err(told(error)),
    }
}

/// What stands behind the semicolon is advice for whoever asks.
fn refused(words: &str) -> String {
    let what = words.split(';').next().unwrap_or(words);
    format!("Nothing was done, because the case has changed: {what}.")
}

/// The case, if this officer can do this with it now; otherwise its page, which says that they can't.
async fn dossier_for(
    console: &Console,
    who: &SignedIn,
    id: DisclosureId,
    kind: DeedKind,
) -> Result<Dossier, Response> {
    let gate = console.gate();
    let dossier = gate.case_dossier(who.caller(), id).await.map_err(told)?;
    let case = &dossier.detail.case;
    if gate.case_deeds(who.caller(), case).contains(&kind) {
        return Ok(dossier);
    }
    let (state, _) = words::of_state(case.disclosure.state());
    let words = format!(
        "You can't do this with the case now (“{}”): it is “{state}”. Nothing was done, and what you can do stands below.",
        text(kind).link
    );
    Err(changed(console, who, id, words).await)
}

fn named(case: &str, deed: &str) -> Result<(DisclosureId, DeedKind), Response> {
    let id = id_of(case)?;
    let found = ON_PAGES.into_iter().find(|kind| kind.as_str() == deed);
    Ok((id, found.ok_or_else(|| Fault::NotFound.into_response())?))
}

fn deed_address(id: DisclosureId, kind: DeedKind) -> String {
    format!("{}/deeds/{kind}", address(id))
}

fn words_of(sent: &Fields) -> String {
    sent.get(WORDS_FIELD).unwrap_or_default().replace("\r\n", "\n").trim().to_owned()
}

/// What was looked at: where the case stands, and the words.
fn seen(dossier: &Dossier, words: &str) -> String {
    let disclosure = &dossier.detail.case.disclosure;
    let counts = [disclosure.decisions().len(), disclosure.questions().len(), words.len()];
    format!("{}.{}.{:?}", disclosure.state(), disclosure.digest(), counts)
}

/// What keeps the words from being kept, as `approval::Deed` has it.
fn problem(kind: DeedKind, words: &str) -> Option<String> {
    let length = words.chars().count();
    if length == 0 {
        Some(text(kind).missing.to_owned())
    } else if length > WORDS_MAX_CHARS {
        Some(format!("There are {length} characters; shorten them to {WORDS_MAX_CHARS} or fewer"))
    } else if words.chars().any(|c| c.is_control() && c != '\n') {
        Some("There are characters that can't be shown; write plain text".to_owned())
    } else {
        None
    }
}

/// What can be done, for the page of the case.
pub(super) struct DeedsShown {
    /// What is done at once.
    pub(super) button: Option<(&'static str, &'static str)>,
    /// What has a form of its own.
    pub(super) links: Vec<(&'static str, &'static str)>,
}

impl DeedsShown {
    pub(super) fn new(kinds: &[DeedKind]) -> Self {
        let kinds: Vec<DeedKind> = ON_PAGES.into_iter().filter(|kind| kinds.contains(kind)).collect();
        let shown = |kind: &DeedKind| (kind.as_str(), text(*kind).link);
        Self {
            button: kinds.iter().find(|kind| !kind.has_words()).map(shown),
            links: kinds.iter().filter(|kind| kind.has_words()).map(shown).collect(),
        }
    }
}

/// What pages say of a kind.
struct DeedText {
    /// Leads to it, and stands above its form.
    link: &'static str,
    /// Above the page to check.
    check: &'static str,
    label: &'static str,
    hint: &'static str,
    missing: &'static str,
    /// What follows from it.
    warning: &'static str,
    button: &'static str,
    done: &'static str,
}

const fn text(kind: DeedKind) -> DeedText {
    match kind {
        DeedKind::Question => QUESTION,
        DeedKind::Claim => DeedText {
            link: "Say that I am working on it",
            done: "You have claimed this case. Others see it, and may decide all the same.",
            ..SILENT
        },
        DeedKind::PutBack => DeedText {
            link: "Say that I am not working on it any more",
            done: "You have put this case back.",
            ..SILENT
        },
        DeedKind::Recuse => RECUSE,
        DeedKind::Note => NOTE,
        DeedKind::HitErroneous => HIT_ERRONEOUS,
        DeedKind::Revoke => REVOKE,
        DeedKind::Lock => LOCK,
        // Reviews and corrections have no page of their own yet.
        _ => SILENT,
    }
}

const SILENT: DeedText =
    DeedText { link: "", check: "", label: "", hint: "", missing: "", warning: "", button: "", done: "" };
const QUESTION: DeedText = DeedText {
    link: "Ask the partner for information",
    check: "Check your question",
    label: "Question",
    hint: "The partner reads it, and not who asked. Keep out of it what you know of the person. Up to 2,000 characters.",
    missing: "Enter the question",
    warning: "Approvals so far count no longer, and nobody can decide until the partner has answered. The time to \
              decide runs on.",
    button: "Ask the partner",
    done: "The partner was asked. Nobody can decide until it has answered.",
};
const RECUSE: DeedText = DeedText {
    link: "Step back from this case",
    check: "Check before you step back",
    label: "Why you step back",
    hint: "For the holder’s own people; the partner does not see it. Up to 2,000 characters.",
    missing: "Enter why you step back",
    warning: "You step back for good: you can do nothing more with this case, and what you approved counts no longer.",
    button: "Step back",
    done: "You have stepped back from this case.",
};
const NOTE: DeedText = DeedText {
    link: "Leave a note",
    check: "",
    label: "Note",
    hint: "For the holder’s own people; the partner does not see it. A note can’t be changed or taken away. Up to 2,000 \
           characters.",
    missing: "Enter the note",
    warning: "",
    button: "Leave the note",
    done: "Your note was kept.",
};
const HIT_ERRONEOUS: DeedText = DeedText {
    link: "The hit is not this person",
    check: "Check that the hit is not this person",
    label: "What shows that it is somebody else",
    hint: "For the holder’s own people; the partner does not see it. Up to 2,000 characters.",
    missing: "Enter what shows that it is somebody else",
    warning: "The case ends, and nothing is released. The partner is told that it was denied, and not why.",
    button: "End the case",
    done: "The hit was marked as erroneous, and the case has ended.",
};
const REVOKE: DeedText = DeedText {
    link: "Take the release back",
    check: "Check before you take the release back",
    label: "Why the release is taken back",
    hint: "For the holder’s own people; the partner does not see it. Up to 2,000 characters.",
    missing: "Enter why the release is taken back",
    warning: "What was sealed to the partner is deleted here, and the case ends. Whoever has fetched it has it.",
    button: "Take it back",
    done: "The release was taken back.",
};
const LOCK: DeedText = DeedText {
    link: "Lock this case",
    check: "Check before you lock the case",
    label: "Why the case is locked",
    hint: "For the holder’s own people; the partner does not see it. Up to 2,000 characters.",
    missing: "Enter why the case is locked",
    warning: "The case ends for good. Nobody can add anything any more, not even a note.",
    button: "Lock the case",
    done: "The case is locked.",
};

#[derive(Template)]
#[template(path = "console/deed.html")]
struct DeedPage {
    frame: Frame,
    notice: Option<String>,
    problem: Option<String>,
    address: String,
    name: &'static str,
    partner: String,
    text: DeedText,
    is_last: bool,
    words: String,
    officer: String,
    mark: String,
}

impl DeedPage {
    fn new(
        console: &Console,
        who: &SignedIn,
        (dossier, kind): (&Dossier, DeedKind),
        draft: &DeedDraft,
        problem: Option<String>,
    ) -> Self {
        let id = dossier.detail.case.disclosure.request().disclosure();
        let officer = &who.caller().actor().name;
        let text = text(kind);
        let title = if problem.is_some() { format!("Error: {}", text.link) } else { text.link.to_owned() };
        let notice = draft.is_rescued.then(|| {
            "Your session ended before this page reached us. What you typed is here again, and nothing was done."
                .to_owned()
        });
        Self {
            frame: Frame::of(who, &title),
            notice,
            problem,
            address: address(id),
            name: kind.as_str(),
            partner: dossier.partner_title.clone(),
            text,
            is_last: kind == DeedKind::Note,
            words: draft.words.clone(),
            officer: officer.to_string(),
            mark: console.gate().draft_mark(officer, id).to_string(),
        }
    }
}

#[derive(Template)]
#[template(path = "console/deed_check.html")]
struct DeedCheckPage {
    frame: Frame,
    trouble: String,
    address: String,
    name: &'static str,
    partner: String,
    state: String,
    text: DeedText,
    words: String,
    seen: String,
}

/// What has a page; the rest is done by the command.
const ON_PAGES: [DeedKind; 8] = [
    DeedKind::Claim,
    DeedKind::PutBack,
    DeedKind::Question,
    DeedKind::Note,
    DeedKind::Recuse,
    DeedKind::HitErroneous,
    DeedKind::Revoke,
    DeedKind::Lock,
];
const WORDS_FIELD: &str = "words";
const SEEN_FIELD: &str = "seen";
/// As a deed's record has it (`approval::Deed`).
const WORDS_MAX_CHARS: usize = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_has_words_says_what_is_missing_and_what_follows() {
        for kind in ON_PAGES {
            let text = text(kind);
            assert!(!text.link.is_empty() && !text.done.is_empty(), "{kind}");
            if !kind.has_words() {
                continue;
            }
            assert_eq!(problem(kind, "").as_deref(), Some(text.missing), "{kind}");
            assert!(problem(kind, &"ā".repeat(2_000)).is_none());
            assert!(problem(kind, &"a".repeat(2_001)).unwrap().contains("2001"));
            assert!(problem(kind, "bell \u{7}").is_some() && problem(kind, "two\nlines").is_none());
            assert_eq!(text.warning.is_empty(), kind == DeedKind::Note, "{kind}");
        }
    }
}

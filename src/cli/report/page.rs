//! The report as a page and as a table: both follow from the figures alone, so that whoever verifies makes them again.

use std::fmt::Write as _;

use super::document::{Collection, Month, Partner, Report, Times, WITHIN_HOURS};
use crate::cli::sheet::{self, Bar, Bars, Ink, Plot, Series, escaped, figure, table};

/// Draws the page.
pub(super) fn draw(report: &Report) -> String {
    let partners: String =
        report.partners.iter().enumerate().map(|(at, it)| of_partner(at, it, report)).collect();
    let body = format!(
        "<p>What partners asked from {} to {}, what they were told, and what people let them have. Counted from the log by \
         {}, {}. <code>report.json</code> and <code>report.csv</code> hold the same figures; <code>report.sig</code> signs \
         all three.</p>\n{}\n{partners}{}",
        report.from,
        report.until,
        escaped(&report.program),
        escaped(&report.made),
        in_short(report),
        meanings(report)
    );
    sheet::page("Transparency report", &body)
}

/// The table: partner, figure, value.
pub(super) fn csv(report: &Report) -> String {
    let mut text = String::from("partner,figure,value\n");
    for it in &report.partners {
        for (_, name, value) in rows(it, report) {
            // Names of partners have letters, digits and hyphens; writing to text does not fail.
            let _ = writeln!(text, "{},{name},{value}", it.partner);
        }
        for (hours, count) in WITHIN_HOURS.iter().zip(&it.decided_within) {
            let _ = writeln!(text, "{},decided_within_hours:{hours},{count}", it.partner);
        }
        for (field, times) in &it.fields {
            let _ = writeln!(text, "{},released:{field},{times}", it.partner);
        }
        for (reason, times) in &it.refusals {
            let _ = writeln!(text, "{},questions_refused:{reason},{times}", it.partner);
        }
        for of in &it.collections {
            let (partner, name) = (&it.partner, &of.collection);
            for (figure, value) in [
                ("questions", of.questions),
                ("hits", of.hits),
                ("hits_followed", of.followed),
                ("hits_released", of.released),
            ] {
                let _ = writeln!(text, "{partner},{figure}:{}:{name},{value}", of.modality);
            }
        }
        for Month { month, questions, hits } in &it.months {
            let _ = writeln!(
                text,
                "{},questions:{month},{questions}\n{},hits:{month},{hits}",
                it.partner, it.partner
            );
        }
    }
    text
}

fn in_short(report: &Report) -> String {
    let heads =
        ["Partner", "Questions", "Hits", "Hidden hits", "Requests", "Released", "Refused", "Suspensions"];
    let row = |it: &Partner| {
        let counts = [it.questions, it.hits].map(|count| count.to_string());
        let after = [it.requests, it.released, it.refused, it.suspensions].map(|count| count.to_string());
        let mut row = vec![escaped(&it.partner)];
        row.extend(counts);
        row.push(hidden(it, report));
        row.extend(after);
        row
    };
    let rows: Vec<Vec<String>> = report.partners.iter().map(row).collect();
    format!(
        "<section>\n<h2>In short</h2>\n{}\n</section>\n{}{}",
        table("All partners", &heads, &rows),
        responsiveness(report),
        by_modality(report)
    )
}

/// How quickly each side does what the other waits for, the partners beside each other.
fn responsiveness(report: &Report) -> String {
    let heads = [
        "Partner",
        "We decided its requests",
        "It answered our questions",
        "It acknowledged releases",
        "We let pass",
        "It let pass",
    ];
    let times = |times: Option<Times>| times.map_or_else(|| "none".to_owned(), spread);
    let row = |it: &Partner| {
        vec![
            escaped(&it.partner),
            times(it.minutes_to_decide),
            times(it.minutes_to_answer),
            times(it.minutes_to_acknowledge),
            it.expired.to_string(),
            it.lapsed.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = report.partners.iter().map(row).collect();
    format!(
        "<section>\n<h2>How quickly each side answers</h2>\n{}\n<p>Medians, with the middle half of all in brackets. Let pass \
         are requests that we did not decide in time, and releases that the partner never acknowledged.</p>\n</section>\n",
        table("Both directions", &heads, &rows)
    )
}

/// What was exchanged, by what the samples show: the statistics that the exchange rules ask for.
fn by_modality(report: &Report) -> String {
    let heads = [
        "Partner",
        "Category",
        "Collection",
        "Questions",
        "Hits",
        "Followed",
        "Confirmed, fields released",
        "Confirmed, none released",
        "Of another person",
    ];
    let row = |(it, of): (&Partner, &Collection)| {
        let mut row = vec![escaped(&it.partner), escaped(&of.modality), escaped(&of.collection)];
        let [exchanged, none] = of.confirmed();
        let counts = [of.questions, of.hits, of.followed, exchanged, none, of.erroneous];
        row.extend(counts.map(|count| count.to_string()));
        row
    };
    let all = report.partners.iter().flat_map(|it| it.collections.iter().map(move |of| (it, of)));
    let rows: Vec<Vec<String>> = all.map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    format!(
        "<section>\n<h2>By category of data</h2>\n{}\n<p>A hit is followed when its partner asked for fields, and confirmed \
         unless it was then found to be of another person. Requests that are open count as those after which none were \
         released.</p>\n</section>\n",
        table("Questions and hits by category", &heads, &rows)
    )
}

fn of_partner(at: usize, it: &Partner, report: &Report) -> String {
    let figures: Vec<Vec<String>> =
        rows(it, report).into_iter().map(|(words, _, value)| vec![words.to_owned(), value]).collect();
    let fields: Vec<Vec<String>> =
        it.fields.iter().map(|(field, times)| vec![escaped(field), times.to_string()]).collect();
    let fields = if fields.is_empty() {
        "<p>No field was released.</p>".to_owned()
    } else {
        table("Fields that were released", &["Field", "Times"], &fields)
    };
    format!(
        "<section>\n<h2>{0}</h2>\n{1}\n{2}\n{3}{4}{fields}\n{5}{6}</section>\n",
        escaped(&it.partner),
        table(&format!("Figures of {}", escaped(&it.partner)), &["Figure", "Value"], &figures),
        over_time(at, it),
        false_hits(at, it),
        refusals(at, it),
        ends(at, it),
        deciding(at, it),
    )
}

/// Words for people, a name for programs, and the value.
fn rows(it: &Partner, report: &Report) -> Vec<(&'static str, &'static str, String)> {
    let count = |count: u64| count.to_string();
    let mut rows = vec![
        ("Questions answered", "questions", count(it.questions)),
        ("Questions refused", "questions_refused", count(it.questions_refused)),
        ("Hits", "hits", count(it.hits)),
        ("Hidden hits, with noise", "hidden_hits_about", hidden(it, report)),
        ("Hits after which fields were asked for", "hits_followed", count(it.hits_followed)),
        (
            "False hits to expect, if all were strangers",
            "expected_false_hits",
            millionths(it.expected_false_hits_millionths),
        ),
        ("Hits found to be of another person", "erroneous_hits", count(it.erroneous_hits)),
        ("Requests for fields", "requests", count(it.requests)),
        ("Released", "released", count(it.released)),
        ("Refused", "refused", count(it.refused)),
        ("Taken back by the partner", "withdrawn", count(it.withdrawn)),
        ("Not decided in time", "expired", count(it.expired)),
        ("Releases never acknowledged", "lapsed", count(it.lapsed)),
        ("Releases taken back", "revoked", count(it.revoked)),
        ("Suspensions", "suspensions", count(it.suspensions)),
    ];
    for (words, name, times) in [
        ("Time to decide", "minutes_to_decide", it.minutes_to_decide),
        ("Time in which the partner answered questions", "minutes_to_answer", it.minutes_to_answer),
        ("Time in which the partner acknowledged", "minutes_to_acknowledge", it.minutes_to_acknowledge),
    ] {
        rows.push((words, name, times.map_or_else(|| "none".to_owned(), spread)));
    }
    rows
}

fn spread(times: Times) -> String {
    let Times { lower, median, upper, of } = times;
    format!("{median} min (half of {of} from {lower} to {upper})")
}

fn hidden(it: &Partner, report: &Report) -> String {
    it.hidden_hits_about
        .map_or_else(|| format!("fewer than {}", report.noise.floor), |count| format!("about {count}"))
}

/// Questions and hits by month, a plot each: on one scale the hits would lie on the axis.
fn over_time(at: usize, it: &Partner) -> String {
    if it.months.is_empty() {
        return "<p>No question was answered.</p>".to_owned();
    }
    let rows: Vec<Vec<String>> = it
        .months
        .iter()
        .map(|it| vec![escaped(&it.month), it.questions.to_string(), it.hits.to_string()])
        .collect();
    let numbers = table("Questions and hits by month", &["Month", "Questions", "Hits"], &rows);
    if it.months.len() == 1 {
        // A line of one point can't be seen.
        return numbers;
    }
    let questions = plot(at, "questions", "Questions by month", it, |month| month.questions);
    let hits = plot(at, "hits", "Hits by month", it, |month| month.hits);
    format!("{questions}{hits}{numbers}")
}

fn plot(at: usize, id: &str, title: &str, it: &Partner, of: fn(&Month) -> u64) -> String {
    let most = it.months.iter().map(of).max().unwrap_or(0).max(1);
    let last = it.months.len().saturating_sub(1).max(1);
    let place = |index: usize| share(u64::try_from(index).unwrap_or(0), u64::try_from(last).unwrap_or(1));
    let points: Vec<(f64, f64)> =
        it.months.iter().enumerate().map(|(index, month)| (place(index), share(of(month), most))).collect();
    let every = it.months.len().div_ceil(LABELS);
    let labelled = it.months.iter().enumerate().filter(|(index, _)| index % every == 0);
    let across = labelled.map(|(index, month)| (place(index), escaped(&month.month))).collect();
    let up = vec![(0.0, "0".to_owned()), (1.0, most.to_string())];
    let (first, end) = (it.months.first().map_or(0, of), it.months.last().map_or(0, of));
    let description = format!("From {first} in the first month to {end} in the last, at most {most}.");
    let plot = Plot {
        id: &format!("{id}-{at}"),
        title,
        description: &description,
        x_name: "Month",
        y_name: "Number",
        across,
        up,
        series: vec![Series { ink: Ink::First, points }],
    };
    figure(&plot, &description, "")
}

/// What became of requests.
fn ends(at: usize, it: &Partner) -> String {
    let ended =
        [it.released, it.refused, it.withdrawn, it.expired].into_iter().fold(0_u64, u64::saturating_add);
    let open = it.requests.saturating_sub(ended);
    let ends = [
        ("Released", it.released),
        ("Refused", it.refused),
        ("Taken back by the partner", it.withdrawn),
        ("Not decided in time", it.expired),
        ("Still open", open),
    ];
    counted(
        ("ends", at),
        ("What became of the requests", "End", "Requests"),
        it.requests,
        &ends.map(|(words, count)| (words.to_owned(), count)),
    )
}

/// How long decisions took.
fn deciding(at: usize, it: &Partner) -> String {
    let mut names: Vec<String> = WITHIN_HOURS.iter().map(|hours| format!("Up to {hours} h")).collect();
    names.push("Longer".to_owned());
    let decided = it.minutes_to_decide.map_or(0, |times| times.of);
    let within: Vec<_> = names.into_iter().zip(it.decided_within.iter().copied()).collect();
    counted(("deciding", at), ("Time to a decision", "Time", "Requests"), decided, &within)
}

/// Why questions were refused, by the word that the partner was given.
fn refusals(at: usize, it: &Partner) -> String {
    let reasons: Vec<_> = it.refusals.iter().map(|(reason, times)| (escaped(reason), *times)).collect();
    counted(
        ("refusals", at),
        ("Questions that were refused", "Reason", "Questions"),
        it.questions_refused,
        &reasons,
    )
}

/// Bars and their table: parts of a whole.
fn counted(
    (id, at): (&str, usize),
    (title, name, unit): (&str, &str, &str),
    whole: u64,
    parts: &[(String, u64)],
) -> String {
    if whole == 0 {
        return format!("<p>{title}: none.</p>\n");
    }
    let largest = parts.iter().max_by_key(|(_, count)| *count);
    let described = largest.map_or_else(String::new, |(name, count)| {
        format!("Of {whole}, most are “{name}”: {count}, which is {}.", percent(*count, whole))
    });
    let bar = |(name, count): &(String, u64)| Bar {
        name: name.clone(),
        length: share(*count, whole),
        value: count.to_string(),
    };
    let bars = Bars {
        id: &format!("{id}-{at}"),
        title,
        description: &described,
        bars: parts.iter().map(bar).collect(),
    };
    let row = |(name, count): &(String, u64)| vec![name.clone(), count.to_string(), percent(*count, whole)];
    let rows: Vec<Vec<String>> = parts.iter().map(row).collect();
    format!("{}{}\n", bars.draw(), table(title, &[name, unit, "Share"], &rows))
}

/// False hits to expect beside those that were found; their numbers stand in the figures.
fn false_hits(at: usize, it: &Partner) -> String {
    let expected = it.expected_false_hits_millionths;
    let found = it.erroneous_hits.saturating_mul(1_000_000);
    // A scale of less than one false hit would make much of little.
    let most = expected.max(found).max(1_000_000);
    let bar = |name: &str, count: u64, value: String| Bar {
        name: name.to_owned(),
        length: share(count, most),
        value,
    };
    let description = format!(
        "{} to expect if everybody who was asked about were a stranger; {} found among the hits that were followed.",
        millionths(expected),
        it.erroneous_hits
    );
    let bars = vec![
        bar("To expect", expected, millionths(expected)),
        bar("Found", found, it.erroneous_hits.to_string()),
    ];
    Bars { id: &format!("false-hits-{at}"), title: "False hits", description: &description, bars }.draw()
}

fn meanings(report: &Report) -> String {
    let noise = &report.noise;
    let journals: Vec<Vec<String>> = report
        .journals
        .iter()
        .map(|it| {
            vec![escaped(&it.journal), escaped(&it.origin), it.size.to_string(), it.disposed.to_string()]
        })
        .collect();
    format!(
        "<section>\n<h2>What the figures mean</h2>\n<ul>\n\
         <li>A request belongs to the period in which it was made, with what became of it until the report was made.</li>\n\
         <li>Refusals are one number: those by people, and those for a person who was hidden or erased since.</li>\n\
         <li>A hidden hit is an answer NO_HIT to which somebody would have matched who is hidden from the partner. It is \
         published with two-sided geometric noise (epsilon {}), and as fewer than {} where it comes out lower. The exact \
         counts and the seed are committed to by <code>{}</code> and opened to the commissioner.</li>\n\
         <li>Questions are refused for the reason that the partner was given, a word of the status codes.</li>\n\
         <li>False hits to expect are the agreement’s rate times its questions; found are those that an officer marked.</li>\n\
         </ul>\n<h2>What it was counted from</h2>\n{}\n<p>Whoever holds these journals checks every number: <code>onebit report \
         verify</code>.</p>\n</section>",
        noise.epsilon,
        noise.floor,
        escaped(&noise.commitment),
        table("Journals", &["Journal", "Origin", "Entries", "Of them disposed of"], &journals)
    )
}

/// A number of millionths as a decimal.
fn millionths(count: u64) -> String {
    format!("{}.{:06}", count / 1_000_000, count % 1_000_000)
}

fn percent(count: u64, of: u64) -> String {
    if of == 0 { "none".to_owned() } else { format!("{:.0}%", share(count, of) * 100.0) }
}

/// A length to draw: numbers beyond 32 bits are shifted until both fit.
fn share(count: u64, of: u64) -> f64 {
    let shift = 64_u32.saturating_sub(count.max(of).leading_zeros()).saturating_sub(32);
    let real = |count: u64| f64::from(u32::try_from(count >> shift).unwrap_or(u32::MAX));
    real(count) / real(of).max(1.0)
}

/// More labels would run into one another.
const LABELS: usize = 6;

//! Holds `docs/audit-log.md` to the code: its tables, and every value of its example.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};

use data_encoding::{BASE64, HEXLOWER};

use crate::audit::checkpoint::Checkpoint;
use crate::audit::entry::{Draft, Opening, PAYLOAD_MAX_BYTES, PAYLOAD_MIN_BYTES};
use crate::audit::event::{ACTOR_MAX_BYTES, Event, FACT_MAX_BYTES, Fact, Kind};
use crate::audit::note::{Ed25519Signer, NOTE_MAX_BYTES, NOTE_MAX_SIGNATURES, NoteSigner, VerifierKey};
use crate::audit::receipt::{RECEIPT_MAX_BYTES, Receipt};
use crate::audit::tiles::encode_bundle;
use crate::audit::tree::{Edge, Hash, node_hash};
use crate::clock::Timestamp;
use crate::ids::Digest;
use crate::secret::{Entropy, EntropyError};

const PAGE: &str = include_str!("../../../docs/audit-log.md");
const ORIGIN: &str = "immigration.example/onebit/au-border";

#[test]
fn the_table_of_kinds_is_that_of_the_code() {
    let rows: Vec<String> =
        Kind::ALL.iter().map(|kind| format!("| {} | `{}` |", kind.number(), kind.name())).collect();
    assert_eq!(
        rows_between("<!-- kinds -->", "<!-- end of kinds -->", 2),
        rows,
        "correct the table of kinds"
    );
}

#[test]
fn the_table_of_facts_is_that_of_the_code() {
    let row =
        |fact: &Fact| format!("| {} | `{}` | {:?} |", fact.tag(), fact.name(), fact.form()).to_lowercase();
    let rows: Vec<String> = Fact::ALL.iter().map(row).collect();
    assert_eq!(
        rows_between("<!-- facts -->", "<!-- end of facts -->", 3),
        rows,
        "correct the table of facts"
    );
}

#[test]
fn the_limits_are_those_of_the_code() {
    for limit in [
        format!("at most {ACTOR_MAX_BYTES} bytes"),
        format!("at most {FACT_MAX_BYTES} bytes"),
        format!("{PAYLOAD_MIN_BYTES}, 1024, 2048 … {PAYLOAD_MAX_BYTES} bytes"),
        format!("at most {NOTE_MAX_SIGNATURES} signature lines and {} KiB", NOTE_MAX_BYTES / 1_024),
        format!("64 hashes and {} KiB", RECEIPT_MAX_BYTES / 1_024),
    ] {
        assert!(PAGE.contains(&limit), "docs/audit-log.md does not say `{limit}`; correct its limits");
    }
}

#[test]
fn the_example_is_what_the_code_makes() {
    for (name, made) in example() {
        let shown = block(name);
        // Hexadecimal stands with remarks, everything else as it is.
        let same = if made.is_hex { hex(&shown) == made.text } else { shown == made.text };
        assert!(same, "write into the block `{name}` of docs/audit-log.md:\n{}", made.text);
    }
}

/// The page's recipe, followed with nothing but SHA-256 and the values on the page.
#[test]
fn the_example_follows_from_the_page_alone() {
    let sha256 = |parts: &[&[u8]]| Digest::sha256(&parts.concat()).as_bytes().to_vec();
    let bytes = |name: &str| HEXLOWER.decode(hex(&block(name)).as_bytes()).unwrap();
    let (salts, commitments) = (bytes("example-salts"), bytes("example-commitments"));
    let sides = ["partner", "holder"].map(|side| {
        let event = bytes(&format!("example-{side}-event"));
        let length = u32::try_from(event.len()).unwrap();
        let mut payload = [length.to_be_bytes().as_slice(), &event].concat();
        payload.resize(512, 0);
        (format!("onebit/commitment/v1/{side}\0"), payload)
    });
    for (((domain, payload), salt), commitment) in
        sides.iter().zip(salts.chunks(16)).zip(commitments.chunks(32))
    {
        assert_eq!(sha256(&[domain.as_bytes(), salt, payload]), commitment, "{domain}");
    }
    let bundle = bytes("example-bundle");
    let entries: Vec<&[u8]> =
        bundle.chunks(67).map(|framed| framed.strip_prefix(&[0, 0x41]).unwrap()).collect();
    assert_eq!(entries[1], [&[1], commitments.as_slice()].concat());
    let leaves: Vec<Vec<u8>> = entries.iter().map(|entry| sha256(&[&[0], entry])).collect();
    let tile: Vec<String> = leaves.iter().map(|leaf| BASE64.encode(leaf)).collect();
    assert_eq!(block("example-tile"), tile.join("\n"));
    let node = sha256(&[&[1], &leaves[0], &leaves[1]]);
    let root = sha256(&[&[1], &node, &leaves[2]]);
    assert_eq!(block("example-nodes"), format!("{}\n{}", BASE64.encode(&node), BASE64.encode(&root)));
    let body = format!("{ORIGIN}\n3\n{}\n\n", BASE64.encode(&root));
    assert!(block("example-checkpoint").starts_with(&body));
    let opening = [&[1], &salts[..16], &sides[0].1].concat();
    let receipt = [
        "c2sp.org/tlog-proof@v1".to_owned(),
        format!("extra {}", BASE64.encode(&[entries[1], &opening].concat())),
        "index 1".to_owned(),
        tile[0].clone(),
        tile[2].clone(),
        String::new(),
        block("example-checkpoint"),
    ];
    assert_eq!(block("example-receipt"), receipt.join("\n"));
    let key: VerifierKey = block("example-key").parse().unwrap();
    let verified = Receipt::parse(&(block("example-receipt") + "\n")).unwrap().verify(&key).unwrap();
    assert_eq!((verified.index, verified.size), (1, 3));
}

/// What a block of the page has to hold.
struct Made {
    text: String,
    is_hex: bool,
}

/// Every block of the example, made from its events.
fn example() -> BTreeMap<&'static str, Made> {
    let seed = HEXLOWER.decode(block("example-seed").as_bytes()).unwrap();
    let signer = Ed25519Signer::from_seed(&seed.try_into().unwrap());
    let (drafts, events) = journal();
    let mut edge = Edge::new();
    drafts.iter().for_each(|draft| edge.append(draft.entry.leaf_hash()));
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: edge.size(), root: edge.root() };
    let entries: Vec<_> = drafts.iter().map(|draft| draft.entry.encode()).collect();
    let receipt = Receipt {
        entry: drafts[1].entry,
        opening: Some(drafts[1].partner.clone()),
        index: 1,
        proof: edge.prove(1).unwrap(),
        checkpoint: checkpoint.sign(&signer),
    };
    let salt = |opening: &Opening| opening.encode()[1..17].to_vec();
    let text = |text: String| Made { text: text.trim_end().to_owned(), is_hex: false };
    let hex = |bytes: &[u8]| Made { text: HEXLOWER.encode(bytes), is_hex: true };
    let hashes = edge.changed().remove(0).hashes;
    let lines = |hashes: &[Hash]| hashes.iter().map(|hash| format!("{hash}\n")).collect();
    BTreeMap::from([
        ("example-key", text(VerifierKey::new(ORIGIN, signer.public_key()).unwrap().to_string())),
        ("example-partner-event", hex(&events[0].encode().unwrap())),
        ("example-holder-event", hex(&events[1].encode().unwrap())),
        ("example-salts", hex(&[salt(&drafts[1].partner), salt(&drafts[1].holder)].concat())),
        ("example-commitments", hex(&entries[1][1..])),
        ("example-bundle", hex(&encode_bundle(entries.iter().map(<[u8; 65]>::as_slice)).unwrap())),
        ("example-tile", text(lines(&hashes))),
        ("example-nodes", text(lines(&[node_hash(&hashes[0], &hashes[1]), edge.root()]))),
        ("example-checkpoint", text(checkpoint.sign(&signer))),
        ("example-receipt", text(receipt.to_text())),
    ])
}

/// The three entries of the example, and the two events of the one in the middle.
fn journal() -> (Vec<Draft>, [Event; 2]) {
    let entropy = Repeated(AtomicU8::new(0xa0));
    let event = |millis: i64, actor: &str| {
        Event::new(
            Kind::QueryAnswered,
            Timestamp::from_millis(1_772_443_800_000 + millis),
            actor,
            Digest::sha256(b"rules"),
        )
    };
    let answered = |millis, outcome: u8| {
        event(millis, "au-border")
            .with(Fact::Query, &[0x51; 16])
            .text(Fact::Case, "C-2026-17")
            .with(Fact::Outcome, &[outcome])
    };
    let known = |outcome: u8| answered(0, outcome).with(Fact::Subject, &[0x5b * outcome; 16]);
    let shown = [answered(0, 1), known(1)];
    let sides = [(answered(-60_000, 0), known(0)), shown.clone().into(), (answered(60_000, 0), known(0))];
    let drafts = sides.iter().map(|(partner, holder)| Draft::blind(partner, holder, &entropy).unwrap());
    (drafts.collect(), shown)
}

/// Salts that repeat one byte, another one each time.
struct Repeated(AtomicU8);

impl Entropy for Repeated {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        bytes.fill(self.0.fetch_add(1, Ordering::Relaxed));
        Ok(())
    }
}

/// The content of a fenced block of the page, without the last line's end.
fn block(name: &str) -> String {
    let start = format!("```text {name}\n");
    let (_, rest) =
        PAGE.split_once(&start).unwrap_or_else(|| panic!("docs/audit-log.md has no block `{name}`"));
    rest.split_once("```").unwrap().0.trim_end_matches('\n').to_owned()
}

/// The hexadecimal digits of a block: of each line what stands before two spaces, single spaces left out.
fn hex(block: &str) -> String {
    block
        .lines()
        .filter_map(|line| line.split("  ").next())
        .flat_map(|line| line.chars())
        .filter(|c| *c != ' ')
        .collect()
}

/// The first columns of the table between two marks of the page, without its head.
fn rows_between(start: &str, end: &str, columns: usize) -> Vec<String> {
    let table = PAGE.split_once(start).unwrap().1.split_once(end).unwrap().0;
    let cells = |line: &str| line.split('|').take(columns + 1).collect::<Vec<_>>().join("|") + "|";
    table.lines().filter(|line| line.starts_with("| ")).skip(2).map(cells).collect()
}

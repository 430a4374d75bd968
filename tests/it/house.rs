//! Holds the source to the house: imports go down the rows, never up, never sideways, and what belongs to
//! one room is named nowhere else.
//!
//! Every path that starts with `crate`, `super`, `self` or `onebit` is read, in `use` items, in expressions
//! and types, in attributes and in the bodies of macros. Not seen: a path that a macro puts together from
//! pieces, and a `super` inside a module that a macro makes.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// The rows from top to bottom. Rooms parted by `,` may import one another, rooms parted by `|` may not.
const ROWS: [&str; 9] = [
    "main, cli, server, config",
    "grpc | console | tiles | jobs | witness",
    "door",
    "gate",
    "matching | oversight | outbox",
    "store",
    "index | approval | authz | audit | keys",
    "template",
    "ids | clock | secret | telemetry",
];

/// The offline verifier: an executable that must stay buildable from these rooms alone.
const VERIFIER: &str = "onebit-verify";
const VERIFIER_ROOMS: [&str; 4] = ["audit", "ids", "clock", "secret"];

/// Crates that only some places may name, and why. An entry covers the crate and those that start with its
/// name and `_` (`tonic_types` goes with `tonic`).
const ONLY_IN: [(&str, &[&str], &str); 6] = [
    ("tonic", WIRE, "a gRPC status or stream is made at the edge; give the rooms below their own types"),
    ("prost", WIRE, "generated types live at the edge; give the rooms below their own types"),
    ("rusqlite", &["src/store/"], "only `store` knows the database; add a named transaction there"),
    ("refinery", &["src/store/"], "only `store` knows the database; add a numbered migration there"),
    ("faiss", &["src/index/stage/"], "only a first stage of the index knows Faiss; search by `index`"),
    ("cedar_policy", &["src/authz/"], "only `authz` evaluates rules; ask it for a `Permit`"),
];

/// Where the generated types stand and who may name them.
const GENERATED: [&str; 2] = ["grpc", "pb"];
const WIRE: &[&str] = &["src/grpc/", "src/server/", "src/cli/"];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 8] = ["utils", "util", "common", "helpers", "helper", "misc", "shared", "stuff"];

const UNFINISHED: [&str; 2] = ["todo", "unimplemented"];

#[test]
fn imports_go_down_the_rows_and_crates_stay_in_their_rooms() -> Result<(), Box<dyn Error>> {
    let mut found = Vec::new();
    let files = files_below("src", "rs")?;
    assert!(files.len() > 3, "found only {} files under src/; does the walk still work?", files.len());
    for file in files {
        let source = fs::read_to_string(root().join(&file))?;
        found.extend(complaints(&file, &source).map_err(|error| format!("parse `{file}`: {error}"))?);
    }
    assert!(found.is_empty(), "the house does not allow:\n{}\n", found.join("\n"));
    Ok(())
}

#[test]
fn every_room_is_one_of_the_house() -> Result<(), Box<dyn Error>> {
    for file in files_below("src", "rs")? {
        if let Some(complaint) = no_such_room(&file) {
            panic!("{complaint}");
        }
    }
    Ok(())
}

#[test]
fn file_names_say_what_is_inside() -> Result<(), Box<dyn Error>> {
    for folder in ["src", "tests", "benches"] {
        for file in files_below(folder, "")? {
            assert!(
                !says_nothing(&file),
                "`{file}` says nothing about its subject; name it after the noun it holds"
            );
        }
    }
    Ok(())
}

#[test]
fn schemas_import_nothing_but_their_own_and_google_protobuf() -> Result<(), Box<dyn Error>> {
    for file in files_below("proto", "proto")? {
        let schema = fs::read_to_string(root().join(&file))?;
        if let Some(import) = foreign_import(&schema) {
            panic!(
                "`{file}` imports `{import}`; a partner must be able to compile the schemas with nothing else at hand"
            );
        }
    }
    Ok(())
}

#[test]
fn make_targets_named_in_documents_exist() -> Result<(), Box<dyn Error>> {
    let targets = make_targets(&fs::read_to_string(root().join("Makefile"))?);
    let mut documents = files_below("docs", "md")?;
    documents.extend(["README.md", "CONTRIBUTING.md"].map(str::to_owned));
    let mut named = 0;
    for document in documents.iter().filter(|document| root().join(document).exists()) {
        for target in targets_named(&fs::read_to_string(root().join(document))?) {
            named += 1;
            assert!(
                targets.contains(&target),
                "`{document}` says `make {target}`, but the Makefile has no such target"
            );
        }
    }
    assert!(named > 0, "no document names a make target; does the search still work?");
    Ok(())
}

#[test]
fn a_forbidden_import_is_found_with_its_place() {
    let found = complaints("src/gate/query.rs", "use std::fmt;\n\nuse crate::grpc::client;\n").unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("src/gate/query.rs:3: `crate::grpc::client` goes up"), "{}", found[0]);
    assert!(found[0].contains("grpc | console | tiles | jobs | witness"), "name the row: {}", found[0]);
}

#[test]
fn imports_up_and_sideways_are_refused_however_they_are_written() {
    for (file, source) in [
        ("src/store/query.rs", "use crate::gate::Gate;"),
        ("src/store/query.rs", "use crate::{audit::Tree, gate::{self, Gate}};"),
        ("src/store/query.rs", "use ::onebit::gate::Gate;"),
        ("src/store/query.rs", "use super::super::gate as door;"),
        ("src/store/mod.rs", "use super::gate::Gate;"),
        ("src/store/mod.rs", "mod inner { use super::super::gate::Gate; }"),
        ("src/store/mod.rs", "fn f() { crate::gate::open(); }"),
        ("src/store/mod.rs", "fn f(gate: &dyn crate::gate::Door) {}"),
        ("src/store/mod.rs", "fn f() -> Vec<<u8 as crate::gate::Door>::Key> { vec![] }"),
        ("src/store/mod.rs", "fn f() { println!(\"{}\", crate::gate::NAME); }"),
        ("src/store/mod.rs", "macro_rules! m { () => { use $crate::{audit, gate::Gate}; } }"),
        ("src/store/mod.rs", "#[serde(with = \"crate::gate::text\")] struct S;"),
        ("src/store/mod.rs", "#[derive(crate::gate::Derive)] struct S;"),
        ("src/store/mod.rs", "pub(in crate::gate) fn f() {}"),
        ("src/store/mod.rs", "#[cfg(test)] mod tests { use crate::gate::Gate; }"),
        ("src/audit/tree.rs", "use crate::keys::Ring;"),
        ("src/matching/mod.rs", "use crate::oversight::Reader;"),
        ("src/clock.rs", "use crate::telemetry::Meter;"),
        ("src/server.rs", "use crate::attic::Box;"),
        ("src/bin/onebit-verify.rs", "use onebit::store::Store;"),
    ] {
        let found = complaints(file, source).unwrap();
        assert!(!found.is_empty(), "`{source}` in {file} was let through");
    }
}

#[test]
fn imports_down_and_within_a_room_are_allowed() {
    for (file, source) in [
        ("src/gate/query.rs", "use crate::store::Store; use crate::{ids::QueryId, matching::*};"),
        (
            "src/gate/query.rs",
            "use super::disclosure::Draft; use crate::gate::enrolment; use self::inner::X;",
        ),
        ("src/gate/mod.rs", "mod tests { use super::*; } pub(crate) fn f() {} pub(super) fn g() {}"),
        ("src/cli/demo.rs", "use crate::server::Server; use crate::config::Config; use crate::grpc::pb;"),
        ("src/main.rs", "use onebit::cli; fn run() {} fn main() { crate::run(); cli::run(); }"),
        ("src/bin/onebit-verify.rs", "use onebit::audit::verify; use onebit::clock::Timestamp;"),
        ("src/lib.rs", "pub mod gate; pub mod ids;"),
        ("src/ids.rs", "fn f() { let gate = 1; let _ = (gate, std::gate::x); }"),
    ] {
        let found = complaints(file, source).unwrap();
        assert!(found.is_empty(), "`{source}` in {file}: {found:?}");
    }
}

#[test]
fn ways_around_the_rows_are_refused() {
    for (file, source) in [
        ("src/store/mod.rs", "use crate as root;"),
        ("src/store/mod.rs", "use crate::*;"),
        ("src/store/mod.rs", "use super::*;"),
        ("src/store/mod.rs", "use crate::{self as root};"),
        ("src/store/mod.rs", "extern crate self as root;"),
        ("src/store/mod.rs", "#[path = \"../gate/query.rs\"] mod query;"),
        ("src/lib.rs", "pub mod attic;"),
        ("src/lib.rs", "mod attic {}"),
    ] {
        let found = complaints(file, source).unwrap();
        assert_eq!(found.len(), 1, "`{source}` in {file}: {found:?}");
    }
}

#[test]
fn crates_and_generated_types_are_named_only_in_their_rooms() {
    for (file, source, allowed) in [
        ("src/grpc/query.rs", "use tonic::Status; use super::pb::onebit;", true),
        ("src/server.rs", "fn f() -> tonic::Status { crate::grpc::pb::x() }", true),
        ("src/cli/ask.rs", "use tonic_types::ErrorDetails; use crate::grpc::pb;", true),
        ("src/gate/query.rs", "use tonic::Status;", false),
        ("src/gate/query.rs", "fn f(_: tonic_types::ErrorInfo) {}", false),
        ("src/config.rs", "use crate::grpc::pb::Thing;", false),
        ("src/jobs/clocks.rs", "use prost::Message;", false),
        ("src/store/sqlite.rs", "use rusqlite::Connection;", true),
        ("src/gate/query.rs", "macro_rules! m { () => { ::rusqlite::Connection } }", false),
        ("src/jobs/clocks.rs", "use {std::fmt, rusqlite as db};", false),
        ("src/index/flat.rs", "use faiss::Index;", false),
        ("src/index/stage/faiss.rs", "use faiss::Index;", true),
        ("src/matching/mod.rs", "extern crate faiss_sys;", false),
        ("src/authz/mod.rs", "use cedar_policy::PolicySet;", true),
        ("src/gate/mod.rs", "use cedar_policy::Decision;", false),
        ("src/gate/mod.rs", "fn f(tonic: u8) -> u8 { tonic }", true),
    ] {
        let found = complaints(file, source).unwrap();
        assert_eq!(found.is_empty(), allowed, "`{source}` in {file}: {found:?}");
    }
}

#[test]
fn unfinished_work_is_found_even_inside_macros() {
    for source in
        ["fn f() { todo!() }", "fn f() { std::unimplemented!(\"later\") }", "fn f() { dbg!(todo!()); }"]
    {
        let found = complaints("src/gate/mod.rs", source).unwrap();
        assert_eq!(found.len(), 1, "`{source}`: {found:?}");
    }
}

#[test]
fn rooms_and_file_names_are_judged() {
    for file in ["src/attic.rs", "src/attic/mod.rs", "src/bin/other.rs"] {
        assert!(no_such_room(file).is_some(), "{file}");
    }
    for file in ["src/lib.rs", "src/main.rs", "src/gate/query.rs", "src/ids.rs", "src/bin/onebit-verify.rs"] {
        assert_eq!(no_such_room(file), None);
    }
    for file in ["src/gate/utils.rs", "src/common/mod.rs", "tests/it/helpers.rs"] {
        assert!(says_nothing(file), "{file}");
    }
    assert!(!says_nothing("src/gate/commons.rs"));
}

#[test]
fn schema_imports_and_make_targets_are_read() {
    assert_eq!(
        foreign_import("import \"google/protobuf/any.proto\";\nimport \"onebit/a/v1/b.proto\";"),
        None
    );
    assert_eq!(
        foreign_import("import  public \"google/rpc/status.proto\";"),
        Some("google/rpc/status.proto")
    );
    let targets = make_targets("A := b\ntest: setup ## runs\n\tcargo test\n.PHONY: x\nbuild lint: setup\n");
    assert_eq!(targets, ["build", "lint", "test"].map(str::to_owned).into());
    let named = targets_named(
        "run `make test`; make it so\n```\n$ make demo PEOPLE=3\nmake -j2 lint\n```\nmake no\n",
    );
    assert_eq!(named, ["test", "demo", "lint"]);
}

/// What the house has against `source` as the content of `file` (`src/…`), one line a complaint.
fn complaints(file: &str, source: &str) -> syn::Result<Vec<String>> {
    let module = module_of(file);
    let mut reader = Reader { module: module.clone(), ..Reader::default() };
    reader.visit_file(&syn::parse_file(source)?);
    let mut found = Vec::new();
    for name in &reader.names {
        if let Some(complaint) = against(file, &module, name) {
            found.push(format!("{file}:{}: `{}` {complaint}", name.line, name.written));
        }
    }
    found.extend(reader.oddities.iter().map(|(line, text)| format!("{file}:{line}: {text}")));
    if file == "src/lib.rs" {
        let strangers = reader.modules.iter().filter(|(_, name)| place_of(name).is_none());
        found.extend(
            strangers.map(|(line, name)| format!("{file}:{line}: `mod {name}`: {}", no_room_text(name))),
        );
    }
    Ok(found)
}

/// What speaks against one name, if anything.
fn against(file: &str, module: &[String], name: &Name) -> Option<String> {
    let folder = file.trim_end_matches(".rs").to_owned() + "/";
    let within = |places: &[&str]| places.iter().any(|place| folder.starts_with(place));
    let Some(path) = resolved(file, &name.module, &name.segments) else {
        let outside = name.segments.first()?;
        let (_, places, why) = ONLY_IN.iter().find(|(only, _, _)| {
            outside.strip_prefix(only).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        })?;
        return (!within(places)).then(|| format!("belongs to {}: {why}", places.join(", ")));
    };
    let from = module.first()?;
    let Some(to) = path.first().filter(|to| to.as_str() != "*") else {
        return (name.form == Form::Use).then(|| "takes the whole crate; name the room instead".to_owned());
    };
    if path.iter().map(String::as_str).take(GENERATED.len()).eq(GENERATED) && !within(WIRE) {
        return Some(format!("is generated and named only in {}", WIRE.join(", ")));
    }
    against_rows(from, to)
}

/// Whether the room `from` may import the room `to`.
fn against_rows(from: &str, to: &str) -> Option<String> {
    if from == to {
        return None;
    }
    if from == VERIFIER {
        return (!VERIFIER_ROOMS.contains(&to)).then(|| {
            format!("is outside the offline verifier, which is built from {VERIFIER_ROOMS:?} alone")
        });
    }
    let (Some((row, _)), Some((target, together))) = (place_of(from), place_of(to)) else {
        return Some(format!("names a room that the house does not have: {}", no_room_text(to)));
    };
    let direction = match target.cmp(&row) {
        std::cmp::Ordering::Greater => return None,
        std::cmp::Ordering::Equal if together => return None,
        std::cmp::Ordering::Equal => "goes sideways",
        std::cmp::Ordering::Less => "goes up",
    };
    Some(format!(
        "{direction}: `{from}` stands in row {} (`{}`), `{to}` in row {} (`{}`); imports go down the rows only, \
         so move what is needed down or take it as an argument",
        row + 1,
        ROWS.get(row)?,
        target + 1,
        ROWS.get(target)?,
    ))
}

/// The row of a room, counted from the top, and whether its neighbours may import one another.
fn place_of(room: &str) -> Option<(usize, bool)> {
    ROWS.iter().enumerate().find_map(|(row, text)| {
        text.split([',', '|']).any(|neighbour| neighbour.trim() == room).then(|| (row, text.contains(',')))
    })
}

fn no_room_text(name: &str) -> String {
    format!("no room of the house is called `{name}`; put the code into one of the rooms it belongs to")
}

fn no_such_room(file: &str) -> Option<String> {
    let module = module_of(file);
    let room = module.first()?;
    (room != VERIFIER && place_of(room).is_none()).then(|| format!("`{file}`: {}", no_room_text(room)))
}

/// The module that a file of `src/` holds, from the crate's root; an executable is a module of its own name.
fn module_of(file: &str) -> Vec<String> {
    let inner = file.trim_start_matches("src/").trim_end_matches(".rs");
    let inner = inner.strip_prefix("bin/").unwrap_or(inner);
    inner.split('/').filter(|part| !["lib", "mod"].contains(part)).map(str::to_owned).collect()
}

/// A path as it stands when read from the root of the house; `None` for a path into another crate.
fn resolved(file: &str, module: &[String], segments: &[String]) -> Option<Vec<String>> {
    let executable = file == "src/main.rs" || file.starts_with("src/bin/");
    let mut rest = segments.iter().map(String::as_str).peekable();
    let mut base: Vec<String> = match rest.next()? {
        "crate" if executable => module.iter().take(1).cloned().collect(),
        "crate" | "onebit" => Vec::new(),
        "self" => module.to_vec(),
        "super" => module.split_last().map(|(_, above)| above.to_vec()).unwrap_or_default(),
        _ => return None,
    };
    while rest.next_if_eq(&"super").is_some() {
        base.pop();
    }
    base.extend(rest.filter(|segment| *segment != "self").map(str::to_owned));
    Some(base)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Use,
    Path,
}

/// One path as written, with the module it is written in.
struct Name {
    module: Vec<String>,
    segments: Vec<String>,
    written: String,
    line: usize,
    form: Form,
}

/// Collects what a file names.
#[derive(Default)]
struct Reader {
    module: Vec<String>,
    names: Vec<Name>,
    modules: Vec<(usize, String)>,
    oddities: Vec<(usize, String)>,
}

impl Reader {
    fn record(&mut self, segments: Vec<String>, span: Span, form: Form) {
        if form == Form::Use || segments.len() > 1 {
            let written = segments.join("::");
            self.names.push(Name {
                module: self.module.clone(),
                segments,
                written,
                line: span.start().line,
                form,
            });
        }
    }

    fn record_macro(&mut self, name: &str, span: Span) {
        if UNFINISHED.contains(&name) {
            let text = format!("`{name}!` is unfinished work; finish it or leave it out");
            self.oddities.push((span.start().line, text));
        }
    }

    /// Takes a `use` tree apart into whole paths.
    fn read_use(&mut self, tree: &syn::UseTree, prefix: &[String]) {
        let with = |name: &syn::Ident| prefix.iter().cloned().chain([name.to_string()]).collect::<Vec<_>>();
        match tree {
            syn::UseTree::Path(path) => self.read_use(&path.tree, &with(&path.ident)),
            syn::UseTree::Name(name) => self.record(with(&name.ident), name.ident.span(), Form::Use),
            syn::UseTree::Rename(rename) => self.record(with(&rename.ident), rename.ident.span(), Form::Use),
            syn::UseTree::Glob(glob) => {
                let path = prefix.iter().cloned().chain(["*".to_owned()]).collect();
                self.record(path, glob.star_token.span, Form::Use);
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.read_use(item, prefix)),
        }
    }

    /// Finds paths in tokens that are not parsed: the insides of macros and attributes.
    fn read_tokens(&mut self, tokens: TokenStream, prefix: &[String]) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut rest = tokens.as_slice();
        while let Some((first, mut after)) = rest.split_first() {
            match first {
                TokenTree::Ident(ident) => after = self.read_token_path(ident, after, prefix),
                TokenTree::Group(group) => self.read_tokens(group.stream(), prefix),
                TokenTree::Literal(literal) => self.read_literal(&literal.to_string(), literal.span()),
                TokenTree::Punct(_) => {}
            }
            rest = after;
        }
    }

    /// Reads `a::b::{c, d}` from its first identifier on; returns what follows it.
    fn read_token_path<'a>(
        &mut self,
        first: &proc_macro2::Ident,
        mut rest: &'a [TokenTree],
        prefix: &[String],
    ) -> &'a [TokenTree] {
        let mut path: Vec<String> = prefix.iter().cloned().chain([first.to_string()]).collect();
        while let [TokenTree::Punct(one), TokenTree::Punct(two), next, after @ ..] = rest {
            if one.as_char() != ':' || two.as_char() != ':' {
                break;
            }
            match next {
                TokenTree::Ident(ident) => path.push(ident.to_string()),
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    self.read_tokens(group.stream(), &path);
                    return after;
                }
                TokenTree::Punct(star) if star.as_char() == '*' => path.push("*".to_owned()),
                _ => break,
            }
            rest = after;
        }
        if let ([TokenTree::Punct(mark), ..], Some(name)) = (rest, path.last())
            && mark.as_char() == '!'
        {
            self.record_macro(name, first.span());
        }
        self.record(path, first.span(), Form::Path);
        rest
    }

    /// A path in a string, as some derive macros take it.
    fn read_literal(&mut self, literal: &str, span: Span) {
        let text = literal.trim_matches('"');
        let like_path = |text: &str| text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == ':');
        if ["crate::", "super::"].iter().any(|start| text.starts_with(start)) && like_path(text) {
            self.record(text.split("::").map(str::to_owned).collect(), span, Form::Path);
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let line = item.ident.span().start().line;
        self.modules.push((line, item.ident.to_string()));
        if item.attrs.iter().any(|attribute| attribute.path().is_ident("path")) {
            let text = format!("`mod {}` has a `#[path]`; a module lies where its name says", item.ident);
            self.oddities.push((line, text));
        }
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.read_use(&item.tree, &[]);
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        let name = if item.ident == "self" { "crate".to_owned() } else { item.ident.to_string() };
        self.record(vec![name], item.ident.span(), Form::Use);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let span = path.segments.first().map_or_else(Span::call_site, |first| first.ident.span());
        self.record(path.segments.iter().map(|it| it.ident.to_string()).collect(), span, Form::Path);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        if let Some(last) = item.path.segments.last() {
            self.record_macro(&last.ident.to_string(), last.ident.span());
        }
        self.read_tokens(item.tokens.clone(), &[]);
        visit::visit_macro(self, item);
    }

    fn visit_meta_list(&mut self, list: &'ast syn::MetaList) {
        self.read_tokens(list.tokens.clone(), &[]);
        visit::visit_meta_list(self, list);
    }
}

/// Whether a part of the path is one of the empty names.
fn says_nothing(file: &str) -> bool {
    file.split('/').any(|part| EMPTY_NAMES.contains(&part.split('.').next().unwrap_or(part)))
}

/// The first import of a schema that is neither ours nor one of protobuf's own.
fn foreign_import(schema: &str) -> Option<&str> {
    schema
        .lines()
        .filter(|line| line.trim_start().starts_with("import "))
        .filter_map(|line| line.split('"').nth(1))
        .find(|import| !import.starts_with("google/protobuf/") && !import.starts_with("onebit/"))
}

/// The targets that a Makefile has rules for.
fn make_targets(makefile: &str) -> BTreeSet<String> {
    let rules = makefile.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
    let heads = rules.filter_map(|line| line.split_once(':')).filter(|(_, after)| !after.starts_with('='));
    heads.flat_map(|(head, _)| head.split_whitespace()).map(str::to_owned).collect()
}

/// The targets that a document tells its reader to make: in backticks, or as a line of a code block.
fn targets_named(document: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut in_block = false;
    for line in document.lines().map(str::trim) {
        if line.starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            commands.push(line.trim_start_matches("$ "));
        } else {
            commands.extend(line.split('`').skip(1).step_by(2));
        }
    }
    let makes = commands.iter().filter_map(|command| command.strip_prefix("make "));
    let targets =
        makes.filter_map(|rest| rest.split_whitespace().find(|it| !it.starts_with('-') && !it.contains('=')));
    targets.map(str::to_owned).collect()
}

/// Files below a folder of the project with an ending (`""` for all), sorted, with `/` between the parts.
fn files_below(folder: &str, extension: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(next) = folders.pop() {
        if !root().join(&next).exists() {
            continue;
        }
        for entry in
            fs::read_dir(root().join(&next)).map_err(|error| format!("read `{}`: {error}", next.display()))?
        {
            let entry = entry?;
            let path = next.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if extension.is_empty() || path.extension().is_some_and(|it| it == extension) {
                files.push(path.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    files.sort();
    Ok(files)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

//! A policy folder, loaded: everything that is decided by rule is decided by a value of [`Rules`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::action::Action;
use super::actor::Role;
use super::agreement::Agreement;
use super::bundle::Bundle;
use super::entity::Words;
use super::fault::PolicyFault;
use super::reader::{Mention, Mentioned};
use super::retention::{RetentionClass, RetentionFile};
use super::rulebook::{May, RuleBook, SCHEMA_FILE, is_rules_file};
use super::scheme::{CollectionFile, SchemeFile};
use super::told::Told;
use super::witness::Witnesses;
use crate::ids::{AgreementName, CollectionName, Digest, PartnerName, SchemeName};

/// The rules of one policy folder, named by its digest.
pub struct Rules {
    bundle: Bundle,
    digest: Digest,
    pub(super) book: RuleBook,
    pub(super) words: Words,
    pub(super) told: Told,
    agreements: BTreeMap<AgreementName, Arc<Agreement>>,
    schemes: BTreeMap<SchemeName, SchemeFile>,
    collections: BTreeMap<CollectionName, CollectionFile>,
    retention: RetentionFile,
    witnesses: Arc<Witnesses>,
}

impl Rules {
    /// Loads a policy folder.
    ///
    /// # Errors
    /// Every fault of the folder, each with file, line and column; nothing is loaded then.
    pub fn load(bundle: Bundle) -> Result<Self, Vec<PolicyFault>> {
        let mut found = Found::default();
        for (path, content) in bundle.files() {
            found.take(path, content);
        }
        if found.retention.is_none() {
            found.faults.push(PolicyFault::of_file(RETENTION_FILE, "the file is missing; add it"));
        }
        let book = match RuleBook::load(&bundle) {
            Ok(book) => Some(book),
            Err(faults) => {
                found.faults.extend(faults);
                None
            }
        };
        found.check_mentions(book.as_ref());
        let words = match &book {
            Some(book) => Words::prepare(book, found.agreements.values())
                .map_err(|error| found.faults.push(PolicyFault::of_file(SCHEMA_FILE, error)))
                .ok(),
            None => None,
        };
        let (book, words) = match (book, words) {
            (Some(book), Some(words)) if found.faults.is_empty() => (book, words),
            _ => {
                found.faults.sort();
                found.faults.dedup();
                return Err(found.faults);
            }
        };
        let rules = Self {
            digest: bundle.digest(),
            bundle,
            book,
            words,
            told: Told::default(),
            agreements: found.agreements,
            schemes: found.schemes,
            collections: found.collections,
            retention: found.retention.unwrap_or_default(),
            witnesses: Arc::new(found.witnesses.unwrap_or_default()),
        };
        let mut faults = rules.misfits();
        faults.extend(rules.unsupported());
        faults.extend(rules.unconfirmable());
        if faults.is_empty() { Ok(rules) } else { Err(faults) }
    }

    /// The digest of the folder: which rules decided.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The folder, for the store and for people who read it.
    #[must_use]
    pub const fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// An agreement, whoever its partner.
    #[must_use]
    pub fn agreement(&self, name: &AgreementName) -> Option<&Arc<Agreement>> {
        self.agreements.get(name)
    }

    /// Every agreement in the order of names.
    pub fn agreements(&self) -> impl Iterator<Item = &Arc<Agreement>> {
        self.agreements.values()
    }

    /// What a rule of this folder says in words; `None` for one that it does not have.
    #[must_use]
    pub fn rule_says(&self, id: &str) -> Option<&str> {
        self.book.rules().find(|rule| rule.id == id).map(|rule| rule.says.as_str())
    }

    /// The agreements of a partner in the order of names.
    pub fn agreements_of<'a>(&'a self, partner: &'a PartnerName) -> impl Iterator<Item = &'a Arc<Agreement>> {
        self.agreements.values().filter(move |agreement| agreement.partner == *partner)
    }

    /// A scheme.
    #[must_use]
    pub fn scheme(&self, name: &SchemeName) -> Option<&SchemeFile> {
        self.schemes.get(name)
    }

    /// Every scheme in the order of names.
    pub fn schemes(&self) -> impl Iterator<Item = &SchemeFile> {
        self.schemes.values()
    }

    /// A collection.
    #[must_use]
    pub fn collection(&self, name: &CollectionName) -> Option<&CollectionFile> {
        self.collections.get(name)
    }

    /// Every collection in the order of names.
    pub fn collections(&self) -> impl Iterator<Item = &CollectionFile> {
        self.collections.values()
    }

    /// A retention class.
    #[must_use]
    pub fn retention(&self, name: &str) -> Option<&RetentionClass> {
        self.retention.classes.get(name)
    }

    /// Every retention class in the order of names.
    pub fn retentions(&self) -> impl Iterator<Item = &RetentionClass> {
        self.retention.classes.values()
    }

    pub(super) const fn retention_file(&self) -> &RetentionFile {
        &self.retention
    }

    /// The witnesses of the holder's journal; none when the folder names none.
    #[must_use]
    pub const fn witnesses(&self) -> &Arc<Witnesses> {
        &self.witnesses
    }

    /// Whether a role makes a call at all: to check again, at the moment of a release, that those who
    /// approved still may.
    #[must_use]
    pub fn may(&self, role: Role, action: Action) -> &May {
        self.book.may(role, action)
    }
}

/// What the files gave so far.
#[derive(Default)]
struct Found {
    agreements: BTreeMap<AgreementName, Arc<Agreement>>,
    schemes: BTreeMap<SchemeName, SchemeFile>,
    collections: BTreeMap<CollectionName, CollectionFile>,
    retention: Option<RetentionFile>,
    witnesses: Option<Witnesses>,
    mentions: Vec<Mention>,
    faults: Vec<PolicyFault>,
}

impl Found {
    fn take(&mut self, path: &str, content: &[u8]) {
        match path.split_once('/') {
            Some(("agreements", file)) if is_toml(file) => {
                if let Some(agreement) = self.kept(Agreement::parse(path, content)) {
                    self.check_stem(path, file, agreement.name.as_str());
                    self.agreements.insert(agreement.name.clone(), Arc::new(agreement));
                }
            }
            Some(("schemes", file)) if is_toml(file) => {
                if let Some(scheme) = self.kept(SchemeFile::parse(path, content)) {
                    self.check_stem(path, file, scheme.scheme.name.as_str());
                    self.schemes.insert(scheme.scheme.name.clone(), scheme);
                }
            }
            Some(("collections", file)) if is_toml(file) => {
                if let Some(collection) = self.kept(CollectionFile::parse(path, content)) {
                    self.check_stem(path, file, collection.name.as_str());
                    self.collections.insert(collection.name.clone(), collection);
                }
            }
            None if path == RETENTION_FILE => {
                self.retention = Some(self.kept(RetentionFile::parse(path, content)).unwrap_or_default());
            }
            None if path == WITNESSES_FILE => match Witnesses::parse(path, content) {
                Ok(witnesses) => self.witnesses = Some(witnesses),
                Err(faults) => self.faults.extend(faults),
            },
            _ if path == SCHEMA_FILE || is_rules_file(path) || path.ends_with(".md") => {}
            // A file in the wrong place would be an agreement or a rule that nobody reads.
            _ => self.faults.push(PolicyFault::of_file(
                path,
                "no file of this name belongs into a policy folder; docs/policy.md tells which do",
            )),
        }
    }

    fn kept<T>(&mut self, parsed: Result<(T, Vec<Mention>), Vec<PolicyFault>>) -> Option<T> {
        match parsed {
            Ok((value, mentions)) => {
                self.mentions.extend(mentions);
                Some(value)
            }
            Err(faults) => {
                self.faults.extend(faults);
                None
            }
        }
    }

    /// One name for the file and for what it holds, so that no name stands twice.
    fn check_stem(&mut self, path: &str, file: &str, name: &str) {
        if file.strip_suffix(".toml") != Some(name) {
            let message = format!("the file holds `{name}`; name it `{name}.toml`");
            self.faults.push(PolicyFault::of_file(path, message));
        }
    }

    fn has_class(&self, name: &str) -> bool {
        self.retention.as_ref().is_some_and(|file| file.classes.contains_key(name))
    }

    fn check_mentions(&mut self, book: Option<&RuleBook>) {
        for mention in &self.mentions {
            let name = mention.name.as_str();
            let missing = match mention.what {
                Mentioned::Collection if !self.collections.keys().any(|own| own.as_str() == name) => {
                    format!("there is no collection `{name}`; add `collections/{name}.toml`")
                }
                Mentioned::Scheme if !self.schemes.keys().any(|own| own.as_str() == name) => {
                    format!("there is no scheme `{name}`; add `schemes/{name}.toml`")
                }
                Mentioned::Retention if !self.has_class(name) => {
                    format!("there is no retention class `{name}`; add it to `{RETENTION_FILE}`")
                }
                Mentioned::Decider if !decides(book, name) => {
                    format!(
                        "no rule lets a `{name}` decide, so nothing would ever be approved; name a role that `{}` is permitted to",
                        Action::DecideCase
                    )
                }
                _ => continue,
            };
            self.faults.push(PolicyFault { message: missing, ..mention.place.clone() });
        }
    }
}

/// Without rules to ask, the fault lies elsewhere.
fn decides(book: Option<&RuleBook>, role: &str) -> bool {
    let role: Option<Role> = role.parse().ok();
    match (book, role) {
        (Some(book), Some(role)) => *book.may(role, Action::DecideCase) != May::No,
        _ => true,
    }
}

fn is_toml(file: &str) -> bool {
    !file.contains('/') && file.ends_with(".toml")
}

pub(super) const RETENTION_FILE: &str = "retention.toml";
pub(super) const WITNESSES_FILE: &str = "witnesses.toml";

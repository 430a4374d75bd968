//! An agency that begins a week before the year: founded, with five partners and five officers by changes of two people,
//! and with people enrolled; all at times that a clock in the test shows.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use onebit::audit::note::VerifierKey;
use onebit::authz::{Bundle, Role, Rules, Standing};
use onebit::cli::certs::{Authority, Validity};
use onebit::clock::{Clock, ManualClock, SystemClock, Timestamp};
use onebit::config::Config;
use onebit::config::material::process_environment;
use onebit::door::TrustDomainName;
use onebit::gate::{Caller, ChangeAsk, ChunkAsk, Credential, FieldAsk, Gate, GateParts, SubjectAsk};
use onebit::ids::{ChangeId, Digest, RequestId, SubjectId};
use onebit::index::{self, FirstStage};
use onebit::keys::{ReleaseSecretKey, SignatureDomain, SigningKey};
use onebit::secret::{SystemEntropy, random_bytes};
use onebit::store::change::{self, Change};
use onebit::store::sqlite::SqliteStore;
use onebit::store::{Founding, Journal, Partner, Person, Store, StoreKeys};
use onebit::template::{Quality, QualityScore, Sample};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::holder::{Holder, Who, repository, who};
use crate::story::{COLLECTION, people};
use crate::year::{self, OFFICERS, PARTNERS};

/// Somebody who signs what they do.
pub(crate) struct Acting {
    spiffe_id: String,
    /// Their key.
    pub(crate) key: SigningKey,
}

impl Acting {
    fn of_ceremony(holder: &Holder, who: Who) -> Self {
        let [_, key] = holder.credential(who);
        Self { spiffe_id: who.spiffe_id().to_owned(), key: SigningKey::from_pkcs8_pem(&key).unwrap() }
    }

    fn person(&self, name: &str, role: Role) -> Person {
        Person {
            name: name.parse().unwrap(),
            role,
            spiffe_id: self.spiffe_id.clone(),
            public_key: self.key.public_key().spki_der().to_vec(),
            partner: None,
            standing: Standing::Active,
            contact: None,
            unit: None,
        }
    }
}

/// The agency with its store, before its server is started.
pub(crate) struct Agency {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) keys: StoreKeys,
    pub(crate) gate: Arc<Gate>,
    /// The rules that are in force.
    pub(crate) rules: Rules,
    /// The systems of the partners, in the order of [`PARTNERS`].
    pub(crate) systems: Vec<Acting>,
    /// In the order of [`OFFICERS`].
    pub(crate) officers: Vec<Acting>,
    /// The subject of each synthetic person, by its number.
    pub(crate) subjects: Vec<SubjectId>,
}

impl Agency {
    /// Founds it in the folder of a holder whose server does not run, in place of the store that the ceremony made.
    pub(crate) async fn found(holder: &Holder, people: u64) -> Self {
        let config = Config::read(&holder.config()).unwrap();
        let (folder, heads) = (&config.store_folder, &config.heads_folder);
        for made in [folder, heads] {
            fs::remove_dir_all(made).unwrap();
        }
        for (path, content) in policy().files() {
            let path = holder.path("policy-of-year").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let root = config.root_key.open(&process_environment).unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(year::begin()).before(WEEK)));
        let entropy = Arc::new(SystemEntropy::new());
        let (of_store, of_gate) = (Arc::clone(&clock), Arc::clone(&clock));
        let store = SqliteStore::open(folder, heads, root, of_store, entropy.clone()).unwrap();
        let _receipt = store.holder_found(founding(holder)).await.unwrap();
        let (keys, store) = (store.keys(), Arc::new(store));
        let parts = GateParts {
            store: store.clone(),
            keys: keys.clone(),
            clock: of_gate,
            entropy,
            pool: index::pool(config.search.threads).unwrap(),
            first_stage: FirstStage::default(),
            canaries: std::collections::BTreeSet::new(),
        };
        let gate = Arc::new(Gate::open(parts).await.unwrap());
        let mut agency = Self {
            clock,
            store,
            keys,
            gate,
            rules: Rules::load(policy()).unwrap(),
            systems: Vec::new(),
            officers: Vec::new(),
            subjects: Vec::new(),
        };
        agency.register(holder).await;
        agency.enrol(holder, people).await;
        agency.log_keys(holder).await;
        agency
    }

    /// The caller behind a certificate.
    pub(crate) fn caller(&self, acting: &Acting) -> Caller {
        let key_fingerprint = Digest::sha256(acting.key.public_key().spki_der());
        self.gate.caller(Credential { spiffe_id: &acting.spiffe_id, key_fingerprint }).unwrap()
    }

    /// Partners with their systems and release keys, their agreements, and officers.
    async fn register(&mut self, holder: &Holder) {
        let [admin, privacy] = [who::ADMIN, who::PRIVACY].map(|who| Acting::of_ceremony(holder, who));
        let put = async |change| self.change((&admin, &privacy), change).await;
        let valid = Validity::starting(SystemClock.now(), WEEK);
        let entropy = SystemEntropy::new();
        let mut systems = Vec::new();
        for partner in &PARTNERS {
            let domain = TrustDomainName::parse(partner.domain).unwrap();
            let authority = Authority::new(&domain, valid, &entropy).unwrap();
            let issued = authority.issue_client("system/gateway", valid, &entropy).unwrap();
            let certificates = [authority.certificate_pem()].map(der);
            put(Change::PutPartner(Partner {
                name: partner.name.parse().unwrap(),
                title: format!("{} (simulated)", partner.name),
                trust_domain: partner.domain.to_owned(),
                authorities: certificates.to_vec(),
                standing: Standing::Active,
                release_key: None,
                contact: None,
            }))
            .await;
            let [certificate, key] = credential(holder, partner.name);
            fs::create_dir_all(certificate.parent().unwrap()).unwrap();
            fs::write(certificate, &issued.certificate_pem).unwrap();
            fs::write(key, issued.key_pem.as_bytes()).unwrap();
            let system = Acting {
                spiffe_id: format!("spiffe://{}/system/gateway", partner.domain),
                key: SigningKey::from_pkcs8_pem(&issued.key_pem).unwrap(),
            };
            let person = system.person(&format!("{}-gateway", partner.name), Role::PartnerSystem);
            put(Change::PutPerson(Person { partner: Some(partner.name.parse().unwrap()), ..person })).await;
            let release = ReleaseSecretKey::random(&entropy).unwrap().public_key();
            let (partner, key) = (partner.name.parse().unwrap(), *release.as_bytes());
            put(Change::PutReleaseKey { partner, key }).await;
            systems.push(system);
        }
        put(Change::ActivatePolicy(policy())).await;
        let domain = TrustDomainName::parse("immigration.example").unwrap();
        let authority = Authority::new(&domain, valid, &entropy).unwrap();
        let mut officers = Vec::new();
        for name in OFFICERS {
            let path = format!("people/{name}");
            let issued = authority.issue_client(&path, valid, &entropy).unwrap();
            let key = SigningKey::from_pkcs8_pem(&issued.key_pem).unwrap();
            let officer = Acting { spiffe_id: format!("spiffe://immigration.example/{path}"), key };
            put(Change::PutPerson(officer.person(name, Role::ApprovingOfficer))).await;
            officers.push(officer);
        }
        (self.systems, self.officers) = (systems, officers);
    }

    /// One person proposes a change and another confirms it.
    async fn change(&self, (proposer, confirmer): (&Acting, &Acting), change: Change) {
        let id = ChangeId::from_bytes(random_bytes(&SystemEntropy::new()).unwrap());
        let reason = "the year begins".to_owned();
        let digest = change::digest(id, &change, &reason);
        let sign = |acting: &Acting| acting.key.sign(SignatureDomain::Change, &digest).unwrap();
        let ask = ChangeAsk { id, change, reason, signature: sign(proposer) };
        self.gate.change_propose(&self.caller(proposer), ask).await.unwrap();
        self.gate.change_confirm(&self.caller(confirmer), id, sign(confirmer)).await.unwrap();
        self.clock.advance(MINUTE);
    }

    /// Enrols the first of the synthetic people.
    async fn enrol(&mut self, holder: &Holder, count: u64) {
        let enroller = self.caller(&Acting::of_ceremony(holder, who::ENROLLER));
        let collection = COLLECTION.trim_start_matches("collections/").parse().unwrap();
        let request = RequestId::from_bytes(random_bytes(&SystemEntropy::new()).unwrap());
        let batch = self.gate.batch_start(&enroller, request, collection, "registrar-1".to_owned()).await;
        let batch = batch.unwrap().id;
        for first_row in (0..count).step_by(CHUNK_ROWS) {
            let rows: Vec<_> =
                (first_row..count).take(CHUNK_ROWS).map(|person| Ok(subject(person))).collect();
            let content = first_row.to_be_bytes().to_vec().into();
            let length = rows.len();
            let ask = ChunkAsk { batch, first_row, rows, content };
            let ready = self.gate.chunk_prepare(&enroller, ask).await.unwrap();
            let (line, _lined_up) = self.gate.line();
            for answer in self.gate.chunks_enrol(vec![ready], line).await {
                let answer = answer.unwrap();
                assert_eq!(usize::try_from(answer.accepted).unwrap(), length, "{:?}", answer.rejected);
            }
            self.clock.advance(MINUTE);
        }
        // People are enrolled in the order of their numbers, with one template each: a slot for each.
        let mut after = 0;
        let collection = COLLECTION.trim_start_matches("collections/").parse::<onebit::ids::CollectionName>();
        let collection = collection.unwrap();
        loop {
            let page = self.store.gallery_load(collection.clone(), after, 1_000).await.unwrap();
            let slots: Vec<u64> = page.iter().map(|loaded| loaded.slot).collect();
            let Some(last) = slots.last() else { break };
            after = *last;
            let subjects = self.store.slot_subject(slots).await.unwrap();
            self.subjects.extend(subjects.into_iter().map(Option::unwrap));
        }
        assert_eq!(u64::try_from(self.subjects.len()).unwrap(), count);
    }

    /// Puts the key of each journal where the ceremony would have put it.
    async fn log_keys(&self, holder: &Holder) {
        let log_key = self.store.holder_get().await.unwrap().unwrap().log_key;
        for head in self.store.journal_list().await.unwrap() {
            let key = VerifierKey::new(&head.origin, log_key).unwrap();
            let folder = match &head.journal {
                Journal::Holder => holder.path(""),
                Journal::Partner(partner) => holder.path("partners").join(partner.as_str()),
            };
            fs::write(folder.join("log-key.txt"), format!("{key}\n")).unwrap();
        }
    }
}

/// Certificate and key of a partner's system.
pub(crate) fn credential(holder: &Holder, partner: &str) -> [PathBuf; 2] {
    let folder = holder.path("partners").join(partner).join("year");
    ["certificate.pem", "key.pem"].map(|file| folder.join(file))
}

/// What the first start is given: the ceremony's people, and no partner yet.
fn founding(holder: &Holder) -> Founding {
    let people = [
        (who::ADMIN, Role::Administrator),
        (who::OTHER_ADMIN, Role::Administrator),
        (who::PRIVACY, Role::PrivacyOfficer),
        (who::OFFICER, Role::ApprovingOfficer),
        (who::ENROLLER, Role::EnrolmentSystem),
    ];
    let authority = fs::read_to_string(holder.path("ca.pem")).unwrap();
    let without = policy_files().filter(|(path, _)| !path.starts_with("agreements/"));
    Founding {
        host: "immigration.example".to_owned(),
        trust_domain: "immigration.example".to_owned(),
        authorities: vec![der(&authority)],
        people: people.map(|(who, role)| Acting::of_ceremony(holder, who).person(who.name(), role)).to_vec(),
        partners: Vec::new(),
        bundle: Bundle::from_files(without).unwrap(),
    }
}

/// The example policy with an agreement for each partner of the year, made of that with the first.
fn policy() -> Bundle {
    let files: Vec<(String, Vec<u8>)> = policy_files().collect();
    let (_, example) = files.iter().find(|(path, _)| path == EXAMPLE).unwrap();
    let example = String::from_utf8(example.clone()).unwrap();
    let agreements = PARTNERS.iter().map(|partner| {
        let text = [
            ("name = \"au-border-identity\"", format!("name = \"{}-identity\"", partner.name)),
            ("partner = \"au-border\"", format!("partner = \"{}\"", partner.name)),
            ("border.au.example", partner.domain.to_owned()),
            ("from = 2026-01-01", format!("from = {}", year::FROM)),
            ("date = 2025-11-17", "date = 2025-05-19".to_owned()),
            ("per_day = 2_000", "per_day = 20_000".to_owned()),
            ("per_year = 400_000", "per_year = 1_000_000".to_owned()),
            ("decide_within_hours = 48", "decide_within_working_days = 5".to_owned()),
        ]
        .into_iter()
        .fold(example.clone(), |text, (from, to)| {
            assert_eq!(text.matches(from).count(), 1, "`{from}` must be in the example agreement once");
            text.replace(from, &to)
        });
        (format!("agreements/{}-identity.toml", partner.name), text.into_bytes())
    });
    let others = files.iter().filter(|(path, _)| !path.starts_with("agreements/")).cloned();
    Bundle::from_files(others.chain(agreements)).unwrap()
}

fn policy_files() -> impl Iterator<Item = (String, Vec<u8>)> {
    let bundle = Bundle::read_folder(&repository().join("policy")).unwrap();
    let files: Vec<_> = bundle.files().map(|(path, content)| (path.to_owned(), content.to_vec())).collect();
    files.into_iter()
}

fn subject(person: u64) -> SubjectAsk {
    let people = people();
    let field = |(name, field): (&str, onebit::cli::synth::SynthField)| FieldAsk {
        field: name.parse().unwrap(),
        value: field.value,
        classification: field.classification.to_owned(),
        source: field.source.to_owned(),
        permitted_uses: field.permitted_uses.iter().map(|&one| one.to_owned()).collect(),
    };
    let quality = QualityScore::new(people.quality(person).into()).unwrap();
    SubjectAsk {
        source_id: people.source_id(person),
        templates: vec![Sample::embedding(people.embedding(person), Quality::Score(quality))],
        fields: people.record(person).into_iter().map(field).collect(),
        restrictions: people.restriction(person).map(|name| name.parse().unwrap()).into_iter().collect(),
    }
}

fn der(pem: &str) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

const EXAMPLE: &str = "agreements/au-border-identity.toml";
const WEEK: Duration = Duration::from_secs(7 * 86_400);
const MINUTE: Duration = Duration::from_secs(60);
const CHUNK_ROWS: usize = 512;

//! What the ceremony founds, and what it refuses.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::authz::Role;
use crate::cli::certs::{Authority, CertificateRequest, Validity};
use crate::config::material::process_environment;
use crate::store::Store;
use crate::store::sqlite::{self, SqliteStore};

/// Everything of a development holder but its store.
struct Prepared(tempfile::TempDir);

impl Prepared {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        prepare_development(folder.path(), Path::new("policy")).unwrap();
        Self(folder)
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.0.path().join(inside)
    }

    fn ceremony(&self) -> String {
        fs::read_to_string(self.path("ceremony.toml")).unwrap()
    }

    /// The fault that the ceremony has when a text in its file is replaced.
    fn refusal(&self, from: &str, to: &str) -> String {
        let text = self.ceremony();
        assert!(text.contains(from), "`{from}` does not stand in the ceremony any more:\n{text}");
        let file = self.path("changed.toml");
        fs::write(&file, text.replacen(from, to, 1)).unwrap();
        match ceremony::read(&file, None, SystemClock.now()) {
            Ok(_) => panic!("the ceremony should have been refused with `{to}` in place of `{from}`"),
            Err(error) => error.chain(),
        }
    }

    /// The item of the file that holds a text, for taking it out.
    fn item(&self, holding: &str) -> String {
        let text = self.ceremony();
        let item = text.split("\n\n").find(|item| item.contains(holding));
        item.unwrap_or_else(|| panic!("no item holds `{holding}`")).to_owned()
    }

    fn hold(&self) -> Result<Held, CliError> {
        let log_keys = LogKeys::File(self.path("log-key.txt"));
        hold(&self.path("onebit.toml"), &self.path("ceremony.toml"), None, Passphrase::Generate, &log_keys)
    }

    /// Everything in the folder, to see that nothing is left behind.
    fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.0.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path.clone());
                }
                files.push(path);
            }
        }
        files.sort();
        files
    }
}

#[test]
fn a_ceremony_founds_what_its_file_says() {
    let prepared = Prepared::new();
    let held = prepared.hold().unwrap();
    let config = Config::read(&prepared.path("onebit.toml")).unwrap();
    let store = |config: &Config| {
        let root = config.root_key.open(&process_environment).unwrap();
        let (clock, entropy) = (std::sync::Arc::new(SystemClock), std::sync::Arc::new(SystemEntropy::new()));
        SqliteStore::open(&config.store_folder, &config.heads_folder, root, clock, entropy).unwrap()
    };
    let (holder, registry) = crate::cli::wire::calling(async {
        let store = store(&config);
        Ok((store.holder_get().await.unwrap().unwrap(), store.registry_load().await.unwrap()))
    })
    .unwrap();
    assert_eq!((holder.host.as_str(), holder.policy), ("immigration.example", held.policy));
    assert_eq!(registry.people.iter().filter(|person| person.role == Role::Administrator).count(), 2);
    assert_eq!((registry.people.len(), registry.partners.len()), (10, 2));
    for (person, partner) in [("au-border-gateway", "au-border"), ("ca-border-gateway", "ca-border")] {
        let person = registry.person(&person.parse().unwrap()).unwrap();
        assert_eq!(person.partner.as_ref().unwrap().as_str(), partner);
    }
    for secret in ["secrets/root-key.toml", "secrets/passphrase", "people/mere/key.pem"] {
        let mode = fs::metadata(prepared.path(secret)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{secret} should be its owner's alone");
    }
    let key = fs::read_to_string(prepared.path("log-key-au-border.txt")).unwrap();
    let key: crate::audit::note::VerifierKey = key.trim().parse().unwrap();
    assert_eq!((key.name(), key.public_key()), ("immigration.example/onebit/au-border", &holder.log_key));
    for shown in ["immigration.example", "mere", "privacy-officer", &holder.policy.to_string()] {
        assert!(held.text().contains(shown), "`{shown}` should be shown:\n{}", held.text());
    }
}

#[test]
fn a_second_ceremony_is_refused_and_changes_nothing() {
    let prepared = Prepared::new();
    prepared.hold().unwrap();
    let before = prepared.files();
    let refusal = prepared.hold().err().unwrap().chain();
    assert!(refusal.contains("founded already; the ceremony is held once"), "{refusal}");
    assert_eq!(prepared.files(), before);
}

#[test]
fn what_fails_leaves_nothing_behind() {
    let prepared = Prepared::new();
    // The last thing that is written before the store gets its place.
    fs::write(prepared.path("log-key-ca-border.txt"), "somebody else's").unwrap();
    let before = prepared.files();
    let refusal = prepared.hold().err().unwrap().chain();
    assert!(refusal.contains("log-key-ca-border.txt"), "{refusal}");
    assert_eq!(prepared.files(), before, "the failed ceremony left something behind");
    fs::remove_file(prepared.path("log-key-ca-border.txt")).unwrap();
    prepared.hold().unwrap();
}

#[test]
fn nothing_is_founded_over_what_is_there() {
    let prepared = Prepared::new();
    fs::create_dir(prepared.path("secrets")).unwrap();
    fs::write(prepared.path("secrets/root-key.toml"), "another's").unwrap();
    let refusal = prepared.hold().err().unwrap().chain();
    assert!(refusal.contains("may be another store's root key"), "{refusal}");
    fs::remove_file(prepared.path("secrets/root-key.toml")).unwrap();
    fs::create_dir(prepared.path("store")).unwrap();
    fs::write(prepared.path("store/notes"), "x").unwrap();
    let refusal = prepared.hold().err().unwrap().chain();
    assert!(refusal.contains("is not empty"), "{refusal}");
    fs::remove_file(prepared.path("store/notes")).unwrap();
    fs::create_dir(prepared.path("store.founding")).unwrap();
    let refusal = prepared.hold().err().unwrap().chain();
    assert!(refusal.contains("left from a ceremony that was interrupted"), "{refusal}");
    fs::remove_dir(prepared.path("store.founding")).unwrap();
    prepared.hold().unwrap();
    assert!(sqlite::files(&prepared.path("store")).iter().all(|file| file.exists()));
}

#[test]
fn a_passphrase_is_made_only_when_asked_for() {
    let prepared = Prepared::new();
    let (config, file) = (prepared.path("onebit.toml"), prepared.path("ceremony.toml"));
    let held = hold(&config, &file, None, Passphrase::MustBeThere, &LogKeys::Shown);
    let refusal = held.err().unwrap().chain();
    assert!(refusal.contains("`--generate-passphrase` makes one"), "{refusal}");
    assert!(!prepared.path("secrets").exists() && !prepared.path("store").exists());
}

#[test]
fn the_roles_of_promise_9_are_asked_for() {
    let prepared = Prepared::new();
    let one = prepared.item("name = \"wei\"");
    let refusal = prepared.refusal(&one, "");
    assert!(refusal.contains("2 administrators at least, and 1 are sound"), "{refusal}");
    let officer = prepared.item("name = \"mere\"");
    let refusal = prepared.refusal(&officer, "");
    assert!(refusal.contains("a privacy officer at least"), "{refusal}");
}

#[test]
fn nobody_has_two_roles_and_nothing_is_two_peoples() {
    let prepared = Prepared::new();
    let officer = prepared.item("name = \"sina\"");
    let refusal = prepared.refusal(&officer, &officer.replace("name = \"sina\"", "name = \"ada\""));
    assert!(refusal.contains("`ada` is administrator already; nobody has two roles"), "{refusal}");

    // Another name with the certificate of somebody who stands here already.
    let again = prepared.item("name = \"tama\"").replace("name = \"tama\"", "name = \"tane\"");
    let refusal = prepared.refusal(&officer, &again);
    assert!(refusal.contains("`tama` has the same SPIFFE id"), "{refusal}");

    let refusal = prepared.refusal("name = \"sina\"", "name = \"onebit\"");
    assert!(refusal.contains("`onebit` is the name of the server in the log"), "{refusal}");
}

#[test]
fn a_key_of_two_people_is_refused() {
    let prepared = Prepared::new();
    let key = fs::read_to_string(prepared.path("people/tama/key.pem")).unwrap();
    let issuer_key = fs::read_to_string(prepared.path("authorities/holder/authority.key")).unwrap();
    // The same key under another id: what a careless authority would issue.
    let mut authority = rcgen::CertificateParams::default();
    authority.distinguished_name = rcgen::DistinguishedName::new();
    let name = "Onebit development authority of immigration.example";
    authority.distinguished_name.push(rcgen::DnType::CommonName, name);
    authority.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let issuer = rcgen::Issuer::new(authority, rcgen::KeyPair::from_pem(&issuer_key).unwrap());
    let mut params = rcgen::CertificateParams::default();
    params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let id = "spiffe://immigration.example/people/sina".try_into().unwrap();
    params.subject_alt_names = vec![rcgen::SanType::URI(id)];
    let twin = params.signed_by(&rcgen::KeyPair::from_pem(&key).unwrap(), &issuer).unwrap();
    fs::write(prepared.path("people/sina/certificate.pem"), twin.pem()).unwrap();
    let file = prepared.path("ceremony.toml");
    let refusal = ceremony::read(&file, None, SystemClock.now()).err().unwrap().chain();
    assert!(refusal.contains("`tama` has the same key"), "{refusal}");
}

#[test]
fn certificates_are_their_owners_and_of_the_right_trust_domain() {
    let prepared = Prepared::new();
    for (from, to, words) in [
        (
            "certificate = \"people/mere/certificate.pem\"",
            "certificate = \"people/sina/certificate.pem\"",
            "the certificate is that of `spiffe://immigration.example/people/sina`",
        ),
        (
            "certificate = \"people/mere/certificate.pem\"",
            "certificate = \"none.pem\"",
            "none.pem` can't be read",
        ),
        ("certificate = \"people/mere/certificate.pem\"", "certificate = \"ca.pem\"", "an authority's"),
        (
            "spiffe_id = \"spiffe://immigration.example/people/mere\"",
            "spiffe_id = \"mere\"",
            "is not a SPIFFE ID",
        ),
        ("authorities = [\"ca.pem\"]", "authorities = []", "there is no authority"),
        (
            "authorities = [\"ca.pem\"]",
            "authorities = [\"authorities/au-border/authority.pem\"]",
            "share a root",
        ),
        (
            "trust_domain = \"border.au.example\"",
            "trust_domain = \"immigration.example\"",
            "immigration.example` is there",
        ),
    ] {
        let refusal = prepared.refusal(from, to);
        assert!(refusal.contains(words), "with `{to}`, `{words}` should be said:\n{refusal}");
    }
    // A person of the holder with a certificate of a partner's authority.
    let person = prepared.item("name = \"mere\"");
    let partners = person
        .replace("spiffe://immigration.example/people/mere", "spiffe://border.au.example/systems/gateway")
        .replace("people/mere/certificate.pem", "partners/au-border/gateway/certificate.pem");
    let refusal = prepared.refusal(&person, &partners);
    assert!(refusal.contains("is not of the trust domain `immigration.example`"), "{refusal}");
    // One partner's system with a certificate of another's authority.
    let system = prepared.item("name = \"au-border-gateway\"");
    let refusal =
        prepared.refusal(&system, &system.replace("partner = \"au-border\"", "partner = \"ca-border\""));
    assert!(refusal.contains("is not of the trust domain `border.ca.example`"), "{refusal}");
}

#[test]
fn a_certificate_that_the_door_would_refuse_is_refused_here() {
    let prepared = Prepared::new();
    let file = prepared.path("ceremony.toml");
    let late = SystemClock.now().after(std::time::Duration::from_secs(400 * 86_400));
    let refusal = ceremony::read(&file, None, late).err().unwrap().chain();
    assert!(refusal.contains("(expired)"), "{refusal}");

    let read = |path: &str| fs::read_to_string(prepared.path(path)).unwrap();
    let authority = Authority::from_pem(
        &read("authorities/holder/authority.pem"),
        &read("authorities/holder/authority.key"),
    );
    let validity = Validity::starting(SystemClock.now(), std::time::Duration::from_secs(60));
    let mut request = CertificateRequest::client("spiffe://immigration.example/people/mere", validity);
    request.uris.push("spiffe://immigration.example/people/other".to_owned());
    let issued = authority.unwrap().issue(&request, &SystemEntropy::new()).unwrap();
    fs::write(prepared.path("people/mere/certificate.pem"), issued.certificate_pem).unwrap();
    let refusal = ceremony::read(&file, None, SystemClock.now()).err().unwrap().chain();
    assert!(refusal.contains("has 2 URIs"), "{refusal}");
}

#[test]
fn roles_and_partners_are_where_they_belong() {
    let prepared = Prepared::new();
    for (from, to, words) in [
        (
            "role = \"examiner\"",
            "role = \"enrolment-system\"",
            "is no person's role; move it to `[[systems]]`",
        ),
        (
            "role = \"enrolment-system\"",
            "role = \"examiner\"",
            "is no system's role; move it to `[[people]]`",
        ),
        ("role = \"examiner\"", "role = \"boss\"", "`boss` is not a role"),
        ("partner = \"au-border\"", "partner = \"nz-border\"", "there is no partner `nz-border`"),
        ("role = \"examiner\"", "role = \"examiner\"\npartner = \"au-border\"", "take `partner` out"),
        ("name = \"au-border\"", "name = \"holder\"", "the holder's own journal"),
        ("host = \"immigration.example\"", "host = \"Immigration\"", "is not a host name"),
        ("role = \"examiner\"", "rol = \"examiner\"", "unknown key `rol`"),
        ("[holder]", "[owner]", "`owner`: this does not belong here"),
    ] {
        let refusal = prepared.refusal(from, to);
        assert!(refusal.contains(words), "with `{to}`, `{words}` should be said:\n{refusal}");
        let line = refusal.lines().find(|line| line.contains(words)).unwrap();
        assert!(line.contains("changed.toml:"), "the line should be told: {line}");
    }
}

#[test]
fn rules_and_partners_fit_together() {
    let prepared = Prepared::new();
    let partner = prepared.item("title = \"ca-border (development)\"");
    let refusal = prepared.refusal(&partner, "");
    assert!(
        refusal.contains("the agreement `ca-border-identity` is with `ca-border`, which does not stand"),
        "{refusal}"
    );

    fs::write(prepared.path("policy/agreements/extra.toml"), "name = 'extra'\n").unwrap();
    let file = prepared.path("ceremony.toml");
    let refusal = ceremony::read(&file, None, SystemClock.now()).err().unwrap().chain();
    assert!(refusal.contains("does not hold:\npolicy/agreements/extra.toml:1:1:"), "{refusal}");
    let refusal = ceremony::read(&file, Some(Path::new("nowhere")), SystemClock.now()).err().unwrap().chain();
    assert!(refusal.contains("`nowhere` can't be read"), "{refusal}");
}

#[test]
fn several_faults_come_at_once() {
    let prepared = Prepared::new();
    let text = prepared.ceremony().replace("role = \"examiner\"", "role = \"boss\"");
    let text = text
        .replace("host = \"immigration.example\"", "host = \"-\"")
        .replace("\"people/sina/", "\"people/none/");
    let file = prepared.path("changed.toml");
    fs::write(&file, text).unwrap();
    let refusal = ceremony::read(&file, None, SystemClock.now()).err().unwrap().chain();
    for words in
        ["`boss` is not a role", "`-` is not a host name", "people/none/certificate.pem` can't be read"]
    {
        assert!(refusal.contains(words), "`{words}` should be among:\n{refusal}");
    }
}

#[test]
fn a_development_folder_that_is_used_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x"), "").unwrap();
    let refused = found_development(folder.path(), None, LISTEN.parse().unwrap(), OutputOption::default())
        .err()
        .unwrap();
    assert!(matches!(refused, CliError::Usage(_)), "{}", refused.chain());
    assert!(folder.path().join("x").exists(), "what was there must stay");
}

//! What a check finds.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::cli::init::prepare_development;

fn findings(folder: &Path) -> Findings {
    let config = Config::read(&folder.join("onebit.toml")).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut findings = Findings::default();
    findings.store(&config);
    findings.tls(&config, &clock);
    findings.rest(&config);
    findings
}

fn bad(folder: &Path) -> String {
    findings(folder).bad.join("\n")
}

#[test]
fn a_holder_before_its_ceremony_is_told_to_hold_it() {
    let folder = tempfile::tempdir().unwrap();
    prepare_development(folder.path(), Path::new("policy")).unwrap();
    let found = findings(folder.path());
    assert_eq!(found.bad.len(), 1, "{:#?}", found.bad);
    assert!(found.bad[0].contains("`onebit init`; with `--generate-passphrase`"), "{}", found.bad[0]);
    let good = found.good.join("\n");
    assert!(good.contains("certificate: for localhost, immigration.example, valid until"), "{good}");
    assert!(good.contains("revocation lists: none"), "{good}");
}

#[test]
fn each_thing_that_is_wrong_is_told() {
    let folder = tempfile::tempdir().unwrap();
    prepare_development(folder.path(), Path::new("policy")).unwrap();
    let path = |inside: &str| folder.path().join(inside);
    let key = fs::read(path("server/key.pem")).unwrap();

    fs::write(path("server/key.pem"), fs::read(path("people/mere/key.pem")).unwrap()).unwrap();
    assert!(bad(folder.path()).contains("the server's private key does not serve"), "{}", bad(folder.path()));
    fs::write(path("server/key.pem"), &key).unwrap();
    fs::set_permissions(path("server/key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(bad(folder.path()).contains("open to every user of this machine"), "{}", bad(folder.path()));
    fs::set_permissions(path("server/key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(path("server/certificate.pem"), fs::read(path("people/mere/certificate.pem")).unwrap())
        .unwrap();
    assert!(bad(folder.path()).contains("is not for servers"), "{}", bad(folder.path()));
    fs::remove_file(path("server/certificate.pem")).unwrap();
    assert!(bad(folder.path()).contains("certificate.pem` can't be read"), "{}", bad(folder.path()));

    fs::create_dir(path("secrets")).unwrap();
    fs::write(path("secrets/root-key.toml"), "x").unwrap();
    assert!(bad(folder.path()).contains("holds none, but there is a root key"), "{}", bad(folder.path()));
}

#[test]
fn revocation_lists_are_read_and_dated() {
    let folder = tempfile::tempdir().unwrap();
    prepare_development(folder.path(), Path::new("policy")).unwrap();
    let path = |inside: &str| folder.path().join(inside);
    let read = |inside: &str| fs::read_to_string(path(inside)).unwrap();
    let authority = certs::Authority::from_pem(
        &read("authorities/au-border/authority.pem"),
        &read("authorities/au-border/authority.key"),
    );
    let authority = authority.unwrap();
    let config =
        format!("{}\n[tls.revocation_lists]\n\"border.au.example\" = [\"au.pem\"]\n", read("onebit.toml"));
    fs::write(path("onebit.toml"), config).unwrap();
    let now = SystemClock.now();
    let day = std::time::Duration::from_secs(86_400);
    let list = |from: Timestamp| {
        let validity = certs::Validity::starting(from, day);
        fs::write(path("au.pem"), authority.revocation_list(&[[7; 16]], 1, validity).unwrap()).unwrap();
        findings(folder.path())
    };
    let good = list(now).good.join("\n");
    assert!(good.contains("one of `border.au.example` with 1 certificates, valid until"), "{good}");
    let bad = list(now.before(day * 2)).bad.join("\n");
    assert!(bad.contains("one of `border.au.example` has expired"), "{bad}");
    fs::write(path("au.pem"), "-----BEGIN X509 CRL-----\n!\n-----END X509 CRL-----\n").unwrap();
    let bad = findings(folder.path()).bad.join("\n");
    assert!(bad.contains("give PEM blocks of type `X509 CRL`"), "{bad}");
}

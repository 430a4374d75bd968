//! The sample holds, and each fault is told with its line and its key.

use super::*;
use crate::keys::Token;

const LEAST: &str = "\
[store]
folder = 'store'
heads_folder = 'heads'
[root_key]
file = 'secrets/root-key.toml'
passphrase_file = 'secrets/passphrase'
[server]
certificate = 'certificate.pem'
key = 'key.pem'
";

fn parse(text: &str) -> Result<Config, Vec<String>> {
    let parsed = Config::parse(Path::new("/holder/onebit.toml"), text);
    parsed.map_err(|faults| faults.0.iter().map(ToString::to_string).collect())
}

/// The faults of the least configuration with one text in it replaced.
fn faults(from: &str, to: &str) -> Vec<String> {
    assert!(LEAST.contains(from), "`{from}` is not in the least configuration");
    match parse(&LEAST.replacen(from, to, 1)) {
        Ok(_) => panic!("`{to}` in place of `{from}` should have been refused"),
        Err(faults) => faults,
    }
}

#[test]
fn the_sample_is_read_and_shows_the_defaults() {
    let sample = include_str!("../../onebit.sample.toml");
    let shown =
        parse(sample).unwrap_or_else(|faults| panic!("mend onebit.sample.toml:\n{}", faults.join("\n")));
    let least = parse(LEAST).unwrap();
    assert_eq!(shown.server.listen, least.server.listen, "the sample should show the default");
    assert_eq!(shown.server.answer_time, least.server.answer_time);
    assert_eq!(shown.server.reflection, least.server.reflection);
    assert_eq!(shown.jobs, least.jobs);
    assert_eq!(shown.search.index, least.search.index);
    assert_eq!((shown.log.format, &shown.log.filter), (least.log.format, &least.log.filter));
    let limits = |config: &Config| {
        let LimitsConfig { door, requests, requests_per_domain } = config.limits;
        [
            door.connections,
            door.connections_per_domain,
            door.handshakes,
            door.handshakes_per_address,
            requests,
            requests_per_domain,
        ]
    };
    assert_eq!(limits(&shown), limits(&least), "the sample should show the default limits");
}

#[test]
fn the_sample_shows_every_key_and_so_does_the_guide() {
    let sample = include_str!("../../onebit.sample.toml");
    let guide = include_str!("../../docs/operating.md");
    let mut section = String::new();
    let mut keys = 0;
    for line in sample.lines() {
        // A key that is not set by the sample stands there commented out.
        let line = line.strip_prefix("# ").filter(|line| is_setting(line)).unwrap_or(line);
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            section = name.to_owned();
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| is_setting(line)) {
            let key =
                if section == "tls.revocation_lists" { section.clone() } else { format!("{section}.{key}") };
            assert!(guide.contains(&format!("| `{key}` |")), "add `{key}` to the table in docs/operating.md");
            keys += 1;
        }
    }
    assert!(keys >= 20, "only {keys} keys were found in the sample; does the search still work?");
    let (_, table) = guide.split_once("\n## Configuration\n").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    for row in table.lines().filter_map(|line| line.strip_prefix("| `")) {
        let (section, key) = row.split('`').next().unwrap().rsplit_once('.').unwrap();
        let known = [format!("\n[{section}]"), format!("\n# [{section}]")];
        let known = known.iter().any(|head| sample.contains(head)) || key == "revocation_lists";
        assert!(known, "docs/operating.md has a section `{section}` that the sample does not have");
        let shown = sample.contains(&format!("\n{key} = ")) || sample.contains(&format!("\n# {key} = "));
        assert!(shown || key == "revocation_lists", "onebit.sample.toml does not show `{section}.{key}`");
    }
}

fn is_setting(line: &str) -> bool {
    line.starts_with('[')
        || line.split_once(" = ").is_some_and(|(key, _)| {
            key.starts_with('"') || key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        })
}

#[test]
fn paths_are_relative_to_the_file() {
    let config = parse(LEAST).unwrap();
    assert_eq!(config.store_folder, Path::new("/holder/store"));
    let passphrase = SecretSource::File("/holder/secrets/passphrase".into());
    assert_eq!(config.root_key.guard, RootGuard::Passphrase(passphrase));
    assert_eq!(config.server.key, Path::new("/holder/key.pem"));
}

#[test]
fn a_token_stands_in_place_of_a_passphrase() {
    let passphrase = "passphrase_file = 'secrets/passphrase'";
    let token = "token_module = '/usr/lib/module.so'\ntoken_label = 'onebit'\ntoken_pin_env = 'PIN'";
    let parsed = |to: &str| parse(&LEAST.replacen(passphrase, to, 1));
    let expected = Token {
        module: "/usr/lib/module.so".into(),
        label: "onebit".to_owned(),
        key: "onebit-root".to_owned(),
    };
    let guard = RootGuard::Token(expected.clone(), SecretSource::Variable("PIN".to_owned()));
    assert_eq!(parsed(token).unwrap().root_key.guard, guard);
    let renamed = format!("{token}\ntoken_key = 'root-2'");
    let RootGuard::Token(found, _) = parsed(&renamed).unwrap().root_key.guard else { panic!("a token") };
    assert_eq!(found, Token { key: "root-2".to_owned(), ..expected.clone() });
    // A name alone is the loader's to find; a path is relative to the file.
    for (written, module) in [("module.so", "module.so"), ("lib/module.so", "/holder/lib/module.so")] {
        let text = token.replace("/usr/lib/module.so", written);
        let RootGuard::Token(found, _) = parsed(&text).unwrap().root_key.guard else { panic!("a token") };
        assert_eq!(found.module, Path::new(module));
    }
    for (to, words) in [
        (format!("{passphrase}\n{token}"), "both a passphrase and a token are named"),
        (format!("{passphrase}\ntoken_label = 'onebit'"), "add `token_module`"),
        (format!("{passphrase}\ntoken_pin_env = 'PIN'"), "a PIN is named and no token"),
        (token.replace("token_label = 'onebit'\n", ""), "`root_key.token_label`"),
        (token.replace("\ntoken_pin_env = 'PIN'", ""), "no PIN is named"),
        (format!("{token}\ntoken_pin_file = 'pin'"), "more than one PIN is named"),
        (
            token.replace("token_pin_env = 'PIN'", "token_pin_file = 'store/pin'"),
            "the PIN lies in the database's folder",
        ),
    ] {
        let found = faults(passphrase, &to);
        assert!(found.iter().any(|fault| fault.contains(words)), "`{to}`: {found:#?}");
    }
}

#[test]
fn the_log_is_served_over_https_only_where_that_is_said() {
    assert_eq!(parse(LEAST).unwrap().tiles_listen, None);
    let config = parse(&format!("{LEAST}[tiles]\nlisten = '[::1]:7444'\n")).unwrap();
    assert_eq!(config.tiles_listen, "[::1]:7444".parse().ok());
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    let found = faults("certificate = ", "certificat = 'x'\ncertificate = ");
    assert_eq!(found.len(), 1, "{found:#?}");
    let start = "/holder/onebit.toml:8: `server.certificat`: unknown key `certificat`, expected one of";
    assert!(found[0].starts_with(start), "{}", found[0]);
    let found = faults("[server]", "[sever]");
    assert!(found.iter().any(|fault| fault.contains(":7: `sever`: this does not belong here")), "{found:#?}");
}

#[test]
fn each_fault_names_its_key_and_what_to_do() {
    for (from, to, start) in [
        ("folder = 'store'\n", "", "1: `store.folder`: the key is missing"),
        ("heads_folder = 'heads'\n", "", "1: `store.heads_folder`: the key is missing"),
        ("'heads'", "'store/heads'", "3: `store.heads_folder`: the heads lie with the database"),
        ("'heads'", "'.'", "3: `store.heads_folder`: the heads lie with the database"),
        (
            "'secrets/root-key.toml'",
            "'store/root-key.toml'",
            "5: `root_key.file`: the root key lies in the database's",
        ),
        (
            "'secrets/root-key.toml'",
            "'x/../store/k/r.toml'",
            "5: `root_key.file`: the root key lies in the database's",
        ),
        ("'secrets/passphrase'", "'store/passphrase'", "6: `root_key.passphrase_file`: the passphrase lies"),
        ("passphrase_file = 'secrets/passphrase'\n", "", "4: `root_key`: no passphrase is named"),
        ("[server]", "passphrase_env = 'X'\n[server]", "4: `root_key`: more than one passphrase is named"),
        ("passphrase_file = 'secrets/passphrase'", "passphrase_env = '$X'", "6: `root_key.passphrase_env`: "),
        (
            "passphrase_file = 'secrets/passphrase'",
            "passphrase_credential = '../x'",
            "6: `root_key.passphrase_c",
        ),
        ("key = ", "listen = 'localhost'\nkey = ", "9: `server.listen`: `localhost` is not an address"),
        (
            "key = ",
            "answer_after_ms = 5001\nkey = ",
            "9: `server.answer_after_ms`: answers can't leave after 5001 ms",
        ),
        ("key = ", "reflection = 'on'\nkey = ", "9: `server.reflection`: invalid type"),
        (
            "[server]",
            "[limits]\nconnections = 100000\n[server]",
            "8: `limits.connections`: `100000` is outside",
        ),
        ("[server]", "[tiles]\nlisten = '7444'\n[server]", "8: `tiles.listen`: `7444` is not an address"),
        ("[server]", "[search]\nthreads = 0\n[server]", "8: `search.threads`: `0` is outside"),
        ("[server]", "[search]\nindex = 'SQ8'\n[server]", "8: `search.index`: `SQ8` is no first stage"),
        (
            "[server]",
            "[search]\nindex = 'faiss:HNSW32'\n[server]",
            "8: `search.index`: `faiss:HNSW32` looks at some templates only",
        ),
        ("[server]", "[metrics]\nlisten = 9090\n[server]", "8: `metrics.listen`: invalid type"),
        ("[server]", "[log]\nformat = 'xml'\n[server]", "8: `log.format`: `xml` is not a log format"),
        ("[server]", "[log]\nfilter = 'loud'\n[server]", "8: `log.filter`: `loud` is not a log filter"),
        (
            "[server]",
            "[tls.revocation_lists]\n'A' = ['x']\n[server]",
            "8: `tls.revocation_lists`: `A` is not a trust",
        ),
        ("[server]", "[jobs]\nheads_every_s = 0\n[server]", "8: `jobs.heads_every_s`: `0` is outside"),
        ("[server]", "[alerts]\ncanaries = ['x']\n[server]", "8: `alerts.canaries`: `x` is not"),
    ] {
        let found = faults(from, to);
        assert_eq!(found.len(), 1, "`{to}`: {found:#?}");
        let start = format!("/holder/onebit.toml:{start}");
        assert!(found[0].starts_with(&start), "`{}` should start with `{start}`", found[0]);
    }
}

#[test]
fn faults_of_all_sections_come_at_once() {
    let found =
        faults("certificate = 'certificate.pem'\nkey = 'key.pem'\n", "listen = 'x'\n[log]\nformat = 'xml'\n");
    assert_eq!(found.len(), 4, "{found:#?}");
}

#[test]
fn a_link_does_not_hide_where_the_root_key_lies() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("store")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("store"), folder.path().join("secrets")).unwrap();
    let file = folder.path().join("onebit.toml");
    let faults = Config::parse(&file, LEAST).expect_err("a root key behind a link should have been refused");
    assert!(faults.to_string().contains("the root key lies in the database's folder"), "{faults}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::read(Path::new("/nowhere/onebit.toml")).unwrap_err();
    assert!(error.to_string().contains("/nowhere/onebit.toml"), "{error}");
}

//! The files that packages are made from: they name only settings, commands and paths that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::TempFolder;

/// Variables of other programs than this one.
const OF_OTHERS: [&str; 7] =
    ["POSTGRES_USER", "POSTGRES_PASSWORD", "GH_TOKEN", "GH_REPO", "GITHUB_REF_NAME", "NAME", "FEATURES"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files of packages, with their contents.
fn package_files() -> Vec<(PathBuf, String)> {
    let mut folders = vec![root().join(".ci/packages")];
    let mut files = vec![root().join(".github/workflows/release.yml")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// The names of settings in the table of the README.
fn settings() -> BTreeSet<String> {
    let readme = read("README.md");
    let (_, table) = readme.split_once("## Configuration").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let names = rows.flat_map(|names| names.split('`').map(str::to_owned));
    names.filter(|name| is_variable(name)).collect()
}

fn is_variable(text: &str) -> bool {
    text.len() > 3
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// The variables that a file sets: `NAME: value` in YAML, `NAME=value` elsewhere.
fn variables(text: &str) -> BTreeSet<String> {
    let words = text.lines().flat_map(|line| line.split_whitespace());
    let names = words.filter_map(|word| {
        let word = word.strip_prefix("--from-literal=").unwrap_or(word);
        let word = word.strip_prefix("Environment=").unwrap_or(word);
        let end = word.find([':', '='])?;
        Some(&word[..end])
    });
    names.filter(|name| is_variable(name)).map(str::to_owned).collect()
}

#[test]
fn packages_set_only_settings_that_exist() {
    let settings = settings();
    assert!(settings.contains("PUBLIC_URL") && settings.contains("AWS_REGION"), "{settings:?}");
    let mut seen = 0;
    for (path, text) in package_files() {
        for name in variables(&text) {
            let is_known = settings.contains(&name) || OF_OTHERS.contains(&name.as_str());
            assert!(is_known, "{}: there is no setting {name}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen} variables were found");
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml")
}

#[test]
fn probes_ask_for_paths_that_are_served() {
    let mut seen = 0;
    for (path, text) in package_files().into_iter().filter(|(path, _)| is_yaml(path)) {
        for rest in text.split("path: ").skip(1) {
            let asked = rest.trim_start_matches('"').split(['?', '"', ',', ' ', '\n']).next().unwrap();
            if asked.starts_with('/') {
                assert!(["/livez", "/readyz"].contains(&asked), "{}: {asked}", path.display());
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 6, "three probes for each of two processes");
}

#[test]
fn packages_run_commands_that_exist() {
    let folder = TempFolder::new();
    let mut seen = 0;
    for (path, text) in package_files() {
        for line in text.lines().map(str::trim) {
            let list =
                ["args: [", "command: [", "CMD [\"/usr/bin/mercato\", ", "test: [CMD, /usr/bin/mercato, "];
            let list = list.iter().find_map(|start| line.split_once(start)?.1.split(']').next());
            let list = list.map(|list| list.replace(['"', ','], " "));
            let unit = line.strip_prefix("ExecStart=/usr/local/bin/mercato ").map(str::to_owned);
            let Some(command) = list.or(unit) else { continue };
            let arguments: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
            let output = folder.run(&arguments);
            assert_eq!(output.code, Some(0), "{}: {arguments:?}: {output:?}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 8, "{seen} commands were found");
}

#[test]
fn packages_are_built_with_the_minimum_version_of_rust_and_have_this_version() {
    let manifest = read("Cargo.toml");
    let (_, rest) = manifest.split_once("rust-version = \"").unwrap();
    let rust = rest.split('"').next().unwrap();
    assert!(read(".ci/packages/Containerfile").contains(&format!("rust:{rust}-trixie")));
    let release = read(".github/workflows/release.yml");
    assert!(
        release.contains(&format!("rust:{rust}-bookworm")) && release.contains(&format!("install {rust} "))
    );
    let tag = format!("newTag: {}\n", env!("CARGO_PKG_VERSION"));
    assert!(read(".ci/packages/kubernetes/kustomization.yaml").contains(&tag));
}

#[test]
fn the_unit_is_started_until_a_restore_has_finished() {
    let unit = read(".ci/packages/mercato.service");
    assert!(unit.contains("\nRestart=always\n") && unit.contains("\nStartLimitIntervalSec=0\n"));
}

#[test]
fn packages_can_send_mails() {
    for (sender, server) in [
        (".ci/packages/compose.yaml", ".ci/packages/compose.yaml"),
        (".ci/packages/compose.cluster.yaml", ".ci/packages/compose.cluster.yaml"),
        (".ci/packages/kubernetes/settings.yaml", ".ci/packages/kubernetes/kustomization.yaml"),
        (".ci/packages/mercato.env", ".ci/packages/mercato.env"),
    ] {
        let commented = |file: &str| read(file).replace("# ", "");
        assert!(variables(&commented(sender)).contains("MAIL_FROM"), "{sender}");
        assert!(variables(&commented(server)).contains("SMTP_URL"), "{server}");
    }
}

#[test]
fn the_cluster_builds_its_image_once_and_finds_servers_that_were_created_again() {
    let cluster = read(".ci/packages/compose.cluster.yaml");
    assert_eq!(cluster.lines().filter(|line| line.trim() == "build:").count(), 1);
    let (_, migration) = cluster.split_once("\n  migration:\n").unwrap();
    let (migration, _) = migration.split_once("\n\n").unwrap();
    assert!(migration.contains("build:"), "{migration}");
    let balancer = read(".ci/packages/balancer.conf");
    assert!(balancer.contains("\nresolver 127.0.0.11 valid=5s;\n") && balancer.contains("    zone mercato "));
    let servers: Vec<_> = balancer.lines().filter(|line| line.contains("server server-")).collect();
    assert!(servers.len() == 2 && servers.iter().all(|line| line.ends_with(" resolve;")), "{servers:?}");
}

#[test]
fn no_package_has_a_secret_of_its_own() {
    for (path, text) in package_files() {
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            let Some((_, value)) = line.split_once("JWT_SECRET") else { continue };
            let is_given = value.trim() == "="
                || value.contains("${JWT_SECRET:?")
                || value.contains("{{resolve:secretsmanager:")
                || path.ends_with("try-image");
            assert!(is_given, "{}: {line}", path.display());
        }
    }
}

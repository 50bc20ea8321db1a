//! What the crates of others must be like: deny.toml, which cargo-deny would read as well. It is a program of three hundred
//! crates, and what is asked here takes `cargo metadata` and one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use cargo_metadata::MetadataCommand;
use serde::Deserialize;
use spdx::Expression;
use spdx::{Licensee, ParseMode};

use crate::Problem;

const FILE: &str = "deny.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deny {
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Bans {
    multiple_versions: Word,
    skip: Vec<Skip>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Skip {
    #[serde(rename = "crate")]
    krate: String,
    #[serde(rename = "reason")]
    _reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Sources {
    unknown_registry: Word,
    unknown_git: Word,
    allow_registry: Vec<String>,
}

/// cargo-deny knows `warn` and `allow`, too; nobody reads warnings.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Deny,
}

/// A crate from outside.
struct Foreign {
    name: String,
    version: String,
    license: Option<String>,
    source: String,
}

pub fn check(root: &Path) -> Result<Vec<Problem>> {
    let text = fs::read_to_string(root.join(FILE)).with_context(|| format!("cannot read {FILE}"))?;
    let deny: Deny = toml::from_str(&text).with_context(|| format!("{FILE} is not understood"))?;
    let metadata = MetadataCommand::new().current_dir(root).exec().context("cargo metadata failed")?;
    let foreign = metadata.packages.into_iter().filter_map(|package| {
        let source = package.source?.repr;
        let (name, version) = (package.name.to_string(), package.version.to_string());
        Some(Foreign { name, version, license: package.license, source })
    });
    problems(&deny, &foreign.collect::<Vec<_>>())
}

fn problems(deny: &Deny, crates: &[Foreign]) -> Result<Vec<Problem>> {
    let Deny { licenses, bans: Bans { multiple_versions: Word::Deny, skip }, sources } = deny;
    let Sources { unknown_registry: Word::Deny, unknown_git: Word::Deny, allow_registry } = sources;
    let allowed: Vec<Licensee> = licenses
        .allow
        .iter()
        .map(|license| Licensee::parse(license).with_context(|| format!("{FILE}: `{license}` is no licence")))
        .collect::<Result<_>>()?;
    let mut problems = Vec::new();
    for krate in crates {
        let Foreign { name, version, license, source } = krate;
        if !is_allowed(license.as_deref(), &allowed) {
            let license = license.as_deref().unwrap_or("none");
            let what =
                format!("{name} {version} has the licence `{license}`, of which nothing allowed is enough");
            problems.push(Problem::file(FILE, what));
        }
        let registry = source.strip_prefix("registry+");
        if !registry.is_some_and(|registry| allow_registry.iter().any(|allowed| allowed == registry)) {
            let what = format!("{name} {version} comes from `{source}`, which is not allowed");
            problems.push(Problem::file(FILE, what));
        }
    }
    problems.extend(doubled(crates, skip));
    Ok(problems)
}

fn is_allowed(license: Option<&str>, allowed: &[Licensee]) -> bool {
    let Some(license) = license else { return false };
    // As people write it: `MIT/Apache-2.0`, `MIT or Apache-2.0`.
    let Ok(expression) = Expression::parse_mode(license, ParseMode::LAX) else { return false };
    expression.evaluate(|asked| allowed.iter().any(|licensee| licensee.satisfies(asked)))
}

/// Crates that are there in several versions; and exceptions that are no longer needed.
fn doubled(crates: &[Foreign], skip: &[Skip]) -> Vec<Problem> {
    let named = |Foreign { name, version, .. }: &Foreign| format!("{name}@{version}");
    let skipped: BTreeSet<&str> = skip.iter().map(|skip| skip.krate.as_str()).collect();
    let mut versions: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for krate in crates {
        versions.entry(&krate.name).or_default().push(named(krate));
    }
    let mut problems = Vec::new();
    for (name, versions) in &versions {
        let kept: Vec<_> = versions.iter().filter(|version| !skipped.contains(version.as_str())).collect();
        if kept.len() > 1 {
            let what = format!(
                "{name} is there as {kept:?}: bring them together, or list the older one, with a reason"
            );
            problems.push(Problem::file(FILE, what));
        }
    }
    let is_needed =
        |krate: &&str| versions.values().any(|of| of.len() > 1 && of.iter().any(|version| version == krate));
    for krate in skipped.iter().filter(|krate| !is_needed(krate)) {
        problems.push(Problem::file(
            FILE,
            format!("`{krate}` is not there twice any more: take it off the list"),
        ));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

    fn found(crates: &[(&str, &str, Option<&str>, &str)]) -> Vec<String> {
        let deny = r#"
            licenses.allow = ["MIT", "Apache-2.0"]
            bans = { multiple-versions = "deny", skip = [{ crate = "old@1.0.0", reason = "somebody wants it" }] }
            sources = { unknown-registry = "deny", unknown-git = "deny", allow-registry = ["https://github.com/rust-lang/crates.io-index"] }
        "#;
        let foreign = |&(name, version, license, source): &(&str, &str, Option<&str>, &str)| Foreign {
            name: name.to_owned(),
            version: version.to_owned(),
            license: license.map(str::to_owned),
            source: source.to_owned(),
        };
        let mut crates: Vec<_> = crates.iter().map(foreign).collect();
        crates.extend([
            foreign(&("old", "1.0.0", Some("MIT"), CRATES_IO)),
            foreign(&("old", "2.0.0", Some("MIT"), CRATES_IO)),
        ]);
        problems(&toml::from_str(deny).unwrap(), &crates).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_licence_is_enough_if_one_may_choose_it() {
        for license in [
            "MIT",
            "MIT OR GPL-3.0-only",
            "MIT/Apache-2.0",
            "MIT or Apache-2.0",
            "(MIT OR Zlib) AND Apache-2.0",
        ] {
            assert_eq!(found(&[("a", "1.0.0", Some(license), CRATES_IO)]), [""; 0], "{license}");
        }
        for license in [
            Some("GPL-3.0-only"),
            Some("MIT AND Zlib"),
            Some("Apache-2.0 WITH LLVM-exception"),
            Some("mine"),
            None,
        ] {
            let [problem] = &found(&[("a", "1.0.0", license, CRATES_IO)])[..] else { panic!("{license:?}") };
            assert!(problem.starts_with("deny.toml:1: a 1.0.0 has the licence"), "{problem}");
        }
    }

    #[test]
    fn only_the_registry_is_a_source() {
        for source in ["git+https://example.org/a?rev=1#1", "registry+https://example.org/index"] {
            let [problem] = &found(&[("a", "1.0.0", Some("MIT"), source)])[..] else { panic!("{source}") };
            assert!(problem.contains("a 1.0.0 comes from"), "{problem}");
        }
    }

    #[test]
    fn a_second_version_is_found_and_so_is_an_exception_that_is_not_needed() {
        let two = [("a", "1.0.0", Some("MIT"), CRATES_IO), ("a", "2.0.0", Some("MIT"), CRATES_IO)];
        let [problem] = &found(&two)[..] else { panic!("one") };
        assert!(problem.contains("a is there as [\"a@1.0.0\", \"a@2.0.0\"]"), "{problem}");

        let once =
            Foreign { name: "old".into(), version: "1.0.0".into(), license: None, source: String::new() };
        let skip = Skip { krate: "old@1.0.0".into(), _reason: "somebody wants it".into() };
        let [problem] = &doubled(&[once], &[skip])[..] else { panic!("one") };
        assert!(problem.what.contains("`old@1.0.0` is not there twice any more"), "{problem}");
    }
}

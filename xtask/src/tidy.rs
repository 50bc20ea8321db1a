//! `cargo xtask tidy`: rules of this workspace that no compiler knows. One line for each problem.
//!
//! - `deny` — licences, versions and sources of the crates of others;
//! - `edges` — which crate may see which: the proof means nothing if one machine can call the other;
//! - `links` — links of the pages, and the book's table of contents;
//! - `rules` — what must not stand in a source file, and where;
//! - `source` — files as tokens, so that comments, strings and tests are told from code.

mod deny;
mod edges;
mod links;
mod rules;
mod source;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::Problem;
use source::Source;

/// What a visitor of the repository looks for.
const DOCUMENTS: [&str; 6] =
    ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"];

/// Everything that is not tidy, in the order of the files.
pub fn check(root: &Path) -> Result<Vec<Problem>> {
    let mut problems = documents(root);
    problems.extend(deny::check(root)?);
    problems.extend(edges::check(root)?);
    problems.extend(links::check(root)?);
    let mut sources = sources(root, "crates")?;
    problems.extend(rules::unused_trust(&sources));
    for folder in ["xtask", "peers"] {
        sources.extend(self::sources(root, folder)?);
    }
    problems.extend(sources.iter().flat_map(rules::check));
    problems.sort();
    Ok(problems)
}

fn documents(root: &Path) -> Vec<Problem> {
    let missing = DOCUMENTS.into_iter().filter(|document| !root.join(document).is_file());
    missing.map(|document| Problem::file(document, "is missing: write it")).collect()
}

/// Every Rust file below the folder. Compile-fail cases and generated build output are not sources.
fn sources(root: &Path, folder: &str) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    let mut ahead = vec![root.join(folder)];
    while let Some(folder) = ahead.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() && name != "target" {
                ahead.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text =
                    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
                let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
                sources.push(Source::new(relative, text)?);
            }
        }
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_document_is_named() {
        let root = tempfile::tempdir().unwrap();
        for document in &DOCUMENTS[1..] {
            fs::write(root.path().join(document), "").unwrap();
        }
        assert_eq!(documents(root.path()), [Problem::file("README.md", "is missing: write it")]);
    }

    #[test]
    fn sources_are_found_at_every_depth_but_not_in_build_output() {
        let root = tempfile::tempdir().unwrap();
        for file in
            ["crates/a/src/lib.rs", "crates/a/src/deep/er.rs", "crates/a/target/x.rs", "crates/a/README.md"]
        {
            let file = root.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        let mut paths: Vec<_> =
            sources(root.path(), "crates").unwrap().into_iter().map(|source| source.path).collect();
        paths.sort();
        assert_eq!(paths, ["crates/a/src/deep/er.rs", "crates/a/src/lib.rs"]);
    }
}

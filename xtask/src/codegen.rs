//! `cargo xtask codegen`: what is generated from the seven rows. One list of files is written or compared.

mod illegal;
mod picture;
mod transitions;

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::Problem;

/// These hold generated cases and what the compiler says to them, and nothing else.
const ILLEGAL: [&str; 2] = [ILLEGAL_METHODS, ILLEGAL_EVENTS];
const ILLEGAL_METHODS: &str = "crates/workitem-conformance/tests/illegal_methods";
const ILLEGAL_EVENTS: &str = "crates/workitem-conformance/tests/illegal_events";

/// A generated file: its path below the workspace, and its text.
struct Generated {
    path: String,
    text: String,
}

fn files() -> Result<Vec<Generated>> {
    let mut files = vec![
        Generated { path: "docs/transitions.md".into(), text: transitions::markdown() },
        Generated { path: "docs/machine.svg".into(), text: picture::svg()? },
    ];
    for (folder, cases) in [(ILLEGAL_METHODS, illegal::by_method()?), (ILLEGAL_EVENTS, illegal::by_event())] {
        for case in cases {
            files.push(Generated { path: format!("{folder}/{}.rs", case.name), text: case.text });
        }
    }
    Ok(files)
}

/// Writes what is stale or missing, and removes what is left over.
pub fn write(root: &Path) -> Result<()> {
    let files = files()?;
    for Generated { path, text } in &files {
        let file = root.join(path);
        if read(&file)?.as_ref() != Some(text) {
            fs::create_dir_all(file.parent().expect("a generated file is in a folder"))?;
            fs::write(&file, text).with_context(|| format!("cannot write {path}"))?;
            println!("wrote {path}");
        }
    }
    for path in left_over(root, &files)? {
        fs::remove_file(root.join(&path)).with_context(|| format!("cannot remove {path}"))?;
        println!("removed {path}");
    }
    Ok(())
}

/// What [`write()`] would change, and cases that the compiler has not been asked about.
pub fn check(root: &Path) -> Result<Vec<Problem>> {
    let files = files()?;
    let mut problems = Vec::new();
    for Generated { path, text } in &files {
        match read(&root.join(path))? {
            None => problems.push(Problem::file(path, "is missing: run `cargo xtask codegen`")),
            Some(found) if found != *text => {
                let same = found.lines().zip(text.lines()).take_while(|(found, text)| found == text).count();
                problems.push(Problem::line(path, same + 1, "is stale: run `cargo xtask codegen`"));
            }
            Some(_) => {}
        }
        if let Some(case) = path.strip_suffix(".rs") {
            let stderr = format!("{case}.stderr");
            if read(&root.join(&stderr))?.is_none() {
                problems.push(Problem::file(stderr, "is missing: run `cargo xtask codegen --bless`"));
            }
        }
    }
    for path in left_over(root, &files)? {
        problems.push(Problem::file(path, "is left over from an older table: run `cargo xtask codegen`"));
    }
    Ok(problems)
}

/// Records what the compiler says to every compile-fail case, generated or not, and checks that it says what
/// it should.
pub fn bless(root: &Path) -> Result<()> {
    let suite = || {
        let mut cargo = crate::cargo(root);
        cargo.args(["test", "--quiet", "--package", "workitem-conformance", "--test", "compile_fail"]);
        cargo
    };
    // The recording test alone first: the others read what it writes.
    let mut record = suite();
    record.arg("illegal_calls_and_misuse_do_not_compile").env("TRYBUILD", "overwrite");
    let mut compare = suite();
    compare.env_remove("TRYBUILD");
    for mut cargo in [record, compare] {
        let status = cargo.status().context("cannot start cargo")?;
        ensure!(status.success(), "a compile-fail case compiles, or its error is not the one that is meant");
    }
    Ok(())
}

/// Files in the generated folders that no cell stands behind.
fn left_over(root: &Path, files: &[Generated]) -> Result<Vec<String>> {
    let known: BTreeSet<&str> = files.iter().filter_map(|file| file.path.strip_suffix(".rs")).collect();
    let mut left = Vec::new();
    for folder in ILLEGAL {
        let entries = match fs::read_dir(root.join(folder)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("cannot list {folder}")),
        };
        for entry in entries {
            let path = format!("{folder}/{}", entry?.file_name().to_string_lossy());
            let case = path.strip_suffix(".rs").or_else(|| path.strip_suffix(".stderr"));
            if !case.is_some_and(|case| known.contains(case)) {
                left.push(path);
            }
        }
    }
    left.sort();
    Ok(left)
}

/// The file's text; `None` if there is no such file.
fn read(file: &Path) -> Result<Option<String>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with everything generated, and a compiler's answer to each case.
    fn generated() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        write(root.path()).unwrap();
        for case in files().unwrap().iter().filter_map(|file| file.path.strip_suffix(".rs")) {
            fs::write(root.path().join(format!("{case}.stderr")), "error").unwrap();
        }
        assert_eq!(check(root.path()).unwrap(), [], "what was written is up to date");
        root
    }

    fn problems_after(change: impl FnOnce(&Path)) -> Vec<String> {
        let root = generated();
        change(root.path());
        let found = check(root.path()).unwrap().iter().map(Problem::to_string).collect();
        write(root.path()).unwrap();
        found
    }

    #[test]
    fn a_stale_file_is_named_with_its_first_different_line() {
        let found = problems_after(|root| {
            let file = root.join("docs/transitions.md");
            let text = fs::read_to_string(&file).unwrap();
            let (first, rest) = text.split_once('\n').unwrap();
            fs::write(&file, format!("{first}\nedited by hand\n{rest}")).unwrap();
        });
        assert_eq!(found, ["docs/transitions.md:2: is stale: run `cargo xtask codegen`"]);
    }

    #[test]
    fn a_missing_file_is_named() {
        let case = format!("{ILLEGAL_METHODS}/pending_retry");
        let found = problems_after(|root| {
            fs::remove_file(root.join(format!("{case}.rs"))).unwrap();
            fs::remove_file(root.join(format!("{case}.stderr"))).unwrap();
        });
        assert_eq!(
            found,
            [
                format!("{case}.rs:1: is missing: run `cargo xtask codegen`"),
                format!("{case}.stderr:1: is missing: run `cargo xtask codegen --bless`"),
            ]
        );
    }

    #[test]
    fn a_left_over_file_is_named_and_removed() {
        let root = generated();
        for name in ["pending_start.rs", "pending_start.stderr", "notes.txt"] {
            fs::write(root.path().join(ILLEGAL_METHODS).join(name), "").unwrap();
        }
        fs::write(root.path().join(ILLEGAL_EVENTS).join("pending_agent_start.rs"), "").unwrap();
        assert_eq!(check(root.path()).unwrap().len(), 4);
        write(root.path()).unwrap();
        assert_eq!(check(root.path()).unwrap(), []);
    }
}

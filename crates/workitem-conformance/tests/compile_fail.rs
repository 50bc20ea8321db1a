//! What must not compile: the 23 illegal cells, and misuse of what is legal.
//!
//! README.md in this folder says how to add a case and what to do when rustc changes.

use std::fs;
use std::path::{Path, PathBuf};

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// Both suites, in one run of cargo.
#[test]
fn illegal_calls_and_misuse_do_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/illegal/*.rs");
    cases.compile_fail("tests/misuse/*.rs");
}

/// A snapshot can record any error, a typing mistake in the case among them. These must say that the method
/// is missing, and where.
#[test]
fn every_illegal_cell_fails_for_want_of_its_method() {
    let mut cases = 0;
    for cell in workitem_table::cells().filter(|cell| cell.row.is_none()) {
        let about = format!("no method named `{}` found for struct `WorkItem<{}>`", cell.method, cell.from);
        let generated = |said: &str| said.contains(&about) && said.matches("error[").count() == 1;
        let found = answers("illegal").into_iter().filter(|(_, said)| generated(said)).count();
        assert_eq!(found, 1, "`{about}` must be the one error of one case");
        cases += 1;
    }
    assert_eq!((cases, answers("illegal").len()), (23, 23));
}

/// One mistake a file: then its error is the one that is meant.
#[test]
fn every_misuse_is_one_mistake() {
    let answers = answers("misuse");
    assert!(answers.len() >= 20, "{} cases", answers.len());
    for (case, said) in answers {
        let errors = said.lines().filter(|line| line.starts_with("error")).count();
        assert_eq!(errors, 1, "{}:\n{said}", case.display());
        let text = fs::read_to_string(case.with_extension("rs")).expect("an answer belongs to a case");
        assert!(text.starts_with("// "), "{} must say what the mistake is", case.display());
    }
}

/// What the compiler is known to say to each case of a folder; every case has an answer.
fn answers(folder: &str) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(tests().join(folder)).expect("the folder is there");
    let mut answers = Vec::new();
    for entry in entries {
        let path = entry.expect("the folder can be listed").path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let answer = path.with_extension("stderr");
            let said =
                fs::read_to_string(&answer).unwrap_or_else(|error| panic!("{}: {error}", answer.display()));
            // States share their names with variants of other types, so the compiler writes them in full.
            answers.push((answer, said.replace("workitem_typestate::", "")));
        }
    }
    answers
}

//! What must not compile: the 23 illegal cells, by method and by event, and misuse of what is legal.
//!
//! README.md in this folder says how to add a case and what to do when rustc changes.

use std::fs;
use std::path::{Path, PathBuf};

use workitem_conformance::bounds::covered;
use workitem_table::{Cell, STATES, cells};

/// All suites, in one run of cargo.
#[test]
fn illegal_calls_and_misuse_do_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/illegal_methods/*.rs");
    cases.compile_fail("tests/illegal_events/*.rs");
    cases.compile_fail("tests/misuse/*.rs");
}

/// A snapshot can record any error, a typing mistake in the case among them. These must say that the method
/// is missing, and where.
#[test]
fn every_illegal_cell_fails_for_want_of_its_method() {
    let count = fails_cell_by_cell("illegal_methods", |cell| {
        format!("no method named `{}` found for struct `WorkItem<{}>`", cell.method, cell.from)
    });
    covered(format_args!("{count} cells do not compile by method"));
}

/// The words are ours: `#[diagnostic::on_unimplemented]` on `LegalIn`.
#[test]
fn every_illegal_cell_fails_for_want_of_its_rule() {
    let count = fails_cell_by_cell("illegal_events", |cell| {
        format!("event `{}` is not legal for a work item in state `{}`", cell.event, cell.from)
    });
    covered(format_args!("{count} cells do not compile by event"));
}

/// Each of the 23 illegal cells is the one error of one case of the folder; says how many there are.
fn fails_cell_by_cell(folder: &str, about: impl Fn(&Cell) -> String) -> usize {
    let answers = answers(folder);
    let illegal = cells().filter(|cell| cell.row.is_none());
    for about in illegal.map(|cell| about(&cell)) {
        let found = answers.iter().filter(|answer| answer.errors() == 1 && answer.said.contains(&about));
        assert_eq!(found.count(), 1, "`{about}` must be the one error of one case in {folder}");
    }
    assert_eq!(answers.len(), 23, "{folder}");
    answers.len()
}

/// One mistake a file, said in its first line; what the compiler says to it names the state and what was
/// attempted, in the words of the second line. So a case whose error came to be about something else is seen.
#[test]
fn every_misuse_is_one_mistake_and_its_error_names_it() {
    let answers = answers("misuse");
    for answer in &answers {
        let Answer { case, text, said } = answer;
        let mut lines = text.lines();
        let (what, names) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        assert!(what.starts_with("// ") && what.ends_with('.'), "{case}: say what the mistake is");
        let names = names.strip_prefix("// The error names `").and_then(|names| names.strip_suffix("`."));
        let names = names.unwrap_or_else(|| panic!("{case}: say what the error names"));
        let names: Vec<_> = names.split("` and `").collect();
        assert!(names.len() >= 2, "{case}: the error names the state and what was attempted");
        for name in names {
            assert!(said.contains(name), "{case}: `{name}` is not named:\n{said}");
        }
        // Of one state, or of any: generic code.
        let named = STATES.iter().chain(&["WorkItem<S>"]).any(|state| said.contains(state));
        assert!(named, "{case}: no state is named:\n{said}");
        assert_eq!(answer.errors(), 1, "{case}:\n{said}");
    }
    assert!(answers.len() >= 50, "{} cases", answers.len());
    covered(format_args!("{} kinds of misuse do not compile", answers.len()));
}

/// What the compiler is known to say to a case.
struct Answer {
    case: String,
    text: String,
    said: String,
}

impl Answer {
    fn errors(&self) -> usize {
        self.said.lines().filter(|line| line.starts_with("error")).count()
    }
}

/// Every case of a folder with its answer.
fn answers(folder: &str) -> Vec<Answer> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let paths = fs::read_dir(folder).expect("the folder is there");
    let mut paths: Vec<PathBuf> = paths.map(|entry| entry.expect("it can be listed").path()).collect();
    paths.sort();
    let cases = paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let read =
        |path: &Path| fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    // States share their names with variants of other types, so the compiler writes them in full.
    let short = |said: String| said.replace("workitem_typestate::", "").replace("workitem_types::", "");
    cases
        .map(|case| Answer {
            case: case.display().to_string(),
            text: read(case),
            said: short(read(&case.with_extension("stderr"))),
        })
        .collect()
}

//! The pages: every command that is shown is run, and prints what is shown.
//!
//! A ```` ```console ```` block is a session with bash: lines that begin with `$ ` are commands, the others are what
//! they print on both streams. A page is one session from top to bottom, in an empty folder with `workitem` in its
//! `PATH`. A command must exit with 0, unless the next one is `echo $?`. What may differ is told by `matching`.
//!
//! A page says how it is run in comments before a block, which its readers do not see:
//!
//! - `<!-- file: NAME -->` — the block is a file; it is written when its turn comes;
//! - `<!-- not run: REASON -->` — the commands of this block are only shown;
//! - `<!-- patch: FILE -->` — the block is a `diff`; what it takes away must stand in that file of the workspace;

mod matching;
mod page;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::workshop::Workshop;
use page::{Step, steps};

/// How long a page may take: one builds a crate of its own, and on a new machine all that it depends on.
const PATIENCE: Duration = Duration::from_mins(10);

/// Between the outputs of two commands.
const END: &str = "-- end of command, exit";

/// A test for each page, so that they share the cores and fail by name.
macro_rules! pages {
    ($($test:ident: $page:literal)*) => {
        const PAGES: &[&str] = &[$($page),*];
        $(#[test]
        fn $test() {
            run($page);
        })*
    };
}

pages! {
    readme: "README.md"
    architecture: "ARCHITECTURE.md"
    contributing: "CONTRIBUTING.md"
    benchmarks: "docs/benchmarks.md"
    job_benchmarks: "docs/job-benchmarks.md"
    cli: "docs/cli.md"
    comparison: "docs/comparison.md"
    compile_fail: "docs/compile-fail.md"
    crates: "docs/crates.md"
    design: "docs/design.md"
    embedding: "docs/embedding.md"
    first_job: "docs/first-job.md"
    postgres_benchmarks: "docs/postgres-benchmarks.md"
    problem: "docs/problem.md"
    proof: "docs/proof.md"
    reliability: "docs/reliability.md"
    scale: "docs/scale.md"
    store: "docs/store.md"
    tour: "docs/tour.md"
    transitions: "docs/transitions.md"
}

#[test]
fn every_page_is_run() {
    let entries = fs::read_dir(root().join("docs")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let pages = paths.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    for page in pages {
        let page = format!("docs/{}", page.file_name().unwrap().to_string_lossy());
        let is_contents = page == "docs/SUMMARY.md";
        assert!(is_contents || PAGES.contains(&page.as_str()), "{page} is not run: list it in {}", file!());
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Runs the commands of a page, and compares.
#[track_caller]
fn run(page: &str) {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let steps = steps(&text).unwrap_or_else(|(line, what)| panic!("{page}:{line}: {what}"));
    let mut problems = String::new();
    let has_commands = steps.iter().any(|step| matches!(step, Step::Run { .. }));
    let differing = if has_commands { differing(&steps) } else { Vec::new() };
    for (line, what) in out_of_date(&steps).into_iter().chain(differing) {
        let _ = write!(problems, "\n{page}:{line}: {what}");
    }
    assert!(problems.is_empty(), "a page shows what does not happen:{problems}");
}

/// Patches that cannot be applied any more, by line.
fn out_of_date(steps: &[Step]) -> Vec<(usize, String)> {
    let mut problems = Vec::new();
    for step in steps {
        let Step::Patch { line, file, before } = step else { continue };
        if !fs::read_to_string(root().join(file)).unwrap_or_default().contains(before) {
            problems.push((*line, format!("{file} has no such lines to change:\n{before}")));
        }
    }
    problems
}

/// What is different from what is shown, by line.
fn differing(steps: &[Step]) -> Vec<(usize, String)> {
    let shop = Workshop::new();
    let output = shop.start(bash(&shop, steps), "").wait_at_most(PATIENCE);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut outputs = outputs(&printed).into_iter();
    let mut problems = Vec::new();
    let mut steps = steps.iter().peekable();
    while let Some(step) = steps.next() {
        let Step::Run { line, command, shown } = step else { continue };
        let Some((printed, exit)) = outputs.next() else {
            problems.push((*line, format!("`{command}` was not reached:\n{printed}")));
            break;
        };
        let asks = |step: &&Step| matches!(step, Step::Run { command, .. } if command.starts_with("echo $?"));
        if exit != 0 && steps.peek().is_none_or(|step| !asks(step)) {
            let what = "mend it, or let `echo $?` follow";
            problems.push((*line, format!("`{command}` exits with {exit} ({what}) and prints\n{printed}")));
        } else if !matching::matches(shown, printed) {
            problems.push((*line, format!("`{command}` prints\n{printed}\nand not\n{shown}")));
        }
    }
    problems
}

/// Bash with the whole session, as one script.
fn bash(shop: &Workshop, steps: &[Step]) -> Command {
    let root = root();
    let mut script = String::from("exec 2>&1\n");
    for step in steps {
        let _ = match step {
            // `$?` stays that of the command.
            Step::Run { command, .. } => {
                writeln!(script, "{{ {command}\n}}; e=$?; printf '\\n%s %s\\n' '{END}' $e; (exit $e)")
            }
            Step::Patch { .. } => Ok(()),
            Step::File { name, text } => {
                // What a reader would type there is a path of his machine.
                let text = text.replace("../workitem", &root.display().to_string());
                writeln!(
                    script,
                    "mkdir -p \"$(dirname '{name}')\"; cat > '{name}' <<'END OF FILE'\n{text}END OF FILE"
                )
                .and_then(|()| match name.as_str() {
                    // The versions of this workspace: no others need be there.
                    "Cargo.toml" => writeln!(script, "cp '{}' .", root.join("Cargo.lock").display()),
                    _ if text.starts_with("#!") => writeln!(script, "chmod +x '{name}'"),
                    _ => Ok(()),
                })
            }
        };
    }
    let mut bash = shop.command("bash");
    bash.args(["-c", &script]);
    // What a page builds is kept between runs. It is no part of this workspace, and gets no folder in it.
    bash.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("book"));
    bash.env("CARGO_NET_OFFLINE", "true").env("CARGO_PROFILE_DEV_DEBUG", "0").env_remove("TRYBUILD");
    // As on a terminal without colours, and without what a reader has not asked for.
    bash.env("TERM", "dumb").env_remove("RUST_BACKTRACE");
    bash
}

/// What each command printed, and its exit code.
fn outputs(printed: &str) -> Vec<(&str, i32)> {
    let mut outputs = Vec::new();
    let mut rest = printed;
    while let Some((output, after)) = rest.split_once(END) {
        let (exit, after) = after.split_once('\n').unwrap_or((after, ""));
        outputs.push((output.trim_end(), exit.trim().parse().unwrap()));
        rest = after;
    }
    outputs
}

//! `cargo xtask torture NAME`: builds the program and what tortures it, optimized, lets it do so, and writes down what
//! came of it.
//!
//! Each torture owns a part of docs/reliability.md, between `<!-- torture NAME -->` and `<!-- end NAME -->`. It is made
//! of the report that the torture prints as its last line, and of nothing else. A new one goes before the heading
//! [`BY_HAND`], below which the page is written by people.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde::Deserialize;

use crate::bench::page::grouped;
use crate::test::read_output;
use crate::tools::{Package, debian, target};
use crate::{cargo, succeed};

/// The page, below the workspace.
const PAGE: &str = "docs/reliability.md";
/// Where the part begins that is written by hand.
const BY_HAND: &str = "## Bugs found on the way";

/// The torture that is built in a way of its own.
const FUZZ: &str = "fuzz";

/// What tortures start.
const RACK: &[Package] = &[Package { program: "strace", names: &["strace"] }];

/// The torture of many machines, and what it starts besides.
const FLEET: &str = "fleet";
const MACHINES: &[Package] = &[
    Package { program: "initdb", names: &["postgresql"] },
    Package { program: "ip", names: &["iproute2"] },
    Package { program: "unshare", names: &["util-linux"] },
];

#[derive(Args)]
pub struct Torture {
    /// Leave docs/reliability.md as it is.
    #[arg(long)]
    no_page: bool,
    /// Which one; `list` to see them.
    name: String,
    /// What it is told, such as `--seed 42`.
    #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
    arguments: Vec<String>,
}

/// What a torture says at its end: `Report` of `workitem-torture`.
#[derive(Debug, Deserialize)]
struct Report {
    torture: String,
    ran: u64,
    found: u64,
    seed: u64,
    seconds: f64,
    text: String,
}

pub fn run(root: &Path, torture: &Torture) -> Result<()> {
    debian(RACK)?;
    if torture.name == FLEET {
        debian(MACHINES)?;
    }
    let ours = ["build", "--release", "--package", "workitem-cli", "--package", "workitem-torture"];
    ensure!(cargo(root).args(ours).status()?.success(), "the release build failed");
    let mut command = Command::new(target(root).join("release/workitem-torture"));
    if torture.name == "list" {
        command.arg("--help").status()?;
        return Ok(());
    }
    if torture.name == FUZZ {
        command.arg(FUZZ).arg("--fuzzer").arg(fuzzer(root)?).current_dir(root);
    } else {
        command.arg(&torture.name);
    }
    let mut last = String::new();
    let status = read_output(command.args(&torture.arguments), |line| line.clone_into(&mut last))?;
    let Ok(report) = serde_json::from_str::<Report>(&last) else {
        bail!("torture {} ended without a report: {status}", torture.name);
    };
    if !torture.no_page {
        let path = root.join(PAGE);
        let page = fs::read_to_string(&path).with_context(|| format!("cannot read {PAGE}"))?;
        fs::write(&path, merged(&page, &report, &torture.arguments)?)
            .with_context(|| format!("cannot write {PAGE}"))?;
    }
    ensure!(report.found == 0, "torture {} found {}; what it said is above", report.torture, report.found);
    ensure!(status.success(), "torture {}: {status}", report.torture);
    Ok(())
}

/// Builds `fuzz/`: every branch of every crate counts how often it was taken, as libFuzzer wants it. Build scripts do not,
/// since a target is named.
fn fuzzer(root: &Path) -> Result<PathBuf> {
    debian(&[Package { program: "c++", names: &["g++"] }])?;
    let passes = ["level=4", "inline-8bit-counters", "pc-table", "trace-compares"];
    let flags = passes.map(|pass| format!(" -Cllvm-args=-sanitizer-coverage-{pass}")).concat();
    let folder = target(root).join("fuzz");
    let host = host()?;
    let mut build = cargo(root);
    build.args(["build", "--release", "--locked", "--manifest-path", "fuzz/Cargo.toml", "--target", &host]);
    build
        .env("CARGO_TARGET_DIR", &folder)
        .env("RUSTFLAGS", format!("--cfg fuzzing -Cpasses=sancov-module{flags}"));
    succeed(&mut build)?;
    Ok(folder.join(host).join("release/workitem-fuzz"))
}

/// What the compiler builds for if nothing is said.
fn host() -> Result<String> {
    let told = Command::new("rustc").arg("-vV").output().context("cannot start rustc")?.stdout;
    let told = String::from_utf8_lossy(&told).into_owned();
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say what it builds for")
}

/// The page with the part of one torture made anew.
fn merged(page: &str, report: &Report, told: &[String]) -> Result<String> {
    let name = &report.torture;
    let (begin, end) = (format!("<!-- torture {name} -->\n"), format!("<!-- end {name} -->\n"));
    let part = format!("{begin}\n{}\n{end}", part(report, told));
    if let Some((before, rest)) = page.split_once(&begin) {
        let (_old, after) =
            rest.split_once(&end).with_context(|| format!("{PAGE} has no `{}`", end.trim()))?;
        return Ok(format!("{before}{part}{after}"));
    }
    let (before, after) =
        page.split_once(BY_HAND).with_context(|| format!("{PAGE} has no heading `{BY_HAND}`"))?;
    Ok(format!("{before}{part}\n{BY_HAND}{after}"))
}

fn part(report: &Report, told: &[String]) -> String {
    let Report { torture, ran, found, seed, seconds, text } = report;
    let found = match found {
        0 => "nothing".to_owned(),
        1 => "**1 violation**".to_owned(),
        n => format!("**{n} violations**"),
    };
    let took = match seconds {
        seconds if *seconds < 120.0 => format!("{seconds:.0} s"),
        seconds if *seconds < 7_200.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.1} h", seconds / 3_600.0),
    };
    let again = again(torture, *seed, told);
    format!(
        "## {torture}\n\n| ran | found | took | again |\n|---|---|---|---|\n\
         | {} | {found} | {took} | `{again}` |\n\n{}\n",
        grouped(i64::try_from(*ran).unwrap_or(i64::MAX)),
        text.trim_end(),
    )
}

/// The command that does the same again: with all that it was told, and its seed.
fn again(torture: &str, seed: u64, told: &[String]) -> String {
    let mut again = format!("cargo xtask torture {torture}");
    for argument in told {
        again += " ";
        again += argument;
    }
    if told.iter().any(|argument| argument.starts_with("--seed")) {
        return again;
    }
    again + &format!(" --seed {seed}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_again_is_told_all_that_was_told_before() {
        let told = ["--rounds", "1"].map(str::to_owned);
        assert_eq!(again("points", 7, &told), "cargo xtask torture points --rounds 1 --seed 7");
        let told = ["--seed=9"].map(str::to_owned);
        assert_eq!(again("points", 9, &told), "cargo xtask torture points --seed=9");
    }

    fn report(torture: &str, ran: u64) -> Report {
        let text = "Killed.".to_owned();
        Report { torture: torture.to_owned(), ran, found: 0, seed: 7, seconds: 61.2, text }
    }

    #[test]
    fn a_part_is_made_anew_where_it_stands_and_a_new_one_before_what_is_written_by_hand() {
        let page = "# Reliability\n\nWords.\n\n## Bugs found on the way\n\nNone.\n";
        let once = merged(page, &report("kills", 1_000), &[]).unwrap();
        let twice = merged(&once, &report("points", 2), &[]).unwrap();
        let thrice = merged(&twice, &report("kills", 12_345), &[]).unwrap();
        let table = "| ran | found | took | again |\n|---|---|---|---|\n";
        let part = |name: &str, ran: &str| {
            format!(
                "<!-- torture {name} -->\n\n## {name}\n\n{table}| {ran} | nothing | 61 s | \
                 `cargo xtask torture {name} --seed 7` |\n\nKilled.\n\n<!-- end {name} -->\n"
            )
        };
        let expected = format!(
            "# Reliability\n\nWords.\n\n{}\n{}\n## Bugs found on the way\n\nNone.\n",
            part("kills", "12,345"),
            part("points", "2")
        );
        assert_eq!(thrice, expected);
    }

    #[test]
    fn a_page_that_it_would_spoil_is_refused() {
        assert!(merged("# Reliability\n", &report("kills", 1), &[]).is_err());
        assert!(
            merged("<!-- torture kills -->\n\n## Bugs found on the way\n", &report("kills", 1), &[]).is_err()
        );
    }

    #[test]
    fn what_was_found_is_loud() {
        assert!(part(&Report { found: 2, ..report("kills", 1) }, &[]).contains("**2 violations**"));
    }
}

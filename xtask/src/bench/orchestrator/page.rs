//! `docs/job-benchmarks.md`: the tables of a run, and which targets it met.

use std::fmt::Write as _;

use anyhow::Result;

use super::Report;
use super::closures::Closures;
use super::commands::{Commands, Tool};
use crate::bench::page::{environment, grouped};

const HEAD: &str = "\
# What a job costs

<!-- Written by `cargo xtask bench orchestrator`; do not edit. -->

One run of `cargo xtask bench orchestrator`, which installs what ours is held against. The tools took turns; what is
compared is the median of the rounds. Times depend on the machine and its mood; ratios of one run say more.

";

/// Bytes in a MiB.
const MIB: u64 = 1 << 20;

/// The page, without a date: it changes when what it says does.
pub fn markdown(report: &Report) -> Result<String> {
    let Report { commands: run, closures, million, idle } = report;
    let mut page = String::from(HEAD);
    writeln!(page, "{}\n", environment(&["rustc", "xargs", "parallel"])?)?;
    targets(&mut page, report)?;
    page.push_str(&commands(run)?);
    writeln!(page, "\n## A closure that does nothing, {} times, two at a time\n", thousands(closures.items))?;
    rates(&mut page, closures)?;
    writeln!(page, "\n## {} items\n", thousands(million.items))?;
    let mib = |bytes: u64| format!("{:.1} MiB", mebibytes(bytes));
    for (what, found) in [
        ("most memory of a job of closures, from start to end", mib(million.closures_peak)),
        ("most memory of `map`: the input, and two seconds of commands", mib(million.map_peak)),
        ("most memory of `resume`, two seconds of commands", mib(million.resume_peak)),
        ("lines a second taken in, until all are durable", rate(million.intake)),
        ("`status`", format!("{:.1} ms", million.status * 1_000.0)),
        ("after `kill -9`, from `resume` to the first agent's output", format!("{:.2} s", million.resume)),
    ] {
        writeln!(page, "- {what}: {found}")?;
    }
    let seconds = idle.watched.as_secs();
    writeln!(page, "\n## Two agents that sleep, eight more that wait\n")?;
    writeln!(page, "- of one core, over {seconds} s: {}", percent(idle.share))?;
    writeln!(page, "- most items in progress: {}", idle.most_in_progress)?;
    page.push_str(NOTES);
    Ok(page)
}

const NOTES: &str = "
## What is compared, and what not

- **Nothing is bought by doing less.** After each run of ours every item must be completed and the history must replay
  through the dynamic machine, or the bench fails. The rows that bare SQLite writes must be the rows that ours wrote, one
  by one. Syncs are counted in a run of their own, because tracing slows down.
- **Durable** is ours alone: `xargs` keeps nothing, `parallel` writes a line when a command has ended and syncs nothing,
  and apalis-sqlite sets `synchronous = OFF` when it makes its tables.
- **Processor** is of the tool and of all commands it ran, as the system accounts for them.
- **Bare SQLite** is the same statements with the same durability in the same groups, with no machine, thread or check.
- **apalis-sqlite** has batches of 100 instead of 10 and no pause between two looks for work, both in its favour.
";

/// What was aimed at, and what came of it.
fn targets(page: &mut String, report: &Report) -> Result<()> {
    let Report { commands, closures, million, idle } = report;
    let Commands { bare, xargs, parallel, map, .. } = commands;
    let memory = million.closures_peak.max(million.map_peak).max(million.resume_peak);
    writeln!(page, "## Targets\n\n| | wanted | found | |\n|---|---|---|---|")?;
    let ratio = |ratio: f64| format!("{ratio:.2}");
    let mut at_most = |what: &str, most: f64, found: f64, show: &dyn Fn(f64) -> String| {
        let met = if found <= most { "met" } else { "**missed**" };
        writeln!(page, "| {what} | at most {} | {} | {met} |", show(most), show(found))
    };
    at_most("commands, time of `xargs`", 0.8, map.wall / xargs.wall, &ratio)?;
    at_most("commands, time of GNU `parallel`", 0.2, map.wall / parallel.wall, &ratio)?;
    at_most("commands, processor of bare spawning", 1.2, map.cpu / bare.cpu, &ratio)?;
    at_most("closures, time of bare SQLite", 2.0, closures.bare / closures.ours, &ratio)?;
    at_most("closures, time of apalis-sqlite", 0.05, closures.apalis / closures.ours, &|x| {
        format!("{x:.3}")
    })?;
    at_most("memory with a million items, MiB", 64.0, mebibytes(memory), &|x| format!("{x:.0}"))?;
    at_most("an item of a million, cost of one of ten thousand", 1.1, million.cost, &ratio)?;
    at_most("`status` of a million items, ms", 50.0, million.status * 1e3, &|x| format!("{x:.0}"))?;
    at_most("`resume` after `kill -9` to the first output, s", 1.0, million.resume, &ratio)?;
    at_most("a million lines taken in, µs each", 10.0, 1e6 / million.intake, &|x| format!("{x:.1}"))?;
    at_most("waiting for two slow agents, of a core", 0.001, idle.share, &percent)?;
    #[expect(clippy::cast_precision_loss, reason = "it is two")]
    let in_progress = idle.most_in_progress as f64;
    at_most("items in progress at `-j 2`", 2.0, in_progress, &|x| format!("{x:.0}"))?;
    writeln!(page)?;
    Ok(())
}

/// The table of commands.
pub fn commands(run: &Commands) -> Result<String> {
    let Commands { items, rounds, bare, xargs, parallel, map, synced } = run;
    let mut page = format!("## `/bin/true`, {} times, two at a time\n\n", thousands(*items));
    writeln!(page, "The median of {rounds} rounds.\n")?;
    writeln!(page, "| tool | s | of `xargs` | of bare | processor, ms an item | of bare |")?;
    writeln!(page, "|---|--:|--:|--:|--:|--:|")?;
    for Tool { name, wall, cpu } in [bare, map, xargs, parallel] {
        let (of_xargs, of_bare, cpu_of_bare) = (wall / xargs.wall, wall / bare.wall, cpu / bare.cpu);
        writeln!(
            page,
            "| {name} | {wall:.2} | {of_xargs:.2} | {of_bare:.2} | {cpu:.2} | {cpu_of_bare:.2} |"
        )?;
    }
    writeln!(
        page,
        "\nIn a traced run of {} items, `map` claimed them in {} groups and synced {} times.",
        thousands(synced.items),
        synced.groups,
        synced.syncs
    )?;
    Ok(page)
}

fn rates(page: &mut String, closures: &Closures) -> Result<()> {
    let Closures { ours, bare, apalis, apalis_items, .. } = *closures;
    writeln!(page, "| | items a second | of ours |\n|---|--:|--:|")?;
    let fewer = format!("apalis-sqlite 1.0, {} items", thousands(apalis_items));
    let rows =
        [("the same rows by bare SQLite", bare), ("**`workitem-orchestrator`**", ours), (&fewer, apalis)];
    for (name, found) in rows {
        writeln!(page, "| {name} | {} | {:.3} |", rate(found), found / ours)?;
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rates are positive")]
fn rate(items: f64) -> String {
    thousands(items as usize)
}

fn percent(share: f64) -> String {
    format!("{:.3} %", share * 100.0)
}

#[expect(clippy::cast_precision_loss, reason = "it is shown with one digit")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / MIB as f64
}

fn thousands(number: usize) -> String {
    grouped(i64::try_from(number).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_as_they_are_read() {
        assert_eq!(rate(1_234_567.8), "1,234,567");
        assert_eq!(percent(0.00042), "0.042 %");
    }
}

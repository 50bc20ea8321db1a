//! `docs/postgres-benchmarks.md`: the tables of a run, and which targets it met.

use std::fmt::Write as _;

use anyhow::Result;

use super::Report;
use super::contest::{Contest, Pair, SEVERAL, Written};
use super::fleet::Idle;
use crate::bench::page::{environment, grouped};

const HEAD: &str = "\
# What a job costs on PostgreSQL

<!-- Written by `cargo xtask bench postgres`; do not edit. -->

One run of `cargo xtask bench postgres`, which starts the servers and builds what ours is held against. Each contender had
a server of its own in each round, and they took turns; what is compared is the median of the rounds. Times depend on the
machine and its mood; ratios of one run say more. What they mean for many machines is in [Scale](scale.md).

";

/// The page, without a date: it changes when what it says does.
pub fn markdown(report: &Report) -> Result<String> {
    let Report { rounds, items, backlog, contest, idle, cancel, server, load } = report;
    let (items, backlog) = (thousands(*items), thousands(*backlog));
    let mut page = String::from(HEAD);
    writeln!(
        page,
        "{} {server} on the same machine, with what `initdb` sets: fsync and",
        environment(&["rustc"])?
    )?;
    writeln!(
        page,
        "synchronous commits are on, 128 MB of shared buffers, 1 GB of WAL between checkpoints; only 200"
    )?;
    writeln!(page, "connections are allowed instead of 100. They come by its Unix socket.\n")?;
    writeln!(
        page,
        "When the run ended, {load:.0} programs had wanted a core at a time, over a quarter of an hour. Where that"
    )?;
    writeln!(
        page,
        "is far more than the run itself starts, others had most of the machine: read ratios and bytes, no rates.\n"
    )?;
    targets(&mut page, report)?;
    writeln!(page, "\n## A closure that does nothing, {items} times\n")?;
    let rounds =
        if *rounds == 1 { "One round.".to_owned() } else { format!("The median of {rounds} rounds.") };
    writeln!(page, "{rounds} Items a second; workers are processes.\n")?;
    rates(&mut page, contest, &backlog)?;
    writeln!(page, "\n## What is written\n")?;
    written(&mut page, contest, &backlog)?;
    writeln!(page, "\n## What does not depend on the rate\n")?;
    let milliseconds = |seconds: f64| format!("{:.1} ms", seconds * 1e3);
    let Idle { workers, watched, statements, transactions } = idle;
    for (what, found) in [
        (format!("counts of the job with {backlog} items more"), milliseconds(contest.counts)),
        ("from a cancellation to the end of a run on other connections".to_owned(), milliseconds(cancel.0)),
        ("the longest of those".to_owned(), milliseconds(cancel.1)),
        (
            format!("one of {workers} workers that have nothing to do, watched for {} s", watched.as_secs()),
            format!("{statements:.2} statements a second, {transactions:.2} transactions"),
        ),
    ] {
        writeln!(page, "- {what}: {found}")?;
    }
    page.push_str(NOTES);
    Ok(page)
}

const NOTES: &str = "
## What is compared, and what not

- **Nothing is bought by doing less.** After each run every item that was to be done must be completed and all others
  pending, the counts exact, and the history must replay through the dynamic machine, or the bench fails. That holds for
  what bare statements have written, too.
- **Bare** is what our workers sent, sent by the driver alone: each row knows the transaction that wrote it, so it is known
  in which groups each worker claimed and recorded, and as many processes send the same statements in the same groups. There
  is no machine, agent, thread or check in it. So it is the cost of what is ours on this side of the connection, and not
  that of the statements.
- **Ahead of a backlog**, the workers stop when as many items are completed as the small job has, and put back what they have
  claimed beyond them.
- **apalis-postgres** has batches of 100 instead of 10 and no pause between two looks for work; **graphile_worker** has what
  its own benchmark sets for throughput: a local queue of 5,000, 500 at a time, completions grouped for 5 ms. Of both the
  workers share a process. The clock of apalis-postgres stops when the last closure has run, whether that is on the disk or
  not, that of graphile_worker when what was done is gone from its table. Neither keeps a history, of which ours writes two
  rows for each item: graphile_worker deletes what is done. And one worker of it claims and completes on 20 connections at
  the same time, where one of ours does one after the other on one.
- **Bytes of disk** are those of the database when the last worker has ended, whether a vacuum has come by or not.
";

/// What was aimed at, and what came of it.
fn targets(page: &mut String, report: &Report) -> Result<()> {
    let Contest { ours, bare, behind, apalis, graphile, counts, .. } = &report.contest;
    writeln!(page, "## Targets\n\n| | wanted | found | |\n|---|---|---|---|")?;
    let verdict = |met| if met { "met" } else { "**missed**" };
    for (what, found) in [
        (format!("{SEVERAL} workers, of bare statements"), ours.several / bare.several),
        ("one worker, of bare statements".to_owned(), ours.one / bare.one),
        (format!("{SEVERAL} workers ahead of the backlog, of those without"), behind / ours.several),
    ] {
        writeln!(page, "| {what} | at least 0.80 | {found:.2} | {} |", verdict(found >= 0.8))?;
    }
    for (name, found) in [("apalis-postgres", apalis), ("graphile_worker", graphile)] {
        if let Ok(Pair { one, several }) = found {
            let found = (one / ours.one).max(several / ours.several);
            let met = verdict(found <= 1.0);
            writeln!(page, "| {name}, of as many workers of ours | at most 1.00 | {found:.2} | {met} |")?;
        }
    }
    for (what, most, found) in [
        ("counts of a job with the backlog, ms", 50.0, counts * 1e3),
        ("from a cancellation to the end of a run, ms", 200.0, report.cancel.0 * 1e3),
        ("statements a second of an idle worker", 1.0, report.idle.statements),
    ] {
        writeln!(page, "| {what} | at most {most:.0} | {found:.2} | {} |", verdict(found <= most))?;
    }
    Ok(())
}

fn rates(page: &mut String, contest: &Contest, backlog: &str) -> Result<()> {
    let Contest { ours, bare, behind, bare_behind, apalis, graphile, .. } = contest;
    writeln!(page, "| | 1 worker | of ours | {SEVERAL} workers | of ours |\n|---|--:|--:|--:|--:|")?;
    let mut row = |name: &str, Pair { one, several }: &Pair| {
        let (of_one, of_several) = (one / ours.one, several / ours.several);
        writeln!(page, "| {name} | {} | {of_one:.2} | {} | {of_several:.2} |", rate(*one), rate(*several))
    };
    row("the same by bare statements", bare)?;
    row("**`workitem-orchestrator`, `workitem-postgres`**", ours)?;
    for (name, found) in [("apalis-postgres 1.0", apalis), ("graphile_worker 0.14", graphile)] {
        if let Ok(pair) = found {
            row(name, pair)?;
        }
    }
    for (name, found) in [("bare statements", bare_behind), ("**ours**", behind)] {
        let of = found / ours.several;
        writeln!(page, "| {name}, ahead of {backlog} items more | | | {} | {of:.2} |", rate(*found))?;
    }
    for (name, found) in [("apalis-postgres", apalis), ("graphile_worker", graphile)] {
        if let Err(why) = found {
            writeln!(page, "\n{name} is not in the table: {why}")?;
        }
    }
    Ok(())
}

fn written(page: &mut String, contest: &Contest, backlog: &str) -> Result<()> {
    let Contest { small, large, .. } = contest;
    writeln!(page, "By {SEVERAL} workers of ours, in the last round.\n")?;
    writeln!(page, "| | small job | ahead of {backlog} items more |\n|---|--:|--:|")?;
    let whole = |number: f64| rate(number);
    let row = |what: &str, value: &dyn Fn(&Written) -> f64, show: &dyn Fn(f64) -> String| {
        format!("| {what} | {} | {} |\n", show(value(small)), show(value(large)))
    };
    page.push_str(&row("submitted by one process, items a second", &|w| w.submitted, &whole));
    page.push_str(&row("WAL of a submitted item, bytes", &|w| w.submitted_wal, &whole));
    page.push_str(&row("disk of a submitted item, bytes", &|w| w.submitted_disk, &whole));
    page.push_str(&row("WAL of a completed item, bytes more", &|w| w.wal, &whole));
    page.push_str(&row("disk of a completed item, bytes more", &|w| w.disk, &whole));
    page.push_str(&row("whole pages in the WAL, for each completed item", &|w| w.pages, &|n| {
        format!("{n:.3}")
    }));
    page.push_str(&row("items claimed in a transaction, on average", &|w| w.group, &whole));
    Ok(())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what is measured is positive")]
fn rate(items: f64) -> String {
    thousands(items as usize)
}

fn thousands(number: usize) -> String {
    grouped(i64::try_from(number).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn report(behind: f64, graphile: Result<Pair, String>) -> Report {
        let written = Written { submitted: 50_000.0, wal: 1_234.0, ..Written::default() };
        let contest = Contest {
            ours: Pair { one: 5_000.0, several: 10_000.0 },
            bare: Pair { one: 6_000.0, several: 12_000.0 },
            behind,
            bare_behind: 11_000.0,
            apalis: Ok(Pair { one: 1_000.0, several: 2_000.0 }),
            graphile,
            small: written,
            large: written,
            counts: 0.001,
        };
        let idle = Idle { workers: 10, watched: Duration::from_mins(1), statements: 0.25, transactions: 0.1 };
        let server = "PostgreSQL 15".to_owned();
        Report {
            rounds: 3,
            items: 100_000,
            backlog: 1_000_000,
            contest,
            idle,
            cancel: (0.01, 0.02),
            server,
            load: 6.0,
        }
    }

    #[test]
    fn a_target_that_is_missed_is_told_and_so_is_who_was_not_measured() {
        let page = markdown(&report(9_000.0, Ok(Pair { one: 6_000.0, several: 1.0 }))).unwrap();
        assert!(page.contains("| 4 workers, of bare statements | at least 0.80 | 0.83 | met |"), "{page}");
        assert!(
            page.contains(
                "| graphile_worker, of as many workers of ours | at most 1.00 | 1.20 | **missed** |"
            )
        );
        assert!(page.contains("| WAL of a completed item, bytes more | 1,234 | 1,234 |"), "{page}");

        let page = markdown(&report(7_000.0, Err("error: no such crate".to_owned()))).unwrap();
        assert!(
            page.contains("ahead of the backlog, of those without | at least 0.80 | 0.70 | **missed** |")
        );
        assert!(page.contains("graphile_worker is not in the table: error: no such crate"), "{page}");
    }
}

//! `docs/benchmarks.md`: the tables of a run, and which targets it met.

use std::fmt::Write as _;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result};

use super::machine::{Life, Refusal, Report};
use super::measure::{Bulk, Kept};

/// The page, without a date: it changes when what it says does.
pub fn markdown(report: &Report) -> Result<String> {
    let mut page = String::from(HEAD);
    writeln!(page, "{}\n", environment(&["rustc", "valgrind", "ldd"])?)?;
    targets(&mut page, report)?;
    lives(&mut page, &report.lives)?;
    refusals(&mut page, &report.refusals)?;
    bulk(&mut page, report)?;
    cold(&mut page, report)?;
    page.push_str(NOTES);
    Ok(page)
}

const HEAD: &str = "\
# What the machines cost

<!-- Written by `cargo xtask bench`; do not edit. -->

One run of `cargo xtask bench`. Our rows are bold. *Instructions* are callgrind's, net of inputs, and the same each time.
*Time* is the quickest of criterion's samples, with the inputs dropped in it, which is most of it for the quick ones; it
depends on the machine and its mood, and says less.

";

const NOTES: &str = "\
## What is compared, and what not

- **Net of inputs**, in instructions and allocations. An item's id, two agents' names, an error and a result of about
  200 bytes are made before anything is counted. A function that takes them and drops them is measured too and
  subtracted: any machine must pay that. So an allocation counted here is a copy, and freeing that copy is in the
  instructions.
- **Nothing is known beforehand where nothing can be.** For machines whose state is known at run time, state and event
  are hidden from the compiler before each transition. Typed machines are not hindered: that the compiler knows the
  state is what they are for.
- **By hand** means the nouns of `workitem-types` and the shortest rules that do the same, without any proof.
- **Each crate is used as its docs show**, owning what it lets own. The head of each file in `peers/machines/src` says in
  two lines how, and what the crate cannot express. The original has no counters, reads the clock at each start, and
  works on a status: its rows do less than the others'.
- **The build** is the release profile without link-time optimization, in one unit per crate: what a user gets who sets
  nothing, but for the units.
- **Not compared:** machines with hierarchy, timers or async, which these five states do not need; and what a store
  makes of a transition, which is ten thousand times as much.
";

/// What the run was made with: the machine, and these programs.
pub fn environment(programs: &[&str]) -> Result<String> {
    let cores = thread::available_parallelism()?;
    let versions: Vec<String> = programs.iter().map(|program| first_line(program)).collect::<Result<_>>()?;
    Ok(format!("Measured on {cores} cores of {}, {}.", std::env::consts::ARCH, versions.join(", ")))
}

fn first_line(program: &str) -> Result<String> {
    let output = Command::new(program).arg("--version").output();
    let output = output.with_context(|| format!("cannot start {program}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}

/// What was aimed at, and what came of it.
struct Target {
    what: &'static str,
    wanted: String,
    found: String,
    met: bool,
}

impl Target {
    fn at_most(what: &'static str, most: i64, found: i64) -> Self {
        Self { what, wanted: format!("at most {most}"), found: found.to_string(), met: found <= most }
    }

    fn ratio(what: &'static str, most: f64, bulk: &Bulk) -> Self {
        let ratio = bulk.ours / bulk.original;
        Self { what, wanted: format!("at most {most:.2}"), found: format!("{ratio:.2}"), met: ratio <= most }
    }
}

fn targets(page: &mut String, report: &Report) -> Result<()> {
    let life = |id: &str| find(&report.lives, id, |life| &life.id);
    let refusal = |id: &str| find(&report.refusals, id, |refusal| &refusal.id);
    let ours = |id: &str| id.contains("typed") || id.contains("dynamic");
    let allocations = report.lives.iter().map(|life| (&life.id, life.allocations));
    let refused = report.refusals.iter().map(|refusal| (&refusal.id, refusal.allocations));
    let allocations: u64 =
        allocations.chain(refused).filter(|(id, _)| ours(id)).map(|(_, count)| count).sum();
    let dynamic = life("dynamic_in_place")?;
    let status = dynamic.status.iter().copied().max().context("a status has a size")?;
    let mut targets = vec![
        Target::at_most(
            "typed life, instructions (by hand as a typestate)",
            life("by_hand_typestate")?.instructions,
            life("typed")?.instructions,
        ),
        Target::at_most("dynamic life in place, instructions", 350, dynamic.instructions),
        Target::at_most(
            "refusal in place, instructions",
            60,
            refusal("refused_dynamic_in_place")?.instructions,
        ),
        Target::at_most("allocations of ours, in all rows together", 0, allocations.try_into()?),
        Target::at_most("bytes of a status", 48, status.try_into()?),
    ];
    for (id, what, most) in [
        ("count", "counting, time of the original's", 0.5),
        ("interrupt", "interrupting in place, time of the original's", 0.75),
    ] {
        targets.extend(
            report.bulk.iter().find(|bulk| bulk.id == id).map(|bulk| Target::ratio(what, most, bulk)),
        );
    }
    page.push_str("## Targets\n\n| | wanted | found | |\n|---|---|---|---|\n");
    for Target { what, wanted, found, met } in targets {
        writeln!(page, "| {what} | {wanted} | {found} | {} |", if met { "met" } else { "**missed**" })?;
    }
    page.push('\n');
    Ok(())
}

fn find<'a, T>(rows: &'a [T], id: &str, id_of: impl Fn(&T) -> &String) -> Result<&'a T> {
    rows.iter().find(|row| id_of(row) == id).with_context(|| format!("`{id}` was not measured"))
}

fn lives(page: &mut String, lives: &[Life]) -> Result<()> {
    page.push_str(
        "## One life\n\nA whole item is started, fails, is retried, starts again, and completes: five transitions.\n\n\
         | machine | instructions | allocations | ns | bytes of a status |\n|---|--:|--:|--:|--:|\n",
    );
    for Life { name, instructions, allocations, nanoseconds, status, .. } in lives {
        let status: Vec<String> = status.iter().map(usize::to_string).collect();
        let (instructions, status) = (grouped(*instructions), status.join("/"));
        writeln!(page, "| {name} | {instructions} | {allocations} | {nanoseconds:.0} | {status} |")?;
    }
    page.push_str(
        "\nWhere states are types, the bytes are those of `Pending`, `InProgress`, `Completed`, `Failed` and \
         `DeadLettered`.\n\n",
    );
    Ok(())
}

fn refusals(page: &mut String, refusals: &[Refusal]) -> Result<()> {
    page.push_str(
        "## One refusal\n\nA failed item's agent completes after all, with its result. That is not legal.\n\n\
         | machine | instructions | allocations | ns | item | event | message |\n|---|--:|--:|--:|---|---|--:|\n",
    );
    let kept = |kept| if kept { "kept" } else { "**lost**" };
    for Refusal {
        name, instructions, allocations, nanoseconds, kept: Kept { item, event, message }, ..
    } in refusals
    {
        let (instructions, item, event) = (grouped(*instructions), kept(*item), kept(*event));
        writeln!(
            page,
            "| {name} | {instructions} | {allocations} | {nanoseconds:.0} | {item} | {event} | {message} bytes |"
        )?;
    }
    page.push_str("\nWhat ours says is made when somebody asks, and names no payload.\n\n");
    Ok(())
}

fn bulk(page: &mut String, report: &Report) -> Result<()> {
    page.push_str("## Many at once\n\n");
    if !report.bulk.is_empty() {
        page.push_str(
            "Best of several rounds in turns, nanoseconds for each status.\n\n\
             | | statuses | original | ours | of the original's |\n|---|--:|--:|--:|--:|\n",
        );
        for bulk in &report.bulk {
            #[expect(clippy::cast_precision_loss, reason = "millions of items are far below 2^52")]
            let each = |seconds: f64| seconds * 1e9 / bulk.items as f64;
            let items = grouped(bulk.items.try_into()?);
            let (original, ours, ratio) = (each(bulk.original), each(bulk.ours), bulk.ours / bulk.original);
            writeln!(page, "| {} | {items} | {original:.1} | {ours:.1} | {ratio:.2} |", bulk.name)?;
        }
        page.push('\n');
    }
    page.push_str("Instructions of ours, for a thousand statuses:\n\n| | instructions |\n|---|--:|\n");
    for row in &report.many {
        writeln!(page, "| `{}` | {} |", row.id, grouped(row.instructions))?;
    }
    page.push('\n');
    Ok(())
}

fn cold(page: &mut String, report: &Report) -> Result<()> {
    let [ours, statum] = &report.cold[..] else { return Ok(()) };
    page.push_str(
        "## A first `cargo check`\n\nFrom nothing, median of three rounds in turns.\n\n\
         | | crates | seconds | of ours |\n|---|--:|--:|--:|\n",
    );
    for cold in [ours, statum] {
        let ratio = cold.seconds / ours.seconds;
        writeln!(page, "| {} | {} | {:.1} | {ratio:.2} |", cold.name, cold.crates, cold.seconds)?;
    }
    page.push('\n');
    Ok(())
}

/// Thousands set apart.
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut grouped = if number < 0 { "-".to_owned() } else { String::new() };
    for (i, digit) in digits.char_indices() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0, 999, 1_000, -1_234_567].map(grouped), ["0", "999", "1,000", "-1,234,567"]);
    }

    #[test]
    fn a_target_is_met_at_its_limit_and_missed_beyond() {
        assert!(Target::at_most("", 60, 60).met && !Target::at_most("", 60, 61).met);
        let bulk = |ours| Bulk { id: String::new(), name: String::new(), items: 1, original: 1.0, ours };
        assert!(Target::ratio("", 0.5, &bulk(0.5)).met && !Target::ratio("", 0.5, &bulk(0.51)).met);
    }
}

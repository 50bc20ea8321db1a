//! Every machine in one run: gathers what the benchmarks say into rows, and hands them to the page.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::cold::{self, Cold};
use super::measure::{Bulk, Counted, Kept, Memory, OWN, PEERS, Suite};
use super::page;

/// Where the page is, below the workspace.
const PAGE: &str = "docs/benchmarks.md";

/// Everything that was measured.
#[derive(Debug, Default)]
pub struct Report {
    pub lives: Vec<Life>,
    pub refusals: Vec<Refusal>,
    /// Instructions of ours for many statuses at once.
    pub many: Vec<Counted>,
    pub bulk: Vec<Bulk>,
    pub cold: Vec<Cold>,
}

/// What five transitions cost.
#[derive(Debug)]
pub struct Life {
    pub id: String,
    pub name: String,
    pub instructions: i64,
    pub allocations: u64,
    /// Inputs included.
    pub nanoseconds: f64,
    pub status: Vec<usize>,
}

/// What a refusal costs, and keeps.
#[derive(Debug)]
pub struct Refusal {
    pub id: String,
    pub name: String,
    pub instructions: i64,
    pub allocations: u64,
    /// Inputs included.
    pub nanoseconds: f64,
    pub kept: Kept,
}

/// Measures, prints, and writes the page if everything was measured.
pub fn run(root: &Path, peers: bool) -> Result<()> {
    let mut report = Report::default();
    gather(root, &OWN, &mut report)?;
    if peers {
        gather(root, &PEERS, &mut report)?;
        report.bulk = PEERS.bulk(root)?;
        report.cold = cold::run(root)?.into();
    }
    report.lives.sort_by_key(|life| life.instructions);
    report.refusals.sort_by_key(|refusal| refusal.instructions);
    let page = page::markdown(&report)?;
    println!("{page}");
    if peers {
        fs::write(root.join(PAGE), page).with_context(|| format!("cannot write {PAGE}"))?;
        println!("wrote {PAGE}");
    }
    Ok(())
}

fn gather(root: &Path, suite: &Suite, report: &mut Report) -> Result<()> {
    suite.outcomes(root)?;
    let instructions = suite.instructions(root)?;
    let memory = suite.memory(root)?;
    let time = suite.time(root)?;
    join(report, instructions, memory, &time)
}

/// Rows of one name belong together. A row that one benchmark has and another lacks is an error.
fn join(
    report: &mut Report,
    instructions: Vec<Counted>,
    memory: Vec<Memory>,
    time: &BTreeMap<String, f64>,
) -> Result<()> {
    let mut memory: BTreeMap<_, _> = memory.into_iter().map(|row| (row.id.clone(), row)).collect();
    for counted in instructions {
        let Counted { id, net_of: Some(_), instructions } = counted else {
            report.many.push(counted);
            continue;
        };
        let nanoseconds = *time.get(&id).with_context(|| format!("no time was taken of `{id}`"))?;
        let row = memory.remove(&id).with_context(|| format!("no allocation was counted of `{id}`"))?;
        let Memory { name, allocations, status, kept, .. } = row;
        match kept {
            None => report.lives.push(Life { id, name, instructions, allocations, nanoseconds, status }),
            Some(kept) => {
                report.refusals.push(Refusal { id, name, instructions, allocations, nanoseconds, kept });
            }
        }
    }
    let forgotten = memory.keys().find(|id| !id.ends_with("inputs"));
    forgotten.map_or(Ok(()), |id| Err(anyhow::anyhow!("no instruction was counted of `{id}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(id: &str) -> Counted {
        Counted { id: id.into(), net_of: Some("inputs".into()), instructions: 15 }
    }

    fn memory(id: &str) -> Memory {
        Memory { id: id.into(), name: id.to_uppercase(), allocations: 0, status: vec![48], kept: None }
    }

    #[test]
    fn rows_of_one_name_belong_together() {
        let time: BTreeMap<_, _> = [("inputs".to_owned(), 100.0), ("typed".to_owned(), 107.5)].into();
        let mut report = Report::default();
        join(&mut report, vec![counted("typed")], vec![memory("inputs"), memory("typed")], &time).unwrap();
        let [life] = &report.lives[..] else { panic!("one life") };
        assert_eq!((&*life.name, life.instructions, life.status[0]), ("TYPED", 15, 48));
        assert!((life.nanoseconds - 107.5).abs() < 1e-9);
    }

    #[test]
    fn a_row_that_one_benchmark_lacks_is_an_error() {
        let time: BTreeMap<_, _> = [("inputs".to_owned(), 100.0), ("typed".to_owned(), 107.5)].into();
        for (instructions, memory, missing) in [
            (vec![counted("typed")], vec![], "no allocation was counted of `typed`"),
            (vec![], vec![memory("typed")], "no instruction was counted of `typed`"),
            (vec![counted("other")], vec![memory("other")], "no time was taken of `other`"),
        ] {
            let error = join(&mut Report::default(), instructions, memory, &time).unwrap_err();
            assert_eq!(error.to_string(), missing);
        }
    }
}

//! The instructions of our own rows, held against those that were written down: `cargo xtask bench --check`.
//!
//! One toolchain makes one program, and callgrind counts it the same each time. What may differ between two machines
//! is libc: `free` and `memcpy` of another version, or chosen for another processor. Inputs are dropped in what is
//! subtracted too, so that little of it is left; the tolerance is for that.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::measure::{Counted, OWN};

const FILE: &str = "crates/workitem-bench/baseline.json";

/// Instructions by row.
type Baseline = BTreeMap<String, i64>;

/// Writes the baseline.
pub fn bless(root: &Path) -> Result<()> {
    let mut text = serde_json::to_string_pretty(&measured(root)?)?;
    text.push('\n');
    fs::write(root.join(FILE), text).with_context(|| format!("cannot write {FILE}"))?;
    println!("wrote {FILE}: read the difference");
    Ok(())
}

/// Fails if a row has become dearer, or is not in the baseline; says if one has become cheaper.
pub fn check(root: &Path) -> Result<()> {
    let text = fs::read_to_string(root.join(FILE)).with_context(|| format!("cannot read {FILE}"))?;
    let baseline = serde_json::from_str(&text).with_context(|| format!("{FILE} is not a baseline"))?;
    let measured = measured(root)?;
    let Compared { dearer, cheaper } = compare(&baseline, &measured);
    for row in &cheaper {
        println!("{row}");
    }
    if !cheaper.is_empty() {
        println!("cheaper than the baseline: keep it so with `cargo xtask bench --bless`");
    }
    if dearer.is_empty() {
        println!("{} rows cost what they did", measured.len() - cheaper.len());
        return Ok(());
    }
    for row in &dearer {
        println!("{row}");
    }
    bail!(
        "the machines cost more than {FILE} says; to see where: callgrind_annotate \
         target/gungraun/workitem-bench/instructions/*/ROW.row/*.out; if it is worth it: cargo xtask bench --bless"
    )
}

fn measured(root: &Path) -> Result<Baseline> {
    let rows = OWN.instructions(root)?;
    Ok(rows.into_iter().map(|Counted { id, instructions, .. }| (id, instructions)).collect())
}

/// What differs, for people.
#[derive(Debug, Default, PartialEq, Eq)]
struct Compared {
    dearer: Vec<String>,
    cheaper: Vec<String>,
}

fn compare(baseline: &Baseline, measured: &Baseline) -> Compared {
    let mut compared = Compared::default();
    for (row, &now) in measured {
        let Some(&then) = baseline.get(row) else {
            compared.dearer.push(format!("{row}: {now} instructions, and it is not in the baseline"));
            continue;
        };
        let said = format!("{row}: {now} instructions, {then} in the baseline");
        if now > then + tolerance(then) {
            compared.dearer.push(said);
        } else if now < then - tolerance(then) {
            compared.cheaper.push(said);
        }
    }
    for row in baseline.keys().filter(|row| !measured.contains_key(*row)) {
        compared.dearer.push(format!("{row}: is in the baseline, and was not measured"));
    }
    compared
}

/// Ten instructions, or four of a hundred: a call of `free` takes eighty, so that one allocation more is always seen.
fn tolerance(instructions: i64) -> i64 {
    (instructions.abs() * 4 / 100).max(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[(&str, i64)]) -> Baseline {
        rows.iter().map(|&(row, instructions)| (row.to_owned(), instructions)).collect()
    }

    #[test]
    fn what_is_dearer_or_cheaper_is_told() {
        let baseline = rows(&[("a", 15), ("b", 322), ("c", 36_000), ("gone", 1)]);
        assert_eq!(
            compare(&baseline, &rows(&[("a", 25), ("b", 310), ("c", 37_440), ("gone", 1)])),
            Compared::default()
        );
        let Compared { dearer, cheaper } =
            compare(&baseline, &rows(&[("a", 26), ("b", 309), ("c", 37_441), ("new", 1)]));
        let starts: Vec<_> = dearer.iter().map(|row| row.split(':').next().unwrap()).collect();
        assert_eq!(starts, ["a", "c", "new", "gone"]);
        assert_eq!(cheaper, ["b: 309 instructions, 322 in the baseline"]);
    }
}

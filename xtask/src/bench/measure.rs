//! Runs the benchmarks of a crate and reads what they say: callgrind's counts, the lines of `memory` and `bulk`,
//! criterion's samples.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::succeed;
use crate::test::cargo;
use crate::tools::{self, Library, Package, target};

const BUILDING: &[Package] = &[
    Package { program: "cc", names: &["gcc", "libc6-dev"] },
    Package { program: "valgrind", names: &["valgrind"] },
    Package { program: "pkg-config", names: &["pkg-config"] },
];

/// A crate with benchmarks.
pub struct Suite {
    /// Where its workspace is.
    manifest: &'static str,
    krate: &'static str,
    /// Where it is built, below the folder of the main workspace.
    target: Option<&'static str>,
    libraries: &'static [Library],
}

/// Ours, and what was written by hand.
pub const OWN: Suite =
    Suite { manifest: "Cargo.toml", krate: "workitem-bench", target: None, libraries: &[] };

/// Other people's.
pub const PEERS: Suite = Suite {
    manifest: "peers/Cargo.toml",
    krate: "workitem-peer-machines",
    target: Some("peers"),
    libraries: crate::peers::LIBRARIES,
};

/// Instructions of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    pub id: String,
    /// The row that does nothing with the same inputs, and is subtracted.
    pub net_of: Option<String>,
    /// What is left.
    pub instructions: i64,
}

/// One line of the `memory` benchmark: a life, or a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Memory {
    pub id: String,
    pub name: String,
    pub allocations: u64,
    /// Bytes of a status, if the row is a life.
    #[serde(default)]
    pub status: Vec<usize>,
    /// What is left, if the row is a refusal.
    #[serde(flatten)]
    pub kept: Option<Kept>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Kept {
    #[serde(rename = "keeps_item")]
    pub item: bool,
    #[serde(rename = "keeps_event")]
    pub event: bool,
    /// Bytes of what the refusal says.
    pub message: usize,
}

/// One line of the `bulk` benchmark: seconds of the original and of ours.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Bulk {
    pub id: String,
    pub name: String,
    pub items: u64,
    pub original: f64,
    pub ours: f64,
}

impl Suite {
    /// Fails unless every machine comes to the same end: what another one costs says nothing. Built as it is measured.
    pub fn outcomes(&self, root: &Path) -> Result<()> {
        let mut test = self.cargo(root, &["test", "--quiet", "--profile", "bench", "--test", "outcomes"])?;
        succeed(&mut test).with_context(|| format!("the machines of {} differ", self.krate))
    }

    /// Instructions of every row, net of what drops the same inputs.
    pub fn instructions(&self, root: &Path) -> Result<Vec<Counted>> {
        let runner = tools::from_registry(root, "gungraun-runner", "0.20.0")?;
        let mut bench = self.bench(root, "instructions")?;
        bench.arg("--output-format=json").env("GUNGRAUN_RUNNER", runner);
        // A filter or a limit of the caller's own would measure something else.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GUNGRAUN_") && name != "GUNGRAUN_RUNNER" {
                bench.env_remove(name);
            }
        }
        counted(&json_lines(&mut bench)?)
    }

    /// Allocations and sizes.
    pub fn memory(&self, root: &Path) -> Result<Vec<Memory>> {
        json_lines(&mut self.bench(root, "memory")?)
    }

    /// Many statuses at once, by the original and by ours.
    pub fn bulk(&self, root: &Path) -> Result<Vec<Bulk>> {
        json_lines(&mut self.bench(root, "bulk")?)
    }

    /// Nanoseconds of every row, its inputs included.
    pub fn time(&self, root: &Path) -> Result<BTreeMap<String, f64>> {
        let folder = target(root).join("bench").join(self.krate);
        if folder.is_dir() {
            // Rows that are no more would be read again.
            fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        let mut bench = self.bench(root, "time")?;
        bench.arg("--noplot").env("CRITERION_HOME", &folder);
        let output = bench.stderr(Stdio::null()).output().context("cannot start cargo")?;
        ensure!(output.status.success(), "the benchmark `time` of {} failed: {}", self.krate, output.status);
        let rows = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        rows.map(|row| quickest(&row?.path())).collect()
    }

    /// One benchmark, in the profile that both workspaces have in common.
    fn bench(&self, root: &Path, name: &str) -> Result<Command> {
        eprintln!("{}: {name}", self.krate);
        let mut bench = self.cargo(root, &["bench", "--quiet", "--bench", name])?;
        bench.arg("--");
        Ok(bench)
    }

    /// Cargo for this crate, with what building it needs.
    fn cargo(&self, root: &Path, arguments: &[&str]) -> Result<Command> {
        tools::debian(BUILDING)?;
        tools::libraries(self.libraries)?;
        let mut cargo = cargo(root, arguments);
        cargo.args(["--manifest-path", self.manifest, "--package", self.krate]);
        if let Some(folder) = self.target {
            cargo.env("CARGO_TARGET_DIR", target(root).join(folder));
        }
        Ok(cargo)
    }
}

/// What a program prints, line by line; what is no JSON is for people.
fn json_lines<T: DeserializeOwned>(command: &mut Command) -> Result<Vec<T>> {
    let output = command.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    ensure!(output.status.success(), "{command:?} ended with {}", output.status);
    let text = String::from_utf8(output.stdout)?;
    let lines = text.lines().filter(|line| line.starts_with('{'));
    let rows: Vec<T> = lines
        .map(|line| serde_json::from_str(line).with_context(|| line.to_owned()))
        .collect::<Result<_>>()?;
    ensure!(!rows.is_empty(), "{command:?} said nothing");
    Ok(rows)
}

/// The rows of gungraun's summaries. In a group of machines the first does nothing and is called after its inputs:
/// the others are net of it.
fn counted(summaries: &[Value]) -> Result<Vec<Counted>> {
    let mut bases: BTreeMap<&str, (&str, i64)> = BTreeMap::new();
    let mut rows = Vec::new();
    for summary in summaries {
        let (Some(group), Some(id)) = (summary["group"].as_str(), summary["function_name"].as_str()) else {
            bail!("a summary without a name: {summary}");
        };
        let metric = &summary["profiles"][0]["data"]["total"]["metrics"]["Ir"]["values"]["new"];
        let instructions = metric.as_i64().with_context(|| format!("`{id}` has no instructions"))?;
        if id.ends_with("inputs") {
            bases.insert(group, (id, instructions));
            continue;
        }
        let base = bases.get(group);
        rows.push(Counted {
            id: id.to_owned(),
            net_of: base.map(|(id, _)| (*id).to_owned()),
            instructions: instructions - base.map_or(0, |(_, base)| *base),
        });
    }
    Ok(rows)
}

/// What criterion measured of one row: so many runs took so many nanoseconds, again and again.
#[derive(Deserialize)]
struct Samples {
    iters: Vec<f64>,
    times: Vec<f64>,
}

/// Nanoseconds of the quickest sample of one row: what else the machine does makes a sample slower, and never quicker.
fn quickest(row: &Path) -> Result<(String, f64)> {
    let file: PathBuf = row.join("new/sample.json");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let Samples { iters, times } =
        serde_json::from_str(&text).with_context(|| format!("no samples in {}", file.display()))?;
    let each = times.iter().zip(&iters).map(|(time, runs)| time / runs);
    let quickest =
        each.min_by(f64::total_cmp).with_context(|| format!("no samples in {}", file.display()))?;
    Ok((row.file_name().unwrap_or_default().to_string_lossy().into_owned(), quickest))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn summary(group: &str, id: &str, instructions: u64) -> Value {
        let total = json!({"metrics": {"Ir": {"values": {"new": instructions, "old": 7}}}});
        json!({"group": group, "function_name": id, "profiles": [{"data": {"total": total}}]})
    }

    #[test]
    fn rows_are_net_of_the_inputs_of_their_group() {
        let summaries = [
            summary("lives", "inputs", 100),
            summary("lives", "typed", 115),
            summary("refusals", "late_inputs", 200),
            summary("refusals", "refused", 190),
            summary("many", "count", 50),
        ];
        let rows = counted(&summaries).unwrap();
        let expected =
            [("typed", Some("inputs"), 15), ("refused", Some("late_inputs"), -10), ("count", None, 50)];
        assert_eq!(
            rows.iter().map(|row| (&*row.id, row.net_of.as_deref(), row.instructions)).collect::<Vec<_>>(),
            expected
        );
    }

    #[test]
    fn what_has_no_instructions_is_an_error() {
        let mut broken = summary("lives", "typed", 1);
        broken["profiles"] = json!([]);
        assert!(counted(&[broken]).unwrap_err().to_string().contains("`typed`"));
        assert!(counted(&[json!({})]).is_err());
    }

    #[test]
    fn the_quickest_sample_counts() {
        let folder = tempfile::tempdir().unwrap();
        let row = folder.path().join("typed");
        fs::create_dir_all(row.join("new")).unwrap();
        assert!(quickest(&row).unwrap_err().to_string().starts_with("cannot read"));
        fs::write(
            row.join("new/sample.json"),
            r#"{"iters": [10.0, 20.0, 30.0], "times": [80.0, 120.0, 300.0]}"#,
        )
        .unwrap();
        assert_eq!(quickest(&row).unwrap(), ("typed".to_owned(), 6.0));
    }

    #[test]
    fn a_line_of_memory_is_a_life_or_a_refusal() {
        let life: Memory =
            serde_json::from_value(json!({"id": "a", "name": "b", "allocations": 0, "status": [48]}))
                .unwrap();
        assert_eq!((life.status, life.kept), (vec![48], None));
        let refusal = json!({
            "id": "a", "name": "b", "allocations": 1, "keeps_item": true, "keeps_event": false, "message": 7,
        });
        let refusal: Memory = serde_json::from_value(refusal).unwrap();
        assert_eq!(refusal.kept, Some(Kept { item: true, event: false, message: 7 }));
    }
}

//! Which crate may see which. The missing edge between the two machines is what makes the proof mean
//! something; the others keep rules, engines and commands apart.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, MetadataCommand};

use crate::Problem;

/// What a crate may depend on.
struct Allowed {
    krate: &'static str,
    /// Crates of this workspace.
    inside: &'static [&'static str],
    /// Crates from outside; `None` leaves it to docs/design.md.
    outside: Option<&'static [&'static str]>,
    /// Whether the crate's tests are held to `inside` too. Where they are not, they may use any crate but the proof.
    tests_too: bool,
}

const MACHINE: Option<&[&str]> = Some(&["chrono", "serde", "thiserror"]);

const ALLOWED: [Allowed; 19] = [
    Allowed { krate: "workitem-types", inside: &[], outside: MACHINE, tests_too: true },
    Allowed { krate: "workitem-typestate", inside: &["workitem-types"], outside: MACHINE, tests_too: true },
    Allowed { krate: "workitem-dynamic", inside: &["workitem-types"], outside: MACHINE, tests_too: true },
    Allowed { krate: "workitem-table", inside: &[], outside: Some(&[]), tests_too: true },
    // What it proves with is the machines alone; what must not compile is also misuse of leases and stores.
    Allowed {
        krate: PROOF,
        inside: &["workitem-types", "workitem-typestate", "workitem-dynamic", "workitem-table"],
        outside: None,
        tests_too: false,
    },
    // It measures the machines, and nothing that uses them.
    Allowed {
        krate: "workitem-bench",
        inside: &["workitem-types", "workitem-typestate", "workitem-dynamic"],
        outside: None,
        tests_too: true,
    },
    // The store writes with the typed machine and verifies with the dynamic one.
    Allowed {
        krate: "workitem-store",
        inside: &["workitem-types", "workitem-typestate", "workitem-dynamic"],
        outside: None,
        tests_too: false,
    },
    Allowed {
        krate: "workitem-sqlite",
        inside: &["workitem-types", "workitem-typestate", "workitem-store"],
        outside: None,
        tests_too: false,
    },
    Allowed {
        krate: "workitem-postgres",
        inside: &["workitem-types", "workitem-typestate", "workitem-store"],
        outside: None,
        tests_too: false,
    },
    // A server for tests, and nothing of what is tested.
    Allowed { krate: "workitem-pgtest", inside: &[], outside: None, tests_too: true },
    // It changes items through the typed machine only, and knows no engine by name.
    Allowed {
        krate: "workitem-orchestrator",
        inside: &["workitem-types", "workitem-typestate", "workitem-store"],
        outside: None,
        tests_too: false,
    },
    // It parses and prints, and knows no rule.
    Allowed {
        krate: "workitem-cli",
        inside: &[
            "workitem-types",
            "workitem-table",
            "workitem-store",
            "workitem-sqlite",
            "workitem-postgres",
            "workitem-orchestrator",
        ],
        outside: None,
        tests_too: false,
    },
    // It measures jobs, from outside.
    Allowed {
        krate: "workitem-load",
        inside: &["workitem-store", "workitem-sqlite", "workitem-orchestrator"],
        outside: None,
        tests_too: true,
    },
    // It measures jobs on PostgreSQL, from outside.
    Allowed {
        krate: "workitem-pgload",
        inside: &["workitem-store", "workitem-postgres", "workitem-orchestrator"],
        outside: None,
        tests_too: false,
    },
    // It runs what stores and machines deliver. The dynamic machine has the original's rule, which is one of its faults.
    Allowed {
        krate: "workitem-model",
        inside: &["workitem-types", "workitem-typestate", "workitem-dynamic", "workitem-store"],
        outside: None,
        tests_too: false,
    },
    // It breaks what a store, a run and the command stand on, and looks at what is left from outside.
    Allowed {
        krate: "workitem-torture",
        inside: &[
            "workitem-types",
            "workitem-typestate",
            "workitem-store",
            "workitem-sqlite",
            "workitem-postgres",
            "workitem-pgtest",
            "workitem-orchestrator",
            "workitem-schedules",
            "workitem-model",
        ],
        outside: None,
        tests_too: false,
    },
    // The orchestrator's source once more, with other threads.
    Allowed {
        krate: "workitem-schedules",
        inside: &["workitem-types", "workitem-typestate", "workitem-store"],
        outside: None,
        tests_too: true,
    },
    // Its doc tests use the others as a reader does.
    Allowed { krate: "workitem-book", inside: &[], outside: Some(&[]), tests_too: false },
    Allowed {
        krate: "xtask",
        inside: &["workitem-table", "workitem-pgtest"],
        outside: None,
        tests_too: true,
    },
];

/// Used by nobody in the workspace, tests included.
const PROOF: &str = "workitem-conformance";

/// Brings the original with all that it depends on: used by nobody at all.
const PEERS: &str = "workitem-peers";

/// A crate of the workspace, as its manifest has it.
struct Crate {
    name: String,
    manifest: String,
    text: String,
    dependencies: Vec<Dependency>,
}

struct Dependency {
    name: String,
    inside: bool,
    tests_only: bool,
}

pub fn check(root: &Path) -> Result<Vec<Problem>> {
    let crates = crates(root)?;
    let mut problems: Vec<_> = crates.iter().flat_map(edges).collect();
    problems.extend(crates.iter().filter_map(lints_are_taken_over));
    Ok(problems)
}

fn crates(root: &Path) -> Result<Vec<Crate>> {
    let metadata =
        MetadataCommand::new().current_dir(root).no_deps().exec().context("cargo metadata failed")?;
    let read = |package: &cargo_metadata::Package| {
        let manifest = package.manifest_path.strip_prefix(&metadata.workspace_root)?.to_string();
        let text = fs::read_to_string(&package.manifest_path)?;
        let dependencies = package.dependencies.iter().map(|dependency| Dependency {
            name: dependency.name.clone(),
            inside: dependency.path.is_some(),
            tests_only: dependency.kind == DependencyKind::Development,
        });
        let name = package.name.to_string();
        anyhow::Ok(Crate { name, manifest, text, dependencies: dependencies.collect() })
    };
    metadata.packages.iter().map(read).collect()
}

fn edges(krate: &Crate) -> Vec<Problem> {
    let Some(allowed) = ALLOWED.iter().find(|allowed| allowed.krate == krate.name) else {
        let what = format!("`{}` is new: say in {} what it may depend on", krate.name, file!());
        return vec![Problem::file(&krate.manifest, what)];
    };
    let mut problems = Vec::new();
    for Dependency { name, inside, tests_only } in &krate.dependencies {
        let is_allowed = match (inside, tests_only) {
            (true, true) if !allowed.tests_too => ![PROOF, PEERS].contains(&name.as_str()),
            (true, _) => allowed.inside.contains(&name.as_str()),
            (false, true) => true,
            (false, false) => allowed.outside.is_none_or(|outside| outside.contains(&name.as_str())),
        };
        if !is_allowed {
            let line = krate.text.lines().position(|line| line.trim_start().starts_with(name.as_str()));
            let what = format!("`{}` must not depend on `{name}`: remove it", krate.name);
            problems.push(Problem::line(&krate.manifest, line.map_or(1, |line| line + 1), what));
        }
    }
    problems
}

/// Every crate takes over the lints of the workspace: no `unsafe`, and documentation of what is public.
fn lints_are_taken_over(krate: &Crate) -> Option<Problem> {
    let mut lines = krate.text.lines().map(str::trim).skip_while(|line| *line != "[lints]").skip(1);
    let by_workspace = lines.find(|line| !line.is_empty()) == Some("workspace = true");
    (!by_workspace).then(|| {
        let what = "does not take over the lints of the workspace: add `workspace = true` under `[lints]`";
        Problem::file(&krate.manifest, what)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn krate(name: &str, dependencies: &[(&str, bool, bool)]) -> Crate {
        let mut text =
            format!("[package]\nname = \"{name}\"\n\n[lints]\nworkspace = true\n\n[dependencies]\n");
        for (dependency, ..) in dependencies {
            text.push_str(dependency);
            text.push_str(".workspace = true\n");
        }
        let dependencies = dependencies.iter().map(|&(name, inside, tests_only)| Dependency {
            name: name.to_owned(),
            inside,
            tests_only,
        });
        Crate {
            name: name.to_owned(),
            manifest: format!("crates/{name}/Cargo.toml"),
            text,
            dependencies: dependencies.collect(),
        }
    }

    const INSIDE: bool = true;
    const OUTSIDE: bool = false;
    const ALWAYS: bool = false;
    const IN_TESTS: bool = true;

    fn refused(name: &str, dependency: (&str, bool, bool)) -> bool {
        let problems = edges(&krate(name, &[dependency]));
        for problem in &problems {
            assert!(problem.what.contains(dependency.0) && problem.line == 8, "{problem}");
        }
        !problems.is_empty()
    }

    #[test]
    fn the_machines_never_see_each_other_not_even_in_tests() {
        for when in [ALWAYS, IN_TESTS] {
            for other in ["workitem-dynamic", "workitem-table", "workitem-conformance"] {
                assert!(refused("workitem-typestate", (other, INSIDE, when)));
            }
            for other in ["workitem-typestate", "workitem-table", "workitem-conformance"] {
                assert!(refused("workitem-dynamic", (other, INSIDE, when)));
            }
            assert!(refused("workitem-table", ("workitem-types", INSIDE, when)));
            assert!(!refused("workitem-dynamic", ("workitem-types", INSIDE, when)));
        }
    }

    #[test]
    fn the_machine_depends_on_three_crates_from_outside_and_the_table_on_none() {
        for machine in ["workitem-types", "workitem-typestate", "workitem-dynamic"] {
            assert!(refused(machine, ("tokio", OUTSIDE, ALWAYS)));
            assert!(!refused(machine, ("chrono", OUTSIDE, ALWAYS)));
            assert!(!refused(machine, ("serde_json", OUTSIDE, IN_TESTS)));
        }
        assert!(refused("workitem-table", ("serde", OUTSIDE, ALWAYS)));
    }

    #[test]
    fn engines_orchestrator_and_command_keep_apart() {
        for (krate, other) in [
            ("workitem-store", "workitem-sqlite"),
            ("workitem-store", "workitem-orchestrator"),
            ("workitem-sqlite", "workitem-dynamic"),
            ("workitem-sqlite", "workitem-orchestrator"),
            ("workitem-postgres", "workitem-dynamic"),
            ("workitem-postgres", "workitem-sqlite"),
            ("workitem-postgres", "workitem-pgtest"),
            ("workitem-orchestrator", "workitem-dynamic"),
            ("workitem-orchestrator", "workitem-sqlite"),
            ("workitem-cli", "workitem-dynamic"),
        ] {
            assert!(refused(krate, (other, INSIDE, ALWAYS)), "{krate} -> {other}");
            assert!(!refused(krate, (other, INSIDE, IN_TESTS)), "{krate} -> {other}, in tests");
            assert!(refused(krate, (PROOF, INSIDE, IN_TESTS)), "{krate} -> the proof");
            assert!(refused(krate, (PEERS, INSIDE, IN_TESTS)), "{krate} -> the original");
        }
    }

    #[test]
    fn the_proof_leans_on_the_machines_and_its_cases_may_misuse_the_store() {
        assert!(refused(PROOF, ("workitem-store", INSIDE, ALWAYS)));
        assert!(!refused(PROOF, ("workitem-store", INSIDE, IN_TESTS)));
        assert!(!refused(PROOF, ("workitem-typestate", INSIDE, ALWAYS)));
        assert!(refused(PROOF, (PEERS, INSIDE, IN_TESTS)));
    }

    #[test]
    fn a_new_crate_must_be_thought_about() {
        let [problem] = &edges(&krate("workitem-new", &[]))[..] else { panic!("one problem") };
        assert!(problem.to_string().starts_with("crates/workitem-new/Cargo.toml:1: `workitem-new` is new"));
    }

    #[test]
    fn a_crate_without_the_lints_of_the_workspace_is_found() {
        let mut lenient = krate("workitem-types", &[]);
        assert_eq!(lints_are_taken_over(&lenient), None);
        lenient.text =
            lenient.text.replace("[lints]\nworkspace = true", "[lints.rust]\nmissing_docs = \"warn\"");
        assert!(lints_are_taken_over(&lenient).is_some());
    }
}

//! `cargo xtask mutants`: breaks the code in every way that cargo-mutants knows, one at a time, and sees whether a
//! test notices. In the machine crates none may be missed.

use std::path::Path;

use anyhow::Result;

use crate::succeed;
use crate::tools::from_registry;

/// The crates that hold the rules.
const MACHINE: [&str; 4] = ["workitem-types", "workitem-typestate", "workitem-dynamic", "workitem-table"];

/// Breaks the machine crates.
pub fn run(root: &Path) -> Result<()> {
    let program = from_registry(root, "cargo-mutants", "27.1.0")?;
    let mut mutants = std::process::Command::new(program);
    mutants.current_dir(root).arg("mutants");
    for krate in MACHINE {
        mutants.args(["--package", krate]);
    }
    mutants.args(["--test-package", "workitem-conformance"]);
    succeed(&mut mutants)
}

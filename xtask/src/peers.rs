//! `cargo xtask peers`: the machine beside the original, which is compiled in and run live. Not a step of `test`:
//! the original brings three hundred crates, and C libraries.

use std::path::Path;

use anyhow::Result;

use crate::tools::{self, Library, Package};
use crate::{prove, test};

/// Quick beside what it takes to build them: a minute or two.
const BOUNDS: &str = "sequences=200000,cases=40000";

const BUILDING: &[Package] = &[
    Package { program: "cc", names: &["gcc", "libc6-dev"] },
    Package { program: "pkg-config", names: &["pkg-config"] },
];

/// The original works with git repositories, by a library that wants it.
const LIBRARIES: &[Library] = &[Library { name: "openssl", names: &["libssl-dev"] }];

/// Runs the tests of `peers/`, and says what they covered. Another seed has other random cases.
pub fn run(root: &Path, seed: Option<u64>) -> Result<()> {
    tools::debian(BUILDING)?;
    tools::libraries(LIBRARIES)?;
    let mut command = test::cargo(root, &["test", "--no-fail-fast", "--manifest-path", "peers/Cargo.toml"]);
    // As `peers/.cargo/config.toml` has it, for whoever works in that folder.
    command.env("CARGO_TARGET_DIR", tools::target(root).join("peers"));
    command.args(["--", "--nocapture", "--test-threads=1"]);
    prove::look(command, BOUNDS, seed)
}

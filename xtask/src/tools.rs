//! Programs that a task starts and that a fresh machine lacks: from Debian by package, from the registry by version.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Result, bail};

use crate::{cargo, succeed};

/// A program, and the Debian packages that have it.
#[derive(Debug, Clone, Copy)]
pub struct Package {
    pub program: &'static str,
    pub names: &'static [&'static str],
}

/// A C library by its pkg-config name, and the Debian packages that have it.
#[derive(Debug, Clone, Copy)]
pub struct Library {
    pub name: &'static str,
    pub names: &'static [&'static str],
}

/// Installs what is not there.
pub fn debian(needed: &[Package]) -> Result<()> {
    let missing = || needed.iter().filter(|package| !is_there(package.program));
    install(missing().flat_map(|package| package.names))?;
    match missing().next() {
        None => Ok(()),
        Some(Package { program, .. }) => bail!("`{program}` is still not there"),
    }
}

/// Installs what `pkg-config` does not know; itself it is a program, and to be there.
pub fn libraries(needed: &[Library]) -> Result<()> {
    let missing = || needed.iter().filter(|library| !is_known(library.name));
    install(missing().flat_map(|library| library.names))?;
    match missing().next() {
        None => Ok(()),
        Some(Library { name, .. }) => bail!("`pkg-config --exists {name}` still fails"),
    }
}

fn install<'a>(names: impl Iterator<Item = &'a &'static str>) -> Result<()> {
    let names: Vec<&str> = names.copied().collect();
    if names.is_empty() {
        return Ok(());
    }
    println!("installing {}", names.join(" "));
    for arguments in [vec!["update"], [&["install", "-y", "--no-install-recommends"], &names[..]].concat()] {
        let mut apt = Command::new("apt-get");
        succeed(apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()))?;
    }
    Ok(())
}

fn is_known(library: &str) -> bool {
    Command::new("pkg-config").args(["--exists", library]).status().is_ok_and(|status| status.success())
}

/// On `PATH`, or where Debian has the programs of each version of PostgreSQL.
fn is_there(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folders = versions.map(|version| version.path().join("bin"));
    env::split_paths(&path).chain(folders).any(|folder| folder.join(program).is_file())
}

/// A program of a crate, built from the registry once and kept below `target`. The crate's version is pinned, as
/// every other dependency is.
pub fn from_registry(root: &Path, krate: &str, version: &str) -> Result<PathBuf> {
    // A folder for each version, so that a new one is never mistaken for the old one.
    let folder = target(root).join("tools").join(format!("{krate}-{version}"));
    let program = folder.join("bin").join(krate);
    if !program.is_file() {
        println!("building {krate} {version}");
        let mut install = cargo(root);
        install
            // Unoptimized: they start other programs and wait, and are built more often than they run for long.
            .args(["install", "--quiet", "--debug", "--locked", "--version", version, "--root"])
            .arg(&folder)
            .arg(krate);
        succeed(install.stdin(Stdio::null()))?;
    }
    Ok(program)
}

/// Where cargo builds.
pub fn target(root: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |folder| root.join(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_installed() {
        assert!(is_there("sh") && !is_there("no-such-program"));
        assert!(!is_known("no-such-library"));
        assert!(debian(&[Package { program: "sh", names: &["no-such-package"] }]).is_ok());
    }
}

//! Where PostgreSQL is, and as whom it runs: it refuses to as root.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

use rustix::process::geteuid;

/// Where Debian has a folder for each version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// A program of PostgreSQL, of the newest version that is there.
pub fn program(name: &str) -> io::Result<PathBuf> {
    let version = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.parse::<u32>().unwrap_or_default()
    };
    let mut versions: Vec<PathBuf> =
        fs::read_dir(DEBIAN).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    versions.sort_by_key(version);
    let in_versions = versions.iter().rev().map(|folder| folder.join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let found = in_versions
        .chain(env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file());
    found.ok_or_else(|| {
        let other = crate::OTHER;
        let what = format!(
            "there is no `{name}` below {DEBIAN} or on PATH: `apt-get install postgresql`, or name a server by {other}=postgres://…"
        );
        io::Error::new(io::ErrorKind::NotFound, what)
    })
}

/// A user who may run a server.
pub struct User {
    /// Whom root becomes; nothing if this is nobody special already.
    other: Option<(u32, u32)>,
}

impl User {
    /// This one, unless it is root: then `postgres`, which comes with the package, or `nobody`.
    pub fn unprivileged() -> io::Result<Self> {
        if !geteuid().is_root() {
            return Ok(Self { other: None });
        }
        let users = fs::read_to_string("/etc/passwd")?;
        let numbers = |name: &str| {
            let line = users.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            let mut fields = line.split(':').skip(1);
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        };
        let other = numbers("postgres").or_else(|| numbers("nobody"));
        let none = || io::Error::other("this is root, and there is neither a user `postgres` nor `nobody`");
        Ok(Self { other: Some(other.ok_or_else(none)?) })
    }

    /// Starts a program as this user.
    pub fn command(&self, program: &Path) -> Command {
        let Some((user, group)) = self.other else { return Command::new(program) };
        let mut command = Command::new("setpriv");
        command
            .arg(format!("--reuid={user}"))
            .arg(format!("--regid={group}"))
            .arg("--clear-groups")
            .arg(program);
        command
    }

    /// Makes a file or a folder theirs.
    pub fn give(&self, path: &Path) -> io::Result<()> {
        self.other.map_or(Ok(()), |(user, group)| chown(path, Some(user), Some(group)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_named_with_its_package() {
        let told = program("no-such-program").unwrap_err().to_string();
        assert!(told.contains("`no-such-program`") && told.contains("apt-get install postgresql"), "{told}");
    }
}

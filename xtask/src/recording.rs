//! `cargo xtask recording`: docs/recording.svg, the session at the top of the README.
//!
//! It is a real one: the command is built, run by a shell in a terminal of its own, stopped by Ctrl-C and resumed; what the
//! terminal showed, and when, becomes a picture that moves. The picture shows what the command says today, and it is
//! different each time, so nothing checks that it is up to date.

mod film;
mod svg;
mod terminal;

use std::fs::{self, Permissions};
use std::num::NonZeroU16;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use self::terminal::Terminal;
use crate::tools::target;
use crate::{cargo, succeed};

/// Where it is, from the folder of the workspace.
const FILE: &str = "docs/recording.svg";
/// What made it, as the file says itself.
const MADE_BY: &str = "cargo xtask recording";
/// More than this is too much for the first screen of a page.
const LARGEST: usize = 150_000;

const ROWS: NonZeroU16 = NonZeroU16::new(16).expect("it is not zero");
const COLUMNS: NonZeroU16 = NonZeroU16::new(80).expect("it is not zero");

/// For those who do not see it, and for those who wait for it.
const TITLE: &str =
    "A job of 100 pages is stopped by Ctrl-C, resumed, and what failed is run again once the cause is mended";

/// What is run for each page. Two kinds of failure, which are two groups of dead letters.
const AGENT: &str = "#!/bin/sh
n=${1##*/}
sleep 0.$((2 + n % 4))
[ -e mended ] && exit 0
case $n in
7 | 31 | 58 | 90) echo \"not found: $1\" >&2; exit 1 ;;
77) exit 75 ;;
esac
";

/// Records the session, and writes the picture.
pub fn run(root: &Path) -> Result<()> {
    succeed(cargo(root).args(["build", "--release", "--quiet", "--package", "workitem-cli"]))?;
    let folder = tempfile::tempdir()?;
    let pages: Vec<String> = (1..=100).map(|n| format!("/page/{n}\n")).collect();
    fs::write(folder.path().join("pages.txt"), pages.concat())?;
    fs::write(folder.path().join("get"), AGENT)?;
    fs::set_permissions(folder.path().join("get"), Permissions::from_mode(0o755))?;

    let mut terminal = Terminal::open(folder.path(), &target(root).join("release"), (ROWS, COLUMNS))?;
    play(&mut terminal).context("the session did not go as planned")?;
    let frames = film::frames(terminal.recorded(), (ROWS, COLUMNS));
    let picture = svg::render(&frames, (ROWS, COLUMNS), TITLE, MADE_BY);
    ensure!(picture.len() <= LARGEST, "{FILE} would have {} bytes, more than {LARGEST}", picture.len());
    fs::write(root.join(FILE), &picture)?;
    println!("{FILE}: {} frames, {} bytes", frames.len(), picture.len());
    Ok(())
}

/// What is typed, and when.
fn play(terminal: &mut Terminal) -> Result<()> {
    let (glance, read) = (Duration::from_millis(700), Duration::from_millis(1_600));
    terminal.prompt()?;
    terminal.pause(glance)?;
    terminal.enter("workitem map --job pages -j 8 --input pages.txt -- ./get {}")?;
    terminal.pause(Duration::from_secs(2))?;
    terminal.press("\x03")?;
    terminal.prompt()?;
    terminal.pause(read)?;
    terminal.enter("workitem resume pages")?;
    terminal.prompt()?;
    terminal.pause(read)?;
    terminal.enter("touch mended; workitem dlq retry pages")?;
    terminal.prompt()?;
    terminal.pause(glance)?;
    terminal.enter("workitem verify pages")?;
    terminal.prompt()?;
    let last = terminal.lines().join("\n");
    ensure!(last.contains("nothing is wrong"), "at the end the terminal shows:\n{last}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root;

    fn file(name: &str) -> String {
        fs::read_to_string(root().join(name)).unwrap()
    }

    #[test]
    fn the_readme_shows_it_first() {
        let readme = file("README.md");
        let shown = readme.find(&format!("]({FILE})")).expect("README.md shows the recording");
        assert!(shown < readme.find("\n## ").unwrap(), "it is on the first screen");
    }

    #[test]
    fn the_file_says_what_made_it_and_tells_nothing_of_the_machine() {
        let picture = file(FILE);
        assert!(picture.lines().next().unwrap().contains(MADE_BY), "the first line names the command");
        assert!(picture.len() <= LARGEST && picture.contains(TITLE));
        for path in ["/tmp", "/home", "/root", "/usr"] {
            assert!(!picture.contains(path), "it shows {path}");
        }
    }
}

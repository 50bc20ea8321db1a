//! A clock that can be set, for one program.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// An hour back.
pub const HOUR_BACK: i64 = -3_600;
/// A year ahead.
pub const YEAR_AHEAD: i64 = 365 * 24 * 3_600;

/// The time of day, as the programs see it that are started with its [`variables`](Self::variables).
pub struct Clock {
    library: PathBuf,
    file: PathBuf,
    moved: File,
}

impl Clock {
    /// Builds what is preloaded, with the C compiler that Rust needs too.
    pub fn new(folder: &Path) -> Result<Self> {
        let [source, library, file] = ["clock.c", "clock.so", "clock"].map(|name| folder.join(name));
        fs::write(&source, include_str!("clock.c"))?;
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-shared", "-fPIC", "-o"]).arg(&library).arg(&source);
        let status = compiler.status().context("there is no C compiler `cc`")?;
        ensure!(status.success(), "cannot compile {}: {status}", source.display());
        let moved = File::create(&file)?;
        let clock = Self { library, file, moved };
        clock.set(0)?;
        Ok(clock)
    }

    /// Moves the time of day to so many seconds from what it is for everybody else.
    pub fn set(&self, seconds: i64) -> Result<()> {
        Ok(self.moved.write_all_at(&seconds.to_ne_bytes(), 0)?)
    }

    /// What makes a program see it.
    pub fn variables(&self) -> [(&'static str, &Path); 2] {
        [("LD_PRELOAD", &self.library), ("TORTURE_CLOCK", &self.file)]
    }
}

//! A shell in a terminal of its own, somebody who types, and what the terminal was sent meanwhile.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use pty_process::Size;
use pty_process::blocking::{Command, Pty, open};
use vt100::Parser;

/// How fast somebody types.
const KEY: Duration = Duration::from_millis(25);
/// How long the shell may take to come back.
const PATIENCE: Duration = Duration::from_mins(1);
/// What the shell shows when it waits.
const PROMPT: &str = "$";

/// What a terminal was sent, and when, since it was opened.
pub type Recorded = Vec<(Duration, Vec<u8>)>;

pub struct Terminal {
    pty: Arc<Pty>,
    shell: Child,
    sent: Receiver<Vec<u8>>,
    screen: Parser,
    opened: Instant,
    recorded: Recorded,
}

impl Terminal {
    /// A shell in `folder` that knows nothing of who started it, and finds programs in `bin`.
    pub fn open(folder: &Path, bin: &Path, (rows, columns): (NonZeroU16, NonZeroU16)) -> Result<Self> {
        let (pty, inside) = open().context("cannot open a terminal")?;
        pty.resize(Size::new(rows.get(), columns.get()))?;
        let shell = Command::new("bash")
            .args(["--norc", "--noprofile", "--noediting"])
            .current_dir(folder)
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .env("HOME", folder)
            .env("TERM", "xterm-256color")
            .env("LANG", "C.UTF-8")
            .env("PS1", format!("\\[\\e[32m\\]{PROMPT}\\[\\e[m\\] "))
            .spawn(inside)
            .context("cannot start bash")?;
        let pty = Arc::new(pty);
        let (sender, sent) = channel();
        let reader = pty.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4_096];
            // The end is an error: nobody holds the other side any more.
            while let Ok(read) = (&*reader).read(&mut buffer) {
                if read == 0 || sender.send(buffer[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        let (screen, recorded) = (Parser::new(rows, columns, 0), Recorded::new());
        Ok(Self { pty, shell, sent, screen, opened: Instant::now(), recorded })
    }

    /// Types a line, key by key, and Enter.
    pub fn enter(&mut self, line: &str) -> Result<()> {
        for key in line.chars() {
            self.press(&key.to_string())?;
            self.pause(KEY)?;
        }
        self.press("\n")?;
        // The shell has taken the line once the cursor has left it.
        self.until("the line is taken", |row| row != format!("{PROMPT} {line}"))
    }

    /// Presses a key.
    pub fn press(&mut self, key: &str) -> Result<()> {
        (&*self.pty).write_all(key.as_bytes()).context("cannot type")
    }

    /// Looks on for a while.
    pub fn pause(&mut self, pause: Duration) -> Result<()> {
        let end = Instant::now() + pause;
        while self.receive(end)? {}
        Ok(())
    }

    /// Waits until the shell waits.
    pub fn prompt(&mut self) -> Result<()> {
        self.until("the shell waits", |row| row == PROMPT)
    }

    /// What it shows, line by line.
    pub fn lines(&self) -> Vec<String> {
        let (_, columns) = self.screen.screen().size();
        self.screen.screen().rows(0, columns.get()).collect()
    }

    /// What it was sent so far.
    pub fn recorded(&self) -> &[(Duration, Vec<u8>)] {
        &self.recorded
    }

    /// Waits until the row of the cursor is as it should be.
    fn until(&mut self, what: &str, is_so: impl Fn(&str) -> bool) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let lines = self.lines();
            let (row, _) = self.screen.screen().cursor_position();
            if is_so(lines.get(usize::from(row)).map_or("", |row| row.trim_end())) {
                return Ok(());
            }
            if !self.receive(end)? {
                bail!("waited in vain until {what}; the terminal shows:\n{}", lines.join("\n"));
            }
        }
    }

    /// Takes in what comes next; `false` if nothing did until `end`.
    fn receive(&mut self, end: Instant) -> Result<bool> {
        match self.sent.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(bytes) => {
                self.screen.process(&bytes);
                self.recorded.push((self.opened.elapsed(), bytes));
                Ok(true)
            }
            Err(RecvTimeoutError::Timeout) => Ok(false),
            Err(RecvTimeoutError::Disconnected) => bail!("the shell has ended"),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

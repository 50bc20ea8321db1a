//! What can happen to a server: it dies, comes back, has a standby, or is gone for good.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use crate::find::{User, program};
use crate::folder::Folder;
use crate::{Own, PATIENCE, Server, TICK, is_ready, run, tail};

impl Server {
    /// `kill -9` of the server and of all its processes, as a crash of it is. Its folder stays as it was.
    ///
    /// # Errors
    ///
    /// If it is not one that was started here, or does not run.
    pub fn kill(&self) -> io::Result<()> {
        let data = self.own()?.folder.join("data");
        let file = data.join("postmaster.pid");
        let text = fs::read_to_string(&file)?;
        let pid = text.lines().next().and_then(|line| line.trim().parse::<i32>().ok());
        let pid = pid.ok_or_else(|| io::Error::other(format!("{} names no process", file.display())))?;
        // Stopped, it starts nobody while its children are looked for.
        signal(pid, Signal::STOP);
        let all: Vec<i32> = children(pid)?.into_iter().chain([pid]).collect();
        for pid in &all {
            signal(*pid, Signal::KILL);
        }
        while all.iter().any(|pid| is_alive(*pid)) {
            sleep(TICK);
        }
        // It says that the server is ready.
        fs::remove_file(file)
    }

    /// Starts it once more after [`kill`](Self::kill), on what it has left, and waits until it lets others in.
    ///
    /// # Errors
    ///
    /// If it is not one that was started here, or does not start; then what it said.
    pub fn start_again(&mut self) -> io::Result<()> {
        let own = self.own.as_mut().ok_or_else(not_ours)?;
        let pipe = own.pipe.as_mut().ok_or_else(not_ours)?;
        // The watcher reads lines.
        pipe.write_all(b"again\n")?;
        pipe.flush()?;
        let (data, started) = (own.folder.join("data"), Instant::now());
        while !is_ready(&data) {
            if started.elapsed() > PATIENCE {
                let said = tail(&own.folder.join("log"));
                return Err(io::Error::other(format!("PostgreSQL did not start again: {said}")));
            }
            sleep(TICK);
        }
        Ok(())
    }

    /// Starts a server that follows this one, under a name that `synchronous_standby_names` can hold, in a folder and on
    /// a port of its own.
    ///
    /// # Errors
    ///
    /// If this one is not one that was started here, or as for [`start`](Self::start).
    pub fn standby(&self, name: &str, settings: &[&str]) -> io::Result<Self> {
        let own = self.own()?;
        let (user, folder) = (User::unprivileged()?, Folder::new(&User::unprivileged()?)?);
        let data = folder.path().join("data");
        let from =
            format!("host={} port={} user=postgres application_name={name}", own.folder.display(), own.port);
        let mut copy = user.command(&program("pg_basebackup")?);
        copy.args(["--no-sync", "--checkpoint=fast", "--write-recovery-conf", "-d", &from, "-D"]).arg(&data);
        done(copy.current_dir(folder.path()), "pg_basebackup")?;
        run(&user, &program("postgres")?, folder, settings)
    }

    /// Makes the standby a server that can be written to.
    ///
    /// # Errors
    ///
    /// If it is not one that was started here, or no standby.
    pub fn promote(&self) -> io::Result<()> {
        let data = self.own()?.folder.join("data");
        let mut promote = User::unprivileged()?.command(&program("pg_ctl")?);
        promote.args(["promote", "-w", "-t", &PATIENCE.as_secs().to_string(), "-D"]).arg(&data);
        done(promote.current_dir("/"), "pg_ctl promote")
    }

    /// [`kill`](Self::kill), and its folder is gone as well.
    ///
    /// # Errors
    ///
    /// As [`kill`](Self::kill).
    pub fn destroy(self) -> io::Result<()> {
        let file = self.own()?.folder.join("data/postmaster.pid");
        // Nobody comes back to it who would remove its mark in the system's memory.
        let text = fs::read_to_string(file)?;
        let memory = text.lines().nth(6).and_then(|line| line.split_whitespace().nth(1)).map(str::to_owned);
        self.kill()?;
        drop(self);
        match memory {
            Some(id) => done(Command::new("ipcrm").args(["-m", &id]), "ipcrm"),
            None => Ok(()),
        }
    }

    fn own(&self) -> io::Result<&Own> {
        self.own.as_ref().ok_or_else(not_ours)
    }
}

fn not_ours() -> io::Error {
    io::Error::other(format!("the server is that of {}, which is not started or stopped", crate::OTHER))
}

fn done(command: &mut Command, what: &str) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{what}: {}", String::from_utf8_lossy(&output.stderr))))
}

fn signal(pid: i32, signal: Signal) {
    // Gone in the meantime is as well.
    let _ = Pid::from_raw(pid).map(|pid| kill_process(pid, signal));
}

/// State and parent of a process, as `/proc` has them; nothing if it is gone.
fn state(pid: i32) -> Option<(char, i32)> {
    let text = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    // Its name comes before, and may hold anything.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// Whether it can still do anything: a zombie cannot.
fn is_alive(pid: i32) -> bool {
    state(pid).is_some_and(|(state, _)| state != 'Z')
}

fn children(parent: i32) -> io::Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        if state(pid).is_some_and(|(_, its)| its == parent) {
            found.push(pid);
        }
    }
    Ok(found)
}

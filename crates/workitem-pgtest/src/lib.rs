//! A PostgreSQL server to be thrown away, for tests.
//!
//! ```no_run
//! let server = workitem_pgtest::shared();
//! let url = server.schema_url("mine");     // postgres://…/postgres?host=/tmp/…&schema=mine_1
//! ```
//!
//! A test program starts one server, the first time a test asks for it, and every test has a schema of its own. The
//! server lives in a temporary folder, listens on a Unix socket in it and on one port of 127.0.0.1, and keeps what it
//! has acknowledged as one in production does. It ends with the program, however that ends: a watcher reads from a pipe
//! that nobody else writes to, so that it hears of a `kill -9`, too. Then it stops the server and removes the folder.
//! One that a test has for itself can be killed and started again, have a standby, and be gone for good.
//!
//! `WORKITEM_TEST_POSTGRES=postgres://…` names a server that is there already; it is neither started nor stopped, and
//! schemas stay behind.

mod deaths;
mod find;
mod folder;

use std::io::{self, Read};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, fs, process};

use find::{User, program};
use folder::Folder;

/// Where a server is that shall be used instead.
pub const OTHER: &str = "WORKITEM_TEST_POSTGRES";

/// How long a server may take to start: a busy machine may come in between.
const PATIENCE: Duration = Duration::from_mins(2);
/// How often to look whether it has.
const TICK: Duration = Duration::from_millis(20);
/// Another program may take the port between the look and the start.
const ATTEMPTS: usize = 5;

/// What runs the server, starts it again for each line that it reads, and stops it when its own input ends. Everything is an argument, so that no path can be
/// mistaken for a command: the folder, then the server with its arguments.
const WATCHER: &str = r#"
folder=$1; shift
"$@" >"$folder/log" 2>&1 </dev/null &
server=$!
while read -r _; do
    wait "$server"
    "$@" >>"$folder/log" 2>&1 </dev/null &
    server=$!
done
kill -QUIT "$server" 2>/dev/null
wait "$server"
rm -rf "$folder"
"#;

/// A server that runs.
pub struct Server {
    /// With neither a schema nor options.
    url: String,
    /// Those that this started.
    own: Option<Own>,
}

struct Own {
    /// Closed when this is dropped or the program ends; the watcher waits for it.
    pipe: Option<ChildStdin>,
    watcher: Child,
    folder: PathBuf,
    port: u16,
}

/// The server of this test program.
///
/// # Panics
///
/// If there is no PostgreSQL to start, or it does not; the message says what to do.
pub fn shared() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| match env::var(OTHER) {
        Ok(url) => Server { url, own: None },
        Err(_) => Server::start(&[]).unwrap_or_else(|error| panic!("{error}")),
    })
}

impl Server {
    /// Starts a server of its own, with further lines of `postgresql.conf`. Connections by its Unix socket are trusted;
    /// over TCP they need a password, `secret`. A file of that name in the server's folder is named without a path.
    ///
    /// # Errors
    ///
    /// What is missing, or what the server said.
    pub fn start(settings: &[&str]) -> io::Result<Self> {
        Self::start_with(settings, |_| Ok(()))
    }

    /// As [`start`](Self::start), with more files in the server's folder.
    ///
    /// # Errors
    ///
    /// As those of [`start`](Self::start), and those of `prepare`.
    pub fn start_with(settings: &[&str], prepare: impl Fn(&Path) -> io::Result<()>) -> io::Result<Self> {
        let (initdb, postgres) = (program("initdb")?, program("postgres")?);
        let user = User::unprivileged()?;
        let mut failed = None;
        for _ in 0..ATTEMPTS {
            let folder = Folder::new(&user)?;
            let data = folder.path().join("data");
            let password = folder.path().join("password");
            fs::write(&password, "secret")?;
            user.give(&password)?;
            // It is synced by the server once it matters; what is made here is worth nothing.
            let arguments =
                ["--no-sync", "--auth-local=trust", "--auth-host=scram-sha-256", "--username=postgres"];
            let mut init = user.command(&initdb);
            init.args(arguments)
                .args(["--encoding=UTF8", "--no-locale", "--pwfile"])
                .arg(&password)
                .arg("-D")
                .arg(&data);
            let output = init.current_dir(folder.path()).stdin(Stdio::null()).output()?;
            if !output.status.success() {
                return Err(io::Error::other(format!("initdb: {}", String::from_utf8_lossy(&output.stderr))));
            }
            prepare(&data)?;
            for entry in fs::read_dir(&data)? {
                user.give(&entry?.path())?;
            }
            match run(&user, &postgres, folder, settings) {
                Ok(server) => return Ok(server),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| io::Error::other("no attempt was made")))
    }

    /// The server's address, by its Unix socket, as its superuser.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address with a schema that nobody else has.
    pub fn schema_url(&self, name: &str) -> String {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let separator = if self.url.contains('?') { '&' } else { '?' };
        // A server that is there already may have been there for the program before.
        let (process, number) = (process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        format!("{}{separator}schema={name}_{process}_{number}", self.url)
    }

    /// Its port on 127.0.0.1; nothing for a server that was there already.
    pub fn port(&self) -> Option<u16> {
        self.own.as_ref().map(|own| own.port)
    }

    /// Where it lives; nothing for a server that was there already.
    pub fn folder(&self) -> Option<&Path> {
        self.own.as_ref().map(|own| own.folder.as_path())
    }

    /// The process that stops it; nothing for a server that was there already.
    pub fn watcher(&self) -> Option<u32> {
        self.own.as_ref().map(|own| own.watcher.id())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // It has removed the folder by then. If that cannot be waited for, there is nobody left to tell.
        let _ = self.watcher.wait();
    }
}

fn run(user: &User, postgres: &Path, folder: Folder, settings: &[&str]) -> io::Result<Server> {
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let data = folder.path().join("data");
    let server = user.command(postgres);
    let mut watcher = Command::new("sh");
    watcher.args(["-c", WATCHER, "postgres for tests"]).arg(folder.path()).arg(server.get_program());
    watcher.args(server.get_args()).arg("-D").arg(&data).arg("-k").arg(folder.path());
    watcher.args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"]);
    for setting in settings {
        watcher.args(["-c", setting]);
    }
    // Ctrl-C reaches all of a terminal's group: whoever stops the server must not be stopped by it.
    let mut watcher = watcher.current_dir("/").stdin(Stdio::piped()).process_group(0).spawn()?;
    let pipe = watcher.stdin.take();
    let folder = folder.into_path();
    let own = Own { pipe, watcher, folder: folder.clone(), port };
    let log = folder.join("log");
    let started = Instant::now();
    while !is_ready(&data) {
        if is_over(&log) || started.elapsed() > PATIENCE {
            return Err(io::Error::other(format!("PostgreSQL did not start: {}", tail(&log))));
        }
        sleep(TICK);
    }
    let url = format!("postgres://postgres@/postgres?host={}&port={port}", folder.display());
    Ok(Server { url, own: Some(own) })
}

/// Whether it takes connections: the server itself writes it down.
fn is_ready(data: &Path) -> bool {
    let pid = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    pid.lines().nth(7).is_some_and(|line| ["ready", "standby"].contains(&line.trim()))
}

/// Whether it has given up.
fn is_over(log: &Path) -> bool {
    let mut text = String::new();
    let read = fs::File::open(log).and_then(|mut log| log.read_to_string(&mut text));
    read.is_ok() && (text.contains("FATAL:") || text.contains("database system is shut down"))
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

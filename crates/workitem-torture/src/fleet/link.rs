//! A network cable: a namespace with one link to this machine, which can be cut, or lose what goes one way.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, ensure};
use rustix::process::geteuid;

/// An address of a network card that nobody has: what is sent there arrives nowhere.
const NOBODY: &str = "02:00:00:00:00:01";

/// What starts a program as on another machine: it sees no processes but its own, and those end with it.
pub const APART: &[&str] = &["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// How a link is cut.
#[derive(Debug, Clone, Copy)]
pub enum Cut {
    /// It is down.
    Down,
    /// What the server sends is lost.
    FromServer,
    /// What the worker sends is lost.
    ToServer,
}

/// A network namespace, and the link to it; both end with it.
pub struct Link {
    namespace: String,
    /// The ends of the link: here, and there.
    here: String,
    there: String,
    /// Their addresses.
    server: String,
    worker: String,
    network: String,
}

impl Link {
    /// A link; nothing where none can be made: that takes root, and `ip` of iproute2.
    ///
    /// # Errors
    ///
    /// What `ip` said.
    pub fn new() -> Result<Option<Self>> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        if !geteuid().is_root() || Command::new("ip").arg("-V").output().is_err() {
            return Ok(None);
        }
        // Addresses that are set aside for tests of networks, and lead nowhere else.
        let (process, n) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let network = format!("198.18.{}", process % 256);
        let first = n % 64 * 4;
        let name = format!("wi{}x{}", process % 100_000, n);
        let link = Self {
            here: format!("{name}a"),
            there: format!("{name}b"),
            namespace: name,
            server: format!("{network}.{}", first + 1),
            worker: format!("{network}.{}", first + 2),
            network: format!("{network}.{first}/30"),
        };
        let Self { namespace, here, there, .. } = &link;
        ip(&format!("netns add {namespace}"))?;
        ip(&format!("link add {here} type veth peer name {there} netns {namespace}"))?;
        ip(&format!("addr add {}/30 dev {here}", link.server))?;
        ip(&format!("link set {here} up"))?;
        ip(&format!("-n {namespace} addr add {}/30 dev {there}", link.worker))?;
        ip(&format!("-n {namespace} link set {there} up"))?;
        ip(&format!("-n {namespace} link set lo up"))?;
        // While the link is down, what is for its other end is not to leave this machine another way.
        ip(&format!("route add blackhole {} metric 4000", link.network))?;
        Ok(Some(link))
    }

    /// The server's address, as seen from there.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// What starts a program there, [apart](APART) from all others.
    pub fn through(&self) -> Vec<&str> {
        [&["ip", "netns", "exec", &self.namespace], APART].concat()
    }

    /// Cuts it.
    pub fn cut(&self, how: Cut) -> Result<()> {
        let Self { namespace, here, there, server, worker, .. } = self;
        match how {
            Cut::Down => ip(&format!("link set {here} down")),
            Cut::FromServer => {
                ip(&format!("neigh replace {worker} lladdr {NOBODY} nud permanent dev {here}"))
            }
            Cut::ToServer => ip(&format!(
                "-n {namespace} neigh replace {server} lladdr {NOBODY} nud permanent dev {there}"
            )),
        }
    }

    /// Mends what was cut.
    pub fn mend(&self, how: Cut) -> Result<()> {
        let Self { namespace, here, there, server, worker, .. } = self;
        match how {
            Cut::Down => ip(&format!("link set {here} up")),
            Cut::FromServer => ip(&format!("neigh del {worker} dev {here}")),
            Cut::ToServer => ip(&format!("-n {namespace} neigh del {server} dev {there}")),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // What is gone already is as well.
        let _ = ip(&format!("route del blackhole {} metric 4000", self.network));
        let _ = ip(&format!("link del {}", self.here));
        let _ = ip(&format!("netns del {}", self.namespace));
    }
}

fn ip(words: &str) -> Result<()> {
    let output = Command::new("ip").args(words.split(' ')).current_dir(Path::new("/")).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`ip {words}`: {}", said.trim());
    Ok(())
}

//! The network between workers and the server is cut: for ever, until they notice, for a little longer than a lease.

use std::fs::OpenOptions;
use std::io::Write;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, bail};
use workitem_pgtest::Server;

use super::crew::{Fleet, LEASE};
use super::link::{APART, Cut, Link};
use crate::processes::{MARK, carrying};
use crate::stage::{Stage, eventually};

/// How soon a connection is given up that nothing comes through: soon, so that a round takes no longer than it must.
const IMPATIENT: &str =
    "connect_timeout=2&tcp_user_timeout=3&keepalives_idle=1&keepalives_interval=1&keepalives_retries=2";
/// Items that hang where they are first.
const HANGING: usize = 12;

pub fn cut(stage: &mut Stage) -> Result<()> {
    let (Some(one), Some(two)) = (Link::new()?, Link::new()?) else {
        "not played: it takes root, and `ip` of iproute2".clone_into(&mut stage.fact);
        return Ok(());
    };
    let links = [one, two];
    let listen = format!("listen_addresses=127.0.0.1,{},{}", links[0].server(), links[1].server());
    let server = Server::start_with(&[&listen], |data| {
        let mut rules = OpenOptions::new().append(true).open(data.join("pg_hba.conf"))?;
        writeln!(rules, "host all all 198.18.0.0/15 scram-sha-256")
    })?;
    let Some(port) = server.port() else { bail!("the server has no port") };
    let (address, items) = (format!("{}&schema=fleet", server.url()), stage.of(8, 30));
    let mut fleet = Fleet::new(stage, address, server.url(), "fleet")?;
    fleet.two_jobs(&["hang"; HANGING], items)?;
    let away = |fleet: &mut Fleet<'_>, n: usize| {
        let host = links[n].server();
        let address = format!("postgres://postgres:secret@{host}:{port}/postgres?schema=fleet&{IMPATIENT}");
        fleet.worker_at(format!("away-{n}"), &links[n].through(), Some(&address))?;
        eventually("a worker that is away has agents that hang", || hanging(fleet, n) > 0)
    };
    away(&mut fleet, 0)?;
    away(&mut fleet, 1)?;
    for _ in 0..2 {
        // Else it would end the agents of those who are cut off before they do it themselves.
        fleet.worker_through(APART)?;
    }
    let cuts: Vec<Cut> = links.iter().map(|_| any(fleet.stage)).collect();
    for (link, cut) in links.iter().zip(&cuts) {
        link.cut(*cut)?;
        fleet.stage.count(name(*cut), 1);
    }
    // They notice, and end their agents, though nobody tells them.
    for n in 0..links.len() {
        let folder = fleet.stage.place.path().display().to_string();
        let crew = format!("away-{n}");
        let agents = || carrying(&[(MARK, &folder), ("CREW", &crew)]).len();
        eventually(&format!("{crew}, which is cut off, has no agents"), || agents() == 0)?;
    }
    // What they had is done by the others.
    fleet.until_done(|_| Ok(()))?;
    // One of them is back, and works; then its link is down again, for longer than a lease.
    links[0].mend(cuts[0])?;
    works_again(&mut fleet, items)?;
    let short = any(fleet.stage);
    links[0].cut(short)?;
    let moment = fleet.stage.rng.u64(100..1_500);
    sleep(LEASE + Duration::from_millis(moment));
    links[0].mend(short)?;
    fleet.stage.count("cut for a little longer than a lease", 1);
    fleet.until_done(|_| Ok(()))?;
    works_again(&mut fleet, items)?;
    fleet.until_done(|_| Ok(()))?;
    // The other one is away for ever, and ends when it is told to, as all do.
    fleet.finish()
}

/// Agents of a worker that is away that hang.
fn hanging(fleet: &Fleet<'_>, n: usize) -> usize {
    let crew = format!("away-{n}");
    fleet.starts("steady").iter().filter(|start| start.item <= HANGING && start.crew == crew).count()
}

/// Adds items, until the worker that was cut off has one.
fn works_again(fleet: &mut Fleet<'_>, items: usize) -> Result<()> {
    let before = of_first(fleet);
    for _ in 0..100 {
        fleet.add("steady", &vec!["ok"; items])?;
        for _ in 0..20 {
            if of_first(fleet) > before {
                return Ok(());
            }
            sleep(Duration::from_millis(50));
        }
    }
    bail!("away-0 has its link again, and does nothing")
}

fn of_first(fleet: &Fleet<'_>) -> usize {
    fleet.starts("steady").iter().filter(|start| start.crew == "away-0").count()
}

fn any(stage: &mut Stage) -> Cut {
    [Cut::Down, Cut::FromServer, Cut::ToServer][stage.rng.usize(..3)]
}

const fn name(cut: Cut) -> &'static str {
    match cut {
        Cut::Down => "links down",
        Cut::FromServer => "links that lose what the server sends",
        Cut::ToServer => "links that lose what the worker sends",
    }
}

//! Somebody is killed: workers, `map`, the server, the server for good.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use workitem_pgtest::{Server, shared};

use super::crew::Fleet;
use crate::stage::Stage;

/// A fleet on the server that all scenes share that do nothing to it.
pub fn on_shared(stage: &mut Stage) -> Result<(Fleet<'_>, String)> {
    let server = shared();
    let address = server.schema_url("fleet");
    let schema = schema_of(&address);
    // By which its sessions are told from others.
    let address = format!("{address}&application_name={schema}");
    Ok((Fleet::new(stage, address, server.url(), &schema)?, schema))
}

fn schema_of(address: &str) -> String {
    address.rsplit_once("schema=").map_or_else(String::new, |(_, schema)| schema.to_owned())
}

pub fn workers(stage: &mut Stage) -> Result<()> {
    let (items, kills) = (stage.of(8, 40), stage.of(2, 8));
    // A `map` has a lease of a minute, for which its items wait.
    let (is_front, dies) = (stage.is_full && stage.rng.bool(), stage.rng.u8(..4) == 0);
    let (mut fleet, _) = on_shared(stage)?;
    fleet.two_jobs(&[], items)?;
    if is_front {
        fleet.front(items)?;
    }
    for _ in 0..3 {
        fleet.worker()?;
    }
    for n in 0..kills {
        let moment = fleet.stage.rng.u64(50..1_200);
        sleep(Duration::from_millis(moment));
        let nth = fleet.stage.rng.usize(..fleet.workers.len());
        fleet.busy(items)?;
        fleet.kill(nth)?;
        if is_front && dies && n == kills / 2 {
            fleet.kill_front()?;
        }
        fleet.worker()?;
    }
    fleet.until_done(|_| Ok(()))?;
    fleet.finish()
}

pub fn postmaster(stage: &mut Stage) -> Result<()> {
    let (items, kills) = (stage.of(8, 40), stage.of(1, 4));
    let is_front = stage.rng.u8(..4) == 0;
    // What the program has to see through: an answer that does not wait for the disk, and a log that is written late.
    let mut server = Server::start(&["synchronous_commit=off", "wal_writer_delay=10s"])?;
    let (address, admin) = (server.schema_url("fleet"), server.url().to_owned());
    let mut fleet = Fleet::new(stage, address.clone(), &admin, &schema_of(&address))?;
    fleet.two_jobs(&[], items)?;
    if is_front {
        fleet.front(items)?;
    }
    for _ in 0..3 {
        fleet.worker()?;
    }
    let mut left = kills;
    fleet.until_done(|fleet| {
        if left > 0 && fleet.stage.rng.u8(..8) == 0 {
            left -= 1;
            fleet.busy(items)?;
            server.kill()?;
            fleet.stage.count("servers killed", 1);
            let moment = fleet.stage.rng.u64(..1_500);
            sleep(Duration::from_millis(moment));
            server.start_again()?;
        }
        Ok(())
    })?;
    fleet.finish()
}

pub fn failover(stage: &mut Stage) -> Result<()> {
    let items = stage.of(8, 40);
    let primary = Server::start(&["synchronous_standby_names=second"])?;
    let second = primary.standby("second", &[])?;
    let (Some(one), Some(two)) = (primary.port(), second.port()) else {
        anyhow::bail!("the servers have no ports");
    };
    let schema = "fleet";
    let address = format!(
        "postgres://postgres:secret@127.0.0.1:{one},127.0.0.1:{two}/postgres?target_session_attrs=read-write&schema={schema}"
    );
    let mut fleet = Fleet::new(stage, address, primary.url(), schema)?;
    fleet.two_jobs(&[], items)?;
    for _ in 0..3 {
        fleet.worker()?;
    }
    let (mut primary, ripe) = (Some(primary), fleet.stage.rng.usize(1..2 * items));
    fleet.until_done(|fleet| {
        let is_ripe = fleet.starts("steady").len() + fleet.starts("moody").len() >= ripe;
        if let Some(primary) = primary.take_if(|_| is_ripe) {
            primary.destroy()?;
            let moment = fleet.stage.rng.u64(..1_500);
            sleep(Duration::from_millis(moment));
            second.promote()?;
            fleet.audit.moved(second.url());
            fleet.stage.count("primaries gone", 1);
        }
        Ok(())
    })?;
    let is_gone = primary.is_none();
    fleet.stage.expect(is_gone, || "all was done before the primary could go".to_owned());
    fleet.finish()
}

//! What whoever keeps the server should know: what keeps dead rows from being removed, what makes it forget, and whether
//! it can be worked with at all.
//!
//! Only what a plain role may look at is looked at. Where a server lets it see even less, that is told, and the rest is
//! looked at all the same. That tables were never analysed is not told: no plan depends on it.

mod server;
mod vacuum;

use std::time::Duration;

use chrono::TimeDelta;
use postgres::Client;
use postgres::error::SqlState;
use workitem_store::engine::left_behind;
use workitem_store::{Finding, StoreError};

use crate::PostgresStore;
use crate::error::Failure;

/// From where on something is worth telling.
pub struct Limits {
    /// How long a transaction may be open.
    pub transaction: Duration,
    /// How many transactions ago may be what a replication slot in use still wants to see.
    pub slot: i64,
    /// Dead rows of a table, if there are more than live ones.
    pub dead_rows: i64,
    /// How many transactions old a database may be. The server vacuums at a tenth of that, and stops at twice as much.
    pub age: i64,
    /// Per cent of the connections that may be used.
    pub connections: i64,
    /// How far this machine's clock may be from the server's.
    pub skew: TimeDelta,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            transaction: Duration::from_mins(5),
            slot: 1_000_000,
            dead_rows: 10_000,
            age: 1_000_000_000,
            connections: 80,
            skew: TimeDelta::seconds(1),
        }
    }
}

/// Where to look, and for what.
struct Place<'a> {
    client: &'a mut Client,
    schema: &'a str,
    limits: &'a Limits,
}

type Look = fn(&mut Place<'_>) -> Result<Vec<Finding>, Failure>;

/// Everything that is looked at, by the name under which it is missed.
const LOOKS: [(&str, Look); 10] = [
    ("the server's version", server::about),
    ("the server's settings", server::settings),
    ("connections", server::connections),
    ("the server's clock", server::clock),
    ("open transactions", vacuum::transactions),
    ("transactions of other roles", vacuum::hidden),
    ("prepared transactions", vacuum::prepared),
    ("replication slots", vacuum::slots),
    ("dead rows", vacuum::dead_rows),
    ("the age of the server's databases", vacuum::age),
];

pub fn examine(store: &PostgresStore, limits: &Limits) -> Result<Vec<Finding>, StoreError> {
    let schema = &store.pool.address().schema;
    let failed =
        |what: &str, failure: Failure| failure.while_doing(store.pool.name(), &format!("looking at {what}"));
    let mut client = store.pool.connect().map_err(|failure| failed("the server", failure))?;
    let mut findings = Vec::new();
    for (what, look) in LOOKS {
        match look(&mut Place { client: &mut client, schema, limits }) {
            Ok(found) => findings.extend(found),
            Err(failure) if failure.is(&SqlState::INSUFFICIENT_PRIVILEGE) => findings.push(unseen(what)),
            Err(failure) => return Err(failed(what, failure)),
        }
    }
    findings.extend(left_behind(store)?);
    Ok(findings)
}

fn unseen(what: &str) -> Finding {
    let told = format!("{what} cannot be seen by this role");
    Finding::note(told).next("GRANT pg_monitor to it")
}

#[cfg(test)]
mod tests;

//! The server itself: what it is, how it is set, how many it serves, and what time it has.

use chrono::{DateTime, TimeDelta, Utc};
use workitem_store::Finding;
use workitem_store::engine::{size, system_time};

use super::Place;
use crate::error::Failure;
use crate::migrate::VERSION;
use crate::rows::Fields;

/// What it is, and how much our tables take up.
pub fn about(place: &mut Place<'_>) -> Result<Vec<Finding>, Failure> {
    let row = place.client.query_one("SELECT pg_is_in_recovery(), current_setting('server_version')", &[])?;
    let fields = Fields::of("server", "its version", &row);
    let (is_standby, version): (bool, &str) = (fields.get(0)?, fields.get(1)?);
    // A table that somebody is just removing has no size.
    let rows = place.client.query(
        "SELECT c.relname, coalesce(pg_total_relation_size(c.oid), 0)
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = $1 AND c.relkind = 'r' ORDER BY 2 DESC",
        &[&place.schema],
    )?;
    let mut tables = Vec::new();
    for row in &rows {
        let fields = Fields::of("table", "pg_class", row);
        tables.push((fields.get::<&str>(0)?, fields.number::<u64>(1)?));
    }
    let total = size(tables.iter().map(|(_, bytes)| bytes).sum());
    let largest: Vec<String> =
        tables.iter().take(3).map(|(name, bytes)| format!("{name} {}", size(*bytes))).collect();
    let (schema, largest) = (place.schema, largest.join(", "));
    let about =
        format!("PostgreSQL {version}, schema version {VERSION} in `{schema}`, {total}, of which {largest}");
    let mut findings = vec![Finding::note(about)];
    if is_standby {
        let what =
            "the server is a standby, in recovery: the store can be read there, and nothing can be run";
        findings.push(Finding::fault(what).next("name the primary by --store, or promote this one"));
    }
    Ok(findings)
}

/// What it was set to when this session began, before the session set anything itself.
pub fn settings(place: &mut Place<'_>) -> Result<Vec<Finding>, Failure> {
    let names: &[&str] = &SETTINGS;
    let rows =
        place.client.query("SELECT name, reset_val FROM pg_settings WHERE name = ANY($1)", &[&names])?;
    let mut findings = Vec::new();
    for row in &rows {
        let fields = Fields::of("setting", "pg_settings", row);
        findings.extend(setting(fields.get(0)?, fields.get::<Option<&str>>(1)?.unwrap_or_default()));
    }
    Ok(findings)
}

const SETTINGS: [&str; 6] = [
    "autovacuum",
    "default_transaction_read_only",
    "fsync",
    "full_page_writes",
    "synchronous_commit",
    "track_counts",
];

fn setting(name: &str, value: &str) -> Option<Finding> {
    let on = format!("set {name} = on, and reload the server");
    match (name, value) {
        ("fsync", "off") => Some(
            Finding::fault(
                "fsync is off: a power cut may take what was reported done, or the whole database",
            )
            .next(on),
        ),
        ("full_page_writes", "off") => Some(
            Finding::fault("full_page_writes is off: a power cut may leave pages half written")
                .next(format!("{on}; only a file system that never writes half a page does without")),
        ),
        ("autovacuum" | "track_counts", "off") => Some(
            Finding::warning(format!(
                "{name} is off, so nothing vacuums: dead rows stay, and claims slow down"
            ))
            .next(format!("{on}; until then, `workitem gc` now and then")),
        ),
        ("default_transaction_read_only", "on") => Some(
            Finding::fault("transactions are read only unless they say otherwise: nothing can be run")
                .next("set default_transaction_read_only = off for this role or database"),
        ),
        ("synchronous_commit", "off") => Some(Finding::note(
            "synchronous_commit is off: the store turns it on for what it writes, others may lose what they do",
        )),
        _ => None,
    }
}

/// How many connections are left.
pub fn connections(place: &mut Place<'_>) -> Result<Vec<Finding>, Failure> {
    let row = place.client.query_one(
        "SELECT coalesce(sum(numbackends), 0)::bigint, current_setting('max_connections')::bigint,
         current_setting('superuser_reserved_connections')::bigint
         + coalesce(current_setting('reserved_connections', true)::bigint, 0)
         FROM pg_stat_database",
        &[],
    )?;
    let fields = Fields::of("server", "pg_stat_database", &row);
    let (used, most, reserved): (i64, i64, i64) = (fields.get(0)?, fields.get(1)?, fields.get(2)?);
    if used * 100 < (most - reserved) * place.limits.connections {
        return Ok(Vec::new());
    }
    let what = format!("{used} of {most} connections are used, and {reserved} are kept for administrators");
    let next = "raise max_connections, or run fewer workers: each has up to 8, and one for the job it holds";
    Ok(vec![Finding::warning(what).next(next)])
}

/// How far this machine's clock is from the server's. What cannot be told from the time that the question took is not told.
pub fn clock(place: &mut Place<'_>) -> Result<Vec<Finding>, Failure> {
    let before = system_time();
    let row = place
        .client
        .query_one("SELECT floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint", &[])?;
    let after = system_time();
    let there = Fields::of("server", "its clock", &row).time(0)?;
    let Some(ahead) = ahead(before, after, there, place.limits.skew) else { return Ok(Vec::new()) };
    let (seconds, word) = if ahead < TimeDelta::zero() { (-ahead, "behind") } else { (ahead, "ahead of") };
    let seconds = seconds.as_seconds_f64();
    let what = format!(
        "this machine's clock is {seconds:.1} s {word} the server's: it decides nothing, but stands in the history"
    );
    Ok(vec![Finding::note(what).next("have both clocks set by the network")])
}

/// By how much at least the clock that said `before` and `after` is ahead of the one that said `there` in between, if that is
/// more than `skew`.
pub fn ahead(
    before: DateTime<Utc>,
    after: DateTime<Utc>,
    there: DateTime<Utc>,
    skew: TimeDelta,
) -> Option<TimeDelta> {
    let at_least = if there < before {
        before - there
    } else if there > after {
        after - there
    } else {
        TimeDelta::zero()
    };
    (at_least.abs() > skew).then_some(at_least)
}

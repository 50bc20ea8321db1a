//! Dead rows, and whatever keeps a vacuum from removing them. Each claim leaves some, and those behind it step over them.

use workitem_store::Finding;
use workitem_store::engine::span;

use super::Place;
use crate::error::Failure;
use crate::rows::Fields;

/// What follows from an old snapshot.
const HELD: &str = "dead rows cannot be removed meanwhile, and claims slow down";

/// Transactions that keep an old snapshot. One that is open and has none is in nobody's way; a vacuum's does not count.
pub fn transactions(place: &mut Place<'_>) -> Result<Vec<Finding>, Failure> {
    let rows = place.client.query(
        "SELECT a.pid, a.usename, a.application_name, a.state,
         to_char(a.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
         extract(epoch FROM clock_timestamp() - a.xact_start)::bigint
         FROM pg_stat_activity a
         WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
         AND (a.backend_xid IS NOT NULL OR a.backend_xmin IS NOT NULL)
         AND a.xact_start <= clock_timestamp() - make_interval(secs => $1)
         AND NOT EXISTS (SELECT 1 FROM pg_stat_progress_vacuum v WHERE v.pid = a.pid)
         ORDER BY a.xact_start",
        &[&place.limits.transaction.as_secs_f64()],
    )?;
    let mut findings = Vec::new();
    for row in &rows {
        let fields = Fields::of("process", "pg_stat_activity", row);
        let text = |column| fields.get::<Option<&str>>(column).map(Option::unwrap_or_default);
        let (pid, role, application) = (fields.get::<i32>(0)?, text(1)?, text(2)?);
        let (state, since, open) = (text(3)?, text(4)?, span(fields.number(5)?));
        let what = format!(
            "process {pid} (application `{application}`, role `{role}`, {state}) has had a transaction open for {open}, \
             since {since} UTC: {HELD}"
        );
        findings.push(
            Finding::warning(what).next(format!("end it there, or by SELECT pg_terminate_backend({pid})")),
        );
    }
    Ok(findings)
}

/// What of that this role may not see.
pub fn hidden(place: &mut Place<'_>) -> Result<Vec<Finding>, Failure> {
    let row = place.client.query_one(
        "SELECT count(*), current_user::text FROM pg_stat_activity
         WHERE datname = current_database() AND query = '<insufficient privilege>'",
        &[],
    )?;
    let fields = Fields::of("role", "pg_stat_activity", &row);
    let (hidden, role): (i64, &str) = (fields.get(0)?, fields.get(1)?);
    if hidden == 0 {
        return Ok(Vec::new());
    }
    let what = format!(
        "as role `{role}`, it cannot be seen how long transactions of {hidden} other sessions are open"
    );
    Ok(vec![Finding::note(what).next(format!("GRANT pg_monitor TO {role}"))])
}

/// Transactions that were prepared, which outlive their session and the server.
pub fn prepared(place: &mut Place<'_>) -> Result<Vec<Finding>, Failure> {
    let rows = place.client.query(
        "SELECT quote_literal(gid), owner, to_char(prepared AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
         extract(epoch FROM clock_timestamp() - prepared)::bigint
         FROM pg_prepared_xacts
         WHERE database = current_database() AND prepared <= clock_timestamp() - make_interval(secs => $1)
         ORDER BY prepared",
        &[&place.limits.transaction.as_secs_f64()],
    )?;
    let mut findings = Vec::new();
    for row in &rows {
        let fields = Fields::of("transaction", "pg_prepared_xacts", row);
        let (gid, owner, since): (&str, &str, &str) = (fields.get(0)?, fields.get(1)?, fields.get(2)?);
        let open = span(fields.number(3)?);
        let what = format!(
            "transaction {gid} of role `{owner}` has been prepared for {open}, since {since} UTC, and neither committed \
             nor rolled back: {HELD}"
        );
        findings
            .push(Finding::warning(what).next(format!("COMMIT PREPARED {gid}, or ROLLBACK PREPARED {gid}")));
    }
    Ok(findings)
}

/// Replication slots that keep rows for a standby which is gone, or far behind.
pub fn slots(place: &mut Place<'_>) -> Result<Vec<Finding>, Failure> {
    let rows = place.client.query(
        "SELECT slot_name, active, age(xmin)::bigint, quote_literal(slot_name) FROM pg_replication_slots
         WHERE xmin IS NOT NULL AND (NOT active OR age(xmin)::bigint > $1) ORDER BY slot_name",
        &[&place.limits.slot],
    )?;
    let mut findings = Vec::new();
    for row in &rows {
        let fields = Fields::of("slot", "pg_replication_slots", row);
        let (slot, is_used, age): (&str, bool, i64) = (fields.get(0)?, fields.get(1)?, fields.get(2)?);
        let used = if is_used { "in use" } else { "used by nobody" };
        let what =
            format!("replication slot `{slot}`, {used}, keeps what was there {age} transactions ago: {HELD}");
        let next = if is_used {
            "see what keeps its standby, or turn off hot_standby_feedback there".to_owned()
        } else {
            format!("start its standby, or SELECT pg_drop_replication_slot({})", fields.get::<&str>(3)?)
        };
        findings.push(Finding::warning(what).next(next));
    }
    Ok(findings)
}

/// Tables of ours with more dead rows than live ones.
pub fn dead_rows(place: &mut Place<'_>) -> Result<Vec<Finding>, Failure> {
    let rows = place.client.query(
        "SELECT relname, n_dead_tup, n_live_tup,
         to_char(greatest(last_vacuum, last_autovacuum) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
         FROM pg_stat_user_tables
         WHERE schemaname = $1 AND n_dead_tup > $2 AND n_dead_tup > n_live_tup ORDER BY n_dead_tup DESC",
        &[&place.schema, &place.limits.dead_rows],
    )?;
    let mut findings = Vec::new();
    for row in &rows {
        let fields = Fields::of("table", "pg_stat_user_tables", row);
        let (table, dead, live): (&str, i64, i64) = (fields.get(0)?, fields.get(1)?, fields.get(2)?);
        let vacuumed = match fields.get::<Option<&str>>(3)? {
            Some(at) => format!("last vacuumed at {at} UTC"),
            None => "never vacuumed".to_owned(),
        };
        let what = format!(
            "table `{table}` has {dead} dead rows and {live} live ones, {vacuumed}: claims slow down"
        );
        let next = "`workitem gc`, as the role the tables belong to, vacuums them; if they stay, something keeps them";
        findings.push(Finding::warning(what).next(next));
    }
    Ok(findings)
}

/// The oldest database of the server. If it is not vacuumed for too many transactions, the server writes nothing any more.
pub fn age(place: &mut Place<'_>) -> Result<Vec<Finding>, Failure> {
    let oldest = "SELECT datname, age(datfrozenxid)::bigint FROM pg_database ORDER BY 2 DESC LIMIT 1";
    let row = place.client.query_one(oldest, &[])?;
    let fields = Fields::of("database", "pg_database", &row);
    let (database, age): (&str, i64) = (fields.get(0)?, fields.get(1)?);
    Ok(too_old(database, age, place.limits.age).into_iter().collect())
}

pub fn too_old(database: &str, age: i64, limit: i64) -> Option<Finding> {
    /// Beyond that the server gives no numbers to transactions: 3 million before they would begin anew.
    const END: i64 = (1 << 31) - 3_000_000;
    if age <= limit {
        return None;
    }
    let what = format!(
        "database `{database}` was last vacuumed whole {age} transactions ago; at {END} the server writes nothing any more"
    );
    let next = "VACUUM it as a superuser; what keeps an old snapshot must end first";
    let finding = if age >= END - 100_000_000 { Finding::fault(what) } else { Finding::warning(what) };
    Some(finding.next(next))
}

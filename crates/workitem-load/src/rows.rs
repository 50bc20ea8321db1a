//! What a job of `closures` wrote, written again by SQLite alone: the same rows, by the same statements, in the same
//! groups, each group one durable transaction. There is no machine, no agent, no thread and no check in it.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use rusqlite::{Connection, OpenFlags, params};
use serde_json::{Value, json};
use workitem_sqlite::SqliteStore;

use crate::closures::submit;

const SWAP: &str = "UPDATE items SET version = ?, status = ?, attempts = ?, failures = ?, text = ?, at = ?,
    result = ?, crashes = crashes + ?, spawned = ?, run_at = ? WHERE job = ? AND seq = ? AND version = ?";
const EVENT: &str =
    "INSERT INTO history (job, seq, version, event, payload, at, cause) VALUES (?, ?, ?, ?, ?, ?, ?)";
const COUNTS: &str = "UPDATE jobs SET pending = ?, in_progress = ?, completed = ? WHERE id = 1";

/// An item's two events.
struct Life {
    seq: i64,
    agent: String,
    spawned: bool,
    started_at: i64,
    result: String,
    ended_at: i64,
}

/// Reads the rows, writes them elsewhere, and makes sure that they are the same. Only the writing is timed.
pub fn rows(from: &Path, to: &Path) -> Result<Value> {
    let groups = read(from)?;
    let items = groups.iter().map(Vec::len).sum();
    drop(submit_to(to, items)?);
    let mut connection = connect(to)?;
    let started = Instant::now();
    let mut counts = (items, 0, 0);
    for group in &groups {
        claim(&mut connection, group, &mut counts)?;
        complete(&mut connection, group, &mut counts)?;
    }
    let seconds = started.elapsed().as_secs_f64();
    compare(&connection, from)?;
    Ok(json!({ "items": items, "groups": groups.len(), "seconds": seconds }))
}

/// In how many groups items were claimed: those of one group have the same start.
pub fn groups(store: &Path) -> Result<Value> {
    let groups: i64 =
        connect(store)?
            .query_row("SELECT count(DISTINCT at) FROM history WHERE event = 0", [], |row| row.get(0))?;
    Ok(json!({ "groups": groups }))
}

/// The items in the groups in which they were claimed.
fn read(from: &Path) -> Result<Vec<Vec<Life>>> {
    let connection = connect(from)?;
    let mut query = connection.prepare(
        "SELECT s.seq, s.payload, i.spawned, s.at, e.payload, e.at FROM history s
         JOIN history e ON e.job = s.job AND e.seq = s.seq AND e.version = 2
         JOIN items i ON i.job = s.job AND i.seq = s.seq
         WHERE s.job = 1 AND s.version = 1 ORDER BY s.at, s.seq",
    )?;
    let lives = query.query_map([], |row| {
        let (seq, agent, spawned) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Life { seq, agent, spawned, started_at: row.get(3)?, result: row.get(4)?, ended_at: row.get(5)? })
    })?;
    let mut groups: Vec<Vec<Life>> = Vec::new();
    for life in lives {
        let life = life?;
        match groups.last_mut() {
            Some(group) if group.last().is_some_and(|last| last.started_at == life.started_at) => {
                group.push(life);
            }
            _ => groups.push(vec![life]),
        }
    }
    ensure!(!groups.is_empty(), "{} has no job of closures", from.display());
    Ok(groups)
}

fn submit_to(to: &Path, items: usize) -> Result<SqliteStore> {
    let store = SqliteStore::create(to)?;
    submit(&store, items)?;
    Ok(store)
}

/// As durable as the store itself.
fn connect(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)
        .with_context(|| format!("cannot open {}", path.display()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 4_096)?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    Ok(connection)
}

/// Pending, in progress, completed.
type Counts = (usize, usize, usize);

fn claim(connection: &mut Connection, group: &[Life], counts: &mut Counts) -> Result<()> {
    let tx = connection.transaction()?;
    {
        let (mut swap, mut event) = (tx.prepare_cached(SWAP)?, tx.prepare_cached(EVENT)?);
        for Life { seq, agent, spawned, started_at, .. } in group {
            let none = None::<String>;
            swap.execute(params![1, 1, 1, 0, agent, started_at, none, false, spawned, 0, 1, seq, 0])?;
            event.execute(params![1, seq, 1, 0, agent, started_at, none])?;
        }
        counts.0 -= group.len();
        counts.1 += group.len();
        tx.prepare_cached(COUNTS)?.execute(params![counts.0, counts.1, counts.2])?;
    }
    Ok(tx.commit()?)
}

fn complete(connection: &mut Connection, group: &[Life], counts: &mut Counts) -> Result<()> {
    let tx = connection.transaction()?;
    {
        let (mut swap, mut event) = (tx.prepare_cached(SWAP)?, tx.prepare_cached(EVENT)?);
        for Life { seq, result, ended_at, .. } in group {
            let none = None::<String>;
            swap.execute(params![2, 2, 1, 0, none, None::<i64>, result, false, false, 0, 1, seq, 1])?;
            event.execute(params![1, seq, 2, 1, result, ended_at, none])?;
        }
        counts.1 -= group.len();
        counts.2 += group.len();
        tx.prepare_cached(COUNTS)?.execute(params![counts.0, counts.1, counts.2])?;
    }
    Ok(tx.commit()?)
}

/// Not one row may differ.
fn compare(connection: &Connection, from: &Path) -> Result<()> {
    connection.execute("ATTACH ? AS original", [from.to_string_lossy()])?;
    for table in ["items", "history"] {
        let differ: i64 = connection.query_row(
            &format!(
                "SELECT count(*) FROM (SELECT * FROM original.{table} EXCEPT SELECT * FROM main.{table})"
            ),
            [],
            |row| row.get(0),
        )?;
        let here: i64 =
            connection.query_row(&format!("SELECT count(*) FROM main.{table}"), [], |row| row.get(0))?;
        let there: i64 =
            connection.query_row(&format!("SELECT count(*) FROM original.{table}"), [], |row| row.get(0))?;
        ensure!(
            differ == 0 && here == there,
            "{differ} rows of {table} differ, {here} of {there} were written"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::closures::closures;

    #[test]
    fn the_same_rows_are_written_and_a_missing_one_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let [ours, bare] = ["a.db", "b.db"].map(|name| folder.path().join(name));
        closures(500, &ours).unwrap();
        let said = rows(&ours, &bare).unwrap();
        assert_eq!(said["items"], 500);
        assert_eq!(said["groups"], groups(&ours).unwrap()["groups"]);

        let connection = connect(&bare).unwrap();
        connection.execute("DELETE FROM history WHERE seq = 7 AND version = 2", []).unwrap();
        let refused = compare(&connection, &ours).unwrap_err().to_string();
        assert!(refused.starts_with("1 rows of history differ"), "{refused}");
    }
}

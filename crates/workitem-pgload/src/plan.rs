//! In which transactions the workers of a job claimed and recorded its items, told by the server: every row knows the
//! transaction that wrote it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use postgres::{Client, NoTls};
use serde_json::{Value, json};

/// A transaction of a worker, and its items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// So many were claimed.
    Claim(usize),
    /// So many were recorded.
    Record(usize),
}

/// The transactions of each worker in their order: positive numbers are claims, negative ones records. Only items that
/// were completed in their first attempt count.
pub fn plan(url: &str, job: &str) -> Result<Value> {
    let mut client = connect(url)?;
    let rows = client.query(
        "SELECT s.payload, s.xmin::text::bigint, e.xmin::text::bigint FROM history s
         JOIN history e ON e.job = s.job AND e.seq = s.seq AND e.version = 2 AND e.event = 1
         JOIN jobs j ON j.id = s.job WHERE j.name = $1 AND s.version = 1",
        &[&job],
    )?;
    let mut workers: BTreeMap<Vec<u8>, BTreeMap<i64, i64>> = BTreeMap::new();
    for row in &rows {
        let groups = workers.entry(row.try_get(0)?).or_default();
        *groups.entry(row.try_get(1)?).or_default() += 1;
        *groups.entry(row.try_get(2)?).or_default() -= 1;
    }
    ensure!(!workers.is_empty(), "job `{job}` has no item that was completed");
    let result = client.query_one(
        "SELECT i.id, convert_from(h.payload, 'UTF8') FROM history h JOIN items i ON i.job = h.job AND i.seq = h.seq
         JOIN jobs j ON j.id = h.job WHERE j.name = $1 AND h.event = 1 ORDER BY h.seq LIMIT 1",
        &[&job],
    )?;
    let (id, result): (String, String) = (result.try_get(0)?, result.try_get(1)?);
    let workers: Vec<Vec<i64>> = workers.into_values().map(|groups| groups.into_values().collect()).collect();
    Ok(json!({ "workers": workers, "result": result.replacen(&format!("\"{id}\""), "\"{}\"", 1) }))
}

/// What one worker did, and what it recorded of an item that is called `{}`.
pub fn read(plan: &str, worker: usize) -> Result<(Vec<Group>, String)> {
    let plan: Value = serde_json::from_str(plan).context("the first line is not a plan")?;
    let result = plan["result"].as_str().context("the plan has no result")?.to_owned();
    let groups = plan["workers"][worker].as_array().context("the plan has no such worker")?;
    let group = |number: &Value| {
        let number = number.as_i64().context("a group is a number")?;
        let items = usize::try_from(number.unsigned_abs())?;
        anyhow::Ok(if number > 0 { Group::Claim(items) } else { Group::Record(items) })
    };
    Ok((groups.iter().map(group).collect::<Result<_>>()?, result))
}

/// A connection that sees the tables of the store.
pub fn connect(url: &str) -> Result<Client> {
    let mut client = Client::connect(url, NoTls)?;
    client.batch_execute("SET search_path TO workitem, pg_temp")?;
    Ok(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_as_it_is_said() {
        let plan = json!({ "workers": [[3], [2, -1, -1]], "result": "{\"item_id\":\"{}\"}" }).to_string();
        let (groups, result) = read(&plan, 1).unwrap();
        assert_eq!(groups, [Group::Claim(2), Group::Record(1), Group::Record(1)]);
        assert_eq!(result, "{\"item_id\":\"{}\"}");
        assert!(read(&plan, 2).is_err() && read("{}", 0).is_err());
    }
}

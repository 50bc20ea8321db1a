//! What a worker of a job sent to the server, sent again by the driver alone: the same statements on the same rows, in the
//! same transactions, one after the other, on a connection that is set up the same way. There is no machine, no agent, no
//! other thread and no check in it. `audit` sees afterwards that the rows are what they must be.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use postgres::{Client, Statement};
use serde_json::{Value, json};

use crate::clock;
use crate::plan::{Group, connect, read};

/// As the store sets up a connection.
const SETTINGS: &str = "
    SET plan_cache_mode = force_generic_plan;
    SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off; SET enable_incremental_sort = off;
    SET enable_hashjoin = off; SET enable_mergejoin = off; SET max_parallel_workers_per_gather = 0; SET jit = off;
    SET synchronous_commit = on";
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
const SEALED: &str = "SELECT id, name, digest IS NOT NULL FROM jobs WHERE id = $1";
const DUE: &str = "
    SELECT i.seq, i.id, i.version, i.state, i.attempts, i.failures, i.text, i.at, i.result, i.crashes, i.run_at, i.origin,
    p.payload FROM items i JOIN payloads p ON p.job = i.job AND p.seq = i.seq
    WHERE i.job = $1 AND i.state = 0 AND i.run_at <= $2 AND (i.run_at, i.seq) > ($3, $4)
    ORDER BY i.run_at, i.seq LIMIT $5 FOR UPDATE OF i SKIP LOCKED";
const NEXT: &str = "
    SELECT run_at FROM items WHERE job = $1 AND state = 0 AND (run_at, seq) > ($2, $3) ORDER BY run_at, seq LIMIT 1";
const LEASE: &str = "
    INSERT INTO workers (job, name, expires_at)
    VALUES ($1, $2, clock_timestamp() + $3::bigint * interval '1 microsecond')
    ON CONFLICT (job, name) DO UPDATE SET expires_at = greatest(workers.expires_at, excluded.expires_at)";
const SWAP: &str = "
    UPDATE items i SET version = n.version, state = n.state, attempts = n.attempts, failures = n.failures,
        text = n.text, at = n.at, result = n.result, crashes = i.crashes + n.crashes, spawned = n.spawned,
        run_at = n.run_at, worker = CASE n.state WHEN 1 THEN n.text WHEN 3 THEN i.worker END
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::smallint[], $6::bigint[], $7::bigint[],
        $8::bytea[], $9::bigint[], $10::text[], $11::bigint[], $12::boolean[], $13::bigint[])
        AS n (job, seq, was, version, state, attempts, failures, text, at, result, crashes, spawned, run_at)
    CROSS JOIN LATERAL
        (SELECT ctid FROM items WHERE job = n.job AND seq = n.seq AND version = n.was OFFSET 0) AS place
    WHERE i.ctid = place.ctid RETURNING i.seq, i.job, i.origin";
const EVENTS: &str = "
    INSERT INTO history (job, seq, version, event, payload, at, cause)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::smallint[], $5::bytea[], $6::bigint[], $7::text[])";
const COUNTS: &str = "
    UPDATE counts SET pending = pending + $3, in_progress = in_progress + $4, completed = completed + $5,
    failed = failed + $6, dead_lettered = dead_lettered + $7, open_letters = open_letters + $8,
    skipped = skipped + $9 WHERE job = $1 AND shard = $2";

/// For how long the store remembers where its claims have come to.
const REMEMBERED: Duration = Duration::from_secs(1);
/// A minute, as leases are by default.
const LEASE_MICROS: i64 = 60_000_000;
const START: (i64, i64) = (i64::MIN, 0);

/// Does what one worker did, and says when it began and when its last item was on the disk.
pub fn bare(
    url: &str,
    job: &str,
    plan: &str,
    worker: usize,
    barrier: impl FnOnce() -> Result<()>,
) -> Result<Value> {
    let (groups, result) = read(plan, worker)?;
    let mut sender = Sender::new(url, job, worker, &result)?;
    let all: usize =
        groups.iter().map(|group| if let Group::Claim(items) = group { *items } else { 0 }).sum();
    barrier()?;
    let began = clock();
    // What others held when it was looked for is claimed with the next ones.
    let mut owed = 0;
    for group in groups {
        match group {
            Group::Claim(items) => owed = items + owed - sender.claim(items + owed)?,
            Group::Record(items) => sender.record(items)?,
        }
    }
    while sender.recorded < all {
        ensure!(sender.held.len() + owed > 0, "{} of {all} items are lost", all - sender.recorded);
        if owed > 0 {
            owed -= sender.claim(owed)?;
        }
        sender.record(sender.held.len())?;
    }
    Ok(json!({ "completed": sender.recorded, "began": began, "ended": clock() }))
}

/// An item that is claimed.
struct Held {
    seq: i64,
    id: String,
}

struct Sender {
    client: Client,
    job: i64,
    shard: i16,
    name: Vec<u8>,
    /// What is recorded of an item, before and behind its name.
    result: (String, String),
    head: ((i64, i64), Instant),
    held: VecDeque<Held>,
    recorded: usize,
    sealed: Statement,
    due: Statement,
    next: Statement,
    lease: Statement,
    swap: Statement,
    events: Statement,
    counts: Statement,
}

impl Sender {
    fn new(url: &str, job: &str, worker: usize, result: &str) -> Result<Self> {
        let mut client = connect(url)?;
        client.batch_execute(SETTINGS)?;
        let found = client.query_one("SELECT id FROM jobs WHERE name = $1", &[&job])?;
        let identity: String = client.query_one("SELECT identity FROM meta", &[])?.try_get(0)?;
        let (before, behind) = result.split_once("{}").unwrap_or((result, ""));
        // As long as an orchestrator's own.
        let name = format!("{identity}-5-1-{}-1700000000000000-{worker:08x}", std::process::id());
        Ok(Self {
            job: found.try_get(0)?,
            // The store's connections take one by chance; here none takes another's.
            shard: i16::try_from(worker % 16)?,
            name: name.into_bytes(),
            result: (before.to_owned(), behind.to_owned()),
            head: (START, Instant::now()),
            held: VecDeque::new(),
            recorded: 0,
            sealed: client.prepare(SEALED)?,
            due: client.prepare(DUE)?,
            next: client.prepare(NEXT)?,
            lease: client.prepare(LEASE)?,
            swap: client.prepare(SWAP)?,
            events: client.prepare(EVENTS)?,
            counts: client.prepare(COUNTS)?,
            client,
        })
    }

    /// How many were there.
    fn claim(&mut self, limit: usize) -> Result<usize> {
        self.client.batch_execute(BEGIN)?;
        self.client.query_opt(&self.sealed, &[&self.job])?;
        if self.head.1.elapsed() >= REMEMBERED {
            self.head = (START, Instant::now());
        }
        let (from, most) = (self.head.0, i64::try_from(limit)?);
        let mut rows = self.client.query(&self.due, &[&self.job, &micros(), &from.0, &from.1, &most])?;
        if rows.len() < limit && from != START {
            rows = self.client.query(&self.due, &[&self.job, &micros(), &START.0, &START.1, &most])?;
        }
        let mut seqs = Vec::with_capacity(rows.len());
        for row in &rows {
            let (seq, run_at, payload): (i64, i64, &str) =
                (row.try_get(0)?, row.try_get(10)?, row.try_get(12)?);
            ensure!(!payload.is_empty(), "item {seq} has no input");
            self.held.push_back(Held { seq, id: row.try_get(1)? });
            seqs.push(seq);
            self.head.0 = self.head.0.max((run_at, seq));
        }
        let items = seqs.len();
        if items > 0 {
            self.client.execute(&self.lease, &[&self.job, &self.name, &LEASE_MICROS])?;
            let (name, now) = (self.name.clone(), micros());
            self.swap(&seqs, 0, 1, &vec![Some(&name[..]); items], Some(now), &vec![None; items])?;
            self.events(&seqs, 1, 0, &vec![Some(&name[..]); items], now)?;
            let items = i64::try_from(items)?;
            self.count(-items, items, 0)?;
        }
        self.client.query_opt(&self.next, &[&self.job, &self.head.0.0, &self.head.0.1])?;
        self.client.batch_execute("COMMIT")?;
        Ok(items)
    }

    fn record(&mut self, items: usize) -> Result<()> {
        let items = items.min(self.held.len());
        if items == 0 {
            return Ok(());
        }
        let mut done: Vec<Held> = self.held.drain(..items).collect();
        done.sort_by_key(|held| held.seq);
        let seqs: Vec<i64> = done.iter().map(|held| held.seq).collect();
        let results: Vec<String> =
            done.iter().map(|held| format!("{}{}{}", self.result.0, held.id, self.result.1)).collect();
        self.client.batch_execute(BEGIN)?;
        self.swap(
            &seqs,
            1,
            2,
            &vec![None; items],
            None,
            &results.iter().map(|text| Some(&text[..])).collect::<Vec<_>>(),
        )?;
        let payloads: Vec<Option<&[u8]>> = results.iter().map(|text| Some(text.as_bytes())).collect();
        self.events(&seqs, 2, 1, &payloads, micros())?;
        let count = i64::try_from(items)?;
        self.count(0, -count, count)?;
        self.client.batch_execute("COMMIT")?;
        self.recorded += items;
        Ok(())
    }

    fn swap(
        &mut self,
        seqs: &[i64],
        was: i64,
        state: i16,
        texts: &[Option<&[u8]>],
        at: Option<i64>,
        results: &[Option<&str>],
    ) -> Result<()> {
        let items = seqs.len();
        let (same, zero) = (|number: i64| vec![number; items], vec![0_i64; items]);
        let swapped = self.client.query(
            &self.swap,
            &[
                &same(self.job),
                &seqs,
                &same(was),
                &same(was + 1),
                &vec![state; items],
                &same(1),
                &zero,
                &texts,
                &vec![at; items],
                &results,
                &zero,
                &vec![false; items],
                &zero,
            ],
        )?;
        ensure!(swapped.len() == items, "{} of {items} items were written", swapped.len());
        Ok(())
    }

    fn events(
        &mut self,
        seqs: &[i64],
        version: i64,
        event: i16,
        payloads: &[Option<&[u8]>],
        at: i64,
    ) -> Result<()> {
        let items = seqs.len();
        self.client.execute(
            &self.events,
            &[
                &vec![self.job; items],
                &seqs,
                &vec![version; items],
                &vec![event; items],
                &payloads,
                &vec![at; items],
                &vec![None::<String>; items],
            ],
        )?;
        Ok(())
    }

    fn count(&mut self, pending: i64, in_progress: i64, completed: i64) -> Result<()> {
        let zero = 0_i64;
        self.client.execute(
            &self.counts,
            &[&self.job, &self.shard, &pending, &in_progress, &completed, &zero, &zero, &zero, &zero],
        )?;
        Ok(())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "microseconds since 1970 fit for a long time")]
fn micros() -> i64 {
    (clock() * 1e6) as i64
}

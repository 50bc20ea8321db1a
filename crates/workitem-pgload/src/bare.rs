//! What a worker of a job sent to the server, sent again by the driver alone: the same statements on the same rows, in the
//! same transactions, one after the other, on a connection that is set up the same way. There is no machine, no agent, no
//! other thread and no check in it. `audit` sees afterwards that the rows are what they must be.

mod statements;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use postgres::{Client, Statement};
use serde_json::{Value, json};

use self::statements::{
    BEGIN, COUNTS, DUE, EVENTS, HOLD, ITEMS, LEASE, NEXT, ORIGINS, SEALED, SETTINGS, SHORTEN, STATES, TAKE,
};
use crate::clock;
use crate::plan::{Group, connect, read};

/// For how long the store remembers where its claims have come to.
const REMEMBERED: Duration = Duration::from_secs(1);
/// A minute, as leases are by default.
const LEASE_MICROS: i64 = 60_000_000;
const START: (i64, i64) = (i64::MIN, 0);
/// Most items of a range.
const RANGE: usize = 128;

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

/// Items in a row, of which none was ever attempted.
#[derive(Clone, Copy)]
struct Range {
    first: i64,
    last: i64,
}

impl Range {
    fn len(&self) -> usize {
        usize::try_from(self.last - self.first + 1).unwrap_or(0)
    }
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
    take: Statement,
    shorten: Statement,
    items: Statement,
    next: Statement,
    lease: Statement,
    hold: Statement,
    origins: Statement,
    states: Statement,
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
            take: client.prepare(TAKE)?,
            shorten: client.prepare(SHORTEN)?,
            items: client.prepare(ITEMS)?,
            next: client.prepare(NEXT)?,
            lease: client.prepare(LEASE)?,
            hold: client.prepare(HOLD)?,
            origins: client.prepare(ORIGINS)?,
            states: client.prepare(STATES)?,
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
        let from = self.head.0;
        let mut ranges = self.due(limit, from)?;
        if from != START && ranges.iter().map(Range::len).sum::<usize>() < limit {
            ranges = self.due(limit, START)?;
        }
        let ranges = self.take(ranges, limit)?;
        let column = |of: fn(&Range) -> i64| ranges.iter().map(of).collect::<Vec<i64>>();
        let (first, last) = (column(|range| range.first), column(|range| range.last));
        let (zero, now) = (vec![0_i64; ranges.len()], micros());
        let mut seqs = Vec::with_capacity(limit);
        if !ranges.is_empty() {
            for row in self.client.query(&self.items, &[&self.job, &first, &last, &zero])? {
                let (seq, payload): (i64, &str) = (row.try_get(0)?, row.try_get(5)?);
                ensure!(!payload.is_empty(), "item {seq} has no input");
                self.held.push_back(Held { seq, id: row.try_get(1)? });
                seqs.push(seq);
            }
            self.client.execute(&self.lease, &[&self.job, &self.name, &LEASE_MICROS])?;
            self.client.execute(&self.hold, &[&self.job, &self.name, &now, &first, &last, &zero, &zero])?;
            let name = self.name.clone();
            self.events(&seqs, 1, 0, &vec![Some(&name[..]); seqs.len()], now)?;
            let items = i64::try_from(seqs.len())?;
            self.count(-items, items, 0)?;
        }
        self.head.0 = ranges.iter().map(|range| (0, range.last)).fold(self.head.0, Ord::max);
        self.client.query_opt(&self.next, &[&self.job, &self.head.0.0, &self.head.0.1])?;
        self.client.batch_execute("COMMIT")?;
        Ok(seqs.len())
    }

    /// Locks ranges that have `limit` items: of such a job each is due at once, and was never attempted.
    fn due(&mut self, limit: usize, from: (i64, i64)) -> Result<Vec<Range>> {
        let (mut ranges, mut behind, mut missing) = (Vec::new(), from, limit);
        let mut most = limit.div_ceil(RANGE).max(1);
        loop {
            let sent = i64::try_from(most)?;
            let rows = self.client.query(&self.due, &[&self.job, &micros(), &behind.0, &behind.1, &sent])?;
            let mut found = 0;
            for row in &rows {
                let range = Range { first: row.try_get(0)?, last: row.try_get(2)? };
                behind = (row.try_get(1)?, range.first);
                found += range.len();
                ranges.push(range);
            }
            missing = missing.saturating_sub(found);
            if missing == 0 || rows.len() < most {
                return Ok(ranges);
            }
            most = (missing * rows.len()).div_ceil(found);
        }
    }

    /// Takes the first `limit` items of ranges.
    fn take(&mut self, mut ranges: Vec<Range>, limit: usize) -> Result<Vec<Range>> {
        let mut left = limit;
        let whole =
            ranges.iter().take_while(|range| left.checked_sub(range.len()).map(|rest| left = rest).is_some());
        let whole = whole.count();
        ranges.truncate(whole + usize::from(left > 0));
        if whole > 0 {
            let (run_at, first) = (vec![0_i64; whole], ranges[..whole].iter().map(|range| range.first));
            self.client.execute(&self.take, &[&self.job, &run_at, &first.collect::<Vec<_>>()])?;
        }
        if let Some(range) = ranges.get_mut(whole) {
            range.last = range.first + i64::try_from(left)? - 1;
            let next = range.last + 1;
            self.client.execute(&self.shorten, &[&self.job, &0_i64, &range.first, &next])?;
        }
        Ok(ranges)
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
        self.client.query(&self.origins, &[&self.job, &seqs[0], &seqs[items - 1]])?;
        let (same, zero) = (|number: i64| vec![number; items], vec![0_i64; items]);
        let (job, two, one, nothing) = (same(self.job), same(2), same(1), vec![None::<i64>; items]);
        let (texts, completed) = (vec![None::<&[u8]>; items], vec![2_i16; items]);
        let written = self.client.execute(
            &self.states,
            &[&job, &seqs, &zero, &two, &completed, &one, &zero, &texts, &nothing, &zero, &zero],
        )?;
        ensure!(written == u64::try_from(items)?, "{written} of {items} items were written");
        let payloads: Vec<Option<&[u8]>> = results.iter().map(|text| Some(text.as_bytes())).collect();
        self.events(&seqs, 2, 1, &payloads, micros())?;
        let count = i64::try_from(items)?;
        self.count(0, -count, count)?;
        self.client.batch_execute("COMMIT")?;
        self.recorded += items;
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

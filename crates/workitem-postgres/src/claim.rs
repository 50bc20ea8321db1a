//! Handing items out.

use chrono::{DateTime, Utc};
use workitem_store::{AnyStep, Claim, ClaimRequest, Claims, ItemRow, JobId, Payload, engine, whole_micros};

use crate::due::{self, Range, column};
use crate::error::Failure;
use crate::head::{Due, START};
use crate::jobs::sealed;
use crate::lease::prolong;
use crate::log::Log;
use crate::pool::Tx;
use crate::rows::{self, Fields, PENDING, bound, micros};

const NEXT: &str = "SELECT run_at FROM due WHERE job = $1 AND (run_at, seq) > ($2, $3)
     ORDER BY run_at, seq LIMIT 1";
/// The items of ranges. What was never attempted has no state to be looked for.
const ITEMS: &str = "
    FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS n (first, last, version)
    CROSS JOIN LATERAL
        (SELECT * FROM items WHERE job = $1 AND seq BETWEEN n.first AND n.last ORDER BY seq OFFSET 0) AS i
    LEFT JOIN LATERAL
        (SELECT * FROM states WHERE n.version > 0 AND job = $1 AND seq = i.seq OFFSET 0) AS s ON true
    WHERE coalesce(s.version, 0) = n.version AND coalesce(s.state, 0) = 0";

/// What a claim has handed out, and how far along what is due it has come.
pub struct Claimed {
    pub claims: Claims,
    /// Where it began, and where it ended: nothing that is due is left between them, but what others have locked.
    pub from: Due,
    pub to: Due,
}

/// Claims what is due behind `head`.
pub fn claim(tx: &mut Tx<'_>, request: &ClaimRequest<'_>, head: Due) -> Result<Claimed, Failure> {
    let nothing = Claims { claims: Vec::new(), next_due: None };
    if !sealed(tx, request.job)?.1 {
        return Ok(Claimed { claims: nothing, from: START, to: START });
    }
    let (job, limit, by) = (request.job, bound(request.limit), micros(whole_micros(request.due)));
    let (mut from, mut ranges) = (head, due::lock(tx, job, by, head, limit)?);
    if from != START && ranges.iter().map(Range::len).sum::<i64>() < limit {
        // Something may have been put back in front. What was locked just now is locked still, and is found again.
        (from, ranges) = (START, due::lock(tx, job, by, START, limit)?);
    }
    let ranges = due::take(tx, job, &ranges, limit)?;
    let to = ranges.iter().map(|range| (range.run_at, range.last)).fold(from, Due::max);
    let (mut steps, mut payloads): (Vec<AnyStep>, Vec<Payload>) = (Vec::new(), Vec::new());
    if !ranges.is_empty() {
        let now = whole_micros(request.now);
        for (row, payload) in items(tx, job, &ranges)? {
            steps.push(engine::claim_step(tx.store, job, row, request.agent, now)?.seal());
            payloads.push(payload);
        }
        // The lease begins with the claim or not at all, and before the counts, for which all others wait.
        prolong(tx, job, request.agent, request.lease)?;
        hold(tx, job, request.agent, micros(now), &spawned(&ranges, bound(request.spawning)))?;
        let mut log = Log::default();
        for step in &steps {
            log.add(step, None)?;
        }
        log.write(tx)?;
    }
    // Where there was less than was asked for, others may be claiming what stands before the last that was found.
    let next_due = next_due(tx, job, if bound(steps.len()) < limit { START } else { to })?;
    let claims = steps
        .into_iter()
        .zip(payloads)
        .map(|(step, payload)| Claim { leased: step.durable(), payload })
        .collect();
    Ok(Claimed { claims: Claims { claims, next_due }, from, to })
}

fn items(tx: &mut Tx<'_>, job: JobId, ranges: &[Range]) -> Result<Vec<(ItemRow, Payload)>, Failure> {
    let (firsts, lasts) = (column(ranges, |range| range.first), column(ranges, |range| range.last));
    let query = format!("SELECT {PENDING} {ITEMS}");
    let rows = tx.query(&query, &[&job.0, &firsts, &lasts, &column(ranges, |range| range.version)])?;
    let due: i64 = ranges.iter().map(Range::len).sum();
    if bound(rows.len()) != due {
        return Err(tx.damaged(format!("of {due} items that are due, {} are there and pending", rows.len())));
    }
    rows.iter().map(rows::pending).collect()
}

/// Ranges, and for each the last item that is spawned at once, if the first `spawning` of all are; 0 for none.
fn spawned(ranges: &[Range], spawning: i64) -> Vec<(Range, i64)> {
    let mut left = spawning;
    let spawned = |range: &Range| {
        let here = left.min(range.len());
        left -= here;
        (*range, if here == 0 { 0 } else { range.first + here - 1 })
    };
    ranges.iter().map(spawned).collect()
}

/// These items are in progress from now on, and `worker` has them.
pub fn hold(
    tx: &mut Tx<'_>,
    job: JobId,
    worker: &str,
    now: i64,
    ranges: &[(Range, i64)],
) -> Result<(), Failure> {
    tx.execute(
        "INSERT INTO claims (job, seq, until, version, worker, at, spawned)
         SELECT $1::bigint, n.seq, n.until, n.version, $2::bytea, $3::bigint, n.spawned
         FROM unnest($4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[]) AS n (seq, until, version, spawned)",
        &[
            &job.0,
            &worker.as_bytes(),
            &now,
            &column(ranges, |(range, _)| range.first),
            &column(ranges, |(range, _)| range.last),
            &column(ranges, |(range, _)| range.version),
            &column(ranges, |(_, spawned)| *spawned),
        ],
    )?;
    Ok(())
}

fn next_due(tx: &mut Tx<'_>, job: JobId, after: Due) -> Result<Option<DateTime<Utc>>, Failure> {
    let next = tx.query_opt(NEXT, &[&job.0, &after.0, &after.1])?;
    next.map(|row| Fields::of("range", "due", &row).time(0)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_items_of_a_claim_are_those_that_are_spawned() {
        let ranges = [Range { last: 5, ..Range::of(3, 0, 0) }, Range::of(9, 0, 0), Range::of(20, 0, 0)];
        let of = |spawning| spawned(&ranges, spawning).into_iter().map(|(_, last)| last).collect::<Vec<_>>();
        assert_eq!(of(0), [0, 0, 0]);
        assert_eq!(of(2), [4, 0, 0]);
        assert_eq!(of(3), [5, 0, 0]);
        assert_eq!(of(4), [5, 9, 0]);
        assert_eq!(of(9), [5, 9, 20]);
    }
}

//! What is pending and not claimed: ranges of items, so that a claim of a thousand changes a few rows.

use workitem_store::JobId;

use crate::error::Failure;
use crate::head::Due;
use crate::pool::Tx;
use crate::rows::{Fields, bound};

/// Most items of a range. The tables are made for it: where a range is looked for that has an item, it begins at the item or
/// up to 127 before it.
pub const RANGE: i64 = 128;

/// What is asked for most, so its plan is looked at by a test: along the index, not a row more than wanted. Ranges of which
/// somebody else is just claiming are passed over, not waited for.
pub const DUE: &str = "SELECT seq, run_at, until, version FROM due
     WHERE job = $1 AND run_at <= $2 AND (run_at, seq) > ($3, $4)
     ORDER BY run_at, seq LIMIT $5 FOR UPDATE SKIP LOCKED";

/// Items in a row that are due at the same time and have the same version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub run_at: i64,
    pub first: i64,
    pub last: i64,
    pub version: i64,
}

impl Range {
    /// One item.
    pub const fn of(seq: i64, run_at: i64, version: i64) -> Self {
        Self { run_at, first: seq, last: seq, version }
    }

    pub const fn len(&self) -> i64 {
        self.last - self.first + 1
    }

    /// This range and one behind it, if they are one.
    fn joined(self, next: Self) -> Option<Self> {
        let joined = Self { last: next.last, ..self };
        let fits = (self.run_at, self.version, self.last + 1) == (next.run_at, next.version, next.first);
        (fits && joined.len() <= RANGE).then_some(joined)
    }
}

/// One value of each row, as a statement takes them.
pub fn column<T>(rows: &[T], of: fn(&T) -> i64) -> Vec<i64> {
    rows.iter().map(of).collect()
}

/// Joins what stands in a row and can be joined.
pub fn joined(ranges: impl IntoIterator<Item = Range>) -> Vec<Range> {
    let mut all: Vec<Range> = Vec::new();
    for next in ranges {
        match all.last().and_then(|last| last.joined(next)) {
            Some(range) => *all.last_mut().expect("it has a last one") = range,
            None => all.push(next),
        }
    }
    all
}

/// So many items behind `last` that were never attempted, in ranges.
pub fn fresh(last: i64, items: i64) -> Vec<Range> {
    let firsts = (last + 1..=last + items).step_by(usize::try_from(RANGE).unwrap_or(1));
    firsts
        .map(|first| Range { run_at: 0, first, last: (first + RANGE - 1).min(last + items), version: 0 })
        .collect()
}

/// These items can be claimed from now on.
pub fn put(tx: &mut Tx<'_>, job: JobId, ranges: &[Range]) -> Result<(), Failure> {
    if ranges.is_empty() {
        return Ok(());
    }
    tx.execute(
        "INSERT INTO due (job, run_at, seq, until, version) SELECT $1::bigint, n.run_at, n.seq, n.until, n.version
         FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) AS n (run_at, seq, until, version)",
        &[
            &job.0,
            &column(ranges, |range| range.run_at),
            &column(ranges, |range| range.first),
            &column(ranges, |range| range.last),
            &column(ranges, |range| range.version),
        ],
    )?;
    Ok(())
}

/// Locks ranges of what is due by `by` and stands behind `head`, until they have `limit` items. Of the last one fewer may be
/// wanted.
pub fn lock(tx: &mut Tx<'_>, job: JobId, by: i64, head: Due, limit: i64) -> Result<Vec<Range>, Failure> {
    let (mut ranges, mut behind, mut missing): (Vec<Range>, Due, i64) = (Vec::new(), head, limit);
    // As many as it takes if they are full; after that, if the next are as full as the last were. But no more than twice as
    // many as the last: others pass over what is locked, and the next may be full.
    let mut most = (limit.saturating_add(RANGE - 1) / RANGE).max(1);
    loop {
        let rows = tx.query(DUE, &[&job.0, &by, &behind.0, &behind.1, &most])?;
        let mut found = 0;
        for row in &rows {
            let fields = Fields::of("range", "due", row);
            let (first, run_at, last, version) =
                (fields.get(0)?, fields.get(1)?, fields.get(2)?, fields.get(3)?);
            let range = Range { run_at, first, last, version };
            (found, behind) = (found + range.len(), (run_at, first));
            ranges.push(range);
        }
        missing = missing.saturating_sub(found);
        let looked = bound(rows.len());
        if missing <= 0 || looked < most {
            return Ok(ranges);
        }
        most = (missing.saturating_mul(looked).saturating_add(found - 1) / found).min(2 * looked);
    }
}

/// Takes the first `limit` items out of ranges that are locked.
pub fn take(tx: &mut Tx<'_>, job: JobId, ranges: &[Range], limit: i64) -> Result<Vec<Range>, Failure> {
    let (mut taken, beginning) = first(ranges, limit);
    if !taken.is_empty() {
        let removed = tx.execute(
            "DELETE FROM due d USING unnest($2::bigint[], $3::bigint[]) AS n (run_at, seq) CROSS JOIN LATERAL
             (SELECT ctid FROM due WHERE job = $1 AND run_at = n.run_at AND seq = n.seq OFFSET 0) AS place
             WHERE d.ctid = place.ctid",
            &[&job.0, &column(&taken, |range| range.run_at), &column(&taken, |range| range.first)],
        )?;
        all_of(tx, taken.len(), removed)?;
    }
    if let Some(range) = beginning {
        let cut = tx.execute(
            "UPDATE due SET seq = $4 WHERE job = $1 AND run_at = $2 AND seq = $3",
            &[&job.0, &range.run_at, &range.first, &(range.last + 1)],
        )?;
        all_of(tx, 1, cut)?;
        taken.push(range);
    }
    Ok(taken)
}

/// The first `limit` items: the ranges that are wanted whole, and the beginning of the one behind them.
fn first(ranges: &[Range], limit: i64) -> (Vec<Range>, Option<Range>) {
    let (mut whole, mut left) = (Vec::new(), limit);
    for range in ranges {
        if left < range.len() {
            let beginning = Range { last: range.first + left - 1, ..*range };
            return (whole, (left > 0).then_some(beginning));
        }
        whole.push(*range);
        left -= range.len();
    }
    (whole, None)
}

/// Locks the range in which an item is pending at this version, if there is one. If somebody else had it and has cut it
/// into others, the statement that waited for them finds none of these; so a look without waiting comes first, and again.
pub fn lock_range_of(tx: &mut Tx<'_>, job: JobId, item: Range) -> Result<Option<Range>, Failure> {
    const RANGE_OF: &str = "SELECT seq, until FROM due WHERE job = $1 AND run_at = $2
         AND seq BETWEEN $3::bigint - 127 AND $3 AND until >= $3 AND version = $4";
    let Range { run_at, first: seq, version, .. } = item;
    while tx.query_opt(RANGE_OF, &[&job.0, &run_at, &seq, &version])?.is_some() {
        let locked = tx.query_opt(&format!("{RANGE_OF} FOR UPDATE"), &[&job.0, &run_at, &seq, &version])?;
        if let Some(row) = locked {
            let fields = Fields::of("range", "due", &row);
            return Ok(Some(Range { first: fields.get(0)?, last: fields.get(1)?, ..item }));
        }
    }
    Ok(None)
}

/// Takes one item that is pending at this version out of its range; whether it was in one.
pub fn take_out(tx: &mut Tx<'_>, job: JobId, item: Range) -> Result<bool, Failure> {
    let Some(Range { first, last, .. }) = lock_range_of(tx, job, item)? else { return Ok(false) };
    let Range { run_at, first: seq, .. } = item;
    tx.execute("DELETE FROM due WHERE job = $1 AND run_at = $2 AND seq = $3", &[&job.0, &run_at, &first])?;
    let rest = [Range { last: seq - 1, first, ..item }, Range { first: seq + 1, last, ..item }];
    let rest: Vec<Range> = rest.into_iter().filter(|range| range.len() > 0).collect();
    put(tx, job, &rest)?;
    Ok(true)
}

fn all_of(tx: &Tx<'_>, locked: usize, changed: u64) -> Result<(), Failure> {
    if changed == locked as u64 {
        return Ok(());
    }
    Err(tx.damaged(format!("of {locked} ranges that were locked, {changed} could be written")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_in_a_row_are_one_range_until_it_is_full() {
        let one = |seq| Range::of(seq, 0, 2);
        assert_eq!(joined([one(1), one(2), one(4)]), [Range { last: 2, ..one(1) }, one(4)]);
        assert_eq!(joined([one(1), Range::of(2, 7, 2)]).len(), 2, "they are due at different times");
        assert_eq!(joined([one(1), Range::of(2, 0, 3)]).len(), 2, "they have different versions");
        let all = joined((1..=RANGE + 1).map(one));
        assert_eq!(all, [Range { last: RANGE, ..one(1) }, one(RANGE + 1)]);
    }

    #[test]
    fn of_the_last_range_only_the_beginning_is_taken() {
        let ranges = [Range::of(9, 0, 2), Range { last: 20, ..Range::of(11, 0, 2) }, Range::of(30, 0, 2)];
        assert_eq!(first(&ranges, 0), (vec![], None));
        assert_eq!(first(&ranges, 1), (vec![ranges[0]], None));
        assert_eq!(first(&ranges, 4), (vec![ranges[0]], Some(Range { last: 13, ..ranges[1] })));
        assert_eq!(first(&ranges, 11), (ranges[..2].to_vec(), None));
        assert_eq!(first(&ranges, 13), (ranges.to_vec(), None), "there are no more");
    }

    #[test]
    fn what_is_new_is_in_ranges_without_a_gap() {
        assert_eq!(fresh(5, 0), []);
        assert_eq!(fresh(5, 1), [Range::of(6, 0, 0)]);
        let lengths = fresh(5, 2 * RANGE + 1).into_iter().map(|range| (range.first, range.len()));
        assert_eq!(lengths.collect::<Vec<_>>(), [(6, RANGE), (6 + RANGE, RANGE), (6 + 2 * RANGE, 1)]);
    }
}

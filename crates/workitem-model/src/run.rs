//! Looking through the model, and telling what was found.

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;
use std::thread::available_parallelism;

use stateright::{Checker, HasDiscoveries, Model};

use crate::state::State;
use crate::{Bounds, Fault, Protocol, Trouble};

/// What was looked through, and what was found.
#[derive(Debug)]
pub struct Checked {
    /// Within what.
    pub bounds: Bounds,
    /// Different states.
    pub states: usize,
    /// Ways from one to another.
    pub moves: usize,
    /// Most moves from the beginning to a state.
    pub depth: usize,
    /// Stores with different content that were verified.
    pub verified: usize,
    /// Steps written, written before, and refused; items taken over; transactions undone.
    pub seen: [usize; 5],
    /// Promises that were broken.
    pub broken: Vec<Broken>,
}

/// A promise that does not hold, and how to see it.
#[derive(Debug)]
pub struct Broken {
    /// Which.
    pub promise: &'static str,
    /// What happens, in order.
    pub path: Vec<String>,
    /// What the store holds in the end, an item a line.
    pub end: Vec<String>,
}

/// Looks at every state within the bounds, or until it is found that a promise does not hold.
pub fn check(bounds: Bounds) -> Checked {
    let threads = available_parallelism().map_or(1, NonZeroUsize::get);
    let checker = Protocol::new(bounds, None).checker().threads(threads).finish_when(HasDiscoveries::Any);
    checked(bounds, &checker.spawn_dfs().join(), |_| true)
}

/// Looks for a shortest way in which the fault breaks the promise.
pub fn find(bounds: Bounds, fault: Fault, promise: &'static str) -> Checked {
    // The checker looks a good way on before it stops, and keeps the last of what it finds; so it is let no further than
    // it must.
    let mut depth = 1;
    loop {
        let checker = Protocol::new(bounds, Some(fault)).checker().target_max_depth(depth);
        let checker = checker.finish_when(HasDiscoveries::AnyOf([promise].into())).spawn_bfs().join();
        let checked = checked(bounds, &checker, |found| found == promise);
        if !checked.broken.is_empty() || checked.depth < depth {
            return checked;
        }
        depth += 1;
    }
}

fn checked(bounds: Bounds, checker: &impl Checker<Protocol>, is_wanted: impl Fn(&str) -> bool) -> Checked {
    let protocol = checker.model();
    let seen = &protocol.seen;
    let seen = [&seen.recorded, &seen.repeated, &seen.fenced, &seen.taken_over, &seen.forgotten];
    let broken =
        checker.discoveries().into_iter().filter(|(promise, _)| is_wanted(promise)).map(|(promise, path)| {
            let end = path.last_state().store().items.iter().map(|item| {
                let events: Vec<_> = item.history.iter().map(|row| row.event.kind().name()).collect();
                format!("item {}: {} after {}", item.row.seq, item.kind(), events.join(", "))
            });
            let end = end.collect();
            Broken { promise, path: path.into_actions().iter().map(ToString::to_string).collect(), end }
        });
    Checked {
        bounds,
        states: checker.unique_state_count(),
        moves: checker.state_count(),
        depth: checker.max_depth(),
        verified: protocol.verified(),
        seen: seen.map(|seen| seen.load(Ordering::Relaxed)),
        broken: broken.collect(),
    }
}

/// Most moves that a life of the model can have, or `None` if one can go on for ever. It is because none can that an
/// item is settled in the end if it is settled wherever nothing more can happen.
pub fn longest_path(protocol: &Protocol) -> Option<usize> {
    let fingerprint = |state: &State| {
        let mut hasher = DefaultHasher::new();
        state.hash(&mut hasher);
        hasher.finish()
    };
    // Depth first; a state has no length while the search is still below it.
    let mut lengths: HashMap<u64, Option<usize>> = HashMap::new();
    let mut longest = 0;
    for first in protocol.init_states() {
        let mut stack = vec![(fingerprint(&first), protocol.next_states(&first), 0)];
        lengths.insert(stack[0].0, None);
        while let Some((state, ahead, length)) = stack.last_mut() {
            let Some(next) = ahead.pop() else {
                let (state, length) = (*state, *length);
                lengths.insert(state, Some(length));
                stack.pop();
                match stack.last_mut() {
                    Some((_, _, above)) => *above = (*above).max(length + 1),
                    None => longest = longest.max(length),
                }
                continue;
            };
            let below = fingerprint(&next);
            match lengths.get(&below) {
                Some(None) => return None,
                Some(Some(known)) => *length = (*length).max(known + 1),
                None => {
                    lengths.insert(below, None);
                    stack.push((below, protocol.next_states(&next), 0));
                }
            }
        }
    }
    Some(longest)
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "broken: {}", self.promise)?;
        for (n, happens) in self.path.iter().enumerate() {
            writeln!(f, "{:4}. {happens}", n + 1)?;
        }
        for item in &self.end {
            writeln!(f, "      {item}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bounds, states, moves, depth, verified, seen, broken } = self;
        let [recorded, repeated, fenced, taken_over, forgotten] = seen;
        let Bounds { items, workers, max_attempts, max_crashes, trouble } = bounds;
        let Trouble { worker_crashes, store_crashes, run_out, copies, interrupts } = trouble;
        writeln!(
            f,
            "bounds {bounds}: {items} items, {workers} workers, {max_attempts} attempts, {max_crashes} crash borne; up to \
             {worker_crashes} worker crashes, {store_crashes} store crashes, {run_out} leases that run out, {copies} \
             doubled requests, {interrupts} interruptions"
        )?;
        writeln!(
            f,
            "{states} states, {moves} moves between them, up to {depth} in a row; {verified} stores verified"
        )?;
        writeln!(
            f,
            "steps recorded {recorded}, sent again {repeated}, fenced {fenced}; items taken over {taken_over}; \
             transactions that a crash undid {forgotten}"
        )?;
        for broken in broken {
            write!(f, "{broken}")?;
        }
        Ok(())
    }
}

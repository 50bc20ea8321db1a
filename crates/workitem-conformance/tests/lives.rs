//! Every life from birth: all sequences of events up to a length, and far beyond it with equal states merged.

use std::collections::HashSet;

use workitem_conformance::bounds::{bounds, covered, grouped, parallel};
use workitem_conformance::machines::{Happening, Machines};
use workitem_conformance::samples;
use workitem_types::{StatusKind, WorkItemRecord, WorkItemStatus};

const ID: &str = "42";

/// The six events as they happen at each place of a sequence, with payloads of that place: what is kept too
/// long is seen.
fn calendar(length: u32) -> Vec<[Happening; 6]> {
    (0..length).map(|place| samples::happenings(place, samples::light_events(place))).collect()
}

/// No state is merged with another: each sequence is run from birth, in each machine.
#[test]
fn every_short_sequence_of_events_leads_everywhere_to_the_same() {
    let length = bounds().length;
    let calendar = calendar(length);
    // Shared out by their first two events.
    let (beginning, ahead) = calendar.split_at(calendar.len().min(2));
    let sequences = |length| 6_usize.pow(length);
    let beginnings = beginning.iter().fold(1, |beginnings, events| beginnings * events.len());
    let met = parallel(beginnings, |mut beginning_number| {
        let (mut life, mut machines) = (Vec::new(), Machines::born(ID));
        for events in beginning {
            let happening = &events[beginning_number % events.len()];
            beginning_number /= events.len();
            machines = machines.happen(happening).into_inner();
            life.push(happening);
        }
        futures(&machines, &mut life, ahead)
    });
    assert_eq!(met.iter().sum::<usize>(), sequences(length), "every sequence was run to its end");
    let met = grouped(sequences(length));
    covered(format_args!("{met} sequences: all there are of {length} events, compared after each event"));
}

/// Runs every sequence that goes on from `life`; says how many there are.
fn futures<'a>(machines: &Machines, life: &mut Vec<&'a Happening>, ahead: &'a [[Happening; 6]]) -> usize {
    let Some((now, later)) = ahead.split_first() else { return 1 };
    let mut met = 0;
    for happening in now {
        let next = machines.again(life.iter().copied()).happen(happening).into_inner();
        life.push(happening);
        met += futures(&next, life, later);
        life.pop();
    }
    met
}

/// What makes one item differ from another, once all items have one id: every field of its record. Texts and
/// times are those of the events below, so they are named by their place in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Node {
    payload: usize,
    retry_count: usize,
    attempts: usize,
    failures: usize,
}

/// The statuses that the events below can make, but for their counts.
#[derive(Default)]
struct Payloads(Vec<WorkItemStatus>);

impl Payloads {
    fn node(&mut self, item: &WorkItemRecord) -> Node {
        let WorkItemRecord { id, attempts, failures, status } = item;
        assert_eq!(id.as_str(), ID, "nothing changes an id");
        let (mut status, mut count) = (status.clone(), 0);
        if let Some(retry_count) = retry_count(&mut status) {
            count = std::mem::take(retry_count);
        }
        let payload = self.0.iter().position(|known| *known == status).unwrap_or_else(|| {
            self.0.push(status);
            self.0.len() - 1
        });
        Node { payload, retry_count: count, attempts: *attempts, failures: *failures }
    }

    fn item(&self, node: Node) -> WorkItemRecord {
        let Node { payload, retry_count: count, attempts, failures } = node;
        let mut status = self.0[payload].clone();
        if let Some(retry_count) = retry_count(&mut status) {
            *retry_count = count;
        }
        WorkItemRecord { id: ID.into(), attempts, failures, status }
    }
}

fn retry_count(status: &mut WorkItemStatus) -> Option<&mut usize> {
    match status {
        WorkItemStatus::Failed { retry_count, .. } | WorkItemStatus::DeadLettered { retry_count, .. } => {
            Some(retry_count)
        }
        WorkItemStatus::Pending | WorkItemStatus::InProgress { .. } | WorkItemStatus::Completed { .. } => {
            None
        }
    }
}

/// Sequences of up to `depth` events, with equal items merged: an item that two sequences lead to is followed
/// once, from the earlier of the two.
///
/// Why that says something of *every* sequence: what a machine makes of an event depends on the item, the
/// event and the time alone. Of the dynamic machine and the table the signatures say so: functions of these
/// three, and no clock, no global, no randomness in the crates. A typed item holds nothing that its record does
/// not show: `Machines::of` starts from the record and finds the same item again, and the short lives above go
/// from birth to end without any record between. So two sequences that lead to equal items have equal futures.
/// Now take any sequence of `depth` events. Each item on its way is first met after no more events than this
/// sequence has taken, so it was followed from there, with every event of the list: each step of the sequence
/// was compared. (Payloads other than those of the list: `tests/sequences.rs`. No rule looks into one.)
///
/// Two items are merged only if every field is equal: `Node` is a record in short, and gives it back.
#[test]
fn every_long_sequence_of_events_leads_everywhere_to_the_same() {
    let depth = bounds().depth;
    let happenings = samples::happenings(0, samples::light_events(0));
    let mut payloads = Payloads::default();
    let mut frontier = vec![payloads.node(&WorkItemRecord::new(ID))];
    let mut met: HashSet<Node> = frontier.iter().copied().collect();
    let mut events = 0;
    for _ in 0..depth {
        const SHARE: usize = 64;
        events += frontier.len() * happenings.len();
        let next = parallel(frontier.len().div_ceil(SHARE), |share| {
            let mut reached = Vec::new();
            for &node in frontier.iter().skip(share * SHARE).take(SHARE) {
                let item = payloads.item(node);
                for happening in &happenings {
                    let next = Machines::of(&item).happen(happening).into_inner();
                    assert_eq!(next.inconsistent(), None, "legal events keep an item consistent");
                    if next.item() != &item {
                        reached.push(next.item().clone());
                    }
                }
            }
            reached
        });
        frontier.clear();
        for item in next.iter().flatten() {
            let node = payloads.node(item);
            if met.insert(node) {
                debug_assert_eq!(payloads.item(node), *item);
                frontier.push(node);
            }
        }
    }
    let mut kinds: Vec<StatusKind> = payloads.0.iter().map(WorkItemStatus::kind).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, StatusKind::ALL, "each state with the payload of its events");
    let (items, events) = (grouped(met.len()), grouped(events));
    covered(format_args!("depth {depth}: all sequences, merged into {items} items and {events} events"));
}

//! Many statuses at once, by the original and by ours, in turns: one line of JSON for each row, with the best of the
//! rounds in seconds.
//!
//! Needs about three gigabytes of memory: both have ten million statuses of their own.

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde_json::json;
use workitem_bench::bulk;
use workitem_dynamic::{WorkItemStatus, count_by_status, interrupt_all};
use workitem_peers::{original, to_original};

const ROUNDS: usize = 7;
const COUNTED: usize = 10_000_000;
const INTERRUPTED: usize = 1_000_000;

fn main() {
    count();
    interrupt();
}

fn count() {
    let ours: Vec<_> = bulk::statuses(COUNTED).collect();
    let theirs: Vec<_> = bulk::statuses(COUNTED).map(to_original::status).collect();
    let mut best = Best::default();
    for _ in 0..ROUNDS {
        let original = best.original(|| original::count_by_status(black_box(&theirs)));
        let ours = best.ours(|| count_by_status(black_box(&ours)));
        assert_eq!((original.total(), original.failed), (ours.total(), ours.failed));
    }
    best.print("count", "`count_by_status`", COUNTED);
}

/// The original takes pairs and gives them back, in a vector of its own; ours changes them where they are. What each is
/// given is made before each round.
fn interrupt() {
    let pairs: Vec<_> = bulk::pairs(INTERRUPTED).collect();
    let mut best = Best::default();
    for _ in 0..ROUNDS {
        let theirs: Vec<_> =
            pairs.iter().map(|(id, status)| (id.clone(), to_original::status(status.clone()))).collect();
        let mut ours = pairs.clone();
        let theirs = best.original(|| original::apply_interrupt_to_all(black_box(theirs)));
        let statuses = black_box(&mut ours).iter_mut().map(|(_, status)| status);
        let interrupted = best.ours(|| interrupt_all(statuses));
        let pending = ours.iter().filter(|(_, status)| *status == WorkItemStatus::Pending).count();
        let theirs = theirs.iter().filter(|(_, status)| status.needs_processing()).count();
        assert!(interrupted > 0 && pending == theirs);
    }
    best.print("interrupt", "`apply_interrupt_to_all`; ours: `interrupt_all`, in place", INTERRUPTED);
}

/// The shortest time of each.
#[derive(Default)]
struct Best {
    original: Option<Duration>,
    ours: Option<Duration>,
}

impl Best {
    fn original<T>(&mut self, run: impl FnOnce() -> T) -> T {
        timed(&mut self.original, run)
    }

    fn ours<T>(&mut self, run: impl FnOnce() -> T) -> T {
        timed(&mut self.ours, run)
    }

    fn print(&self, id: &str, name: &str, items: usize) {
        let seconds = |best: Option<Duration>| best.map(|best| best.as_secs_f64());
        let (original, ours) = (seconds(self.original), seconds(self.ours));
        println!("{}", json!({"id": id, "name": name, "items": items, "original": original, "ours": ours}));
    }
}

fn timed<T>(best: &mut Option<Duration>, run: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = black_box(run());
    let took = started.elapsed();
    *best = Some(best.map_or(took, |best| best.min(took)));
    result
}

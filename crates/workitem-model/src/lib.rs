//! The store protocol, model-checked: every order in which a few workers, a store and what goes wrong between them can
//! act on a few items is tried, and what is promised must hold in each state that can be reached.
//!
//! What is checked is the code that is delivered: leases and steps, `claim_step`, `history_rows`, `count_step`, `recover`
//! with its limit of crashes, the retry policy, and `verify`, which replays through the dynamic machine. The model adds
//! what those run in ([`state`]: workers, requests under way, a store that may lose what it has not synced) and the
//! compare-and-write of an engine ([`disk`]), which a test holds against the engines that are delivered (`lockstep.rs`).
//!
//! [`check`] looks at everything within [`Bounds`]. With a [`Fault`], [`find`] must find a way to break a promise, or
//! neither would be worth anything; the way there is printed.

pub mod disk;
mod model;
mod moves;
pub mod promises;
mod run;
pub mod state;
pub mod view;

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::sync::RwLock;
use std::sync::atomic::AtomicUsize;

pub use moves::Move;
pub use run::{Broken, Checked, check, find, longest_path};

/// How much there is, and how much goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Items.
    pub items: u8,
    /// Workers.
    pub workers: u8,
    /// Failed attempts that an item may have.
    pub max_attempts: u8,
    /// Crashes that an item may be there at without being given up.
    pub max_crashes: u8,
    /// What goes wrong, at most.
    pub trouble: Trouble,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Trouble {
    /// Workers that die.
    pub worker_crashes: u8,
    /// Times that the store dies and forgets what it has not synced.
    pub store_crashes: u8,
    /// Leases that run out while their worker is alive.
    pub run_out: u8,
    /// Requests that arrive twice.
    pub copies: u8,
    /// Attempts that are told to stop.
    pub interrupts: u8,
}

impl Bounds {
    /// One item, and one of each trouble: small enough to be looked through in other ways, too.
    pub const SMALL: Self = Self::new(1, 2, [1, 1, 1, 1, 1]);

    /// What is looked through with the other tests: more than a million states.
    pub const SHARE: [Self; 3] =
        [Self::SMALL, Self::new(2, 1, [1, 1, 1, 1, 0]), Self::new(2, 2, [1, 1, 0, 0, 0])];

    /// What is looked through when there is time.
    pub const FULL: [Self; 5] = [
        Self::new(1, 2, [2, 2, 1, 1, 1]),
        Self::new(1, 3, [2, 1, 2, 0, 1]),
        Self::new(2, 2, [1, 1, 1, 0, 0]),
        Self::new(2, 1, [1, 1, 1, 1, 1]),
        Self::new(3, 1, [1, 1, 1, 0, 0]),
    ];

    /// So many items, two workers, so many attempts, one crash that is borne; and troubles in the order of [`Trouble`].
    pub const fn new(items: u8, max_attempts: u8, trouble: [u8; 5]) -> Self {
        let [worker_crashes, store_crashes, run_out, copies, interrupts] = trouble;
        let trouble = Trouble { worker_crashes, store_crashes, run_out, copies, interrupts };
        Self { items, workers: 2, max_attempts, max_crashes: 1, trouble }
    }
}

/// As they are given to `cargo xtask torture model --only`: items, attempts, and the troubles.
impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { items, workers: _, max_attempts, max_crashes: _, trouble } = self;
        let Trouble { worker_crashes, store_crashes, run_out, copies, interrupts } = trouble;
        write!(f, "{items},{max_attempts},{worker_crashes},{store_crashes},{run_out},{copies},{interrupts}")
    }
}

impl FromStr for Bounds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Result<Vec<u8>, _> = text.split(',').map(str::parse).collect();
        match numbers.as_deref() {
            Ok(&[items, max_attempts, ref trouble @ ..])
                if items > 0 && max_attempts > 0 && trouble.len() == 5 =>
            {
                Ok(Self::new(items, max_attempts, std::array::from_fn(|n| trouble[n])))
            }
            Ok(_) | Err(_) => {
                Err("is seven numbers: items, attempts, worker crashes, store crashes, leases that run \
                                   out, doubled requests, interruptions"
                    .to_owned())
            }
        }
    }
}

/// A mistake that is made on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The store does not compare versions.
    NoFencing,
    /// A retry forgets how often the item has failed, as in the original.
    ForgetfulRetry,
    /// The store answers before it has synced.
    EarlyAnswer,
    /// Recovery does not see the last item.
    ForgottenItem,
    /// The last event of a longer step does not get into the history.
    MissingHistory,
}

impl Fault {
    /// Every mistake, and a promise that it must break.
    pub const ALL: [(Self, &str); 5] = [
        (Self::NoFencing, promises::COMPLETED_ONCE),
        (Self::ForgetfulRetry, promises::FAILURES_ARE_BOUNDED),
        (Self::EarlyAnswer, promises::NOTHING_TOLD_IS_LOST),
        (Self::ForgottenItem, promises::SETTLED_IN_THE_END),
        (Self::MissingHistory, promises::REPLAYS),
    ];
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoFencing => "the store does not compare versions",
            Self::ForgetfulRetry => "a retry forgets how often the item has failed, as in the original",
            Self::EarlyAnswer => "the store answers before it has synced",
            Self::ForgottenItem => "recovery does not see the last item",
            Self::MissingHistory => "the last event of a longer step does not get into the history",
        })
    }
}

/// The model, as the checker takes it.
#[derive(Debug)]
pub struct Protocol {
    /// Within what.
    pub bounds: Bounds,
    /// Which mistake is made.
    pub fault: Option<Fault>,
    /// What became of requests; of those that were tried, not of those in one path.
    pub seen: Seen,
    /// Content of stores that `verify` has found nothing wrong with: most states share theirs with many others.
    verified: RwLock<HashSet<u64>>,
}

/// How often it came to what the model is about. Where one is 0, nothing was checked.
#[derive(Debug, Default)]
pub struct Seen {
    /// Steps that were written.
    pub recorded: AtomicUsize,
    /// Steps that had been written before.
    pub repeated: AtomicUsize,
    /// Steps under a stale token.
    pub fenced: AtomicUsize,
    /// Items that recovery has taken from a worker.
    pub taken_over: AtomicUsize,
    /// Transactions that a crash of the store has undone.
    pub forgotten: AtomicUsize,
}

impl Protocol {
    /// The model within these bounds.
    pub fn new(bounds: Bounds, fault: Option<Fault>) -> Self {
        Self { bounds, fault, seen: Seen::default(), verified: RwLock::default() }
    }
}

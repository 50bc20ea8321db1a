//! What was killed, and where it was.

use std::fmt::Write;

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `map`, until its input is acknowledged.
    Submit,
    /// The same `map` again.
    Map,
    /// `resume`.
    Resume,
    /// `add`.
    Add,
    /// `dlq retry`.
    Retry,
    /// `gc`.
    Gc,
}

const VERBS: [(Verb, &str); 6] = [
    (Verb::Submit, "`map`, before its input was acknowledged"),
    (Verb::Map, "the same `map` again"),
    (Verb::Resume, "`resume`"),
    (Verb::Add, "`add`"),
    (Verb::Retry, "`dlq retry`"),
    (Verb::Gc, "`gc`"),
];

/// What a kill left of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// No job: it was not made yet, or it was removed.
    NoJob,
    /// A job without all of its input.
    Submitting,
    /// Items in progress.
    Running,
    /// Nothing in progress, and not finished.
    Idle,
    /// Nothing left to do.
    Finished,
}

const LEFT: [(Left, &str); 5] = [
    (Left::NoJob, "no job"),
    (Left::Submitting, "a job without all of its input"),
    (Left::Running, "items in progress"),
    (Left::Idle, "nothing in progress, and not finished"),
    (Left::Finished, "nothing left to do"),
];

/// Numbers of everything.
#[derive(Debug, Default)]
pub struct Tally {
    killed: [u64; VERBS.len()],
    left: [u64; LEFT.len()],
    /// Runs that were let be, and that ended before they could be killed.
    pub ended: u64,
    /// Jobs whose lives are over.
    pub jobs: u64,
    /// Items of those jobs.
    pub items: u64,
    /// Agents that have started.
    pub agents: u64,
}

impl Tally {
    /// Counts a kill.
    pub fn killed(&mut self, verb: Verb, left: Left) {
        self.killed[verb as usize] += 1;
        self.left[left as usize] += 1;
    }

    /// All kills.
    pub fn kills(&self) -> u64 {
        self.killed.iter().sum()
    }

    /// What is said of it in the end.
    pub fn text(&self) -> String {
        let Self { killed, left, ended, jobs, items, agents } = self;
        let mut text = format!(
            "`kill -9` at random moments, two jobs to a store: {jobs} jobs of {items} items, {agents} agents that started, \
             {ended} runs that ended by themselves. Agents that succeed, linger, fail always or now and then, and print \
             more than a row holds; one to eight at a time.\n\n| killed | times |\n|---|---|\n"
        );
        let killed = VERBS.iter().zip(killed).map(|((_, name), times)| (name, times));
        let left = LEFT.iter().zip(left).map(|((_, name), times)| (name, times));
        for (name, times) in killed {
            let _ = writeln!(text, "| {name} | {times} |");
        }
        text.push_str("\n| what it left | times |\n|---|---|\n");
        for (name, times) in left {
            let _ = writeln!(text, "| {name} | {times} |");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_and_every_state_is_counted_by_its_name() {
        for (i, (verb, _)) in VERBS.iter().enumerate() {
            assert_eq!(*verb as usize, i);
        }
        for (i, (left, _)) in LEFT.iter().enumerate() {
            assert_eq!(*left as usize, i);
        }
        let mut tally = Tally::default();
        tally.killed(Verb::Gc, Left::Idle);
        assert_eq!(tally.kills(), 1);
        let text = tally.text();
        assert!(text.contains("| `gc` | 1 |") && text.contains("| items in progress | 0 |"), "{text}");
    }
}

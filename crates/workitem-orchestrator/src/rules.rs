//! When a run stops by itself: so many items are given up that something is wrong with all of them.

use std::fmt;
use std::num::NonZeroUsize;

/// When a run stops by itself. It claims nothing more then and lets running agents finish, as
/// [`Stop::drain`](crate::Stop::drain) does. Only items that this run gave up count: what is resumed starts anew.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StopRules {
    /// Once so many items were given up.
    pub max_failures: Option<NonZeroUsize>,
    /// Once more than this share (0 to 1) of the items that were completed or given up was given up; not before there
    /// are [`rate_after`](Self::rate_after) of them.
    pub max_failure_rate: Option<f64>,
    /// Items that must be completed or given up before their share of failures says anything.
    pub rate_after: usize,
}

impl Default for StopRules {
    /// None.
    fn default() -> Self {
        Self { max_failures: None, max_failure_rate: None, rate_after: Self::RATE_AFTER }
    }
}

/// The rule that stopped a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// [`StopRules::max_failures`].
    MaxFailures {
        /// How many items had been given up.
        given_up: usize,
    },
    /// [`StopRules::max_failure_rate`].
    MaxFailureRate {
        /// How many items had been given up.
        given_up: usize,
        /// How many had been completed or given up.
        settled: usize,
    },
}

impl StopRules {
    /// [`rate_after`](Self::rate_after), unless said otherwise.
    pub const RATE_AFTER: usize = 20;

    /// The rule that stops a run that has given up and completed so many items, if one does.
    ///
    /// ```
    /// use workitem_orchestrator::{Rule, StopRules};
    ///
    /// let rules = StopRules { max_failure_rate: Some(0.2), ..StopRules::default() };
    /// assert_eq!(rules.fired(3, 2), None);
    /// assert_eq!(rules.fired(20, 80), None);
    /// assert_eq!(rules.fired(21, 79), Some(Rule::MaxFailureRate { given_up: 21, settled: 100 }));
    /// ```
    pub fn fired(&self, given_up: usize, completed: usize) -> Option<Rule> {
        if self.max_failures.is_some_and(|max| given_up >= max.get()) {
            return Some(Rule::MaxFailures { given_up });
        }
        let settled = given_up + completed;
        #[expect(clippy::cast_precision_loss, reason = "a share is not told to so many digits")]
        let too_many = |rate: f64| given_up as f64 > rate * settled as f64;
        let fires = settled >= self.rate_after && self.max_failure_rate.is_some_and(too_many);
        fires.then_some(Rule::MaxFailureRate { given_up, settled })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaxFailures { given_up: 1 } => f.write_str("an item was given up"),
            Self::MaxFailures { given_up } => write!(f, "{given_up} items were given up"),
            Self::MaxFailureRate { given_up, settled } => {
                write!(f, "{given_up} of {settled} items were given up")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_rule_nothing_fires() {
        assert_eq!(StopRules::default().fired(1_000, 0), None);
    }

    #[test]
    fn the_number_counts_what_was_given_up() {
        let rules = StopRules { max_failures: NonZeroUsize::new(3), ..StopRules::default() };
        assert_eq!([rules.fired(0, 0), rules.fired(2, 500)], [None, None]);
        assert_eq!(rules.fired(3, 0), Some(Rule::MaxFailures { given_up: 3 }));
    }

    #[test]
    fn the_share_counts_once_there_is_something_to_share() {
        let rules = StopRules { max_failure_rate: Some(0.5), ..StopRules::default() };
        let after = StopRules::RATE_AFTER;
        assert_eq!(rules.fired(after - 1, 0), None, "too few to tell");
        assert_eq!(rules.fired(after / 2, after / 2), None, "as many as may be");
        assert!(rules.fired(after / 2 + 1, after / 2 - 1).is_some());
        let none = StopRules { max_failure_rate: Some(0.0), ..StopRules::default() };
        assert_eq!([none.fired(0, after), none.fired(1, after - 2)], [None, None]);
        assert!(none.fired(1, after).is_some());
        let soon = StopRules { rate_after: 2, ..rules };
        assert_eq!([soon.fired(1, 0), soon.fired(1, 1)], [None, None]);
        assert!(soon.fired(2, 0).is_some());
    }

    #[test]
    fn a_rule_says_why_it_fired() {
        let told = [1, 3].map(|given_up| Rule::MaxFailures { given_up }.to_string());
        assert_eq!(told, ["an item was given up", "3 items were given up"]);
        let rate = Rule::MaxFailureRate { given_up: 21, settled: 100 };
        assert_eq!(rate.to_string(), "21 of 100 items were given up");
    }
}

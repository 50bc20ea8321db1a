//! What a torture says at its end.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The last line that a torture prints: one line of JSON. `cargo xtask torture` makes its part of
/// docs/reliability.md of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Its name: the subcommand.
    pub torture: String,
    /// How often it did what it does: kills, points, hours.
    pub ran: u64,
    /// Violations found.
    pub found: u64,
    /// Where its random choices began; `--seed` begins there again.
    pub seed: u64,
    /// How long it took.
    pub seconds: f64,
    /// What was done and seen, as Markdown below the torture's heading.
    pub text: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_line_that_can_be_read_back() {
        let report = Report {
            torture: "kills".into(),
            ran: 3,
            found: 0,
            seed: u64::MAX,
            seconds: 0.5,
            text: "two\nlines".into(),
        };
        let line = report.to_string();
        assert_eq!(line.lines().count(), 1);
        assert_eq!(serde_json::from_str::<Report>(&line).unwrap(), report);
    }
}

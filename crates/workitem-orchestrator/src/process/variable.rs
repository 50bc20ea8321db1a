//! A variable that agents find in their environment.

use std::fmt;
use std::str::FromStr;

use super::environment::{MAX_STRING, OURS};

/// A variable for the environment of agents, written `NAME=VALUE`.
///
/// ```
/// use workitem_orchestrator::Variable;
///
/// let variable: Variable = "MODE=a=b".parse()?;
/// assert_eq!((variable.name(), variable.value()), ("MODE", "a=b"));
/// assert!("WORKITEM_ID=7".parse::<Variable>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    name: String,
    value: String,
}

impl Variable {
    /// A variable of that name.
    ///
    /// # Errors
    ///
    /// What is wrong with it: the name is empty, holds `=`, or begins with `WORKITEM_`, by which agents are known;
    /// there is a NUL in it; or it is longer than the system takes.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Result<Self, String> {
        let (name, value) = (name.into(), value.into());
        // `=` and NUL.
        let len = name.len() + value.len() + 2;
        if name.is_empty() {
            Err("the name of the variable is empty".to_owned())
        } else if name.contains('=') {
            Err(format!("the name `{}` has a `=`", name.escape_debug()))
        } else if name.contains('\0') || value.contains('\0') {
            Err(format!("the variable `{}` has a NUL", name.escape_debug()))
        } else if name.starts_with(OURS) {
            Err(format!("`{name}` is not to be set: names that begin with {OURS} say what an agent works on"))
        } else if len > MAX_STRING {
            Err(format!(
                "the variable `{name:.40}` has {} bytes, the system takes {}",
                len - 1,
                MAX_STRING - 1
            ))
        } else {
            Ok(Self { name, value })
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its value.
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl FromStr for Variable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) => Self::new(name, value),
            None => Err("is no variable such as NAME=VALUE".to_owned()),
        }
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_read_as_they_are_written() {
        for text in ["A=", "A=b", "A=b=c", "lower case=x y", "É=ü\n"] {
            assert_eq!(text.parse::<Variable>().map(|variable| variable.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn what_no_process_could_be_given_is_no_variable() {
        for text in ["", "A", "=", "=b", "A\0=b", "A=b\0", "WORKITEM_=x", "WORKITEM_RUN=x"] {
            assert!(text.parse::<Variable>().is_err(), "{text:?}");
        }
        assert!(Variable::new("A=B", "").is_err());
        let longest = "x".repeat(MAX_STRING - 3);
        assert!(Variable::new("A", longest.clone()).is_ok());
        assert!(Variable::new("A", longest + "x").is_err());
    }
}

//! The name of an item.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of a work item, unique within its job.
///
/// Any text may be an id; a store limits the length of what it accepts. An id is never used as a
/// file name or handed to a shell, so `../../etc/passwd` is as good as any other.
///
/// ```
/// # use workitem_types::ItemId;
/// let id = ItemId::from("42");
/// assert_eq!(id.as_str(), "42");
/// assert_eq!(id.into_string(), "42");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ItemId(String);

impl ItemId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id's text, given up by the id.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl From<String> for ItemId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

impl From<&str> for ItemId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_text() {
        for text in ["", "42", "../../etc/passwd", "ünï 🦀"] {
            let id = ItemId::from(text);
            assert_eq!((id.as_str(), id.to_string().as_str()), (text, text));
            assert_eq!(ItemId::from(text.to_owned()), id);
            assert_eq!(id.into_string(), text);
        }
    }
}

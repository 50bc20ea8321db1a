//! Paths into a JSON value: `.a.b`, `.files.0`.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;
use thiserror::Error;

/// A path into a JSON value: `.` and a name for each step, as in `.a.b`; in an array the name is the
/// element's number, from 0; a lone `.` is the value itself.
///
/// A name is any text without `.` and braces, so a field whose name has one of these cannot be reached.
///
/// ```
/// use serde_json::json;
/// use workitem_orchestrator::FieldPath;
///
/// let path = FieldPath::parse(".files.1")?;
/// assert_eq!(path.get(&json!({ "files": ["a.rs", "b.rs"] }))?, "b.rs");
/// let missing = path.get(&json!({ "files": ["a.rs"] })).unwrap_err();
/// assert_eq!(missing.to_string(), "no field `.files.1`: the array `.files` has 1 element");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath {
    names: Vec<String>,
}

impl FieldPath {
    /// Reads a path.
    ///
    /// # Errors
    ///
    /// [`BadPath`] if `text` does not start with `.`, has an empty name or a brace.
    pub fn parse(text: &str) -> Result<Self, BadPath> {
        let bad = || BadPath { text: text.to_owned() };
        if text == "." {
            return Ok(Self { names: Vec::new() });
        }
        let names = text.strip_prefix('.').ok_or_else(bad)?;
        if names.contains(['{', '}']) || names.split('.').any(str::is_empty) {
            return Err(bad());
        }
        Ok(Self { names: names.split('.').map(str::to_owned).collect() })
    }

    /// The value at this path inside of `value`.
    ///
    /// # Errors
    ///
    /// [`NoField`], saying how far the path leads.
    pub fn get<'v>(&self, value: &'v Value) -> Result<&'v Value, NoField> {
        let mut found = value;
        for (depth, name) in self.names.iter().enumerate() {
            let next = match found {
                Value::Object(fields) => fields.get(name),
                Value::Array(elements) => name.parse().ok().and_then(|index: usize| elements.get(index)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
            };
            found = next.ok_or_else(|| self.missing(depth, found))?;
        }
        Ok(found)
    }

    fn missing(&self, depth: usize, found: &Value) -> NoField {
        let parent = Self { names: self.names[..depth].to_vec() };
        let of = if depth == 0 { "item".to_owned() } else { format!("value `{parent}`") };
        let why = match found {
            Value::Object(_) => return NoField { path: self.to_string(), why: None },
            Value::Array(elements) => {
                let of = if depth == 0 { "item".to_owned() } else { format!("array `{parent}`") };
                let plural = if elements.len() == 1 { "" } else { "s" };
                format!("the {of} has {} element{plural}", elements.len())
            }
            Value::Null => format!("the {of} is null"),
            Value::Bool(_) => format!("the {of} is a boolean"),
            Value::Number(_) => format!("the {of} is a number"),
            Value::String(_) => format!("the {of} is a string"),
        };
        NoField { path: self.to_string(), why: Some(why) }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.names.is_empty() {
            return f.write_str(".");
        }
        self.names.iter().try_for_each(|name| write!(f, ".{name}"))
    }
}

/// What was given is no path.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is no path to a field: expected `.name`, `.name.name` or `.name.0`")]
pub struct BadPath {
    text: String,
}

/// The value has no such field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoField {
    path: String,
    why: Option<String>,
}

impl fmt::Display for NoField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no field `{}`", self.path)?;
        self.why.iter().try_for_each(|why| write!(f, ": {why}"))
    }
}

impl std::error::Error for NoField {}

/// A value as an argument shows it: a string's characters, anything else as compact JSON.
pub(super) fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Cow::Owned(value.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn get(path: &str, value: &Value) -> String {
        match FieldPath::parse(path).unwrap().get(value) {
            Ok(found) => text_of(found).into_owned(),
            Err(missing) => missing.to_string(),
        }
    }

    #[test]
    fn paths_are_read_and_written() {
        for text in [".", ".a", ".a.b", ".0", ".a b.ü", ".a[0]"] {
            assert_eq!(FieldPath::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "a", "..", ".a.", ".a..b", ".{a}", "a.b"] {
            assert_eq!(FieldPath::parse(text).unwrap_err().text, text);
        }
    }

    #[test]
    fn fields_are_found() {
        let value = json!({ "a": { "b": [10, { "c": "x" }], "0": null }, "t": true });
        assert_eq!(get(".a.b.1.c", &value), "x");
        assert_eq!(get(".a.b", &value), r#"[10,{"c":"x"}]"#);
        assert_eq!(get(".a.0", &value), "null");
        assert_eq!(get(".t", &value), "true");
        assert_eq!(get(".", &json!("whole")), "whole");
    }

    #[test]
    fn a_missing_field_says_how_far_the_path_leads() {
        let value = json!({ "a": { "b": [1, 2] }, "s": "x", "n": null });
        assert_eq!(get(".x", &value), "no field `.x`");
        assert_eq!(get(".a.x", &value), "no field `.a.x`");
        assert_eq!(get(".a.b.2", &value), "no field `.a.b.2`: the array `.a.b` has 2 elements");
        assert_eq!(get(".a.b.x", &value), "no field `.a.b.x`: the array `.a.b` has 2 elements");
        assert_eq!(get(".a.b.-1", &value), "no field `.a.b.-1`: the array `.a.b` has 2 elements");
        assert_eq!(get(".s.t", &value), "no field `.s.t`: the value `.s` is a string");
        assert_eq!(get(".n.t", &value), "no field `.n.t`: the value `.n` is null");
        assert_eq!(get(".a", &json!("text")), "no field `.a`: the item is a string");
        assert_eq!(get(".a", &json!(1.5)), "no field `.a`: the item is a number");
    }
}

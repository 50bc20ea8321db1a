//! What an item is about: any JSON value.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

/// Most bytes a payload may have as compact JSON: 16 MiB.
pub const MAX_PAYLOAD: usize = 16 << 20;

/// The input of an item: a JSON value, kept as compact text. Cheap to clone.
///
/// ```
/// use workitem_store::Payload;
///
/// let payload = Payload::try_from(&serde_json::json!({ "path": "a.rs" }))?;
/// assert_eq!(payload.as_json(), r#"{"path":"a.rs"}"#);
/// assert_eq!(payload.to_value()["path"], "a.rs");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(Arc<str>);

impl Payload {
    /// Takes JSON text as it is.
    ///
    /// # Errors
    ///
    /// The parser's error if `json` is not one JSON value, or one that a [`Value`] cannot hold: half a
    /// surrogate pair, or more than 127 arrays and objects in each other.
    pub fn from_json(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str::<Value>(json)?;
        Ok(Self(json.into()))
    }

    /// The value as compact JSON.
    pub fn as_json(&self) -> &str {
        &self.0
    }

    /// The value, parsed.
    ///
    /// # Panics
    ///
    /// Never: whatever made the payload has parsed it, and text in quotes always can be.
    pub fn to_value(&self) -> Value {
        serde_json::from_str(&self.0).expect("a payload was parsed before")
    }
}

impl TryFrom<&Value> for Payload {
    type Error = serde_json::Error;

    /// Fails where [`from_json`](Self::from_json) does: a value that was made, not parsed, may be nested
    /// deeper than any that can be parsed back.
    fn try_from(value: &Value) -> Result<Self, serde_json::Error> {
        Self::from_json(&value.to_string())
    }
}

impl From<&str> for Payload {
    /// A JSON string.
    fn from(text: &str) -> Self {
        Self(Value::from(text).to_string().into())
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_payload_is_shown_as_it_is_kept() {
        assert_eq!(format!("{:?}", Payload::from("a \"b\"")), r#""a \"b\"""#);
    }

    fn nested(depth: usize) -> Value {
        (0..depth).fold(json!(1), |inner, _| json!([inner]))
    }

    #[test]
    fn what_cannot_be_parsed_back_is_no_payload() {
        for text in ["", "1 2", "{", r#""\ud800""#, r#"{"\udfff": 1}"#, &nested(200).to_string()] {
            assert!(Payload::from_json(text).is_err(), "{text}");
        }
        assert!(Payload::try_from(&nested(128)).is_err());
        assert!(Payload::try_from(&json!({ "$serde_json::private::Number": "one" })).is_err());
    }

    #[test]
    fn what_is_one_comes_back() {
        for value in [nested(127), json!("\u{0}\u{fffd}\u{10ffff}"), json!({ "a": [1e300, -0.5, null] })] {
            assert_eq!(Payload::try_from(&value).unwrap().to_value(), value);
        }
        assert_eq!(Payload::from_json(" [1, 2] ").unwrap().to_value(), json!([1, 2]));
        assert_eq!(Payload::from("\0\"\\\u{7f}").to_value(), "\0\"\\\u{7f}");
    }
}

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
/// let payload = Payload::from(&serde_json::json!({ "path": "a.rs" }));
/// assert_eq!(payload.as_json(), r#"{"path":"a.rs"}"#);
/// assert_eq!(payload.to_value()["path"], "a.rs");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(Arc<str>);

impl Payload {
    /// Takes JSON text as it is.
    ///
    /// # Errors
    ///
    /// The parser's error if `json` is not one JSON value.
    pub fn from_json(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str::<serde::de::IgnoredAny>(json)?;
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
    /// Never: both constructors hold only JSON.
    pub fn to_value(&self) -> Value {
        serde_json::from_str(&self.0).expect("a payload is JSON by construction")
    }
}

impl From<&Value> for Payload {
    fn from(value: &Value) -> Self {
        Self(value.to_string().into())
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

//! JSON: a document, or a value on each line.

use std::io::{self, BufRead};

use serde_json::Value;
use serde_json_path::JsonPath;

use super::lines::Stretches;
use super::{InputError, Raw};

/// The value on each line that is not blank.
pub fn lines(from: impl BufRead) -> impl Iterator<Item = io::Result<Raw>> {
    let mut stretches = Stretches { from, end: b'\n' };
    let lines = (1..).map_while(move |position| Some((position, stretches.next().transpose()?)));
    lines.filter_map(|(position, line)| match line {
        Ok(Ok(line)) if line.trim_ascii().is_empty() => None,
        Ok(line) => {
            let size = line.as_ref().map_or(0, Vec::len);
            Some(Ok(Raw { position, line: None, size, value: line.and_then(|line| parse(&line)) }))
        }
        Err(error) => Some(Err(error)),
    })
}

fn parse(line: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(line).map_err(|error| {
        // The parser counts lines from the start of what it was given, which is always one line.
        let (text, place) =
            (error.to_string(), format!(" at line {} column {}", error.line(), error.column()));
        let what = text.strip_suffix(&place).unwrap_or(&text);
        format!("is not JSON: {what} at column {}", error.column())
    })
}

/// The elements of the array that a document is, or the parts of it that `path` selects. The document is
/// held in memory.
pub fn document<R: BufRead>(
    name: &str,
    mut from: R,
    path: Option<&str>,
) -> Result<impl Iterator<Item = io::Result<Raw>> + use<R>, InputError> {
    let path = path.map(parse_path).transpose()?;
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).map_err(|source| InputError::read(name, source))?;
    let document = serde_json::from_slice(&bytes)
        .map_err(|source| InputError::Json { name: name.to_owned(), source })?;
    let elements: Vec<Value> = match (path, document) {
        (Some(path), document) => path.query(&document).all().into_iter().cloned().collect(),
        (None, Value::Array(elements)) => elements,
        (None, other) => {
            return Err(InputError::NoArray { name: name.to_owned(), found: kind(&other) });
        }
    };
    let size = bytes.len();
    let raw = move |(position, value)| Ok(Raw { position, line: None, size, value: Ok(value) });
    Ok((1..).zip(elements).map(raw))
}

fn parse_path(path: &str) -> Result<JsonPath, InputError> {
    let error = |error: serde_json_path::ParseError| InputError::JsonPath {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    // At an escape that the end cuts off the parser panics, as if more could come.
    if path.rsplit_once("\\u").is_some_and(|(_, digits)| digits.chars().count() < 4) {
        let reason = "its last escape \\u has fewer than four digits".to_owned();
        return Err(InputError::JsonPath { path: path.to_owned(), reason });
    }
    JsonPath::parse(path).map_err(error)
}

/// What a value is, in words.
const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

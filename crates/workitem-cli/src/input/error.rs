//! Inputs that cannot be read.

use std::io;

use thiserror::Error;
use workitem_orchestrator::BadPath;
use workitem_types::ItemId;

/// The input as a whole cannot be read. There is no passing over.
#[derive(Debug, Error)]
pub enum InputError {
    #[error("could not open {name}: {source}")]
    Open { name: String, source: io::Error },
    #[error("could not read {name}: {source}")]
    Read { name: String, source: io::Error },
    #[error("{name} is not JSON: {source}")]
    Json { name: String, source: serde_json::Error },
    #[error("{name} holds {found}, expected an array; --json-path says which parts of it are items")]
    NoArray { name: String, found: &'static str },
    #[error("`{path}` is no JSONPath: {reason}")]
    JsonPath { path: String, reason: String },
    #[error("--json-path is for JSON documents, and {name} is read {noun} by {noun}")]
    JsonPathElsewhere { name: String, noun: &'static str },
    #[error("--id-from: {0}")]
    IdFrom(BadPath),
    #[error("the header of {name} {what}")]
    Header { name: String, what: String },
    #[error("{first} and {second} have the same id `{id}`")]
    DuplicateId { id: ItemId, first: String, second: String },
}

impl InputError {
    pub(super) fn read(name: &str, source: io::Error) -> Self {
        Self::Read { name: name.to_owned(), source }
    }
}

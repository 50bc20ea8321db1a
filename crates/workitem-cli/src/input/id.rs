//! The ids of items.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};

use serde_json::Value;
use workitem_orchestrator::{BadPath, FieldPath};
use workitem_store::MAX_ID;
use workitem_types::ItemId;

/// Gives items their ids, and sees to it that no two have the same.
pub struct Ids {
    from: Option<FieldPath>,
    /// Where each id was, by its hash: 128 bits with a key of our own cannot collide, and take less room
    /// than ids.
    seen: HashMap<[u64; 2], u64>,
    keys: [RandomState; 2],
}

/// Why an item has no id.
pub enum NoId {
    /// What is wrong with it.
    Bad(String),
    /// Another item has it.
    Duplicate { id: ItemId, first: u64 },
}

impl Ids {
    /// Ids from the field `from`, or from the position.
    pub fn new(from: Option<&str>) -> Result<Self, BadPath> {
        let from = from.map(FieldPath::parse).transpose()?;
        Ok(Self { from, seen: HashMap::new(), keys: [RandomState::new(), RandomState::new()] })
    }

    /// The id of the item at `position`.
    pub fn id(&mut self, position: u64, value: &Value) -> Result<ItemId, NoId> {
        let Some(path) = &self.from else { return Ok(position.to_string().into()) };
        let id = read(path, value).map_err(NoId::Bad)?;
        match self.seen.entry(self.keys.each_ref().map(|key| key.hash_one(&id))) {
            Entry::Vacant(entry) => {
                entry.insert(position);
                Ok(id.into())
            }
            Entry::Occupied(entry) => Err(NoId::Duplicate { id: id.into(), first: *entry.get() }),
        }
    }
}

fn read(path: &FieldPath, value: &Value) -> Result<String, String> {
    let found = path.get(value).map_err(|missing| format!("has no id: {missing}"))?;
    let id = match found {
        Value::String(id) => id.clone(),
        Value::Number(id) => id.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            return Err(format!("has no id: `{path}` is neither a string nor a number"));
        }
    };
    match id.len() {
        0 => Err(format!("has an empty id at `{path}`")),
        length if length > MAX_ID => {
            Err(format!("has an id of {length} bytes at `{path}`, and {MAX_ID} is the most"))
        }
        _ if id.contains(char::is_control) => Err(format!("has a control character in its id at `{path}`")),
        _ => Ok(id),
    }
}

//! What failures have in common: the error without what belongs to one item only. Five hundred items that fail for
//! one reason are one line then.

use std::collections::HashMap;

use serde_json::Value;
use sha2::{Digest, Sha256};
use workitem_types::ItemId;

/// What stands for text of the item itself.
const ITEM: &str = "{}";
/// What stands for a word with a digit in it: a number, an address, a date.
const NUMBER: char = '#';
/// Shorter text of an item is found everywhere.
const SHORTEST: usize = 2;

/// Letters with one signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The name of the group: the same for the same signature, always.
    pub name: String,
    /// What their errors have in common.
    pub signature: String,
    /// The positions of the letters, in input order.
    pub letters: Vec<u64>,
    /// The first letter, and its error in full.
    pub first: (ItemId, String),
}

/// Groups of letters, as they come.
#[derive(Default)]
pub struct Groups {
    groups: Vec<Group>,
    by_name: HashMap<String, usize>,
}

impl Groups {
    /// Puts a letter into its group.
    pub fn add(&mut self, seq: u64, id: &ItemId, payload: &Value, error: &str) {
        let signature = signature(error, id, payload);
        let name = name(&signature);
        let place = *self.by_name.entry(name.clone()).or_insert_with(|| {
            let first = (id.clone(), error.to_owned());
            self.groups.push(Group { name, signature, letters: Vec::new(), first });
            self.groups.len() - 1
        });
        self.groups[place].letters.push(seq);
    }

    /// The groups, largest first.
    pub fn sorted(self) -> Vec<Group> {
        let mut groups = self.groups;
        groups.sort_by_key(|group| std::cmp::Reverse(group.letters.len()));
        groups
    }
}

/// Short enough to type, long enough for the groups of a job to differ.
fn name(signature: &str) -> String {
    let digest = Sha256::digest(signature);
    let first = digest.first_chunk().map_or(0, |first| u32::from_be_bytes(*first));
    format!("{first:08x}")
}

/// The error with its exit code or signal, without the item and without numbers.
fn signature(error: &str, id: &ItemId, payload: &Value) -> String {
    let (how, said) = match error.split_once(": ") {
        Some((how, said)) if is_ending(how) => (Some(how), said),
        _ if is_ending(error) => return error.to_owned(),
        _ => (None, error),
    };
    let mut said = said.to_owned();
    let mut own = vec![id.as_str()];
    texts(payload, &mut own);
    // A longer text first: it may have a shorter one in it.
    own.sort_by_key(|text| std::cmp::Reverse(text.len()));
    // What is one number stays one, as it is where the item is too short to be looked for.
    let is_told =
        |text: &str| text.chars().count() >= SHORTEST && without_numbers(text) != NUMBER.to_string();
    for text in own.into_iter().filter(|text| is_told(text)) {
        said = without_text(&said, text);
    }
    let said = without_numbers(&said);
    how.map_or(said.clone(), |how| format!("{how}: {said}"))
}

/// Whether this is how a process ended, whose number means something.
fn is_ending(how: &str) -> bool {
    how.starts_with("exit ") || how.starts_with("signal ")
}

/// Every text in a JSON value.
fn texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| texts(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The text with another replaced, where that does not begin or end within a word: `1` is not in `12`.
fn without_text(text: &str, other: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    for (start, _) in text.match_indices(other) {
        let end = start + other.len();
        let goes_on = |beside: Option<char>, edge: Option<char>| {
            beside.is_some_and(char::is_alphanumeric) && edge.is_some_and(char::is_alphanumeric)
        };
        let before = goes_on(text[..start].chars().next_back(), other.chars().next());
        let after = goes_on(text[end..].chars().next(), other.chars().next_back());
        if !before && !after {
            out.push_str(&text[copied..start]);
            out.push_str(ITEM);
            copied = end;
        }
    }
    out.push_str(&text[copied..]);
    out
}

/// The text with every word that has a digit in it replaced.
fn without_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
        match &rest[..end] {
            "" => out.push(first),
            word if word.contains(|c: char| c.is_ascii_digit()) => out.push(NUMBER),
            word => out.push_str(word),
        }
        rest = &rest[end.max(if end == 0 { first.len_utf8() } else { 0 })..];
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn assert_signature(error: &str, payload: &Value, expected: &str) {
        assert_eq!(signature(error, &"17".into(), payload), expected);
    }

    #[test]
    fn an_ending_keeps_its_number_and_what_was_said_does_not() {
        assert_signature("exit 7", &json!("a"), "exit 7");
        assert_signature("exit 7: 12 errors in 0x7f2a", &json!("a"), "exit 7: # errors in #");
        assert_signature("signal 9 (SIGKILL)", &json!("a"), "signal 9 (SIGKILL)");
        assert_signature("timed out after 30 s", &json!("a"), "timed out after # s");
        assert_signature("no plug: 3 tries", &json!("a"), "no plug: # tries");
    }

    #[test]
    fn the_item_is_taken_out_of_what_it_made_the_agent_say() {
        assert_signature(
            "exit 1: wc: src/lib.rs: No such file",
            &json!("src/lib.rs"),
            "exit 1: wc: {}: No such file",
        );
        let page = json!({ "url": "http://a.b/c", "tags": ["news"], "n": 4 });
        assert_signature("exit 1: http://a.b/c has no news", &page, "exit 1: {} has no {}");
        assert_signature("exit 1: a b c", &json!("b"), "exit 1: a b c");
        assert_signature("exit 1: cat, concat, cat", &json!("cat"), "exit 1: {}, concat, {}");
        assert_signature("exit 1: 17 of 2176", &json!(null), "exit 1: # of #");
        assert_eq!(signature("no user alice", &"alice".into(), &json!(null)), "no user {}");
        assert_signature("exit 1: größe 5 überschritten…", &json!("x"), "exit 1: größe # überschritten…");
        assert_signature("", &json!(""), "");
    }

    #[test]
    fn numbered_items_are_alike_however_long_their_numbers_are() {
        let said = |item: &str| signature(&format!("exit 2: /data/{item}.txt"), &item.into(), &json!(item));
        assert_eq!(["1", "12", "123"].map(said), ["exit 2: /data/#.txt"; 3]);
    }

    #[test]
    fn letters_of_one_signature_are_one_group_the_largest_first() {
        let mut groups = Groups::default();
        for seq in 1..=5_u64 {
            let (item, error) = (format!("item-{seq}"), if seq == 2 { "exit 2" } else { "exit 1: bad" });
            groups.add(seq, &seq.to_string().into(), &json!(item), &format!("{error} {item}"));
        }
        let groups = groups.sorted();
        let seen: Vec<_> =
            groups.iter().map(|group| (group.signature.as_str(), group.letters.as_slice())).collect();
        assert_eq!(seen, [("exit 1: bad {}", &[1, 3, 4, 5][..]), ("exit 2 item-2", &[2])]);
        assert_eq!(groups[0].first, ("1".into(), "exit 1: bad item-1".to_owned()));
        assert_eq!((groups[0].name.len(), groups[0].name != groups[1].name), (8, true));
    }
}

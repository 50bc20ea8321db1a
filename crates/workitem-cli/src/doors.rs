//! Where data from outside comes in: each door takes any bytes whatsoever, and checks what must hold of what it makes of
//! them. That it ends and does not panic is the least.
//!
//! Only for tests and for fuzzing: `cargo xtask torture fuzz` lets bytes look for their way in by what they reach;
//! the tests here try what it has found so far, `fuzz/corpus`, and changes of that.

use std::ffi::OsString;
use std::io::BufReader;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Value, json};
use workitem_orchestrator::{FieldPath, Rate, Template, Variable, Worth};
use workitem_store::{Job, JobId, NewItem, Payload, check_item};

use crate::config::Config;
use crate::durations::{backoff, duration, positive, short};
use crate::input::{Entry, Format, InputError, Options, Reader};
use crate::signature::Groups;
use crate::spec::Spec;
use crate::values;

/// A door, by its name.
pub type Door = (&'static str, fn(&[u8]));

/// Every door of the command line.
pub const DOORS: [Door; 6] = [
    ("input", input),
    ("config", config),
    ("values", option_values),
    ("template", template),
    ("spec", spec),
    ("signature", signature),
];

/// An input in any format. The first byte says how it is read, the first line has a JSONPath and an id's path.
fn input(bytes: &[u8]) {
    let Some((how, rest)) = bytes.split_first() else { return };
    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return };
    let (paths, body) = (String::from_utf8_lossy(&rest[..end]).into_owned(), rest[end + 1..].to_vec());
    let (json_path, id_from) = paths.split_once('\t').unwrap_or((&paths, ""));
    let formats = [Format::Lines, Format::Nul, Format::Jsonl, Format::Json, Format::Csv];
    let options = Options {
        format: formats.get(usize::from(how % 8)).copied(),
        json_path: (!json_path.is_empty()).then(|| json_path.to_owned()),
        id_from: (!id_from.is_empty()).then(|| id_from.to_owned()),
        after: u64::from(how >> 5),
        dedup: how & 8 != 0,
    };
    let read = |at_once: usize| -> Result<Vec<Result<Entry, InputError>>, InputError> {
        let from = BufReader::with_capacity(at_once, std::io::Cursor::new(body.clone()));
        Ok(Reader::new("input".to_owned(), from, &options, Format::Lines)?.collect())
    };
    // However it comes in.
    let (whole, bit_by_bit) = (read(1 << 16), read(5));
    assert_eq!(format!("{whole:?}"), format!("{bit_by_bit:?}"));
    let mut position = options.after;
    for entry in whole.into_iter().flatten() {
        let (at, place) = match entry {
            Err(error) => return clear(&error.to_string()),
            Ok(Err(bad)) => {
                assert!(!bad.reason.is_empty());
                (bad.position, bad.place)
            }
            Ok(Ok(item)) => {
                // What is read can be stored, but for ids that the store refuses with a reason.
                let payload = Payload::try_from(&item.value).expect("what was parsed can be parsed");
                assert_eq!(payload.to_value(), item.value);
                let _ = check_item(&NewItem { id: item.id, payload });
                (item.position, item.place)
            }
        };
        assert!(at > position && !place.is_empty(), "{place} at {at} comes after {position}");
        position = at;
    }
}

/// A config file.
fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Config::parse(Path::new("config.toml"), text) {
        Ok(config) => {
            let lines = text.lines().count().max(1);
            assert!(config.said.values().all(|said| (1..=lines).contains(&said.line)));
        }
        Err(error) => clear(&error.to_string()),
    }
}

/// What people write for durations, rates and the like.
fn option_values(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let told = |told: Result<Duration, String>| match told {
        Ok(duration) => assert!(!short(duration).is_empty()),
        Err(why) => assert!(!why.is_empty()),
    };
    told(duration(text));
    told(positive(text));
    told(backoff(text).map(|backoff| {
        assert!(backoff.base <= backoff.max || !text.contains(".."));
        backoff.max
    }));
    if let Ok(share) = values::share(text) {
        assert!((0.0..=1.0).contains(&share));
    }
    if let Ok(name) = values::job_name(text) {
        assert_eq!(name, text);
    }
    let _ = (values::size(text), values::state(text), values::parallelism(text));
    survives::<Rate>(text);
    survives::<Worth>(text);
    survives::<Variable>(text);
    if let Ok(rate) = values::delay(text) {
        assert_eq!(rate.to_string().parse(), Ok(rate));
    }
}

/// What was read can be written down, and is the same when it is read again.
fn survives<T: FromStr<Err: std::fmt::Debug> + ToString + PartialEq + std::fmt::Debug>(text: &str) {
    if let Ok(read) = text.parse::<T>() {
        assert_eq!(read.to_string().parse::<T>().expect("it was written by the program"), read);
    }
}

/// A command with placeholders, and the item that is put into them: NUL between arguments, the last one is JSON.
fn template(bytes: &[u8]) {
    let mut argv: Vec<OsString> =
        bytes.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec())).collect();
    let Some(item) = argv.pop() else { return };
    let item = serde_json::from_slice(item.as_bytes()).unwrap_or_else(|_| json!(item.to_string_lossy()));
    if let Some(path) = argv.first().and_then(|word| word.to_str())
        && let Ok(path) = FieldPath::parse(path)
    {
        let _ = path.get(&item);
    }
    let words = argv.len();
    match Template::parse(argv) {
        Err(error) => clear(&error.to_string()),
        Ok(template) => {
            let id = "id".into();
            let rendered = template.render(&id, &item);
            assert_eq!(rendered.is_ok(), template.check(&id, &item).is_ok());
            match rendered {
                Err(error) => clear(&error.to_string()),
                Ok(rendered) => {
                    assert_eq!(rendered.len(), words, "an item is never more than one argument");
                    assert!(rendered.iter().all(|word| !word.as_bytes().contains(&0)));
                }
            }
        }
    }
}

/// What a store says how a job is run: any JSON.
fn spec(bytes: &[u8]) {
    let Ok(spec) = serde_json::from_slice::<Value>(bytes) else { return };
    let job = Job {
        id: JobId(1),
        name: "job".to_owned(),
        spec,
        created_at: chrono::DateTime::UNIX_EPOCH,
        digest: None,
        input_items: 0,
    };
    match Spec::of(&job) {
        Err(error) => assert!(error.to_string().contains("job `job`")),
        Ok(spec) => {
            let options = spec.run.options();
            for failures in [0, 1, 2, 40, usize::MAX] {
                let _ = options.retry.delay(failures);
            }
            let _ = (spec.variables(&[]), spec.run.grace(), spec.run.output_limit());
            let again = serde_json::to_value(&spec).expect("it is JSON");
            assert_eq!(serde_json::from_value::<Spec>(again).expect("it was written by the program"), spec);
        }
    }
}

/// What agents say when they fail, which is put into groups: an id, the item as JSON, errors, a line each.
fn signature(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    let id = lines.next().unwrap_or_default().into();
    let item = lines.next().unwrap_or_default();
    let item = serde_json::from_str(item).unwrap_or_else(|_| json!(item));
    let mut groups = Groups::default();
    let mut letters = 0;
    for error in lines {
        letters += 1;
        groups.add(letters, &id, &item, error);
        groups.add(letters, &id, &item, error);
    }
    let groups = groups.sorted();
    let in_groups: usize = groups.iter().map(|group| group.letters.len()).sum();
    assert_eq!(in_groups as u64, 2 * letters);
    assert!(groups.iter().all(|group| group.letters.len() % 2 == 0), "one error is of one group");
}

/// An error is for people to read: there is one. What it quotes of a command may have lines of its own.
fn clear(error: &str) {
    assert!(!error.trim().is_empty());
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{Index, select};
    use proptest::test_runner::RngSeed;

    use super::*;

    /// What fuzzing has found worth keeping, for one door.
    fn corpus(door: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(door);
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.iter().map(|file| fs::read(file).unwrap()).collect()
    }

    /// One of the corpus with bytes changed, parts doubled and taken out.
    fn changed(door: &str) -> impl Strategy<Value = Vec<u8>> {
        let changes = vec((any::<Index>(), any::<Index>(), any::<u8>(), 0..4_u8), 0..6);
        (select(corpus(door)), changes).prop_map(|(mut bytes, changes)| {
            for (from, to, byte, how) in changes {
                let len = bytes.len() + 1;
                let (from, to) = (from.index(len), to.index(len));
                let (from, to) = (from.min(to), from.max(to));
                match how {
                    0 => bytes.insert(from, byte),
                    1 => bytes.splice(from..to, []).for_each(drop),
                    2 => bytes.splice(from..from, bytes[from..to].to_vec()).for_each(drop),
                    _ => bytes.truncate(to),
                }
            }
            bytes
        })
    }

    fn try_corpus_and_changes(name: &str) {
        let (_, door) = DOORS.iter().find(|(door, _)| *door == name).unwrap();
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "there is nothing to begin with");
        for bytes in &corpus {
            door(bytes);
        }
        // The same each time: what is new to be found is for the torture to look for.
        let rng_seed = RngSeed::Fixed(7);
        let config =
            ProptestConfig { cases: 1_000, failure_persistence: None, rng_seed, ..ProptestConfig::default() };
        proptest!(config, |(bytes in changed(name))| door(&bytes));
    }

    macro_rules! doors {
        ($($door:ident)*) => {
            $(#[test]
            fn $door() {
                try_corpus_and_changes(stringify!($door));
            })*

            #[test]
            fn every_door_is_tried() {
                assert_eq!(DOORS.map(|(door, _)| door), [$(stringify!($door)),*]);
            }
        };
    }

    doors! { input config values template spec signature }
}

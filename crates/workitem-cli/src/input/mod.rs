//! Reading items: lines, NUL-separated text, JSON lines, JSON, CSV.
//!
//! Items are read one by one with bounded memory, however long the input or a line of it (a JSON document
//! alone is held whole). What cannot be an item is told apart from an input that cannot be read: [`Bad`]
//! names its place and lets the reading go on, an [`InputError`] ends it. Nothing is ever mended by guess.

mod csv;
mod error;
mod id;
mod json;
mod lines;

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use clap::ValueEnum;
use serde_json::Value;
use workitem_store::MAX_PAYLOAD;
use workitem_types::ItemId;

pub use self::error::InputError;
use self::id::{Ids, NoId};

/// Bytes read from the system at once.
const BUFFER: usize = 128 << 10;

/// How an input is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Each line is an item, without its newline and otherwise byte for byte
    Lines,
    /// As lines, but each ends with NUL instead of a newline
    Nul,
    /// Each line is a JSON value; blank lines are passed over
    Jsonl,
    /// One JSON document: an array, or anything with --json-path
    Json,
    /// Each record is an object of strings; the first one names the fields
    Csv,
}

impl Format {
    /// What a file's name says: `.jsonl`, `.ndjson`, `.json`, `.csv`; anything else holds lines.
    fn of(path: &Path) -> Self {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        match extension.as_deref() {
            Some("jsonl" | "ndjson") => Self::Jsonl,
            Some("json") => Self::Json,
            Some("csv") => Self::Csv,
            Some(_) | None => Self::Lines,
        }
    }

    /// What one of its items is called, before its number.
    const fn noun(self) -> &'static str {
        match self {
            Self::Lines | Self::Jsonl => "line",
            Self::Nul => "item",
            Self::Json => "element",
            Self::Csv => "record",
        }
    }
}

/// How to read an input.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How it is written; otherwise its name says so, and `json_path` means JSON.
    pub format: Option<Format>,
    /// Which parts of a JSON document are items, by RFC 9535.
    pub json_path: Option<String>,
    /// Where in an item its id is, as a field path; otherwise its position is its id.
    pub id_from: Option<String>,
    /// Where the last input of the job ended: positions go on from there.
    pub after: u64,
    /// An item whose id was met before is [`Bad`], and not an error.
    pub dedup: bool,
}

/// What stands at one place of an input.
pub type Entry = Result<Input, Bad>;

/// An item as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// The number of its line, element or record, from 1 or from where the last input ended; what cannot be an
    /// item counts, too.
    pub position: u64,
    /// Where it stands, for people: `line 7`, `record 5 (line 9)`.
    pub place: String,
    pub id: ItemId,
    pub value: Value,
}

/// What cannot be an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// As [`Input::position`].
    pub position: u64,
    /// As [`Input::place`].
    pub place: String,
    /// What is wrong with it.
    pub reason: String,
    /// Whether that is only that its id was met before.
    pub is_duplicate: bool,
}

/// The items of an input, in order. After an error there are none.
pub struct Reader {
    /// The file, for errors.
    name: String,
    raw: Box<dyn Iterator<Item = io::Result<Raw>>>,
    noun: &'static str,
    ids: Ids,
    after: u64,
    dedup: bool,
}

/// What a format finds at one place.
struct Raw {
    position: u64,
    /// The line it begins at, where that is not its position.
    line: Option<u64>,
    /// Bytes it took in the input: a bound for how long it can be as JSON.
    size: usize,
    value: Result<Value, String>,
}

impl Reader {
    /// The items of a file, or of standard input.
    ///
    /// # Errors
    ///
    /// [`InputError`] if the options make no sense, or the file cannot be opened. A JSON document is read
    /// at once, with all that can be wrong with it.
    pub fn open(path: Option<&Path>, options: &Options) -> Result<Self, InputError> {
        let Some(path) = path else {
            let stdin = BufReader::with_capacity(BUFFER, io::stdin());
            return Self::new("standard input".to_owned(), stdin, options, Format::Lines);
        };
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Self::new(name, BufReader::with_capacity(BUFFER, file), options, Format::of(path)),
            Err(source) => Err(InputError::Open { name, source }),
        }
    }

    /// The items of anything that can be read; `assumed` is its format if the options name none.
    pub fn new(
        name: String,
        mut from: impl BufRead + 'static,
        options: &Options,
        assumed: Format,
    ) -> Result<Self, InputError> {
        let format = match (options.format, &options.json_path) {
            (Some(format), _) => format,
            // `.jsonl` and `.csv` with a path are a mistake to be told, a stream is not.
            (None, Some(_)) if assumed == Format::Lines => Format::Json,
            (None, _) => assumed,
        };
        if options.json_path.is_some() && format != Format::Json {
            return Err(InputError::JsonPathElsewhere { name, noun: format.noun() });
        }
        let ids = Ids::new(options.id_from.as_deref()).map_err(InputError::IdFrom)?;
        if !matches!(format, Format::Lines | Format::Nul) {
            skip_byte_order_mark(&mut from).map_err(|source| InputError::read(&name, source))?;
        }
        let raw: Box<dyn Iterator<Item = _>> = match format {
            Format::Lines => Box::new(lines::text(from, b'\n')),
            Format::Nul => Box::new(lines::text(from, 0)),
            Format::Jsonl => Box::new(json::lines(from)),
            Format::Json => Box::new(json::document(&name, from, options.json_path.as_deref())?),
            Format::Csv => Box::new(csv::records(&name, from)?),
        };
        Ok(Self { name, raw, noun: format.noun(), ids, after: options.after, dedup: options.dedup })
    }

    fn entry(&mut self, raw: Raw) -> Result<Entry, InputError> {
        let Raw { position, line, size, value } = raw;
        let place = match line {
            Some(line) => format!("{} {position} (line {line})", self.noun),
            None => format!("{} {position}", self.noun),
        };
        let position = self.after + position;
        let value = value.and_then(|value| if fits(&value, size) { Ok(value) } else { Err(too_long()) });
        let value = match value {
            Ok(value) => value,
            Err(reason) => return Ok(Err(Bad { position, place, reason, is_duplicate: false })),
        };
        match self.ids.id(position, &value) {
            Ok(id) => Ok(Ok(Input { position, place, id, value })),
            Err(NoId::Bad(reason)) => Ok(Err(Bad { position, place, reason, is_duplicate: false })),
            Err(NoId::Duplicate { id, first }) => {
                let first = format!("{} {}", self.noun, first - self.after);
                if self.dedup {
                    let reason = format!("has the id `{id}` of {first}");
                    return Ok(Err(Bad { position, place, reason, is_duplicate: true }));
                }
                Err(InputError::DuplicateId { id, first, second: place })
            }
        }
    }
}

impl Iterator for Reader {
    type Item = Result<Entry, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = match self.raw.next()? {
            Ok(raw) => self.entry(raw),
            Err(source) => Err(InputError::read(&self.name, source)),
        };
        if entry.is_err() {
            self.raw = Box::new(std::iter::empty());
        }
        Some(entry)
    }
}

/// Whether a value that took `size` bytes in the input is no longer than a store accepts.
fn fits(value: &Value, size: usize) -> bool {
    // A character takes at most six times as much in JSON (`\u0000`), so that most need not be measured.
    const LONGEST_ESCAPE: usize = 6;
    size < MAX_PAYLOAD / LONGEST_ESCAPE || value.to_string().len() <= MAX_PAYLOAD
}

fn too_long() -> String {
    format!("is longer than {} MiB as JSON", MAX_PAYLOAD >> 20)
}

/// Passes over the mark that some programs put before UTF-8 text.
fn skip_byte_order_mark(from: &mut impl BufRead) -> io::Result<()> {
    const MARK: &[u8] = b"\xef\xbb\xbf";
    if from.fill_buf()?.starts_with(MARK) {
        from.consume(MARK.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests;

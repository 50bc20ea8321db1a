//! CSV with a header: each record is an object of strings.
//!
//! The parser is `csv_core`. The `csv` crate above it holds a record whole before it can be judged, and
//! takes a quote that is never closed for a field that goes on to the end of the file.

use std::collections::HashSet;
use std::io::{self, BufRead};
use std::mem::{replace, take};

use csv_core::ReadFieldResult;
use serde_json::{Map, Value};
use workitem_store::MAX_PAYLOAD;

use super::lines::as_text;
use super::{InputError, Raw, too_long};

/// The records below the header. Blank lines are none.
pub fn records<R: BufRead>(
    name: &str,
    from: R,
) -> Result<impl Iterator<Item = io::Result<Raw>> + use<R>, InputError> {
    let mut parser = csv_core::Reader::new();
    // It passes over a byte order mark in what it reads first, if all of it came at once. That of the input is gone by now;
    // another one is text, however it comes.
    let _ = parser.read_field(b"\n", &mut [0]);
    let mut records = Records { from, parser, line: 1 };
    let first = records.next().map_err(|source| InputError::read(name, source))?;
    let header = header(first).map_err(|what| InputError::Header { name: name.to_owned(), what })?;
    let header_size: usize = header.iter().map(String::len).sum();
    Ok((1..).map_while(move |position| {
        let raw = records.next().transpose()?.map(|record| {
            let (line, size) = (Some(record.line), record.size + header_size);
            Raw { position, line, size, value: object(&header, record) }
        });
        Some(raw)
    }))
}

fn header(record: Option<Record>) -> Result<Vec<String>, String> {
    // No header, no records.
    let fields = record.map_or_else(|| Ok(Vec::new()), Record::fields)?;
    let mut seen = HashSet::new();
    for (field, number) in fields.iter().zip(1..) {
        if field.is_empty() {
            return Err(format!("has no name for column {number}"));
        }
        if !seen.insert(field) {
            return Err(format!("names column `{field}` twice"));
        }
    }
    Ok(fields)
}

fn object(header: &[String], record: Record) -> Result<Value, String> {
    let fields = record.fields()?;
    if fields.len() != header.len() {
        let plural = if fields.len() == 1 { "" } else { "s" };
        return Err(format!("has {} field{plural}, the header has {}", fields.len(), header.len()));
    }
    let fields = header.iter().cloned().zip(fields.into_iter().map(Value::String));
    Ok(Value::Object(fields.collect::<Map<_, _>>()))
}

/// A record as it was read.
#[derive(Default)]
struct Record {
    /// The line it begins at.
    line: u64,
    fields: Vec<Vec<u8>>,
    /// Bytes of its fields, those that were not kept included.
    size: usize,
    /// A quote is open at the end of the input.
    is_open: bool,
}

impl Record {
    fn fields(self) -> Result<Vec<String>, String> {
        if self.is_open {
            return Err("has a quote that is never closed".to_owned());
        }
        if self.size > MAX_PAYLOAD {
            return Err(too_long());
        }
        let text = |(field, column)| as_text(field).map_err(|what| format!("{what} in column {column}"));
        self.fields.into_iter().zip(1..).map(text).collect()
    }
}

struct Records<R> {
    from: R,
    parser: csv_core::Reader,
    /// The line that is being read.
    line: u64,
}

impl<R: BufRead> Records<R> {
    fn next(&mut self) -> io::Result<Option<Record>> {
        self.skip_line_ends()?;
        if self.from.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let mut record = Record { line: self.line, ..Record::default() };
        let (mut field, mut part, mut is_ended) = (Vec::new(), [0; 4096], false);
        loop {
            let mut input = self.from.fill_buf()?;
            if input.is_empty() {
                // The last record needs no newline; if it goes on after one, it is within quotes.
                if replace(&mut is_ended, true) {
                    return Ok(Some(Record { is_open: true, ..record }));
                }
                input = b"\n";
            }
            let (result, taken, written) = self.parser.read_field(input, &mut part);
            self.line += input[..taken].iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
            if !is_ended {
                self.from.consume(taken);
            }
            record.size += written;
            // What is too long is read to its end, but not kept.
            if record.size <= MAX_PAYLOAD {
                field.extend_from_slice(&part[..written]);
            }
            match result {
                ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull => {}
                ReadFieldResult::Field { record_end } => {
                    record.size += 1;
                    if record.size <= MAX_PAYLOAD {
                        record.fields.push(take(&mut field));
                    }
                    if record_end {
                        return Ok(Some(record));
                    }
                }
                ReadFieldResult::End => return Ok(Some(record)),
            }
        }
    }

    /// Passes over blank lines, and over the `\n` of a record that ended at its `\r`.
    fn skip_line_ends(&mut self) -> io::Result<()> {
        while let Some(byte @ (b'\n' | b'\r')) = self.from.fill_buf()?.first().copied() {
            self.line += u64::from(byte == b'\n');
            self.from.consume(1);
        }
        Ok(())
    }
}

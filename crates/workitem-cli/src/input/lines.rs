//! Text, split at newlines or at NUL.

use std::io::{self, BufRead, Read};

use serde_json::Value;
use workitem_store::MAX_PAYLOAD;

use super::{Raw, too_long};

/// Every stretch of text that `end` ends. The last one need not be ended; nothing after an end is no item.
pub fn text(from: impl BufRead, end: u8) -> impl Iterator<Item = io::Result<Raw>> {
    let mut stretches = Stretches { from, end };
    (1..).map_while(move |position| {
        let raw = stretches.next().transpose()?.map(|stretch| {
            let size = stretch.as_ref().map_or(0, Vec::len);
            let value = stretch.and_then(as_text).map(Value::String);
            Raw { position, line: None, size, value }
        });
        Some(raw)
    })
}

/// Bytes that must be UTF-8.
pub fn as_text(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("is not UTF-8 from byte {} on", at + 1)
    })
}

/// Splits what it reads. Never holds more of it than an item may have.
pub struct Stretches<R> {
    pub from: R,
    pub end: u8,
}

impl<R: BufRead> Stretches<R> {
    /// The next stretch, without its end; or that it is longer than an item may be.
    pub fn next(&mut self) -> io::Result<Option<Result<Vec<u8>, String>>> {
        let mut stretch = Vec::new();
        let most = MAX_PAYLOAD as u64 + 1;
        if self.from.by_ref().take(most).read_until(self.end, &mut stretch)? == 0 {
            return Ok(None);
        }
        if stretch.last() == Some(&self.end) {
            stretch.pop();
        } else if stretch.len() > MAX_PAYLOAD {
            drop(stretch);
            self.from.skip_until(self.end)?;
            return Ok(Some(Err(too_long())));
        }
        Ok(Some(Ok(stretch)))
    }
}

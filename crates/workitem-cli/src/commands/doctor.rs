//! What whoever keeps a store should know, and what to do about it.

use std::cmp::Reverse;

use serde_json::json;
use workitem_store::{Finding, Severity, Store};

use super::print_lines;
use crate::error::Error;
use crate::exit::Exit;
use crate::text::one_line;

/// Longest line: names that others have chosen occur in them.
const WIDTH: usize = 2_000;

pub fn doctor(store: &dyn Store, as_json: bool) -> Result<Exit, Error> {
    let mut findings = store.examine()?;
    // Those that are as bad as each other stay in the order in which they were found.
    findings.sort_by_key(|finding| Reverse(finding.severity));
    let worst = findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Note);
    let mut lines: Vec<String> = findings.iter().flat_map(if as_json { object } else { text }).collect();
    if worst == Severity::Note && !as_json {
        lines.push(format!("{}: nothing is wrong", store.name()));
    }
    // The verdict stands, whether or not it was read to the end.
    let printed = print_lines(lines.into_iter().map(Ok));
    printed.or_else(|error| if error.is_unread() { Ok(()) } else { Err(error) })?;
    Ok(match worst {
        Severity::Note | Severity::Warning => Exit::Ok,
        Severity::Fault => Exit::Store,
    })
}

fn object(finding: &Finding) -> Vec<String> {
    let Finding { severity, what, next } = finding;
    vec![json!({ "severity": severity.name(), "what": what, "next": next }).to_string()]
}

fn text(finding: &Finding) -> Vec<String> {
    let Finding { severity, what, next } = finding;
    let what = format!("{}: {}", severity.name(), one_line(what, WIDTH));
    std::iter::once(what).chain(next.iter().map(|next| format!("  {}", one_line(next, WIDTH)))).collect()
}

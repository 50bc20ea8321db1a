//! Which defaults are in force.

use serde_json::json;

use super::{Place, SaidBy, print_line, print_lines};
use crate::config::{Config, Said, built_in, keys, places};
use crate::error::Error;
use crate::exit::Exit;
use crate::text::one_line;

/// Prints the file that is in force, and for each option its value and where it comes from.
pub fn config(place: &Place, config: &Config, as_json: bool) -> Result<Exit, Error> {
    let file = config.file.as_ref().map(|file| file.display().to_string());
    let said: Vec<(String, String, SaidBy, Option<usize>)> =
        keys().into_iter().map(|key| said(place, config, key)).collect();
    if as_json {
        let values: Vec<_> = said
            .into_iter()
            .map(|(key, value, by, line)| json!({ "key": key, "value": value, "from": name(by), "line": line }))
            .collect();
        print_line(json!({ "file": file, "values": values }).to_string())?;
        return Ok(Exit::Ok);
    }
    let first = file.as_ref().map_or_else(
        || {
            let places: Vec<String> = places().iter().map(|place| place.display().to_string()).collect();
            format!("there is no config file: neither {}", places.join(" nor "))
        },
        |file| format!("config file {file}"),
    );
    let lines = said.into_iter().map(|(key, value, by, line)| {
        let (value, line) =
            (one_line(&value, 100), line.map_or(String::new(), |line| format!(", line {line}")));
        format!("{key}\t{value}\t{}{line}", name(by))
    });
    print_lines(std::iter::once(first).chain(lines).map(Ok))?;
    Ok(Exit::Ok)
}

/// What an option's value is, who says so, and where.
fn said(place: &Place, config: &Config, key: String) -> (String, String, SaidBy, Option<usize>) {
    if key == "store" && matches!(place.said_by, SaidBy::Flag | SaidBy::Environment) {
        return (key, place.shown(), place.said_by, None);
    }
    if let Some(Said { values, line }) = config.said.get(&key) {
        return (key, values.join(", "), SaidBy::File, Some(*line));
    }
    let value = built_in(&key);
    (key, value, SaidBy::Nobody, None)
}

const fn name(by: SaidBy) -> &'static str {
    match by {
        SaidBy::Flag => "flag",
        SaidBy::Environment => "environment",
        SaidBy::File => "file",
        SaidBy::Nobody => "built in",
    }
}

//! The machine for people and programs: a grid, two diagram languages, JSON.

use std::fmt::Write as _;

use crate::{EVENTS, ROWS, Row, STATES, is_terminal, next};

/// The thirty cells as a grid for a terminal, each with the state it leads to.
///
/// ```
/// let table = workitem_table::to_table();
/// assert_eq!(table.lines().count(), 2 + 5, "a heading, a rule and the five states");
/// ```
pub fn to_table() -> String {
    const REFUSED: &str = "-";
    let width = STATES.map(str::len).into_iter().max().unwrap_or(0);
    let widths = EVENTS.map(|event| event.len().max(width));

    let mut out = String::new();
    let line = |out: &mut String, head: &str, cells: [&str; 6]| {
        let _ = write!(out, "{head:<width$}");
        for (cell, width) in cells.into_iter().zip(widths) {
            let _ = write!(out, "  {cell:<width$}");
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    };

    line(&mut out, "state", EVENTS);
    let rule = "-".repeat(width + widths.map(|width| width + 2).iter().sum::<usize>());
    let _ = writeln!(out, "{rule}");
    for from in STATES {
        line(&mut out, from, EVENTS.map(|event| next(from, event).map_or(REFUSED, |row| row.to)));
    }
    out
}

/// The machine as a Mermaid state diagram.
///
/// ```
/// assert!(workitem_table::to_mermaid().contains("Failed --> Pending: Retry"));
/// ```
pub fn to_mermaid() -> String {
    let mut out = String::from("stateDiagram-v2\n    [*] --> Pending\n");
    for Row { from, event, to, .. } in ROWS {
        let _ = writeln!(out, "    {from} --> {to}: {event}");
    }
    for state in STATES.into_iter().filter(|state| is_terminal(state)) {
        let _ = writeln!(out, "    {state} --> [*]");
    }
    out
}

/// The machine in Graphviz' language.
///
/// ```
/// assert!(workitem_table::to_dot().contains(r#"Failed -> Pending [label="Retry"];"#));
/// ```
pub fn to_dot() -> String {
    let mut out = String::from("digraph workitem {\n    rankdir=LR;\n    node [shape=box, style=rounded];\n");
    for state in STATES.into_iter().filter(|state| is_terminal(state)) {
        let _ = writeln!(out, "    {state} [peripheries=2];");
    }
    for Row { from, event, to, .. } in ROWS {
        let _ = writeln!(out, "    {from} -> {to} [label=\"{event}\"];");
    }
    out.push_str("}\n");
    out
}

/// The machine as JSON: `states` (`name`, `terminal`), `events` (`name`, `method`) and `transitions`, with
/// the fields of [`Row`].
///
/// ```
/// assert!(workitem_table::to_json().contains(r#"{ "name": "DeadLettered", "terminal": true }"#));
/// ```
pub fn to_json() -> String {
    let states = STATES.map(|name| format!(r#"{{ "name": "{name}", "terminal": {} }}"#, is_terminal(name)));
    let events = EVENTS
        .map(|name| format!(r#"{{ "name": "{name}", "method": "{}" }}"#, crate::method(name).unwrap_or("")));
    let transitions = ROWS.map(|Row { from, event, method, to, changes, reason }| {
        format!(
            "{{\n      \"from\": \"{from}\",\n      \"event\": \"{event}\",\n      \"method\": \"{method}\",\n      \
             \"to\": \"{to}\",\n      \"changes\": \"{changes}\",\n      \"reason\": \"{reason}\"\n    }}"
        )
    });
    let list = |items: &[String]| items.join(",\n    ");
    format!(
        "{{\n  \"states\": [\n    {}\n  ],\n  \"events\": [\n    {}\n  ],\n  \"transitions\": [\n    {}\n  ]\n}}\n",
        list(&states),
        list(&events),
        list(&transitions)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What lets the printers do without escaping.
    #[test]
    fn no_text_of_the_table_needs_escaping() {
        let texts = ROWS.iter().flat_map(|row| {
            let Row { from, event, method, to, changes, reason } = *row;
            [from, event, method, to, changes, reason]
        });
        for text in texts.chain(STATES).chain(EVENTS) {
            assert!(
                text.chars().all(|c| (c.is_ascii_graphic() || c == ' ') && !"\"\\|<>".contains(c)),
                "{text}"
            );
        }
    }

    #[test]
    fn every_printer_shows_every_transition() {
        for Row { from, event, to, .. } in ROWS {
            assert!(to_mermaid().contains(&format!("    {from} --> {to}: {event}\n")));
            assert!(to_dot().contains(&format!("    {from} -> {to} [label=\"{event}\"];\n")));
            let json = to_json();
            assert!(json.contains(&format!("\"from\": \"{from}\",\n      \"event\": \"{event}\"")));
        }
        let arrows = |text: &str, arrow: &str| text.matches(arrow).count();
        assert_eq!(arrows(&to_mermaid(), " --> "), ROWS.len() + 1 + 2, "a start and two ends beside them");
        assert_eq!(arrows(&to_dot(), " -> "), ROWS.len());
        assert_eq!(arrows(&to_json(), "\"from\""), ROWS.len());
    }

    #[test]
    fn the_grid_is_what_a_person_reads() {
        let expected = "\
state         AgentStart    AgentComplete  AgentFailed   Interrupt     Retry         MoveToDeadLetter
-----------------------------------------------------------------------------------------------------
Pending       InProgress    -              -             -             -             -
InProgress    -             Completed      Failed        Pending       -             -
Completed     -             -              -             -             -             -
Failed        -             -              Failed        -             Pending       DeadLettered
DeadLettered  -             -              -             -             -             -
";
        assert_eq!(to_table(), expected);
    }
}

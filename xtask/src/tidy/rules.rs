//! What must not stand in a source file. Each rule says what to do instead.

use workitem_table::STATES;

use super::source::Source;
use crate::Problem;

/// The trusted base: code that may turn data into a typed item. Nowhere else outside tests is
/// `AnyWorkItem::rehydrate`, `Leased::grant` or `AnyStep::durable` called, so whoever reads these files has read everything that
/// could let an item in unearned. A folder that needs no trust any more comes off the list.
const TRUSTED: [(&str, &str); 4] = [
    ("crates/workitem-typestate/src/", "defines the door"),
    ("crates/workitem-store/src/", "turns rows into leases, for every engine"),
    ("crates/workitem-sqlite/src/", "says which claims are on disk"),
    ("crates/workitem-postgres/src/", "says which claims are on the server's disk"),
];

const DOORS: [(&str, &str); 3] = [
    ("rehydrate", "match the `AnyWorkItem` that a store gives"),
    ("grant", "claim the item, and the store gives its lease"),
    ("durable", "commit the step, and the store gives the next lease"),
];

/// Where the rules of the machine are written: every state and event is decided by name.
const MACHINE: [&str; 4] = [
    "crates/workitem-types/src/",
    "crates/workitem-typestate/src/",
    "crates/workitem-dynamic/src/",
    "crates/workitem-table/src/",
];

/// Code above the store: it changes items through the typed machine only.
const ABOVE_THE_STORE: [&str; 2] = ["crates/workitem-orchestrator/src/", "crates/workitem-cli/src/"];

/// Lines beyond which a file wants to be two.
const LONGEST: usize = 600;

/// Marks of work put off. Spelled in halves, or this file would break its own rule.
const PUT_OFF: [&str; 2] = [concat!("FIX", "ME"), concat!("TO", "DO")];

pub fn check(source: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    length(source, &mut problems);
    put_off(source, &mut problems);
    if !source.is_test() {
        trusted_base(source, &mut problems);
        catch_all_arms(source, &mut problems);
        untyped_changes(source, &mut problems);
    }
    problems
}

fn length(source: &Source, problems: &mut Vec<Problem>) {
    let lines = source.text.lines().count();
    if lines > LONGEST {
        let what = format!("has {lines} lines, more than {LONGEST}: split it");
        problems.push(Problem::line(&source.path, LONGEST + 1, what));
    }
}

fn put_off(source: &Source, problems: &mut Vec<Problem>) {
    for (i, line) in source.text.lines().enumerate() {
        for mark in PUT_OFF {
            if line.split(|c: char| !c.is_alphanumeric()).any(|word| word == mark) {
                problems.push(Problem::line(&source.path, i + 1, format!("`{mark}` puts work off: do it")));
            }
        }
    }
    for stub in ["todo", "unimplemented"] {
        for at in source.find(&[stub, "!"]) {
            let what = format!("`{stub}!` is a stub: write the code");
            problems.push(Problem::line(&source.path, source.code[at].line, what));
        }
    }
}

fn trusted_base(source: &Source, problems: &mut Vec<Problem>) {
    if TRUSTED.iter().any(|(folder, _why)| source.path.starts_with(folder)) {
        return;
    }
    for (door, instead) in DOORS {
        for at in source.find(&[door, "("]) {
            let what = format!("`{door}` is called outside the trusted base: {instead}");
            problems.push(Problem::line(&source.path, source.code[at].line, what));
        }
    }
}

/// Trust that nobody uses: the trusted base is to be as small as it can.
pub fn unused_trust(sources: &[Source]) -> Vec<Problem> {
    let opens_a_door =
        |source: &Source| DOORS.iter().any(|(door, _)| source.find(&[door, "("]).next().is_some());
    let used = |folder| sources.iter().any(|source| source.path.starts_with(folder) && opens_a_door(source));
    let unused = TRUSTED.iter().filter(|(folder, _why)| !used(*folder));
    unused
        .map(|(folder, _why)| {
            Problem::file(*folder, format!("needs no trust: take it off the list in {}", file!()))
        })
        .collect()
}

fn catch_all_arms(source: &Source, problems: &mut Vec<Problem>) {
    if !MACHINE.iter().any(|folder| source.path.starts_with(folder)) {
        return;
    }
    for next in ["=>", "if"] {
        for at in source.find(&["_", next]) {
            let what = "a `_` arm decides for states and events that do not exist yet: name them";
            problems.push(Problem::line(&source.path, source.code[at].line, what));
        }
    }
}

fn untyped_changes(source: &Source, problems: &mut Vec<Problem>) {
    if !ABOVE_THE_STORE.iter().any(|folder| source.path.starts_with(folder)) {
        return;
    }
    for change in ["transition", "transition_item", "transition_work_item", "apply_item"] {
        for at in source.find(&[change, "("]) {
            let what = format!("`{change}` changes an item untyped: use the methods of `WorkItem`");
            problems.push(Problem::line(&source.path, source.code[at].line, what));
        }
    }
    for name in ["WorkItemStatus", "Status"] {
        for at in source.find(&[name, "::"]) {
            let is_state = source.token(at + 2).is_some_and(|state| STATES.contains(&state));
            if is_state && !is_pattern(source, at + 3) {
                let what = format!("a `{name}` is built by hand: use the methods of `WorkItem`");
                problems.push(Problem::line(&source.path, source.code[at].line, what));
            }
        }
    }
}

/// Whether the path that ends before `after` is matched against, and not built: going outwards, what follows
/// is that of a pattern.
fn is_pattern(source: &Source, after: usize) -> bool {
    let mut at = match source.token(after) {
        Some("{" | "(") => source.after_group(after),
        _ => after,
    };
    loop {
        match source.token(at) {
            Some("=>" | "=" | "|" | "if") => return true,
            Some("," | ")" | "]" | "}") => {
                let end = source.after_enclosing(at);
                if in_matches_macro(source, end - 1) {
                    return true;
                }
                at = end;
            }
            _ => return false,
        }
    }
}

/// Whether the bracket at `close` is that of a `matches!`.
fn in_matches_macro(source: &Source, close: usize) -> bool {
    source.find(&["matches", "!", "("]).any(|at| source.after_group(at + 2) == close + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(&Source::new(path, text).unwrap()).iter().map(Problem::to_string).collect()
    }

    #[track_caller]
    fn assert_found(path: &str, text: &str, expected: &str) {
        let found = found(path, text);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?} is not [{expected}…]");
    }

    const ORCHESTRATOR: &str = "crates/workitem-orchestrator/src/run.rs";
    const SQLITE: &str = "crates/workitem-sqlite/src/lib.rs";
    const MACHINE: &str = "crates/workitem-dynamic/src/lib.rs";

    #[test]
    fn a_long_file_is_found() {
        assert_eq!(found(SQLITE, &"\n".repeat(600)), [""; 0]);
        assert_found(SQLITE, &"\n".repeat(601), &format!("{SQLITE}:601: has 601 lines"));
    }

    #[test]
    fn work_put_off_is_found_in_code_and_comments() {
        for mark in PUT_OFF {
            assert_found(SQLITE, &format!("\n// {mark}: later"), &format!("{SQLITE}:2: `{mark}`"));
        }
        assert_found(SQLITE, "fn a() {\n    todo!()\n}", &format!("{SQLITE}:2: `todo!`"));
        assert_found(SQLITE, "fn a() { unimplemented!(\"b\") }", &format!("{SQLITE}:1: `unimplemented!`"));
        assert_eq!(found(SQLITE, "/// todo!() is a macro\nfn a() {}"), [""; 0]);
    }

    #[test]
    fn the_doors_are_called_in_the_trusted_base_only() {
        for call in ["AnyWorkItem::rehydrate(record)", "Leased::grant(item, token)", "step.durable()"] {
            let code = format!("fn a() {{\n    {call}\n}}");
            assert_found(ORCHESTRATOR, &code, &format!("{ORCHESTRATOR}:2: "));
            for (folder, _why) in TRUSTED {
                assert_eq!(found(&format!("{folder}a.rs"), &code), [""; 0]);
            }
            assert_eq!(found("crates/workitem-orchestrator/tests/a.rs", &code), [""; 0]);
            assert_eq!(found(ORCHESTRATOR, &format!("#[cfg(test)]\nmod tests {{ {code} }}")), [""; 0]);
        }
    }

    #[test]
    fn trust_that_is_not_needed_is_found() {
        let source = |folder: &str, text: &str| Source::new(format!("{folder}a.rs"), text).unwrap();
        let door = "fn a() { AnyWorkItem::rehydrate(b); }";
        let mut sources: Vec<Source> = TRUSTED.iter().map(|(folder, _)| source(folder, door)).collect();
        assert_eq!(unused_trust(&sources), []);
        sources[1] = source(TRUSTED[1].0, "fn a() {}");
        let [unused] = &unused_trust(&sources)[..] else { panic!("one") };
        assert_eq!(unused.file, TRUSTED[1].0);
    }

    #[test]
    fn a_catch_all_arm_is_found_in_the_machine() {
        for arm in ["_ => 1", "_ if b => 1"] {
            let code = format!("fn a() {{ match b {{\n {arm} }} }}");
            assert_found(MACHINE, &code, &format!("{MACHINE}:2: a `_` arm"));
            assert_eq!(found(SQLITE, &code), [""; 0]);
        }
    }

    #[test]
    fn untyped_changes_are_found_above_the_store() {
        for change in [
            "apply_item(&mut item, event, now)",
            "workitem_dynamic::transition(status, event, now)",
            "let a = WorkItemStatus::Pending;",
            "record.status = Status::Failed { error, retry_count };",
            "f(WorkItemStatus::Pending, 1);",
            "match b { 1 => WorkItemStatus::Pending, 2 => c }",
            "Some(WorkItemStatus::Pending)",
            "if status == WorkItemStatus::Pending { b() }",
        ] {
            let code = format!("fn a() {{\n{change}\n}}");
            assert_found(ORCHESTRATOR, &code, &format!("{ORCHESTRATOR}:2: "));
            assert_eq!(found(SQLITE, &code), [""; 0]);
        }
    }

    #[test]
    fn looking_at_a_status_changes_nothing() {
        for look in [
            "match status { WorkItemStatus::Pending => 1, Status::Failed { .. } | Status::Completed { .. } => 2 }",
            "match status { WorkItemStatus::Failed { retry_count, .. } if retry_count > 1 => 1 }",
            "match (status, b) { (WorkItemStatus::Pending, true) => 1, (Status::Pending, _) => 2 }",
            "if let Some(WorkItemStatus::Failed { error, .. }) = status {}",
            "matches!(status, WorkItemStatus::Pending)",
            "Status::default(); exit(Status::Ok); state.transition.get()",
        ] {
            assert_eq!(found(ORCHESTRATOR, &format!("fn a() {{ {look} }}")), [""; 0], "{look}");
        }
    }
}

//! A page as what is to be done, from top to bottom.

#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// A file is written.
    File { name: String, text: String },
    /// A file of the workspace could be changed; `before` is what would go.
    Patch { line: usize, file: String, before: String },
    /// A command is run; `shown` is what it prints, says the page.
    Run { line: usize, command: String, shown: String },
}

/// The page's steps; or the line where it makes no sense, and why.
pub fn steps(page: &str) -> Result<Vec<Step>, (usize, String)> {
    let mut steps = Vec::new();
    let mut lines = page.lines().enumerate().map(|(index, text)| (index + 1, text));
    let mut marks: Vec<&str> = Vec::new();
    while let Some((line, text)) = lines.next() {
        if let Some(mark) = text.strip_prefix("<!-- ").and_then(|mark| mark.strip_suffix(" -->")) {
            marks.push(mark);
        } else if let Some(info) = text.strip_prefix("```") {
            let block: Vec<&str> =
                lines.by_ref().map(|(_, text)| text).take_while(|text| *text != "```").collect();
            add_block(&mut steps, line, info, &block, &marks)?;
            marks.clear();
        } else if text.trim_start().starts_with("```") {
            return Err((line, "a block in a list is not found by those who check: move it out".to_owned()));
        } else if !text.is_empty() {
            marks.clear();
        }
    }
    Ok(steps)
}

fn add_block(
    steps: &mut Vec<Step>,
    line: usize,
    info: &str,
    block: &[&str],
    marks: &[&str],
) -> Result<(), (usize, String)> {
    let marked = |name| marks.iter().find_map(|mark| mark.strip_prefix(name)).map(str::trim);
    match (info, marked("file:"), marked("patch:"), marked("not run:")) {
        (_, Some(name), None, None) => {
            steps.push(Step::File { name: name.to_owned(), text: lines_of(block.iter().copied()) });
        }
        ("diff", None, Some(file), None) => {
            let before = block.iter().filter_map(|line| line.strip_prefix(['-', ' ']));
            steps.push(Step::Patch { line, file: file.to_owned(), before: lines_of(before) });
        }
        ("console", None, None, None) => add_commands(steps, line, block)?,
        ("console" | "sql", None, None, Some(reason)) if !reason.is_empty() => {}
        ("text" | "mermaid", None, None, None) => {}
        // Compiled by `workitem-book`, if it is not told to ignore them. Files of a crate of their own are `rs`, which
        // rustdoc does not take for its own.
        (rust, None, None, None) if rust.starts_with("rust") && !rust.contains("ignore") => {}
        _ => {
            let what = "is a block that nothing checks: make it `console`, `rust` or a file";
            return Err((line, format!("`{info}` {what}")));
        }
    }
    Ok(())
}

fn lines_of<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    lines.flat_map(|line| [line, "\n"]).collect()
}

fn add_commands(steps: &mut Vec<Step>, fence: usize, block: &[&str]) -> Result<(), (usize, String)> {
    let mut lines = (fence + 1..).zip(block);
    while let Some((line, text)) = lines.next() {
        if let Some(command) = text.strip_prefix("$ ") {
            let mut command = command.to_owned();
            while command.ends_with('\\') {
                let Some((_, more)) = lines.next() else { break };
                command.push('\n');
                command.push_str(more);
            }
            steps.push(Step::Run { line, command, shown: String::new() });
        } else if let Some(Step::Run { shown, .. }) = steps.last_mut().filter(|_| line > fence + 1) {
            shown.push_str(text);
            shown.push('\n');
        } else {
            return Err((line, "a `console` block begins with a command: `$ `".to_owned()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: usize, command: &str, shown: &str) -> Step {
        Step::Run { line, command: command.into(), shown: shown.into() }
    }

    #[test]
    fn commands_are_told_from_what_they_print() {
        let page = "Text.\n\n```console\n$ one \\\n    two\nshown\n\n$ three\n```\n";
        let expected = [command(4, "one \\\n    two", "shown\n\n"), command(8, "three", "")];
        assert_eq!(steps(page).unwrap(), expected);
    }

    #[test]
    fn marks_say_what_becomes_of_the_next_block() {
        let page = "<!-- file: a.sh -->\n\n```sh\n#!/bin/sh\n```\n\n<!-- not run: it waits -->\n```console\n$ a\n```\n\
                    <!-- not run: it waits -->\ntext\n```console\n$ b\n```\n";
        let file = Step::File { name: "a.sh".into(), text: "#!/bin/sh\n".into() };
        assert_eq!(steps(page).unwrap(), [file, command(14, "b", "")]);
    }

    #[test]
    fn a_patch_is_known_by_what_it_takes_away() {
        let page = "<!-- patch: a.rs -->\n```diff\n kept\n-gone\n+new\n```\n";
        let before = "kept\ngone\n".to_owned();
        assert_eq!(steps(page).unwrap(), [Step::Patch { line: 2, file: "a.rs".into(), before }]);
    }

    #[test]
    fn a_block_that_nothing_checks_is_refused() {
        for page in [
            "```sh\nls\n```",
            "- a\n\n  ```console\n  $ ls\n  ```",
            "```\nls\n```",
            "<!-- not run: -->\n```console\n$ ls\n```",
        ] {
            assert!(steps(page).is_err(), "{page}");
        }
        assert_eq!(steps("```console\nshown\n$ ls\n```").unwrap_err().0, 2);
    }
}

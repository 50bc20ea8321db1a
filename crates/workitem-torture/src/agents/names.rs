//! Items with hostile ids and payloads, and who may read what is made of them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;

use crate::stage::{NOTE, Stage, numbered};

pub fn ids(stage: &mut Stage) -> Result<()> {
    let long = "é".repeat(256);
    let mut ids: Vec<String> = [
        "../../etc/passwd",
        "/etc/passwd",
        "..",
        ".",
        "-rf",
        "--",
        "--help",
        "-",
        "{}",
        "{id}",
        "{.a}",
        "{{",
        "}",
        "*",
        "~",
        "$HOME",
        "$(touch pwned)",
        "`touch pwned`",
        "; touch pwned",
        "' \" \\",
        " ",
        "  two  words  ",
        "NULL",
        "1~1",
        "%s%n",
        "#",
        "e\u{301}",
        "é",
        "👩‍👩‍👧‍👦",
        "\u{202e}gnp.exe",
        "0",
        "-1",
        "1e9",
        "true",
        "a/b/c",
        "con",
        &long,
    ]
    .map(str::to_owned)
    .into();
    for _ in 0..stage.of(20, 2_000) {
        let length = stage.rng.usize(1..40);
        let id: String = std::iter::repeat_with(|| stage.rng.char('!'..'\u{ffff}'))
            .filter(|c| !c.is_control())
            .take(length)
            .collect();
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let input: String = ids.iter().map(|id| json!({ "id": id }).to_string() + "\n").collect();
    // What is printed is what it was told, as the variable and as the argument.
    let script = "[ \"$1\" = \"$WORKITEM_ID\" ] && printf '%s\\n' \"$1\"";
    let map =
        ["map", "--job", "job", "-q", "-j", "4", "--keep-order", "--format", "jsonl", "--id-from", ".id"];
    let rest = ["--", "sh", "-c", script, "agent", "{id}"];
    let before = listed(&stage.place.file(""));
    let ended = stage.run("job", &[&map[..], &rest].concat(), &input, &[0])?;
    let printed = String::from_utf8_lossy(&ended.stdout).into_owned();
    let differing = ids.iter().zip(printed.lines()).find(|(id, line)| id.as_str() != *line);
    stage.expect(differing.is_none(), || format!("an id was told otherwise: {differing:?}"));
    stage.finished("job", ids.len(), 0)?;
    let after = listed(&stage.place.file(""));
    stage.expect(before == after, || format!("files came: {before:?} {after:?}"));
    for id in ids.iter().take(stage.of(6, 60)) {
        for command in ["history", "logs"] {
            stage.run("", &[command, "job", "--", id], "", &[0])?;
        }
    }
    stage.fact = format!("{} ids", ids.len());

    for bad in
        [String::new(), "a\nb".into(), "\0".into(), "\u{1b}[2J".into(), "x".repeat(513), "\u{7f}".into()]
    {
        let input = json!({ "id": bad }).to_string();
        let map = ["map", "--job", "bad", "--format", "jsonl", "--id-from", ".id", "--", "touch", "pwned"];
        let ended = stage.run("", &map, &input, &[2])?;
        let is_plain = ended.stderr.chars().all(|c| !c.is_control() || c == '\n');
        stage.expect(is_plain && ended.stderr.lines().count() <= 2, || format!("it says {:?}", ended.stderr));
    }
    let is_pwned = stage.place.file("pwned").exists();
    stage.expect(!is_pwned, || "an item was run by a shell".to_owned());
    Ok(())
}

/// The names in a folder, without the store's.
fn listed(folder: &Path) -> Vec<PathBuf> {
    let mut names: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    names.retain(|name| !name.ends_with(".workitem"));
    names.sort();
    names
}

pub fn payloads(stage: &mut Stage) -> Result<()> {
    let map = ["map", "--job", "nul", "--format", "jsonl"];
    let nul = json!({ "a": "x\u{0}y" }).to_string() + "\n";
    let as_argument = [&map[..], &["--", "touch", "pwned", "{.a}"]].concat();
    let ended = stage.run("", &as_argument, &nul, &[2])?;
    stage.expect(ended.stderr.contains("NUL") && ended.stderr.contains('1'), || {
        format!("it says {}", ended.stderr)
    });
    let map = ["map", "--job", "read", "-q", "--format", "jsonl", "--stdin", "--", "cat"];
    let ended = stage.run("read", &map, "\"x\\u0000y\"\n", &[0])?;
    stage.expect(ended.stdout == b"x\0y\n", || format!("NUL became {:?}", ended.stdout));
    stage.finished("read", 1, 0)?;

    let four = 4 << 20;
    let mut items: Vec<String> = [four, four, 131_000, 131_072, 1, 0].map(|bytes| "y".repeat(bytes)).into();
    items.extend(
        ["'; touch pwned; '", "$(touch pwned)", "-rf", "{}", "{id}{.a}", "\u{202e}", "\t\r \x1b[0m"]
            .map(str::to_owned),
    );
    let script = format!(
        "{NOTE}if [ -n \"$WORKITEM_ITEM_FILE\" ]; then wc -c < \"$WORKITEM_ITEM_FILE\"; else printf %s \"$WORKITEM_ITEM\" | wc -c; fi"
    );
    let map = ["map", "--job", "long", "-q", "-j", "4", "--keep-order", "--", "sh", "-c", &script];
    let ended = stage.run("long", &map, &(items.join("\n") + "\n"), &[0])?;
    let sizes: Vec<String> = items.iter().map(|item| json!(item).to_string().len().to_string()).collect();
    let sizes = sizes.join("\n") + "\n";
    stage.expect(ended.stdout == sizes.as_bytes(), || {
        format!(
            "agents saw items of other sizes: {} instead of {sizes}",
            String::from_utf8_lossy(&ended.stdout)
        )
    });
    stage.finished("long", items.len(), 0)?;
    // As an argument, 4 MiB is more than the system takes: its own failure, and nobody else's.
    let map =
        ["map", "--job", "argument", "--json", "--", "sh", "-c", "echo \"$WORKITEM_ID done\"", "agent", "{}"];
    stage.run("argument", &map, &(items.join("\n") + "\n"), &[3])?;
    stage.finished("argument", items.len() - 3, 3)?;
    let is_pwned = stage.place.file("pwned").exists();
    stage.expect(!is_pwned, || "an item was run by a shell".to_owned());
    let left = listed(&stage.place.path().join("runs"));
    stage.expect(left.is_empty(), || format!("files of items are left: {left:?}"));
    Ok(())
}

pub fn modes(stage: &mut Stage) -> Result<()> {
    // Whoever looks while it runs sees WAL, locks, output, and the file of an item too long for the environment.
    let script = "head -c 100000 /dev/zero; find .workitem \"$TMPDIR\" ! -path '*/runs' ! -name '*.out' ! -name '*.err' -perm /077 >> open";
    let map = ["map", "--job", "job", "-q", "-j", "2", "--stdin", "--", "sh", "-c", script];
    let input = format!("{}\n{}", "z".repeat(200_000), numbered(5));
    let open = ["sh", "-c", "umask 000; exec \"$@\"", "sh"];
    let run = stage.start(&open, &map, &input, &[])?;
    stage.ends("job", run, &[0])?;
    stage.finished("job", 6, 0)?;
    let run = stage.start(&open, &["gc", "--dry-run"], "", &[])?;
    stage.ends("", run, &[0])?;
    let seen = fs::read_to_string(stage.place.file("open"))?;
    stage.expect(seen.trim().is_empty(), || {
        format!("others may use, while it runs: {}", seen.replace('\n', " "))
    });
    let mut left = Vec::new();
    readable(&stage.place.file(".workitem"), &mut left);
    stage.expect(left.is_empty(), || format!("others may use: {left:?}"));
    Ok(())
}

/// What others than its owner may use, below a folder and it itself.
fn readable(path: &Path, found: &mut Vec<PathBuf>) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    if metadata.permissions().mode() & 0o077 != 0 {
        found.push(path.to_path_buf());
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            readable(&entry.path(), found);
        }
    }
}

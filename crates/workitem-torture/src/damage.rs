//! Damage: a store's files with bits flipped, sectors wiped, ends cut off, files gone; and what the program makes of it.
//!
//! Every command that reads must give a clear error or what is true: no panic, no hang, no other exit code than the
//! documented ones. If it tells another state of an item, `verify` must find something. What stands in one place only, and
//! in no index, nobody can check: the text of an input or an output, times before the last. How often that was hit is told.
//!
//! A damaged write-ahead log is another matter: SQLite takes what comes before the damage for all that was written. So
//! the state may be an earlier one there, which the history says, and never one that was not.

mod runs;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, ensure};
use fastrand::Rng;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};
use workitem_store::HistoryRow;

use self::runs::Store;
use crate::Report;
use crate::place::{Ended, Place};
use crate::power::in_memory;

/// After so many findings there is enough to look at.
const ENOUGH: u64 = 10;
/// What is read of the store, each by a process of its own. The first four tell the state, and are always asked.
const READING: &[&[&str]] = &[
    &["status", "one", "--json"],
    &["status", "two", "--json"],
    &["items", "one", "--json"],
    &["items", "two", "--json"],
    &["status", "two"],
    &["items", "one", "--skipped"],
    &["history", "one", "1", "--json"],
    &["history", "two", "2"],
    &["jobs", "--json"],
    &["dlq", "list", "one", "--json"],
    &["dlq", "groups", "one"],
    &["dlq", "export", "one"],
    &["dlq", "show", "one", "3"],
    &["output", "one"],
    &["output", "two"],
    &["logs", "one", "2"],
    &["watch", "two"],
    &["gc", "--dry-run", "--older-than", "0s", "--json"],
];
/// The jobs of the store.
const JOBS: [&str; 2] = ["one", "two"];

/// What to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program.
    pub program: PathBuf,
    /// How many stores are damaged.
    pub stores: u64,
    /// Where random choices begin.
    pub seed: u64,
    /// Where files are made that might survive; what is damaged is put into memory.
    pub folder: Option<PathBuf>,
}

/// Damages stores, and says what was made of it.
///
/// # Errors
///
/// If there is no store to be damaged.
pub fn run(options: &Options) -> Result<Report> {
    let started = Instant::now();
    let place = Place::new(&options.program, options.folder.as_deref())?;
    let original = Store::live(&place, &options.program)?;
    let truth = Truth::of(&original)?;
    let mut tally = Tally::default();
    let (mut ran, mut found) = (0, 0);
    for seed in (0..options.stores).map(|n| options.seed.wrapping_add(n)) {
        let mut rng = Rng::with_seed(seed);
        let folder = in_memory("workitem-damaged-")?;
        let store = original.copy(folder.path())?;
        let what = spoil(&store, &mut rng)?;
        let wrong = judge(&store, &truth, &what, &mut rng, &mut tally)?;
        ran += 1;
        if !wrong.is_empty() {
            found += 1;
            eprintln!("seed {seed}: {what}");
            for wrong in wrong {
                eprintln!("  {wrong}");
            }
            eprintln!("  the files, as they are now, are in {}", folder.keep().display());
        }
        if found >= ENOUGH {
            break;
        }
    }
    let Tally { asked, refused, true_, noticed, content, earlier } = tally;
    Ok(Report {
        torture: "damage".to_owned(),
        ran,
        found,
        seed: options.seed,
        seconds: started.elapsed().as_secs_f64(),
        text: format!(
            "A store with two jobs, one of them killed in the midst of its run, with its write-ahead log, output files \
             and locks; in each copy something was damaged at random: bits flipped, a sector or a page wiped or put \
             elsewhere, an end cut off, junk appended, a file removed, the value of one row put into another, or one that \
             nobody would put there. Then `verify` and {asked} other commands read \
             them, each a process. {refused} refused with a clear error and {true_} told the truth; {noticed} told \
             something else of a job that `verify` found damaged. {earlier} told the items of an earlier moment, since \
             the end of the write-ahead log was lost. {content} told other text or times than were written, which SQLite \
             keeps without a checksum: those are for the file system to guard.",
        ),
    })
}

#[derive(Default)]
struct Tally {
    asked: u64,
    refused: u64,
    true_: u64,
    noticed: u64,
    content: u64,
    earlier: u64,
}

/// What the store says while it is sound.
struct Truth {
    told: BTreeMap<&'static [&'static str], Ended>,
    histories: Vec<HistoryRow>,
}

impl Truth {
    fn of(original: &Store<'_>) -> Result<Self> {
        let folder = in_memory("workitem-sound-")?;
        let store = original.copy(folder.path())?;
        let mut told = BTreeMap::new();
        for arguments in READING {
            told.insert(*arguments, store.run(arguments)?);
        }
        for job in JOBS {
            ensure!(store.run(&["verify", job])?.code == 0, "the store was not sound before");
        }
        Ok(Self { told, histories: store.histories()? })
    }
}

/// What is told of the state of items, which is kept twice: in them, or in the job's counts, and in their history.
fn state_of(arguments: &[&str], told: &[u8]) -> Vec<serde_json::Value> {
    let fields: &[&str] = match arguments {
        ["items", _, "--json"] => &["id", "attempts", "failures", "status"],
        ["status", _, "--json"] => &["counts", "open_letters"],
        _ => return Vec::new(),
    };
    let told = String::from_utf8_lossy(told);
    let rows = told.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    rows.map(|row| fields.iter().map(|field| row[*field].clone()).collect()).collect()
}

fn judge(
    store: &Store<'_>,
    truth: &Truth,
    what: &Spoiled,
    rng: &mut Rng,
    tally: &mut Tally,
) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let verified = JOBS.map(|job| (job, store.run(&["verify", job])));
    let mut passed = BTreeMap::new();
    for (job, ended) in verified {
        let ended = ended?;
        passed.insert(job, ended.code == 0);
        // It tells on standard output what it found.
        if !matches!(ended.code, 0 | 5) || ended.stderr.contains("panicked") {
            wrong.extend(unclear(&["verify", job], &ended));
        }
    }
    let mut asked: Vec<&[&str]> = READING[..4].to_vec();
    asked.extend((0..3).map(|_| READING[rng.usize(..READING.len())]));
    for arguments in asked {
        let ended = store.run(arguments)?;
        tally.asked += 1;
        let true_ = &truth.told[arguments];
        if ended.code != true_.code {
            wrong.extend(unclear(arguments, &ended));
            tally.refused += 1;
        } else if ended.stdout == true_.stdout {
            tally.true_ += 1;
        } else {
            let job = JOBS.into_iter().find(|job| arguments.contains(job));
            let is_noticed = job.map_or(passed.values().any(|passed| !passed), |job| !passed[job]);
            if is_noticed {
                tally.noticed += 1;
            } else if state_of(arguments, &ended.stdout) != state_of(arguments, &true_.stdout) {
                if what.is_log && store.histories()?.iter().all(|row| truth.histories.contains(row)) {
                    tally.earlier += 1;
                } else {
                    let told = String::from_utf8_lossy(&ended.stdout).into_owned();
                    wrong.push(format!(
                        "`{}` tells what was not, and `verify` finds nothing:\n{told}",
                        arguments.join(" ")
                    ));
                }
            } else {
                tally.content += 1;
            }
        }
    }
    // What nothing has read is damage, too: SQLite itself is asked.
    let passed_it: Vec<&str> = passed.iter().filter(|(_, passed)| **passed).map(|(job, _)| *job).collect();
    if !passed_it.is_empty() && !is_whole(store) {
        wrong.push(format!("`verify` finds nothing in {}, and SQLite does", passed_it.join(" and ")));
    }
    // A store that cannot be read says so itself.
    for job in store.cut_outputs().unwrap_or_default() {
        if passed.get(job.as_str()) == Some(&true) {
            wrong.push(format!("`verify {job}` finds nothing, and a long output is not as long as recorded"));
        }
    }
    // What comes last writes.
    if rng.u8(..5) == 0 {
        let job = JOBS[rng.usize(..2)];
        let resumed = store.run(&["resume", job, "-q"])?;
        if !matches!(resumed.code, 0 | 3) {
            wrong.extend(unclear(&["resume", job], &resumed));
        } else if passed[job] {
            let verified = store.run(&["verify", job])?;
            if verified.code != 0 {
                let told = String::from_utf8_lossy(&verified.stdout).into_owned();
                wrong
                    .push(format!("`resume {job}` left behind what does not verify, and did before: {told}"));
            }
        }
    }
    Ok(wrong)
}

/// Whether SQLite finds nothing in the file that contradicts itself.
fn is_whole(store: &Store<'_>) -> bool {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let told = Connection::open_with_flags(store.file(""), flags).and_then(|database| {
        let mut check = database.prepare("PRAGMA integrity_check")?;
        check.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()
    });
    told.is_ok_and(|told| told == ["ok"])
}

/// What is wrong with an error, if it is not a clear one.
fn unclear(arguments: &[&str], ended: &Ended) -> Option<String> {
    let Ended { code, stderr, .. } = ended;
    let is_clear = matches!(code, 2..=5)
        && !stderr.contains("panicked")
        && stderr.lines().any(|line| line.starts_with("workitem: "));
    // The other way round: it was to refuse, and did not.
    let is_told = matches!(code, 0 | 3 | 4) && !stderr.contains("panicked");
    (!is_clear && !is_told).then(|| format!("`{}` exits with {code} and says: {stderr}", arguments.join(" ")))
}

/// Puts the value of one row into another.
fn mix_up(store: &Store<'_>, rng: &mut Rng) -> Result<Spoiled> {
    let (table, column) = GUARDED[rng.usize(..GUARDED.len())];
    let database = Connection::open(store.file(""))?;
    let rows = rows_of(&database, table)?;
    let (from, to) = (rng.u32(..rows), rng.u32(..rows));
    let value = format!("(SELECT {column} FROM {table} LIMIT 1 OFFSET {from})");
    database.execute(&format!("UPDATE {table} SET {column} = {value} WHERE {}", nth(table, to)), [])?;
    Ok(Spoiled { what: format!("`{table}.{column}` of row {from} also in row {to}"), is_log: false })
}

/// Puts a value into a row that nobody would put there.
fn junk(store: &Store<'_>, rng: &mut Rng) -> Result<Spoiled> {
    let database = Connection::open(store.file(""))?;
    loop {
        let (table, column) = GUARDED[rng.usize(..GUARDED.len())];
        let row = rng.u32(..rows_of(&database, table)?);
        let value = match rng.u8(..6) {
            0 => Value::Null,
            1 => Value::Integer(-1),
            2 => Value::Integer(rng.i64(5..100)),
            3 => Value::Integer(rng.i64(..)),
            4 => Value::Text("junk".to_owned()),
            _ => Value::Blob(vec![0xff; 3]),
        };
        let junk = format!("UPDATE {table} SET {column} = ? WHERE {}", nth(table, row));
        // What the table does not take is no damage.
        if database.execute(&junk, [&value]).is_ok() {
            let what = format!("`{table}.{column}` of row {row} is {value:?}");
            return Ok(Spoiled { what, is_log: false });
        }
    }
}

fn rows_of(database: &Connection, table: &str) -> Result<u32> {
    Ok(database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?)
}

/// The condition that only one row of a table fulfils.
fn nth(table: &str, row: u32) -> String {
    let keys = match table {
        "jobs" => "id, 0",
        "history" => "job, seq, version",
        _ => "job, seq",
    };
    format!("({keys}) = (SELECT {keys} FROM {table} LIMIT 1 OFFSET {row})")
}

/// What was done.
struct Spoiled {
    what: String,
    /// It was done to the write-ahead log.
    is_log: bool,
}

impl std::fmt::Display for Spoiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

/// Columns that `verify` answers for, and that no other value may slip into unnoticed.
const GUARDED: [(&str, &str); 12] = [
    ("items", "status"),
    ("items", "attempts"),
    ("items", "failures"),
    ("items", "version"),
    ("items", "text"),
    ("items", "at"),
    ("items", "result"),
    ("history", "event"),
    ("history", "payload"),
    ("jobs", "pending"),
    ("jobs", "completed"),
    ("jobs", "open_letters"),
];

/// Damages one file, or the value in one row: SQLite has nothing against that.
fn spoil(store: &Store<'_>, rng: &mut Rng) -> Result<Spoiled> {
    match rng.u8(..8) {
        0 => return mix_up(store, rng),
        1 => return junk(store, rng),
        _ => {}
    }
    let file = match rng.u8(..10) {
        0..6 => store.file(""),
        6..8 => store.file("-wal"),
        _ => {
            let beside = store.beside()?;
            beside[rng.usize(..beside.len())].clone()
        }
    };
    let mut bytes = fs::read(&file)?;
    let len = bytes.len();
    // An empty one is only removed.
    let how = match rng.u8(if len == 0 { 7 } else { 0 }..8) {
        0 | 1 => {
            let bits = rng.usize(1..=8);
            (0..bits).for_each(|_| bytes[rng.usize(..len)] ^= 1 << rng.u8(..8));
            format!("{bits} bits flipped")
        }
        2 => {
            let at = rng.usize(..len);
            bytes[at] = rng.u8(..);
            format!("byte {at} changed")
        }
        3 => {
            bytes.truncate(rng.usize(..len));
            format!("cut to {} of {len} bytes", bytes.len())
        }
        4 => {
            let (size, fill) = ([512, 4_096][rng.usize(..2)], [0, 0xff][rng.usize(..2)]);
            let at = rng.usize(..len) / size * size;
            bytes[at..len.min(at + size)].fill(fill);
            format!("{size} bytes at {at} are {fill}")
        }
        5 => {
            let mut page = || rng.usize(..len) / 4_096 * 4_096;
            let (from, to) = (page(), page());
            let page = bytes[from..len.min(from + 4_096)].to_vec();
            let end = len.min(to + page.len());
            bytes[to..end].copy_from_slice(&page[..end - to]);
            format!("page at {from} also at {to}")
        }
        6 => {
            bytes.extend((0..rng.usize(1..9_000)).map(|_| rng.u8(..)));
            format!("{} bytes of junk behind {len}", bytes.len() - len)
        }
        _ => {
            fs::remove_file(&file)?;
            let what = format!("{} removed", file.display());
            return Ok(Spoiled { what, is_log: file == store.file("-wal") });
        }
    };
    fs::write(&file, bytes)?;
    Ok(Spoiled { what: format!("{}: {how}", file.display()), is_log: file == store.file("-wal") })
}

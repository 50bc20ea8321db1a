//! The programs in `examples/`, run: each is compiled into this one, so that what is tested is what stands there.
#![cfg(test)]
#![expect(dead_code, reason = "the examples' `main`, which is called where they are programs")]

#[path = "../examples/check_crates.rs"]
mod check_crates;
#[path = "../examples/hash_files.rs"]
mod hash_files;
#[path = "../examples/own_agent.rs"]
mod own_agent;

use std::fs::{self, File};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use rustix::process::{Signal, getpid, kill_process};

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn printed(out: &[u8]) -> Vec<&str> {
    std::str::from_utf8(out).unwrap().lines().collect()
}

#[test]
fn every_crate_of_this_workspace_is_checked_and_who_fails_is_named() {
    let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let mut out = Vec::new();
    let exists = words(&[workspace, "grep", "--quiet", "^name = \"workitem-", "{}/Cargo.toml"]);
    assert_eq!(check_crates::run(&exists, &mut out).unwrap(), 0);
    let lines = printed(&out);
    assert!(lines.iter().any(|line| line.starts_with("ok      crates/workitem-types ")), "{lines:?}");
    assert!(lines.last().unwrap().ends_with(" crates checked, 0 failed"), "{lines:?}");

    let mut out = Vec::new();
    let has_bench = words(&[workspace, "test", "-d", "{}/benches"]);
    assert!(check_crates::run(&has_bench, &mut out).unwrap() > 1);
    let lines = printed(&out);
    assert!(lines.iter().any(|line| line.starts_with("FAILED  crates/workitem-types ")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("exit 1")), "{lines:?}");
    assert!(check_crates::run(&words(&["/nowhere"]), &mut Vec::new()).is_err());
}

#[test]
fn files_are_hashed_in_order_and_ctrl_c_puts_one_back_in_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir_all(path("files/deep")).unwrap();
    fs::write(path("files/deep/b"), "test").unwrap();
    fs::write(path("files/c"), "").unwrap();
    // So large that it is not hashed before the signal arrives, and on disk it takes nothing.
    File::create(path("files/z")).unwrap().set_len(1 << 36).unwrap();
    let (files, store) = (path("files"), path("hashes.db"));
    let args = words(&[files.to_str().unwrap(), store.to_str().unwrap()]);

    let mut out = Vec::new();
    thread::scope(|scope| {
        let run = scope.spawn(|| hash_files::run(&args, &mut out).unwrap());
        let deadline = Instant::now() + Duration::from_mins(1);
        // The two others are done, so that the signal is heard and the large one is at work.
        while completed(&store) < 2 {
            assert!(Instant::now() < deadline, "the small files are never done");
            thread::sleep(Duration::from_millis(5));
        }
        kill_process(getpid(), Signal::INT).unwrap();
        assert!(!run.join().unwrap(), "it is not done");
    });
    assert_eq!(printed(&out), ["stopped: 2 of 3 files hashed; run the same again to go on"]);

    fs::write(path("files/z"), "test").unwrap();
    let mut out = Vec::new();
    assert!(hash_files::run(&args, &mut out).unwrap());
    let (test, empty) = (
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    );
    assert_eq!(
        printed(&out),
        [format!("{empty}  c"), format!("{test}  deep/b"), format!("{test}  z")]
            .map(|line| line.leak() as &str)
    );
    assert!(hash_files::run(&args[..1], &mut Vec::new()).unwrap_err().to_string().starts_with("usage"));
}

/// Completed items in a store, from beside; none while there is no store.
fn completed(store: &std::path::Path) -> u64 {
    let Ok(database) = Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_ONLY) else { return 0 };
    let query = "SELECT count(*) FROM history WHERE event = 1";
    database.query_row(query, [], |row| row.get(0)).unwrap_or(0)
}

#[test]
fn an_agent_of_ones_own_asks_until_it_is_answered() {
    let mut out = Vec::new();
    own_agent::run(&words(&["ant", "", "xylophone"]), &mut out).unwrap();
    assert_eq!(
        printed(&out),
        ["ant: 3 letters", ": given up after 3 attempts: the service hung up", "xylophone: 9 letters"]
    );
}

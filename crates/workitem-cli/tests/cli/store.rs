//! The store: one orchestrator for a job, any number of onlookers; and a store that cannot be made, read
//! or written to is an error that says so, never a guess.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rusqlite::Connection;
use rustix::process::Signal;

use crate::workshop::{Output, Running, Workshop, eventually, lines};

/// Every command that only looks, at a job called `job`.
const LOOKS: [&[&str]; 10] = [
    &["status"],
    &["status", "job", "--json"],
    &["jobs"],
    &["items", "job"],
    &["history", "job", "1"],
    &["output", "job"],
    &["logs", "job", "1"],
    &["dlq", "list", "job"],
    &["dlq", "show", "job", "1"],
    &["verify", "job"],
];

fn with_job() -> Workshop {
    let shop = Workshop::new();
    shop.run(
        &["map", "--job", "job", "-q", "--", "sh", "-c", "echo out; [ $1 != 1 ]", "sh", "{}"],
        lines(1..=3),
    )
    .exits(3);
    shop
}

fn sleeping(shop: &Workshop) -> Running {
    let map =
        ["map", "--job", "job", "-j", "2", "--", "sh", "-c", "[ -e awake ] || sleep 60; echo $1", "sh", "{}"];
    let run = shop.spawn(&map, "a\nb\nc\n");
    eventually("two agents sleep", || shop.agents().len() == 4);
    run
}

#[test]
fn a_job_has_one_orchestrator_and_any_number_of_onlookers() {
    let shop = Workshop::new();
    let run = sleeping(&shop);
    let busy = ["job `job` is being run by process ", "wait for it"];
    shop.ask(&["resume"]).complains(6, &busy);
    let same = ["map", "--job", "job", "--", "sh", "-c", "[ -e awake ] || sleep 60; echo $1", "sh", "{}"];
    shop.run(&same, "a\nb\nc\n").complains(6, &busy);
    shop.ask(&["verify", "job"]).complains(6, &busy);
    assert_eq!(shop.agents().len(), 4, "nobody has touched them");

    let status = shop.status("job");
    assert_eq!((&status["state"], &status["counts"]["in_progress"]), (&"running".into(), &2.into()));
    assert!(status["runner"]["process"].as_u64().is_some());
    for look in [&["items", "job"][..], &["jobs"], &["history", "job", "1"], &["output", "job"], &["status"]]
    {
        shop.ask(look).exits(0);
    }
    shop.run(&["map", "--job", "another", "--", "true"], "x\n").exits(0);
    shop.ask(&["verify", "another"]).exits(0);
    run.signal(Signal::INT);
    run.wait().exits(4);
    shop.verify("job");
}

#[test]
fn a_job_whose_input_is_being_stored_is_busy_as_well() {
    let shop = Workshop::new();
    let map = ["map", "--job", "job", "--", "echo", "{}"];
    let (run, mut input) = shop.spawn_piped(&map);
    input.write_all(b"a\n").unwrap();
    shop.await_job();
    shop.run(&map, "b\n").exits(6);
    shop.ask(&["resume"]).exits(6);
    drop(input);
    assert_eq!(run.wait().exits(0).text(), "a\n");
}

#[test]
fn a_running_orchestrator_takes_up_letters_that_are_run_anew() {
    let shop = Workshop::new();
    shop.script(
        "agent",
        "[ $1 != bad ] || [ -e mended ] || exit 1; [ $1 != slow ] || until [ -e awake ]; do sleep 0.05; done",
    );
    let run = shop.spawn(&["map", "--job", "job", "-j", "2", "--", "./agent", "{}"], "bad\nslow\n");
    shop.await_job();
    eventually("it has failed", || shop.ask(&["dlq", "list", "job"]).stdout.starts_with(b"1\t"));
    shop.write("mended", "");
    shop.ask(&["dlq", "retry", "job"]).exits(0).says(&["the process that runs it takes them up"]);
    eventually("it is completed", || shop.ids("job", "completed") == ["1~1"]);
    shop.write("awake", "");
    run.wait().exits(0);
}

#[test]
fn maps_of_one_name_that_start_at_once_are_one_job() {
    let shop = Workshop::new();
    // Each is short enough to be over while another waits for it.
    let same = ["map", "--job", "job", "-q", "--", "sh", "-c", "echo $WORKITEM_ID $WORKITEM_ATTEMPT >>ran"];
    let runs: Vec<Running> = (0..6).map(|_| shop.spawn(&same, lines(1..=10))).collect();
    let mut completed = 0;
    for run in runs {
        let output = run.wait();
        assert!([0, 6].contains(&output.code()), "{}: {}", output.code(), output.stderr);
        completed += usize::from(output.code() == 0);
    }
    assert!(completed >= 1);
    let mut ran = shop.read_lines("ran");
    ran.sort();
    ran.dedup();
    assert_eq!((ran.len(), shop.read_lines("ran").len()), (10, 10), "each item ran once");
    shop.verify("job");
}

#[test]
fn maps_without_a_name_that_start_at_once_are_jobs_of_their_own() {
    let shop = Workshop::new();
    let runs: Vec<Running> = (0..8).map(|n| shop.spawn(&["map", "-q", "--", "true"], lines(0..n))).collect();
    for run in runs {
        run.wait().exits(0);
    }
    assert_eq!(shop.ask(&["jobs"]).exits(0).lines().len(), 8);
}

#[test]
fn a_store_is_made_where_it_is_asked_for_and_nowhere_else() {
    let shop = Workshop::new();
    for look in LOOKS {
        shop.ask(look)
            .complains(2, &["there is no store at .workitem/workitem.db", "`workitem map` makes one"]);
    }
    shop.ask(&["resume"]).complains(2, &["there is no store"]);
    shop.ask(&["dlq", "retry", "job"]).complains(2, &["there is no store"]);
    assert_eq!(fs::read_dir(shop.file(".")).unwrap().count(), 0, "looking makes nothing");

    shop.run(&["map", "--store", "a/b/c.db", "-q", "--", "true"], "x\n").exits(0);
    shop.sh("WORKITEM_STORE=d.db workitem map -q -- true", "x\n").exits(0);
    shop.sh("WORKITEM_STORE=d.db workitem status", "").exits(0);
    assert!(shop.exists("a/b/c.db") && shop.exists("d.db") && !shop.exists(".workitem"));
    // A failed attempt to say something sensible is no reason to make one.
    shop.run(&["map", "--no-such-flag", "--", "true"], "").exits(2);
    assert!(!shop.exists(".workitem"));
}

#[test]
fn a_link_to_a_store_is_that_store() {
    let shop = Workshop::new();
    let run = sleeping(&shop);
    std::os::unix::fs::symlink(shop.file(".workitem/workitem.db"), shop.file("link.db")).unwrap();
    shop.ask(&["resume", "--store", "link.db"]).exits(6);
    assert_eq!(shop.agents().len(), 4, "nobody has touched them");
    shop.write("awake", "");
    drop(run);
    let big = ["map", "--store", "link.db", "--job", "big", "-q", "--", "head", "-c", "100000", "/dev/zero"];
    shop.run(&big, "x\n").exits(0);
    assert_eq!(shop.ask(&["output", "big"]).exits(0).stdout.len(), 100_000);
}

#[test]
fn what_is_stored_is_its_owners_alone() {
    fn check(path: &Path) {
        let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
        if path.is_dir() {
            assert_eq!(mode, 0o700, "{}", path.display());
            for entry in fs::read_dir(path).unwrap() {
                check(&entry.unwrap().path());
            }
        } else {
            assert_eq!(mode, 0o600, "{}", path.display());
        }
    }
    let shop = Workshop::new();
    let output = shop.sh(
        "umask 0; workitem map -j 1 -- sh -c 'head -c 100000 /dev/zero; find .workitem -name \"*-*\"'",
        "x\n",
    );
    let seen = output.exits(0);
    assert!(
        String::from_utf8_lossy(&seen.stdout).contains("workitem.db-wal"),
        "it looks while files are open"
    );
    check(&shop.file(".workitem"));
}

#[test]
fn what_is_no_store_is_refused_and_left_as_it_is() {
    let refused = |what: &str, words: &[&str], make: &dyn Fn(&Path)| {
        let shop = with_job();
        let path = shop.file(".workitem/workitem.db");
        make(&path);
        let before = fs::read(&path).unwrap();
        for command in LOOKS.iter().copied().chain([&["resume"][..], &["map", "--", "touch", "ran"]]) {
            shop.run(command, "x\n").complains(5, words);
        }
        assert_eq!(fs::read(&path).unwrap(), before, "{what}");
        assert!(!shop.exists("ran"), "{what}");
    };
    let damaged = "store .workitem/workitem.db is damaged";
    refused("garbage", &[damaged, "another --store"], &|path| fs::write(path, vec![0xA5; 20_000]).unwrap());
    refused("a text", &[damaged], &|path| fs::write(path, "not a store\n").unwrap());
    refused("another program's", &[damaged, "of another program"], &|path| {
        fs::remove_file(path).unwrap();
        Connection::open(path).unwrap().execute_batch("CREATE TABLE cats (name TEXT)").unwrap();
    });
    refused("from the future", &["schema version 99", "use a newer one"], &|path| {
        Connection::open(path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    });
}

#[test]
fn a_store_that_cannot_be_made_is_an_error() {
    let shop = Workshop::new();
    shop.write("file", "x");
    for store in
        ["file/x.db", "/proc/workitem.db", "/proc/no/such/folder/x.db", ".", "/dev/null", "/dev/full"]
    {
        let output = shop.run(&["map", "--store", store, "--", "touch", "ran"], "x\n");
        output.complains(5, &[&format!("store {store}")]);
    }
    for (store, obstacle) in [(".", "opened or made there; . is a folder"), ("x.db", "x.db-wal is a folder")]
    {
        fs::create_dir_all(shop.file("x.db-wal")).unwrap();
        shop.run(&["map", "--store", store, "--", "touch", "ran"], "x\n").complains(5, &[obstacle]);
    }
    assert!(!shop.exists("ran"));
    assert_eq!(fs::read(shop.file("file")).unwrap(), b"x");
}

#[test]
fn a_folder_that_is_gone_is_an_error_and_can_be_made_again() {
    let shop = Workshop::new();
    let map = "mkdir gone && cd gone && workitem --store ../x.db map --job job -- sh -c 'pwd; [ -e ok ]'";
    shop.sh(map, "x\n").exits(3);
    fs::remove_dir_all(shop.file("gone")).unwrap();
    let retry = ["dlq", "retry", "job", "--store", "x.db", "-q"];
    shop.ask(&retry).complains(5, &["the folder ", "gone", "make it again"]);
    fs::create_dir(shop.file("gone")).unwrap();
    shop.write("gone/ok", "");
    shop.ask(&["resume", "--store", "x.db"]).exits(0);
}

/// Runs a script where it may mount things, in a namespace that goes away with it. Nothing where the
/// system does not allow that; this is said aloud.
fn with_mounts(shop: &Workshop, script: &str) -> Option<Output> {
    let own = ["unshare --user --map-root-user --mount", "unshare --mount"];
    let can = |own: &&&str| shop.sh(&format!("{own} sh -c 'mount -t tmpfs x /mnt'"), "").code() == 0;
    let Some(own) = own.iter().find(can) else {
        let told = "workitem tests: nothing can be mounted here, so full and read-only disks are not tried\n";
        let _ = std::io::stderr().write_all(told.as_bytes());
        return None;
    };
    shop.write("script", format!("set -u; export WORKITEM_STORE=disk/workitem.db\n{script}"));
    fs::create_dir_all(shop.file("disk")).unwrap();
    Some(shop.sh(&format!("exec {own} sh ./script"), ""))
}

#[test]
fn a_full_disk_stops_a_run_that_goes_on_when_there_is_room() {
    let shop = Workshop::new();
    let script = "
        mount -t tmpfs -o size=12m x disk; head -c 11m /dev/zero >disk/filler
        seq 30 | workitem map -q --job big -j 2 -- sh -c 'head -c 100000 /dev/zero' >first; echo $?
        workitem resume -q >second; echo $?
        rm disk/filler
        workitem resume -q >third; echo $?
        cat first second third | wc -c; workitem output big | wc -c
        workitem verify big; echo $?
        umount disk; mount -t tmpfs -o size=40m x disk; head -c 40500k /dev/zero >disk/filler
        seq 500 | workitem map -q --job many -j 2 -- true; echo $?
        rm disk/filler
        workitem resume -q; echo $?
        workitem verify many >&2; echo $?";
    let Some(output) = with_mounts(&shop, script) else { return };
    let printed = output.lines();
    assert_eq!(printed[..3], ["5", "5", "0"], "{}", output.stderr);
    assert!(printed[3].parse::<u64>().unwrap() <= 3_000_000, "nothing is printed twice");
    assert_eq!(printed[4], "3000000");
    assert_eq!((printed[6], &printed[7..]), ("0", &["5", "0", "0"][..]), "{}", output.stderr);
    for line in output.stderr.lines().filter(|line| line.starts_with("workitem: ")) {
        assert!(line.contains("full") || line.contains("No space left"), "{line}");
    }
}

#[test]
fn a_full_disk_while_input_is_stored_leaves_nothing_half_stored() {
    let shop = Workshop::new();
    let script = "
        mount -t tmpfs -o size=12m x disk; head -c 11m /dev/zero >disk/filler
        head -c 4000000 /dev/zero | tr '\\0' x | fold -w 100000 >items
        workitem map -q --job job -- touch ran <items; echo $?
        workitem jobs
        rm disk/filler
        workitem map -q --job job -- true <items; echo $?
        workitem verify job >&2; echo $?";
    let Some(output) = with_mounts(&shop, script) else { return };
    assert_eq!(output.lines(), ["5", "0", "0"], "{}", output.stderr);
    output.says(&["disk is full", "run the same `workitem map` again", "job: 40 items"]);
    assert!(!shop.exists("ran"));
}

#[test]
fn a_file_that_may_not_grow_is_like_a_full_disk() {
    let shop = Workshop::new();
    // The store fits into it, its output does not.
    let limited = "ulimit -f 400; workitem map -q --job job -- sh -c 'head -c 400000 /dev/zero'";
    let output = shop.sh(limited, lines(1..=3)).exits(5);
    let output = output.says(&["workitem: store ", "workitem.db.output/1/", "File too large"]);
    assert!(output.stdout.is_empty());
    assert_eq!(shop.counts("job")[2], 0);
    assert_eq!(shop.ask(&["resume", "-q"]).exits(0).stdout.len(), 3 * 400_000);
    shop.verify("job");
}

#[test]
fn a_read_only_disk_is_an_error() {
    let shop = Workshop::new();
    let looks = LOOKS.map(|look| format!("workitem {}; echo $?\n", look.join(" "))).concat();
    let script = format!(
        "mount -t tmpfs x disk
         echo x | workitem map -q --job job -- true
         mount -o remount,bind,ro disk
         {looks} workitem gc; echo $?; workitem resume; echo $?; echo y | workitem map -- touch ran; echo $?
         umount disk; mount -t tmpfs -o ro x disk
         echo y | workitem map -- touch ran; echo $?"
    );
    let Some(output) = with_mounts(&shop, &script) else { return };
    assert_eq!(output.lines(), ["5"; LOOKS.len() + 4], "{}", output.stderr);
    assert_eq!(output.stderr.matches("workitem: store disk/workitem.db: ").count(), LOOKS.len() + 4);
    assert!(!shop.exists("ran"));
}

#[test]
fn output_that_cannot_be_written_is_an_error_and_is_not_lost() {
    let shop = Workshop::new();
    let output = shop.sh("workitem map --job job -- echo {} >/dev/full", lines(1..=3)).exits(5);
    output.says(&["failed to write to standard output: No space left", "make room where it goes"]);
    shop.ask(&["resume"]).exits(0);
    assert_eq!(shop.ask(&["output", "job"]).exits(0).lines().len(), 3);
    shop.sh("workitem status >/dev/full", "").complains(5, &["failed to write to standard output"]);
}

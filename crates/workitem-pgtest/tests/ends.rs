//! A server ends with its program, however that ends, and leaves nothing behind.
#![cfg(test)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use std::{env, fs};

use workitem_pgtest::{OTHER, Server, shared};

/// Set in the program that is killed, which is this one once more.
const KILLED: &str = "WORKITEM_PGTEST_KILLED";

/// The server's own process, as it has written it down.
fn process_of(folder: &Path) -> String {
    let pid = fs::read_to_string(folder.join("data/postmaster.pid")).unwrap();
    pid.lines().next().unwrap().to_owned()
}

fn wait_until_gone(folder: &Path, server: &str) {
    while folder.exists() || Path::new("/proc").join(server).exists() {
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn nothing_is_left_when_the_program_is_killed() {
    if env::var_os(KILLED).is_some() {
        println!("\nserver in {}", shared().folder().unwrap().display());
        loop {
            sleep(Duration::from_secs(1));
        }
    }
    let this = ["--exact", "nothing_is_left_when_the_program_is_killed", "--nocapture"];
    let mut program = Command::new(env::current_exe().unwrap());
    program.args(this).env(KILLED, "yes").env_remove(OTHER).stdout(Stdio::piped());
    let mut program = program.spawn().unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines().map(Result::unwrap);
    let folder = lines.find_map(|line| line.strip_prefix("server in ").map(str::to_owned)).unwrap();
    let (folder, server) = (Path::new(&folder), process_of(Path::new(&folder)));
    assert!(Path::new("/proc").join(&server).exists());
    program.kill().unwrap();
    program.wait().unwrap();
    wait_until_gone(folder, &server);
    assert!(!folder.exists());
}

#[test]
fn a_server_of_ones_own_ends_when_it_is_dropped() {
    let server = Server::start(&["shared_buffers=1MB"]).unwrap();
    let folder = server.folder().unwrap().to_owned();
    let process = process_of(&folder);
    assert!(server.url().contains(&format!("host={}", folder.display())), "{}", server.url());
    assert_ne!(server.schema_url("a"), server.schema_url("a"));
    drop(server);
    wait_until_gone(&folder, &process);
    assert!(!folder.exists());
}

#[test]
fn a_server_that_does_not_start_says_why_and_leaves_nothing() {
    let told = Server::start(&["shared_buffers=many"]).err().unwrap().to_string();
    assert!(told.contains("PostgreSQL did not start") && told.contains("shared_buffers"), "{told}");
}

//! `kill -9` of the orchestrator, wherever it hurts: nothing is lost, nothing is recorded twice, nothing
//! that was reported runs again, and no item ever has two live agents.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::thread::sleep;
use std::time::Duration;

use rusqlite::params;

use crate::workshop::{Running, Workshop, eventually, lines};

const ITEMS: usize = 240;

/// Long enough for what must not happen to happen, most of the time.
const MOMENT: Duration = Duration::from_millis(300);

/// Notes each start, and whether another agent of the same item is alive: both hold a lock for life.
const NOTE: &str = r#"
exec 9>"lock.$WORKITEM_ID"; flock -n 9 || echo "$WORKITEM_ID" >> two-at-once
echo "$WORKITEM_RUN $WORKITEM_ID $WORKITEM_ATTEMPT" >> started
"#;

/// What is known when an orchestrator has been killed.
#[derive(Default)]
struct Seen {
    printed: Vec<String>,
    /// After each crash, what was recorded as completed.
    completed: Vec<BTreeSet<String>>,
}

impl Seen {
    /// Kills a run as soon as it has printed so many items.
    fn kill_after(&mut self, items: usize, shop: &Workshop, run: Running) {
        eventually("enough is printed", || run.stdout().lines().count() >= items);
        let killed = run.kill().exits(-9);
        let completed: BTreeSet<String> = shop.ids("job", "completed").into_iter().collect();
        assert!((items..ITEMS).contains(&completed.len()), "it was to be killed on its way");
        let printed: Vec<String> = killed.lines().iter().map(ToString::to_string).collect();
        for line in &printed {
            assert!(completed.contains(line), "`{line}` was reported before it was durable");
        }
        self.printed.extend(printed);
        self.completed.push(completed);
    }

    /// Checks a job that was finished after all these crashes.
    fn check(mut self, shop: &Workshop, last: &str) {
        self.printed.extend(last.lines().map(str::to_owned));
        let once: BTreeSet<&String> = self.printed.iter().collect();
        assert_eq!(once.len(), self.printed.len(), "something was printed twice");

        let starts = shop.read_lines("started");
        let mut runs: Vec<&str> = Vec::new();
        let mut attempts = BTreeSet::new();
        for start in &starts {
            let [run, item, attempt] = start.split(' ').collect::<Vec<_>>()[..] else { panic!("{start}") };
            if !runs.contains(&run) {
                runs.push(run);
            }
            let crashes_before = runs.iter().position(|known| *known == run).unwrap();
            for completed in &self.completed[..crashes_before] {
                assert!(!completed.contains(item), "`{item}` was completed, and ran again");
            }
            assert!(attempts.insert((item, attempt)), "attempt {attempt} at `{item}` started twice");
        }
        assert_eq!(runs.len(), self.completed.len() + 1);
        assert!(!shop.exists("two-at-once"), "{:?}", shop.read_lines("two-at-once"));

        assert_eq!(shop.counts("job"), [0, 0, ITEMS as u64, 0, 0]);
        assert_eq!(shop.recorded_twice(), 0);
        let every: Vec<String> = (1..=ITEMS).map(|item| item.to_string()).collect();
        assert_eq!(shop.ask(&["output", "job"]).exits(0).lines(), every);
        for (id, item) in shop.items("job") {
            let started = attempts.iter().filter(|(item, _)| *item == id).count() as u64;
            assert!(item["attempts"].as_u64().unwrap() >= started, "an attempt at `{id}` was not recorded");
            assert_eq!(item["failures"], 0, "a crash is no failure: {item}");
        }
        shop.verify("job");
    }
}

fn start_job(shop: &Workshop) -> Running {
    shop.script("agent", &format!("{NOTE} sleep 0.02; echo \"$WORKITEM_ID\""));
    shop.spawn(&["map", "--job", "job", "-j", "8", "--", "./agent"], lines(1..=ITEMS))
}

#[test]
fn a_killed_run_is_resumed_without_loss_or_repetition() {
    let shop = Workshop::new();
    let mut seen = Seen::default();
    seen.kill_after(ITEMS / 2, &shop, start_job(&shop));
    assert_eq!(shop.status("job")["state"], "interrupted");
    let last = shop.ask(&["resume"]).exits(0);
    seen.check(&shop, last.text());
}

#[test]
fn killed_resumes_are_resumed_as_well() {
    let shop = Workshop::new();
    let mut seen = Seen::default();
    seen.kill_after(40, &shop, start_job(&shop));
    seen.kill_after(40, &shop, shop.spawn(&["resume", "job", "-j", "4"], ""));
    // At once: while it recovers, or has just begun to claim.
    let recovering = shop.spawn(&["resume", "job"], "");
    eventually("it is at it", || shop.status("job")["state"] == "running");
    let killed = recovering.kill().exits(-9);
    seen.printed.extend(killed.lines().iter().map(ToString::to_string));
    let last = shop.ask(&["resume", "job"]).exits(0);

    // The run that was killed at once may or may not have started an agent.
    let runs: BTreeSet<String> =
        shop.read_lines("started").iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    if runs.len() == 4 {
        seen.completed.push(BTreeSet::new());
    }
    seen.check(&shop, last.text());
}

#[test]
fn nothing_is_reported_before_it_is_durable() {
    let shop = Workshop::new();
    shop.script("agent", "echo >>started; until [ -e awake ]; do sleep 0.02; done; echo out");
    let run = shop.spawn(&["map", "--job", "job", "-j", "2", "--json", "--", "./agent"], "1\n2\n");
    eventually("its agents run", || shop.read_lines("started").len() == 2);
    let database = shop.database();
    // Keeps everybody else from writing.
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    shop.write("awake", "");
    eventually("its agents have ended", || shop.agents().is_empty());
    sleep(MOMENT);
    assert_eq!(run.stdout(), "");
    assert!(!run.stderr().contains("\"completed\""), "{}", run.stderr());
    database.execute_batch("COMMIT").unwrap();
    assert_eq!(run.wait().exits(0).lines(), ["out", "out"]);
}

#[test]
fn nothing_starts_before_its_attempt_is_durable() {
    let shop = Workshop::new();
    shop.run(&["map", "--job", "job", "-q", "--", "sh", "-c", "echo >>started; exit 1"], "1\n").exits(3);
    shop.ask(&["dlq", "retry", "job", "--no-run"]).exits(0);
    let database = shop.database();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    let run = shop.spawn(&["resume", "-q"], "");
    eventually("it is at it", || shop.status("job")["state"] == "running");
    sleep(MOMENT);
    assert_eq!(shop.read_lines("started").len(), 1, "an attempt has started that is not recorded");
    database.execute_batch("COMMIT").unwrap();
    run.wait().exits(3);
    assert_eq!(shop.read_lines("started").len(), 2);
}

#[test]
fn a_job_killed_while_its_input_is_stored_is_completed_by_the_same_map() {
    let shop = Workshop::new();
    let map = ["map", "--job", "big", "--", "sh", "-c", "wc -c <\"$WORKITEM_ITEM_FILE\""];
    // Items of a megabyte are stored long before the end of the input.
    let items: Vec<String> = (0..12).map(|n| n.to_string().repeat(1 << 20)[..1 << 20].to_owned()).collect();
    let (run, mut input) = shop.spawn_piped(&map);
    input.write_all(lines(&items[..10]).as_bytes()).unwrap();
    shop.await_job();
    eventually("some of it is stored", || shop.status("big")["counts"]["total"].as_u64() > Some(0));
    run.kill().exits(-9);

    assert_eq!(shop.status("big")["state"], "submitting");
    shop.ask(&["resume", "big"]).complains(4, &["job `big`", "run the same `workitem map` again"]);
    shop.ask(&["resume"]).exits(4);
    assert_eq!(shop.status("big")["state"], "submitting");

    let output = shop.run(&map, lines(&items)).exits(0);
    assert_eq!(output.lines(), ["1048578"; 12], "a megabyte, and the quotes of a JSON string");
    assert_eq!(shop.counts("big"), [0, 0, 12, 0, 0]);
    assert_eq!(shop.ask(&["jobs"]).exits(0).lines().len(), 1);
    assert_eq!(shop.scratch_files(), 0);
    shop.verify("big");
}

#[test]
fn agents_that_outlive_their_orchestrator_are_ended_before_their_items_run_again() {
    let shop = Workshop::new();
    // One that does not listen, with a child in a session of its own that holds the lock as well.
    shop.script(
        "agent",
        &format!("{NOTE} [ -e awake ] && exit 0; trap '' TERM INT HUP; setsid sleep 60 & sleep 60"),
    );
    let run = shop.spawn(&["map", "--job", "job", "-j", "4", "--", "./agent"], lines(1..=6));
    // Each is a shell and two sleeps.
    eventually("four agents sleep", || shop.agents().len() == 12);
    run.kill().exits(-9);
    assert_eq!(shop.agents().len(), 12, "they outlive it");

    shop.write("awake", "");
    shop.ask(&["resume"]).exits(0).says(&["ended 12 processes", "put back 4 items"]);
    assert!(!shop.exists("two-at-once"), "{:?}", shop.read_lines("two-at-once"));
    assert_eq!(shop.agents(), Vec::<String>::new());
    let mut attempts: BTreeMap<u64, usize> = BTreeMap::new();
    for (_, item) in shop.items("job") {
        *attempts.entry(item["attempts"].as_u64().unwrap()).or_default() += 1;
        assert_eq!(item["failures"], 0);
        assert_eq!(item["crashes"].as_u64(), Some(item["attempts"].as_u64().unwrap() - 1), "{item}");
    }
    assert_eq!(attempts, [(1, 2), (2, 4)].into());
    let history = shop.ask(&["history", "job", "1", "--json"]).exits(0).json_lines();
    let events: Vec<_> = history.iter().map(|row| (row["event"].clone(), row["cause"].clone())).collect();
    assert_eq!(events.len(), 4);
    assert_eq!(events[1], ("Interrupt".into(), "crash".into()));
    assert!(events[3].0["AgentComplete"].is_object());
    shop.verify("job");
}

#[test]
fn agents_of_another_store_are_let_be() {
    let (shop, other) = (Workshop::new(), Workshop::new());
    let map = ["map", "--job", "job", "-j", "2", "--", "sh", "-c", "[ -e awake ] || sleep 60"];
    let (run, _other_run) = (shop.spawn(&map, lines(1..=2)), other.spawn(&map, lines(1..=2)));
    eventually("all agents sleep", || shop.agents().len() == 4 && other.agents().len() == 4);
    run.kill().exits(-9);
    shop.write("awake", "");
    shop.ask(&["resume"]).exits(0);
    assert_eq!((shop.agents().len(), other.agents().len()), (0, 4));
}

#[test]
fn an_item_that_takes_its_orchestrator_down_is_given_up_some_day() {
    let shop = Workshop::new();
    shop.script("agent", "[ $1 != poison ] || kill -9 $PPID; sleep 0.01");
    let map = ["map", "--job", "job", "-j", "1", "--max-crashes", "2", "--", "./agent", "{}"];
    shop.run(&map, "wine\npoison\nwater\n").exits(-9);
    let crashes = (1..10).find(|_| shop.ask(&["resume"]).code() != -9).unwrap();
    assert_eq!(crashes, 3, "two crashes may be, the third is one too many");
    assert_eq!(shop.ids("job", "completed"), ["1", "3"]);
    let letters = shop.ask(&["dlq", "list", "job", "--json"]).exits(0).json_lines();
    assert_eq!((letters.len(), &letters[0]["id"]), (1, &"2".into()));
    assert!(letters[0]["error"].as_str().unwrap().contains("3 times"), "{}", letters[0]);
    shop.ask(&["resume"]).exits(3);
    shop.verify("job");
}

#[test]
fn a_failure_without_what_follows_it_is_settled() {
    // No run leaves one behind; a store that has one all the same must not be stuck with it.
    let shop = Workshop::new();
    shop.run(&["map", "--job", "job", "--", "false"], "x\n").exits(3);
    let database = shop.database();
    database.execute("DELETE FROM history WHERE version = 3", []).unwrap();
    database.execute("UPDATE items SET status = 3, version = 2, at = NULL", []).unwrap();
    let counts = "UPDATE jobs SET failed = ?1, dead_lettered = ?2, open_letters = ?2";
    database.execute(counts, params![1, 0]).unwrap();
    drop(database);
    shop.verify("job");
    assert_eq!(shop.counts("job"), [0, 0, 0, 1, 0]);
    shop.ask(&["resume"]).exits(3);
    assert_eq!(shop.counts("job"), [0, 0, 0, 0, 1]);
    shop.verify("job");
}

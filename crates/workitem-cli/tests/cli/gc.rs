//! What is old is removed, what belongs to nobody too, and nothing else ever.

use std::fs;

use serde_json::Value;

use crate::workshop::{Workshop, eventually, lines};

/// Jobs of each kind: `done`, `long` with output in files, `letters` with open ones, and `half`, which is not finished.
fn with_jobs() -> Workshop {
    let shop = Workshop::new();
    shop.run(&["map", "--job", "done", "--", "echo", "{}"], lines(1..=50)).exits(0);
    shop.run(&["map", "--job", "long", "--", "head", "-c", "100000", "/dev/zero"], lines(1..=3)).exits(0);
    shop.run(&["map", "--job", "letters", "--", "false"], lines(1..=2)).exits(3);
    shop.run(&["map", "--job", "half", "--max-failures", "1", "-j", "1", "--", "false"], lines(1..=90))
        .exits(3);
    shop
}

/// Makes everything that happened to a job ten weeks older.
fn age(shop: &Workshop, jobs: &[&str]) {
    let database = shop.database();
    for job in jobs {
        let named = "SELECT id FROM jobs WHERE name = ?";
        let job: i64 = database.query_row(named, [job], |row| row.get(0)).unwrap();
        let weeks = 10_i64 * 7 * 86_400 * 1_000_000;
        database.execute("UPDATE jobs SET created_at = created_at - ?1 WHERE id = ?2", [weeks, job]).unwrap();
        let items = "UPDATE items SET at = at - ?1 WHERE job = ?2 AND at IS NOT NULL";
        database.execute(items, [weeks, job]).unwrap();
        database.execute("UPDATE history SET at = at - ?1 WHERE job = ?2", [weeks, job]).unwrap();
    }
}

fn jobs(shop: &Workshop) -> Vec<String> {
    let jobs = shop.ask(&["jobs", "--json"]).exits(0).json_lines();
    jobs.iter().map(|job| job["job"].as_str().unwrap().to_owned()).collect()
}

fn summary(events: &[Value]) -> &Value {
    let summary = events.last().unwrap();
    assert_eq!(summary["event"], "summary");
    summary
}

#[test]
fn old_jobs_are_removed_with_all_they_had_and_others_stay() {
    let shop = with_jobs();
    let nothing = shop.ask(&["gc"]).exits(0);
    assert_eq!(nothing.text(), "removed 0 jobs and 0 pieces that belonged to nobody: 0 B\n");
    shop.database().execute("UPDATE jobs SET created_at = 0", []).unwrap();
    assert!(
        shop.ask(&["gc"]).exits(0).text().starts_with("removed 0 jobs"),
        "what counts is what happened last"
    );
    age(&shop, &["done", "long", "letters", "half"]);
    let size = || fs::metadata(shop.file(".workitem/workitem.db")).unwrap().len();
    let before = size();

    let look = shop.ask(&["gc", "--dry-run"]).exits(0);
    assert_eq!(look.lines().len(), 4, "{}", look.text());
    assert!(look.text().contains("would remove 2 jobs"), "{}", look.text());
    assert_eq!(jobs(&shop).len(), 4);
    assert!(shop.ask(&["gc", "--older-than", "11w"]).exits(0).text().starts_with("removed 0 jobs"));

    let events = shop.ask(&["gc", "--json"]).exits(0).json_lines();
    let removed: Vec<&Value> = events.iter().filter(|event| event["event"] == "removed").collect();
    assert_eq!((removed[0]["job"].as_str(), removed[0]["items"].as_u64()), (Some("done"), Some(50)));
    assert!(removed[1]["bytes"].as_u64() > Some(300_000), "{}", removed[1]);
    let told = summary(&events);
    assert_eq!((&told["jobs"], &told["left_over"]), (&2.into(), &0.into()));
    assert_eq!(told["kept"], serde_json::json!({ "unfinished": 1, "with_letters": 1, "running": 0 }));
    assert_eq!(told["compacted"], true);
    assert_eq!(jobs(&shop), ["letters", "half"]);
    assert!(!shop.exists(".workitem/workitem.db.output/2") && !shop.exists(".workitem/workitem.db.locks/2"));
    assert!(size() < before, "{} < {before}", size());
    for job in ["letters", "half"] {
        shop.verify(job);
    }
    shop.ask(&["resume", "half"]).exits(3);

    let rest = shop.ask(&["gc", "--with-letters", "--unfinished", "--older-than", "0"]).exits(0);
    assert!(rest.text().contains("removed 2 jobs"), "{}", rest.text());
    assert!(jobs(&shop).is_empty());
    // A name that is free again makes a new job.
    assert_eq!(shop.run(&["map", "--job", "done", "--", "echo", "{}"], "a\n").exits(0).text(), "a\n");
}

#[test]
fn jobs_that_are_named_are_removed_whatever_their_age_all_of_them_or_none() {
    let shop = with_jobs();
    let again = shop.ask(&["gc", "done", "half"]);
    again.complains(
        2,
        &["job `half` is not finished", "items are left", "workitem resume half", "--unfinished"],
    );
    let letters = shop.ask(&["gc", "done", "letters"]);
    letters.complains(
        2,
        &["job `letters` has 2 open dead letters", "workitem dlq list letters", "--with-letters"],
    );
    shop.ask(&["gc", "done", "nowhere"]).complains(2, &["no job `nowhere`"]);
    shop.ask(&["gc", "done", "--older-than", "1d"]).exits(2);
    shop.ask(&["gc", "--older-than", "soon"]).exits(2);
    assert_eq!(jobs(&shop).len(), 4, "nothing was removed");
    assert!(shop.ask(&["gc", "done", "long", "done"]).exits(0).text().contains("removed 2 jobs"));
    shop.ask(&["gc", "half", "letters", "--unfinished", "--with-letters"]).exits(0);
    assert!(jobs(&shop).is_empty());

    // Its dead letters are dealt with.
    shop.run(&["map", "--job", "mended", "--", "sh", "-c", "[ $WORKITEM_ID = 1~1 ]"], "1\n").exits(3);
    shop.ask(&["dlq", "retry", "mended"]).exits(0);
    shop.ask(&["gc", "mended"]).exits(0);
}

#[test]
fn a_job_that_is_running_stays_and_its_output_too() {
    let shop = Workshop::new();
    let room = lines((1..=5).map(|_| "x".repeat(50_000)));
    shop.run(&["map", "--job", "done", "--", "true"], room).exits(0);
    shop.script("agent", "head -c 100000 /dev/zero; touch started; until [ -e go ]; do sleep 0.02; done");
    let run = shop.spawn(&["map", "--job", "busy", "--", "./agent"], "1\n");
    let partial = ".workitem/workitem.db.output/2/1-1.stdout";
    eventually("it writes output", || shop.exists("started") && shop.exists(partial));
    shop.ask(&["gc", "busy", "--unfinished"]).complains(6, &["job `busy` is being run by process"]);
    let gc = shop.ask(&["gc", "--older-than", "0", "--unfinished", "--json"]).exits(0).json_lines();
    let told = summary(&gc);
    assert_eq!(
        (&told["jobs"], &told["kept"]["running"], &told["compacted"]),
        (&1.into(), &1.into(), &false.into())
    );
    assert!(shop.exists(partial));
    shop.write("go", "");
    assert_eq!(run.wait().exits(0).stdout.len(), 100_000);
    shop.verify("busy");
    assert_eq!(jobs(&shop), ["busy"]);
}

#[test]
fn output_of_an_attempt_that_was_cut_off_belongs_to_nobody() {
    let shop = Workshop::new();
    let item = "x".repeat(200_000);
    shop.script("agent", "head -c 100000 /dev/zero; touch started; until [ -e go ]; do sleep 0.02; done");
    let run = shop.spawn(&["map", "--job", "job", "--", "./agent"], format!("{item}\n"));
    eventually("it writes output", || {
        shop.exists("started") && shop.exists(".workitem/workitem.db.output/1")
    });
    run.kill();
    assert_eq!(shop.scratch_files(), 1, "the item, for its agent");
    assert!(shop.ask(&["gc", "--dry-run"]).exits(0).text().contains("and 1 piece that belonged"));
    assert!(shop.ask(&["gc"]).exits(0).text().contains("removed 0 jobs and 1 piece that belonged to nobody"));
    assert!(!shop.exists(".workitem/workitem.db.output/1/1-1.stdout"));
    shop.verify("job");

    // Its agent is alive, and ends before the job goes.
    assert!(!shop.agents().is_empty());
    shop.ask(&["gc", "job"]).complains(2, &["1 item is left"]);
    shop.ask(&["gc", "job", "--unfinished"]).exits(0);
    eventually("its agent is gone", || shop.agents().is_empty());
    assert_eq!(shop.scratch_files(), 0);
    assert!(jobs(&shop).is_empty());
}

#[test]
fn a_gc_that_is_killed_is_finished_by_another() {
    let shop = Workshop::new();
    let items = lines(1..=30_000);
    for job in ["one", "two"] {
        shop.run(&["map", "--job", job, "--max-failures", "1", "--", "false"], &items).exits(3);
    }
    shop.run(&["map", "--job", "stays", "--", "echo", "{}"], lines(1..=20)).exits(0);
    let rows = || -> i64 {
        let query = "SELECT count(*) FROM payloads WHERE job < 3";
        shop.database().query_row(query, [], |row| row.get(0)).unwrap()
    };
    let gc = ["gc", "one", "two", "--unfinished", "--with-letters"];
    let run = shop.spawn(&gc, "");
    eventually("the first job is gone", || jobs(&shop).len() < 3);
    run.kill();
    assert!(rows() > 0, "it was to be killed on its way");
    shop.verify("stays");
    let rest = shop.ask(&["gc", "--older-than", "0", "--unfinished", "--with-letters", "--json"]).exits(0);
    assert!(summary(&rest.json_lines())["jobs"].as_u64() >= Some(1));
    assert_eq!(rows(), 0);
    let left = shop.ask(&["gc", "--json"]).exits(0).json_lines();
    assert_eq!(summary(&left)["left_over"], 0);
}

#[test]
fn two_at_once_remove_each_job_once() {
    let shop = Workshop::new();
    for job in 1..=6 {
        let name = format!("job{job}");
        shop.run(&["map", "--job", &name, "--", "echo", "{}"], lines(1..=20)).exits(0);
    }
    let gc = ["gc", "--older-than", "0", "--json"];
    let runs = [shop.spawn(&gc, ""), shop.spawn(&gc, "")];
    let removed: u64 = runs
        .into_iter()
        .map(|run| summary(&run.wait().exits(0).json_lines())["jobs"].as_u64().unwrap())
        .sum();
    assert_eq!(removed, 6);
    assert!(jobs(&shop).is_empty());
}

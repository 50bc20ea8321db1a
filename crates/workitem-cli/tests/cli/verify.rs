//! `verify` finds what no run of the program can have left: each test damages the store by hand.

use rusqlite::Connection;

use crate::workshop::{Workshop, lines};

/// A job with every kind of trace: outputs in the store and beside it, retries, a letter, a successor.
fn with_history() -> Workshop {
    let shop = Workshop::new();
    shop.script(
        "agent",
        "case $1 in big) head -c 100000 /dev/zero;; once) [ $WORKITEM_ATTEMPT = 2 ];; bad) [ -e mended ];; worse) false;; esac
         code=$?; echo out; exit $code",
    );
    let map = ["map", "--job", "job", "-q", "--max-attempts", "2", "--", "./agent", "{}"];
    shop.run(&map, "good\nbig\nonce\nbad\nworse\n").exits(3);
    shop.write("mended", "");
    shop.ask(&["dlq", "retry", "job", "-q", "4"]).exits(3);
    shop.run(&["map", "--job", "untouched", "-q", "--", "true"], lines(1..=3)).exits(0);
    shop
}

/// Damages a sound store and expects `verify` to say all of `words` in one line.
#[track_caller]
fn finds(damage: &dyn Fn(&Workshop, &Connection), words: &[&str]) {
    let shop = with_history();
    shop.verify("job");
    let database = shop.database();
    damage(&shop, &database);
    drop(database);

    let audit = shop.ask(&["verify", "job", "--json"]).exits(5).json();
    assert_eq!(audit["passed"], false);
    let problems: Vec<&str> =
        audit["problems"].as_array().unwrap().iter().map(|problem| problem.as_str().unwrap()).collect();
    assert_eq!(audit["found"], problems.len());
    let names_it = |problem: &&str| words.iter().all(|word| problem.contains(word));
    assert!(problems.iter().any(names_it), "expected {words:?} in one of {problems:#?}");
    let told = shop.ask(&["verify", "job"]).exits(5);
    assert!(told.lines()[1..].iter().any(names_it), "{}", told.text());
    shop.ask(&["verify", "untouched"]).exits(0);
}

/// A statement that changes so many rows.
fn sql(statement: &'static str, rows: usize) -> impl Fn(&Workshop, &Connection) {
    move |_, database| assert_eq!(database.execute(statement, []).unwrap(), rows)
}

#[test]
fn nothing_is_wrong_with_what_the_program_left() {
    let shop = with_history();
    let told = shop.ask(&["verify", "job"]).exits(0);
    assert_eq!(told.text(), "job: 6 items, 23 events replayed: nothing is wrong\n");
    shop.verify("untouched");
}

#[test]
fn a_changed_state_is_found() {
    finds(&sql("UPDATE items SET status = 0, result = NULL WHERE job = 1 AND id = '3'", 1), &["item `3`"]);
    finds(
        &sql(
            "UPDATE items SET status = 2, result = (SELECT result FROM items WHERE job = 1 AND id = '1'), text = NULL, at = NULL WHERE job = 1 AND id = '5'",
            1,
        ),
        &["item `5`"],
    );
}

#[test]
fn a_changed_count_of_attempts_or_failures_is_found() {
    finds(
        &sql("UPDATE items SET attempts = attempts + 1 WHERE job = 1 AND id = '3'", 1),
        &["item `3`", "attempts"],
    );
    finds(&sql("UPDATE items SET failures = 0 WHERE job = 1 AND id = '3'", 1), &["item `3`"]);
}

#[test]
fn a_changed_error_result_or_time_is_found() {
    finds(&sql("UPDATE items SET text = 'exit 9' WHERE job = 1 AND id = '5'", 1), &["item `5`", "exit 9"]);
    finds(&sql("UPDATE items SET at = at + 1 WHERE job = 1 AND id = '5'", 1), &["item `5`"]);
    finds(
        &sql("UPDATE items SET result = replace(result, 'Success', 'Timeout') WHERE job = 1 AND id = '1'", 1),
        &["item `1`"],
    );
}

#[test]
fn a_deleted_event_is_found() {
    finds(&sql("DELETE FROM history WHERE job = 1 AND seq = 3 AND version = 2", 1), &["item `3`"]);
    finds(&sql("DELETE FROM history WHERE job = 1 AND seq = 1 AND version = 2", 1), &["item `1`"]);
    finds(&sql("DELETE FROM history WHERE job = 1 AND seq = 1", 2), &["item `1`"]);
}

#[test]
fn an_event_too_many_or_another_one_is_found() {
    let twice = "INSERT INTO history SELECT job, seq, 3, event, payload, at, cause FROM history
                 WHERE job = 1 AND seq = 1 AND version = 2";
    finds(&sql(twice, 1), &["item `1`"]);
    finds(
        &sql("UPDATE history SET event = 3, payload = NULL WHERE job = 1 AND seq = 1 AND version = 2", 1),
        &["item `1`"],
    );
}

#[test]
fn traces_of_an_item_that_does_not_exist_are_found() {
    let event = "INSERT INTO history VALUES (1, 99, 1, 3, NULL, 0, NULL)";
    finds(&sql(event, 1), &["item 99", "no such item"]);
    let output = "INSERT INTO attempts VALUES (1, 99, 1, x'', NULL, 0, x'', NULL, 0)";
    finds(&sql(output, 1), &["item 99", "no such item"]);
}

#[test]
fn a_lost_item_is_found() {
    finds(&sql("DELETE FROM items WHERE job = 1 AND id = '2'", 1), &["counts"]);
    finds(&sql("DELETE FROM items WHERE job = 1 AND id = '2'", 1), &["item 2", "no such item"]);
}

#[test]
fn a_wrong_count_is_found() {
    finds(&sql("UPDATE jobs SET completed = completed + 1 WHERE id = 1", 1), &["counts"]);
    finds(&sql("UPDATE jobs SET open_letters = 0 WHERE id = 1", 1), &["counts"]);
    finds(&sql("UPDATE jobs SET skipped = 1 WHERE id = 1", 1), &["counts"]);
}

#[test]
fn a_successor_without_its_letter_is_found() {
    finds(&sql("UPDATE items SET origin = '99' WHERE job = 1 AND id = '4~1'", 1), &["counts"]);
    finds(&sql("UPDATE items SET origin = NULL WHERE job = 1 AND id = '4~1'", 1), &["counts"]);
}

#[test]
fn lost_output_is_found() {
    let blob = |shop: &Workshop| shop.file(".workitem/workitem.db.output/1/2-1.stdout");
    finds(&|shop, _| std::fs::remove_file(blob(shop)).unwrap(), &["item `2`", "stdout"]);
    finds(
        &|shop, _| std::fs::write(blob(shop), "short").unwrap(),
        &["item `2`", "5 bytes instead of 100004"],
    );
    finds(
        &sql("UPDATE attempts SET attempt = 7 WHERE job = 1 AND seq = 3 AND attempt = 2", 1),
        &["item `3`", "attempt 7"],
    );
}

#[test]
fn damaged_pages_are_found() {
    let shop = with_history();
    drop(shop.database());
    let path = shop.file(".workitem/workitem.db");
    let mut bytes = std::fs::read(&path).unwrap();
    // Everything behind the page with the schema.
    bytes[4096..].fill(0xA5);
    std::fs::write(&path, bytes).unwrap();
    for command in [&["verify", "job"][..], &["items", "job"], &["resume", "job"]] {
        let output = shop.ask(command).exits(5);
        assert!(output.stderr.contains("damaged") || output.text().contains("problems"), "{}", output.stderr);
    }
}

#[test]
fn a_changed_or_lost_input_is_found() {
    let words = ["the items are not those of the input"];
    finds(&sql("UPDATE payloads SET payload = '\"evil\"' WHERE job = 1 AND seq = 2", 1), &words);
    finds(&sql("UPDATE items SET id = 'evil' WHERE job = 1 AND seq = 2", 1), &words);
    finds(&sql("DELETE FROM payloads WHERE job = 1 AND seq = 2", 1), &["item 2 has no input"]);
}

#[test]
fn an_item_that_makes_no_sense_is_found_beside_the_rest() {
    let senseless = |_: &Workshop, database: &Connection| {
        database.execute("UPDATE items SET status = 9 WHERE job = 1 AND seq = 2", []).unwrap();
        database.execute("UPDATE jobs SET completed = 9 WHERE id = 1", []).unwrap();
    };
    finds(&senseless, &["item 2: `items.status`: no such state"]);
}

#[test]
fn a_job_that_is_verified_is_locked() {
    let shop = with_history();
    let lock = shop.file(".workitem/workitem.db.locks/1");
    std::fs::remove_file(&lock).unwrap();
    shop.verify("job");
    assert!(lock.exists());
}

//! What an agent gets: its arguments, its environment, its standard input.

use std::fs;
use std::time::Duration;

use serde_json::json;
use tempfile::tempdir;
use workitem_store::{Cause, Payload, StreamKind};

use super::super::environment::MAX_STRING;
use super::{agent, failure, inline, run, sh, stdout};
use crate::agent::How;
use crate::process::{ProcessAgent, Template};
use crate::testing::Bench;

#[test]
fn every_item_arrives_byte_for_byte_and_nothing_is_executed() {
    let folder = tempdir().unwrap();
    let template = ["printf", "%s", "{}"].map(Into::into).into();
    let agent = ProcessAgent::new(Template::parse(template).unwrap(), folder.path());
    let long = "ü".repeat(50_000);
    for item in [
        "; touch pwned",
        "$(touch pwned)",
        "`touch pwned`",
        "\"; touch pwned; \"",
        "'; touch pwned; '",
        "-rf",
        "--",
        "",
        " ",
        "two\nlines\n",
        "\\n\\0 %s $HOME *",
        "{} {id} {.a}",
        "\"quotes\" 'and' 🦀",
        "\u{7f}\u{1}\r\t",
        long.as_str(),
    ] {
        let bench = Bench::new(item);
        let (how, output) = run(&bench, &agent);
        assert!(matches!(how, How::Completed(_)), "{how:?}");
        let arrived = bench.blob(StreamKind::Stdout).unwrap_or_else(|| inline(output.stdout));
        assert_eq!(arrived, item.as_bytes(), "{item:.40}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn fields_and_the_id_are_arguments_of_their_own() {
    let bench = Bench::new(&json!({ "from": "a b", "sizes": [1, 2.50], "deep": { "x": null } }));
    let agent = agent(&["printf", "<%s>", "{.from}", "{id}", "{.sizes.1}", "{.deep}", "{", "{.}"]);
    assert_eq!(stdout(&bench, &agent), br#"<a b><item-7><2.5><{"x":null}><{><{.}>"#);
}

#[test]
fn the_environment_says_what_it_works_on() {
    let bench = Bench::new("a \"b\"");
    let agent = sh(
        r#"printf '%s|' "$WORKITEM_JOB" "$WORKITEM_ID" "$WORKITEM_ATTEMPT" "$WORKITEM_RUN" "$WORKITEM_ITEM" "${WORKITEM_ITEM_FILE-unset}""#,
    );
    let expected = format!(r#"census|item-7|2|{}|"a \"b\""|unset|"#, bench.run);
    assert_eq!(String::from_utf8(stdout(&bench, &agent)).unwrap(), expected);
}

#[test]
fn the_longest_item_that_fits_is_in_the_environment() {
    // `WORKITEM_ITEM=`, two quotes, NUL.
    let fits = "x".repeat(MAX_STRING - 17);
    let length = sh("printf %s ${#WORKITEM_ITEM}");
    assert_eq!(stdout(&Bench::new(fits.as_str()), &length), (fits.len() + 2).to_string().as_bytes());
    let (one_more, in_file) =
        (format!("{fits}x"), sh("test ! \"${WORKITEM_ITEM+set}\" && wc -c < \"$WORKITEM_ITEM_FILE\""));
    let printed = stdout(&Bench::new(one_more.as_str()), &in_file);
    assert_eq!(String::from_utf8(printed).unwrap().trim(), (fits.len() + 3).to_string());
}

#[test]
fn a_longer_item_is_in_a_private_file_that_is_removed_afterwards() {
    let scratch = tempdir().unwrap();
    let item = json!({ "text": "x".repeat(300_000) });
    let bench = Bench::new(&item);
    let agent = sh(
        "ls -l \"$WORKITEM_ITEM_FILE\" | cut -c 1-10; tail -c 5 \"$WORKITEM_ITEM_FILE\"; cksum < \"$WORKITEM_ITEM_FILE\" >&2",
    );
    assert_eq!(stdout(&bench, &agent.scratch(scratch.path())), b"-rw-------\nxxx\"}");
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    assert_eq!(bench.payload, Payload::try_from(&item).unwrap());
}

#[test]
fn an_argument_that_is_too_long_is_a_failure_that_says_what_to_do() {
    let item = "x".repeat(MAX_STRING);
    let (cause, error) = failure(&Bench::new(item.as_str()), &agent(&["true", "{}"]));
    assert_eq!(cause, Cause::NotStarted);
    assert_eq!(
        error,
        "could not start `true`: an argument has 131072 bytes, and the system takes no more than 131071; \
         read the item from the file in WORKITEM_ITEM_FILE instead"
    );
    let many = vec!["{}"; 200];
    let (cause, error) =
        failure(&Bench::new(&item[..100_000]), &agent(&[&["true"], many.as_slice()].concat()));
    assert_eq!(cause, Cause::NotStarted);
    assert!(error.starts_with("could not start `true`: its arguments and environment together"), "{error}");
}

#[test]
fn an_item_that_cannot_be_rendered_is_a_failure_that_names_it() {
    let bench = Bench::new("a\0b");
    assert_eq!(
        failure(&bench, &agent(&["true", "{}"])),
        (
            Cause::NotStarted,
            "the value of item `item-7` cannot be an argument: it holds a NUL character".to_owned()
        )
    );
    assert_eq!(stdout(&bench, &sh("printf %s \"$WORKITEM_ITEM\"")), br#""a\u0000b""#);
}

#[test]
fn standard_input_is_empty() {
    assert_eq!(stdout(&Bench::new("x"), &sh("wc -c")).trim_ascii(), b"0");
}

#[test]
fn it_runs_in_its_folder() {
    let folder = tempdir().unwrap();
    let template = Template::parse(["sh", "-c", "touch here"].map(Into::into).into()).unwrap();
    stdout(&Bench::new("x"), &ProcessAgent::new(template, folder.path()));
    assert!(folder.path().join("here").exists());
}

#[test]
fn it_has_the_variables_it_was_given() {
    let given = sh("printf %s \"$MODE\"").environment(vec!["MODE=a=b".parse().unwrap()]);
    assert_eq!(stdout(&Bench::new("x"), &given), b"a=b");
}

#[test]
fn what_cannot_be_an_argument_is_known_before() {
    let checked = |agent: ProcessAgent| agent.check(&"item-7".into(), &json!("a\0b")).is_ok();
    assert!(checked(sh("true")) && !checked(agent(&["true", "{}"])));
}

#[test]
fn an_agent_is_as_it_was_told_to_be() {
    let told = sh("true").grace(Duration::from_secs(9)).output_limit(7).scratch("/scratch").nice(Some(3));
    let ProcessAgent { grace, output_limit, scratch, feeds_item, nice, .. } = told.feed_item(true);
    assert_eq!((grace, output_limit, nice), (Duration::from_secs(9), 7, Some(3)));
    assert_eq!((scratch.to_str(), feeds_item), (Some("/scratch"), true));
}

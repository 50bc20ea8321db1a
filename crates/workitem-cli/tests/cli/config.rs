//! Defaults from a file: flags go before the environment, that before the file, and a file that is wrong is refused.

use std::fs;
use std::os::unix::fs::chown;

use rustix::process::geteuid;
use serde_json::{Value, json};

use crate::workshop::{Workshop, lines};

const HERE: &str = ".workitem/config.toml";

/// A workshop with a config file.
fn with_config(text: &str) -> Workshop {
    let shop = Workshop::new();
    fs::create_dir(shop.file(".workitem")).unwrap();
    shop.write(HERE, text);
    shop
}

/// What `workitem config` says of a key: its value and where that comes from.
fn said(shop: &Workshop, args: &[&str], key: &str) -> (String, String) {
    let config = shop.ask(&[args, &["config", "--json"]].concat()).exits(0).json();
    let of_key = |value: &&Value| value["key"] == key;
    let value = config["values"].as_array().unwrap().iter().find(of_key).unwrap().clone();
    (value["value"].as_str().unwrap().to_owned(), value["from"].as_str().unwrap().to_owned())
}

fn run_spec(shop: &Workshop, job: &str) -> Value {
    let query = "SELECT spec FROM jobs WHERE name = ?";
    let spec: String = shop.database().query_row(query, [job], |row| row.get(0)).unwrap();
    serde_json::from_str(&spec).unwrap()
}

#[test]
fn what_a_file_says_holds_unless_a_flag_says_otherwise() {
    let shop = with_config(
        "# For this folder.\n\
         jobs = 1\nmax-attempts = \"2\"\nretry-on = [\"exit:1\", 'timeout']\ntimeout = 90\nbackoff = '1ms..2ms'\n\
         max-failure-rate = '50%'\noutput-limit = '1K'\nkeep-order = true\nquiet = true\nnice = 3\n\
         env = ['A=file', 'B=file']\ndrain = 1.5\n",
    );
    let agent = ["--", "sh", "-c", "echo $A $B $(nice); exit 1"];
    let map = |job: &str, options: &[&str]| {
        shop.run(&[&["map", "--job", job], options, &agent].concat(), lines(1..=2)).exits(3)
    };
    assert_eq!(map("job", &[]).stderr, "", "it is quiet");
    let expected = json!({
        "jobs": 1, "max_attempts": 2, "retry_on": ["exit:1", "timeout"], "timeout": { "secs": 90, "nanos": 0 },
        "backoff": [{ "secs": 0, "nanos": 1_000_000 }, { "secs": 0, "nanos": 2_000_000 }],
        "max_failure_rate": 0.5, "output_limit": 1024, "keep_order": true, "nice": 3,
        "drain": { "secs": 1, "nanos": 500_000_000 },
    });
    assert_eq!(run_spec(&shop, "job")["run"], expected);
    assert!(shop.ask(&["logs", "job", "1"]).text().contains("file file 3"));
    assert_eq!(shop.items("job")["1"]["attempts"], 2);

    map("other", &["--max-attempts", "3", "--nice", "5", "--env", "B=flag"]);
    assert_eq!(shop.items("other")["1"]["attempts"], 3);
    assert!(shop.ask(&["logs", "other", "1"]).text().contains("file flag 5"));
    // What is said to programs is said.
    assert!(!map("told", &["--json"]).events().is_empty());
}

#[test]
fn a_job_keeps_what_it_was_made_with_whatever_the_file_says_later() {
    let shop = with_config("max-attempts = 2\n");
    let map = ["map", "--job", "job", "--", "sh", "-c", "[ -e mended ]"];
    shop.run(&map, "1\n").exits(3);
    for (text, attempts) in [("max-attempts = 5\n", 2), ("", 2)] {
        shop.write(HERE, text);
        shop.ask(&["dlq", "retry", "job"]).exits(3);
        let items = shop.items("job");
        assert_eq!(items.values().last().unwrap()["attempts"], attempts);
        shop.ask(&["dlq", "retry", "job", "--no-run"]).exits(0);
        shop.run(&map, "1\n").exits(3);
        let items = shop.items("job");
        assert_eq!(items.values().last().unwrap()["attempts"], attempts, "the same map goes on with it");
    }
    assert_eq!(run_spec(&shop, "job")["run"]["max_attempts"], 2);
}

#[test]
fn a_rate_and_a_delay_take_each_others_place() {
    let shop = with_config("rate = '1000/s'\n");
    shop.run(&["map", "--job", "job", "--delay", "2ms", "--", "true"], "1\n").exits(0);
    assert_eq!(run_spec(&shop, "job")["run"]["rate"], "1/2ms");
    shop.write(HERE, "rate = '1/s'\ndelay = '1s'\n");
    shop.run(&["map", "--", "true"], "1\n").complains(2, &["config.toml", "--delay", "--rate"]);
}

#[test]
fn the_first_file_that_is_there_counts_unless_one_is_named() {
    let shop = Workshop::new();
    let jobs = |args: &[&str]| said(&shop, args, "jobs").0;
    assert_eq!(said(&shop, &[], "jobs"), ("number of cores".into(), "built in".into()));
    fs::create_dir_all(shop.file("xdg/workitem")).unwrap();
    shop.write("xdg/workitem/config.toml", "jobs = 1\nnice = 1\n");
    assert_eq!(jobs(&[]), "1");
    fs::create_dir(shop.file(".workitem")).unwrap();
    shop.write(HERE, "jobs = 2\n");
    assert_eq!((jobs(&[]), said(&shop, &[], "nice").1), ("2".into(), "built in".into()), "one file, not two");
    shop.write("three.toml", "jobs = 3\n");
    shop.write("four.toml", "jobs = 4\n");
    assert_eq!(jobs(&["--config", "three.toml"]), "3");
    assert_eq!(jobs(&["--config", "/dev/null"]), "number of cores");
    let by_env = shop.sh("WORKITEM_CONFIG=four.toml workitem config", "").exits(0);
    assert!(by_env.text().starts_with("config file four.toml\njobs\t4\tfile, line 1\n"), "{}", by_env.text());
    let both = shop.sh("WORKITEM_CONFIG=four.toml workitem config --config three.toml", "").exits(0);
    assert!(both.text().contains("\njobs\t3\tfile"), "{}", both.text());
    shop.ask(&["jobs", "--config", "none.toml"])
        .complains(2, &["could not read config file none.toml", "No such"]);
    shop.ask(&["jobs", "--config", "."]).complains(2, &["could not read config file .", "directory"]);
}

#[test]
fn a_store_that_a_file_names_is_found_by_every_command() {
    let shop = with_config("store = 'jobs/x.db'\n");
    let output = shop.run(&["map", "--job", "job", "--", "false"], "1\n").exits(3);
    assert!(shop.exists("jobs/x.db") && !shop.exists(".workitem/workitem.db"));
    output.says(&["workitem dlq retry job\n"]);
    assert_eq!(shop.ask(&["jobs", "--json"]).exits(0).json_lines().len(), 1);
    assert_eq!(said(&shop, &[], "store"), ("jobs/x.db".into(), "file".into()));
    assert_eq!(said(&shop, &["--store", "y.db"], "store"), ("y.db".into(), "flag".into()));
    shop.sh("WORKITEM_STORE=z.db workitem jobs", "").complains(2, &["there is no store at z.db"]);
    shop.ask(&["jobs", "--store", "y.db"]).complains(2, &["there is no store at y.db"]);

    // The next command is told what it needs, and no more.
    let default = ["map", "--store", ".workitem/workitem.db", "--", "false"];
    shop.run(&default, "1\n").exits(3).says(&["--store .workitem/workitem.db"]);
    shop.write("other.toml", "store = 'w.db'\n");
    shop.run(&["map", "--config", "other.toml", "--", "false"], "1\n").exits(3).says(&["--store w.db"]);
}

#[test]
fn a_file_that_is_wrong_is_refused_whole_and_says_where() {
    let shop = with_config("");
    for (text, words) in [
        ("jobs = 2\n\ntiemout = 3\n", &["line 3: there is no option `tiemout`", "timeout", "store"][..]),
        ("jobs = 'many'\n", &["line 1: `jobs` cannot be `many`: invalid digit"]),
        ("jobs = 0\n", &["line 1: `jobs` cannot be `0`"]),
        ("jobs = -1\n", &["line 1: `jobs` cannot be `-1`"]),
        ("timeout = 'soon'\n", &["line 1: `timeout` cannot be `soon`"]),
        ("timeout = 2026-01-01\n", &["line 1: `timeout` is a text or a number, not of type datetime"]),
        ("max-failures = true\n", &["line 1: `max-failures` is a text or a number, not of type boolean"]),
        ("quiet = 'yes'\n", &["line 1: `quiet` is true or false"]),
        ("jobs = [1, 2]\n", &["line 1: `jobs` is a text or a number, not of type array"]),
        ("\nenv = [1]\n", &["line 2: `env` is a list of texts"]),
        ("env = ['WORKITEM_RUN=x']\n", &["line 1: `env` cannot be", "say what an agent works on"]),
        ("env = [\"A=\\u0000\"]\n", &["line 1: `env`", "has a NUL"]),
        ("max_attempts = 3\n", &["no option `max_attempts`", "max-attempts"]),
        ("cwd = '/'\n", &["no option `cwd`"]),
        ("json = true\n", &["no option `json`"]),
        ("help = true\n", &["no option `help`"]),
        ("store = ''\n", &["line 1: `store` cannot be ``"]),
        ("[map]\njobs = 1\n", &["no option `map`"]),
        ("jobs = 1\njobs = 2\n", &["line 2: duplicate key"]),
        ("jobs 1\n", &["line 1: "]),
        ("\u{feff}# é\njobs = 'é'\n", &["line 2: `jobs` cannot be `é`"]),
        ("\"a\\u001b[31m\" = 1\n", &["no option `a\\u{1b}[31m`"]),
    ] {
        shop.write(HERE, text);
        let words: Vec<&str> =
            std::iter::once("config file .workitem/config.toml").chain(words.iter().copied()).collect();
        shop.run(&["map", "--job", "job", "--", "touch", "ran"], "1\n").complains(2, &words);
        shop.ask(&["config"]).complains(2, &words);
    }
    shop.write(HERE, b"jobs = \xff");
    shop.ask(&["jobs"]).complains(2, &["could not read config file .workitem/config.toml"]);
    assert!(!shop.exists("ran") && !shop.exists(".workitem/workitem.db"));
    let told = shop.run(&["map", "--json", "--", "true"], "1\n").exits(2).events();
    assert_eq!((&told[0]["event"], &told[0]["exit"]), (&"error".into(), &2.into()));

    // What is about the program itself needs no file.
    for args in [&["machine"][..], &["completions", "bash"], &["man"], &["--help"], &["map", "--help"]] {
        shop.ask(args).exits(0);
    }
}

#[test]
fn a_file_of_another_user_is_not_followed() {
    let shop = with_config("env = ['LD_PRELOAD=evil.so']\n");
    if !geteuid().is_root() {
        // Nobody else can give a file away.
        return;
    }
    chown(shop.file(HERE), Some(54_321), None).unwrap();
    shop.ask(&["jobs"]).complains(2, &["belongs to another user, 54321", "--config"]);
    shop.ask(&["config", "--config", HERE]).exits(0);
}

#[test]
fn every_option_of_a_run_is_shown_with_its_value() {
    let shop = with_config("");
    let config = shop.ask(&["config"]).exits(0);
    let shown: Vec<&str> =
        config.lines().into_iter().skip(1).map(|line| line.split('\t').next().unwrap()).collect();
    let help = shop.ask(&["resume", "--help"]).exits(0);
    let of_help = help.text().split_whitespace().filter_map(|word| word.strip_prefix("--"));
    let of_help: Vec<&str> =
        of_help.filter(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '-')).collect();
    for option in of_help {
        let is_other = ["cwd", "json", "config", "help", "version"].contains(&option);
        assert!(is_other || shown.contains(&option), "{option}");
    }
    for line in config.lines().into_iter().skip(1) {
        assert_eq!(line.split('\t').count(), 3, "{line}");
    }
    assert!(config.text().contains("\nmax-attempts\t1\tbuilt in\n"), "{}", config.text());
}

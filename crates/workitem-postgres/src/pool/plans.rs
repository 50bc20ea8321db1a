//! How the server answers each statement that the contract makes the engine run, on tables of which it knows nothing. A
//! plan that does not follow an index may walk the whole job for every row, which no small test would notice.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::Deref;

use postgres::{Client, NoTls};
use workitem_pgtest::shared;
use workitem_store::{ClaimRequest, JobId, NewJob, Store, Upkeep, contract as suite};

use crate::PostgresStore;
use crate::due::DUE;
use crate::head::{Due, START};

/// What may sort: output that belongs to nobody, by the name it belongs under.
const SORTS: [&str; 1] = ["GROUP BY p.seq, p.attempt, p.stream"];

/// What may walk through all of a table: it has a row for each job, or one altogether.
const WALKS: [&str; 2] = ["FROM jobs ORDER BY id", "UPDATE meta SET jobs_made"];

/// What may compare all with all: a job has one row that says who runs it, and one row stands in a place.
const COMPARES: [&str; 2] =
    ["FROM pg_locks l LEFT JOIN runners r", "WHERE s.ctid = place.ctid AND s.version = n.was"];

/// A store that looks at the plans of all that was asked of it when it is dropped.
struct Watched(PostgresStore);

impl Deref for Watched {
    type Target = PostgresStore;

    fn deref(&self) -> &PostgresStore {
        &self.0
    }
}

fn watched() -> Watched {
    Watched(PostgresStore::create(&shared().schema_url("plans")).unwrap())
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            check_plans(&self.0);
        }
    }
}

/// Looks at the plan of each statement that was asked so far.
fn check_plans(store: &PostgresStore) {
    let statements: BTreeSet<String> = {
        let shelf = store.pool.shelf();
        shelf.idle.iter().flat_map(|connection| connection.statements.keys().cloned()).collect()
    };
    assert!(!statements.is_empty());
    let mut client = store.pool.connect().unwrap();
    for statement in statements.iter().filter(|statement| !statement.starts_with("SET ")) {
        let plan = generic_plan(&mut client, statement);
        let complaint = complaint(statement, &plan);
        assert!(complaint.is_none(), "{}\n{statement}\n{}", complaint.unwrap_or_default(), plan.join("\n"));
    }
}

/// The plan of a statement, whatever its parameters are.
fn generic_plan(client: &mut Client, statement: &str) -> Vec<String> {
    let parameters = client.prepare(statement).unwrap().params().len();
    let nulls = vec!["NULL"; parameters].join(", ");
    let execute =
        if parameters == 0 { "EXECUTE planned".to_owned() } else { format!("EXECUTE planned({nulls})") };
    client.batch_execute(&format!("PREPARE planned AS {statement}")).unwrap();
    let rows = client.query(&format!("EXPLAIN (COSTS OFF) {execute}"), &[]).unwrap();
    client.batch_execute("DEALLOCATE planned").unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// What is wrong with a plan.
fn complaint(statement: &str, plan: &[String]) -> Option<String> {
    let may = |list: &[&str]| list.iter().any(|known| statement.contains(known));
    for (nth, line) in plan.iter().enumerate() {
        let node = line.trim_start().trim_start_matches("->").trim_start();
        let is_walk = node.starts_with("Seq Scan on ") && !node.contains(" on pg_");
        let never = ["Hash Join", "Merge Join", "Bitmap Heap Scan", "Gather"]
            .iter()
            .any(|kind| node.starts_with(kind));
        let sorts = node.starts_with("Sort Key:") || node.starts_with("Incremental Sort");
        let by_index = node.starts_with("Index Scan using") || node.starts_with("Index Only Scan using");
        // What one side has found is compared with all that the other has, instead of looked up.
        let compares = node.starts_with("Join Filter:") && !may(&COMPARES);
        let has_bounds = plan.get(nth + 1).is_some_and(|next| next.trim_start().starts_with("Index Cond:"));
        if never || compares || (is_walk || by_index && !has_bounds) && !may(&WALKS) || sorts && !may(&SORTS)
        {
            return Some(node.to_owned());
        }
    }
    None
}

workitem_store::contract_tests!(watched);

/// A plan stays as long as its session, so one that was made for nothing must do for a million.
#[test]
fn plans_are_the_same_when_the_server_believes_that_there_is_nothing() {
    let store = PostgresStore::create(&shared().schema_url("nothing")).unwrap();
    suite::verify_replays_a_mixed_job(&store);
    store.delete_job(store.job("job").unwrap().id).unwrap();
    suite::a_dropped_letter_is_dealt_with_and_stays_what_it_is(&store);
    for job in store.jobs().unwrap() {
        store.delete_job(job.id).unwrap();
    }
    store.compact().unwrap();
    check_plans(&store);
}

#[test]
fn a_plan_that_walks_or_sorts_is_complained_of() {
    let store = PostgresStore::create(&shared().schema_url("bad")).unwrap();
    let mut client = store.pool.connect().unwrap();
    for bad in [
        "SELECT * FROM states WHERE text = $1",
        "SELECT seq FROM states WHERE job = $1 ORDER BY crashes",
        "SELECT 1 FROM items i WHERE job = $1 AND NOT EXISTS (SELECT 1 FROM states WHERE job = i.job AND seq = i.seq)",
    ] {
        let plan = generic_plan(&mut client, bad);
        assert!(complaint(bad, &plan).is_some(), "{}", plan.join("\n"));
    }
    client.batch_execute("RESET ALL; SET enable_seqscan = on").unwrap();
    client.batch_execute(&format!("SET search_path TO {}", store.pool.address().schema)).unwrap();
    let hashed = "SELECT 1 FROM states s JOIN history h ON s.at = h.at";
    let plan = generic_plan(&mut client, hashed);
    assert!(complaint(hashed, &plan).is_some(), "{}", plan.join("\n"));
}

const ITEMS: i64 = 100_000;

/// A sealed job of many items, of which the server has no statistics and never gets any.
fn backlog(store: &PostgresStore) -> JobId {
    let job = NewJob { name: None, spec: serde_json::Value::Null, now: chrono::DateTime::UNIX_EPOCH };
    let job = store.create_job(&job).unwrap().id;
    let mut client = store.pool.connect().unwrap();
    for table in ["items", "due", "claims", "history"] {
        client.batch_execute(&format!("ALTER TABLE {table} SET (autovacuum_enabled = off)")).unwrap();
    }
    let job_number = job.0;
    client
        .batch_execute(&format!(
            "INSERT INTO items (job, seq, id, payload) SELECT {job_number}, n, n, n FROM generate_series(1, {ITEMS}) AS n;
             INSERT INTO due (job, run_at, seq, until, version)
             SELECT {job_number}, 0, n, n, 0 FROM generate_series(1, {ITEMS}) AS n;
             UPDATE counts SET pending = {ITEMS} WHERE job = {job_number} AND shard = 0"
        ))
        .unwrap();
    store.seal(job, "many").unwrap();
    job
}

/// The plan of the claims that the store itself has asked for.
fn claim_plan(store: &PostgresStore) -> String {
    let asked: Vec<String> = {
        let shelf = store.pool.shelf();
        let statements = shelf.idle.iter().flat_map(|connection| connection.statements.keys());
        statements.filter(|statement| statement.contains(DUE)).cloned().collect()
    };
    let mut client = store.pool.connect().unwrap();
    let mut all = String::new();
    for statement in asked {
        let _ = writeln!(all, "{}", generic_plan(&mut client, &statement).join("\n"));
    }
    all
}

/// How many pages a look for ten due items touches.
fn pages(store: &PostgresStore, job: JobId, head: Due) -> u64 {
    let mut client = store.pool.connect().unwrap();
    client.batch_execute(&format!("PREPARE due AS {DUE}")).unwrap();
    let (job, run_at, seq) = (job.0, head.0.max(-1), head.1);
    let explain = format!("EXPLAIN (ANALYZE, BUFFERS) EXECUTE due({job}, 0, {run_at}, {seq}, 10)");
    let mut transaction = client.transaction().unwrap();
    let rows = transaction.query(&explain, &[]).unwrap();
    transaction.rollback().unwrap();
    let lines: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let buffers =
        lines.iter().find(|line| line.trim_start().starts_with("Buffers: shared")).expect("it says so");
    let numbers = buffers.split_whitespace().filter_map(|word| {
        let (what, number) = word.split_once('=')?;
        ["hit", "read"].contains(&what).then(|| number.parse::<u64>().unwrap())
    });
    numbers.sum()
}

#[test]
fn a_claim_follows_its_index_from_where_the_last_one_ended_whatever_the_server_knows() {
    let store = PostgresStore::create(&shared().schema_url("backlog")).unwrap();
    let job = backlog(&store);
    let claim = |limit| {
        let request = ClaimRequest::new(job, "worker", limit, chrono::DateTime::UNIX_EPOCH);
        store
            .claim(&request)
            .unwrap()
            .claims
            .into_iter()
            .map(|claim| claim.leased.token().seq())
            .collect::<Vec<_>>()
    };
    assert_eq!(claim(10), (1..=10).collect::<Vec<_>>());
    let fresh = claim_plan(&store);
    for words in ["LockRows", "Index Scan using due_pkey", "(ROW(run_at, seq) > ROW($3, $4))"] {
        assert!(fresh.contains(words), "{words}:\n{fresh}");
    }
    assert!(!fresh.contains("Sort"), "{fresh}");

    // A snapshot of somebody else's keeps the server from forgetting what the claims leave behind.
    let mut old = Client::connect(shared().url(), NoTls).unwrap();
    old.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1").unwrap();
    let first = pages(&store, job, (0, 10));
    for _ in 0..20 {
        assert_eq!(claim(1_000).len(), 1_000);
    }
    assert_eq!(claim_plan(&store), fresh, "also when the table is full of what is gone");
    let (begun, anew) = (pages(&store, job, (0, 20_010)), pages(&store, job, START));
    assert!(begun <= 2 * first, "{begun} pages, {first} at first");
    assert!(anew > 4 * begun, "without it {anew} pages, with it {begun}: then it were not needed");

    old.batch_execute("COMMIT").unwrap();
    store.pool.connect().unwrap().batch_execute("VACUUM ANALYZE items, due").unwrap();
    assert_eq!(claim_plan(&store), fresh, "and when it knows all about it");
    assert_eq!(store.counts(job).unwrap(), store.recount(job).unwrap());
}

#[test]
fn a_session_is_set_up_as_the_store_wants_it_whatever_the_role_is_set_to() {
    let url = shared().schema_url("lax");
    let role = url.split_once("schema=").unwrap().1;
    let mut admin = Client::connect(shared().url(), NoTls).unwrap();
    admin
        .batch_execute(&format!(
            "CREATE ROLE {role} SUPERUSER LOGIN; ALTER ROLE {role} SET synchronous_commit = off;
             ALTER ROLE {role} SET default_transaction_isolation = 'serializable'"
        ))
        .unwrap();
    let lax = url.replacen("postgres://postgres@", &format!("postgres://{role}@"), 1);
    let store = PostgresStore::create(&lax).unwrap();
    let mut client = store.pool.connect().unwrap();
    for (setting, value) in [
        ("synchronous_commit", "on"),
        ("default_transaction_isolation", "read committed"),
        ("plan_cache_mode", "force_generic_plan"),
        ("search_path", &format!("{role}, pg_temp")),
        ("idle_session_timeout", "0"),
        ("lock_timeout", "30s"),
    ] {
        let row = client.query_one("SELECT current_setting($1)", &[&setting]).unwrap();
        assert_eq!(row.get::<_, &str>(0).replace('"', ""), value, "{setting}");
    }
    // What is stricter than needed is left as it is.
    admin.batch_execute(&format!("ALTER ROLE {role} SET synchronous_commit = remote_apply")).unwrap();
    let row = store.pool.connect().unwrap().query_one("SHOW synchronous_commit", &[]).unwrap();
    assert_eq!(row.get::<_, &str>(0), "remote_apply");
}

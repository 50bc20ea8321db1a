//! Each finding is made to happen: on the server of these tests, or on one that is set up badly.

use std::sync::OnceLock;

use postgres::{Client, NoTls};
use workitem_pgtest::{Server, shared};
use workitem_store::{NewItem, NewJob, Severity, Store, Upkeep};

use super::*;

/// A server as nobody should have one.
fn careless() -> &'static Server {
    static CARELESS: OnceLock<Server> = OnceLock::new();
    CARELESS.get_or_init(|| {
        let off = ["fsync=off", "full_page_writes=off", "autovacuum=off", "synchronous_commit=off"];
        Server::start(&[&off[..], &["max_prepared_transactions=2"]].concat()).unwrap()
    })
}

/// A store with a sealed job, its schema, and a session of an administrator in it.
fn store_on(server: &Server) -> (PostgresStore, String, Client) {
    let url = server.schema_url("examined");
    let store = PostgresStore::create(&url).unwrap();
    let job = NewJob { name: None, spec: serde_json::Value::Null, now: chrono::DateTime::UNIX_EPOCH };
    let job = store.create_job(&job).unwrap();
    let items: Vec<NewItem> =
        (1..=50).map(|n| NewItem { id: n.to_string().into(), payload: "input".into() }).collect();
    store.submit(job.id, &items).unwrap();
    store.seal(job.id, "digest").unwrap();
    let admin = admin(server, &store);
    (store, url, admin)
}

fn admin(server: &Server, store: &PostgresStore) -> Client {
    let mut admin = Client::connect(server.url(), NoTls).unwrap();
    admin.batch_execute(&format!("SET search_path TO {}", store.pool.address().schema)).unwrap();
    admin
}

/// The finding in which this occurs.
fn told(store: &PostgresStore, limits: &Limits, word: &str) -> Option<Finding> {
    examine(store, limits).unwrap().into_iter().find(|finding| finding.what.contains(word))
}

fn is(finding: Option<Finding>, severity: Severity, next: &str) -> String {
    let finding = finding.expect("it is told");
    let told = finding.next.clone().unwrap_or_default();
    assert!(finding.severity == severity && told.contains(next), "{finding:?}");
    finding.what
}

fn usual() -> Limits {
    Limits::default()
}

fn at_once() -> Limits {
    Limits { transaction: Duration::ZERO, ..usual() }
}

#[test]
fn of_a_healthy_store_it_is_only_told_what_it_is() {
    let server = Server::start(&[]).unwrap();
    let (store, ..) = store_on(&server);
    let findings = store.examine().unwrap();
    let [about] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!((about.severity, &about.next), (Severity::Note, &None));
    for word in ["PostgreSQL 1", "schema version 1 in `examined_", " KiB, of which "] {
        assert!(about.what.contains(word), "{}", about.what);
    }
}

#[test]
fn settings_that_lose_or_keep_too_much_are_told() {
    let (store, ..) = store_on(careless());
    is(told(&store, &usual(), "fsync is off"), Severity::Fault, "set fsync = on");
    is(told(&store, &usual(), "full_page_writes is off"), Severity::Fault, "set full_page_writes = on");
    is(told(&store, &usual(), "autovacuum is off"), Severity::Warning, "set autovacuum = on");
    is(told(&store, &usual(), "synchronous_commit is off"), Severity::Note, "");
}

#[test]
fn a_transaction_that_keeps_a_snapshot_is_told_with_who_has_it() {
    let (store, _, mut admin) = store_on(shared());
    let pid: i32 = admin.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    let process = format!("process {pid} ");
    admin.batch_execute("SET application_name = 'forgetful'").unwrap();
    admin.batch_execute("BEGIN; SELECT 1").unwrap();
    assert_eq!(told(&store, &at_once(), &process), None, "it is open, and holds nothing");
    admin.batch_execute("ROLLBACK; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1").unwrap();
    assert_eq!(told(&store, &usual(), &process), None, "it has not been open for long");
    let terminate = format!("pg_terminate_backend({pid})");
    let what = is(told(&store, &at_once(), &process), Severity::Warning, &terminate);
    for word in
        ["`forgetful`", "`postgres`", "idle in transaction", "open for ", " s, since 20", "cannot be removed"]
    {
        assert!(what.contains(word), "{what}");
    }
    admin.batch_execute("ROLLBACK").unwrap();
    assert_eq!(told(&store, &at_once(), &process), None);
}

#[test]
fn a_transaction_that_was_prepared_and_forgotten_is_told() {
    let (store, _, mut admin) = store_on(careless());
    admin.batch_execute("BEGIN; UPDATE items SET payload = '1'; PREPARE TRANSACTION 'it''s'").unwrap();
    assert_eq!(told(&store, &usual(), "has been prepared"), None);
    let what = is(told(&store, &at_once(), "'it''s'"), Severity::Warning, "ROLLBACK PREPARED 'it''s'");
    assert!(what.contains("of role `postgres` has been prepared for "), "{what}");
    admin.batch_execute("ROLLBACK PREPARED 'it''s'").unwrap();
    assert_eq!(told(&store, &at_once(), "has been prepared"), None);
}

#[test]
fn more_dead_rows_than_live_ones_are_told_until_they_are_vacuumed() {
    let (store, url, mut writer) = store_on(careless());
    let limits = Limits { dead_rows: 60, ..usual() };
    assert_eq!(told(&store, &limits, "` has "), None);
    // In one transaction, so that nothing is tidied up in between. Sessions say what they have done when they end.
    writer
        .batch_execute("BEGIN; UPDATE items SET payload = '1'; UPDATE items SET payload = '2'; COMMIT")
        .unwrap();
    drop((writer, store));
    let store = PostgresStore::open(&url).unwrap();
    let mut admin = admin(careless(), &store);
    let counted = "SELECT n_dead_tup, n_live_tup FROM pg_stat_user_tables
                   WHERE relname = 'items' AND schemaname = current_schema()";
    let rows = |row: postgres::Row| (row.get::<_, i64>(0), row.get::<_, i64>(1));
    while rows(admin.query_one(counted, &[]).unwrap()) != (100, 50) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let dead = || told(&store, &limits, "table `items` has ");
    let what = is(dead(), Severity::Warning, "`workitem gc`");
    assert!(what.contains("has 100 dead rows and 50 live ones, never vacuumed"), "{what}");
    assert_eq!(told(&store, &usual(), "`items` has"), None, "they are few");
    assert!(store.compact().unwrap());
    assert_eq!(dead(), None);
}

#[test]
fn a_server_that_takes_no_writes_is_a_fault() {
    let (_, url, _) = store_on(shared());
    let url = format!("{url}&options=-c%20default_transaction_read_only%3Don");
    let store = PostgresStore::open(&url).unwrap();
    is(told(&store, &usual(), "read only"), Severity::Fault, "default_transaction_read_only = off");
    assert!(store.control(workitem_store::JobId(1)).is_ok());
    assert!(store.set_control(workitem_store::JobId(1), workitem_store::Control::Pause).is_err());
}

#[test]
fn a_standby_is_a_fault_and_one_that_is_gone_holds_back_the_primary() {
    let primary = Server::start(&[]).unwrap();
    let (store, url, mut admin) = store_on(&primary);
    admin.batch_execute("SELECT pg_create_physical_replication_slot('standby'); CHECKPOINT").unwrap();
    let (from, port) = (primary.folder().unwrap().join("data"), primary.port().unwrap());
    let host = primary.folder().unwrap().display();
    // Nobody writes, so a copy of the files is one of the store.
    let copy = |data: &std::path::Path| {
        std::fs::remove_dir_all(data)?;
        let copied = std::process::Command::new("cp").arg("-a").arg(&from).arg(data).status()?;
        assert!(copied.success());
        std::fs::remove_file(data.join("postmaster.pid"))?;
        std::fs::write(data.join("standby.signal"), "")
    };
    let conninfo = format!("primary_conninfo=host={host} port={port} user=postgres");
    let settings = ["primary_slot_name=standby", "hot_standby_feedback=on", "wal_receiver_status_interval=1"];
    let standby = Server::start_with(&[&settings[..], &[conninfo.as_str()]].concat(), copy).unwrap();
    let there = url.replacen(primary.url(), standby.url(), 1);
    assert_ne!(there, url);
    let copy = PostgresStore::open(&there).unwrap();
    assert_eq!(copy.jobs().unwrap(), store.jobs().unwrap());
    is(told(&copy, &usual(), "the server is a standby"), Severity::Fault, "--store");
    assert_eq!(told(&store, &usual(), "standby"), None);

    let slots = "SELECT xmin IS NOT NULL AND active FROM pg_replication_slots";
    while !admin.query_one(slots, &[]).unwrap().get::<_, bool>(0) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(told(&store, &usual(), "replication slot"), None, "it is in use, and up to date");
    let lagging = told(&store, &Limits { slot: -1, ..usual() }, "replication slot `standby`, in use");
    is(lagging, Severity::Warning, "hot_standby_feedback");
    drop((copy, standby));
    let gone = || told(&store, &usual(), "replication slot `standby`, used by nobody");
    while gone().is_none() {
        std::thread::sleep(Duration::from_millis(20));
    }
    is(gone(), Severity::Warning, "pg_drop_replication_slot('standby')");
    admin.batch_execute("SELECT pg_drop_replication_slot('standby')").unwrap();
    assert_eq!(gone(), None);
}

#[test]
fn connections_and_age_are_told_before_they_run_out() {
    let (store, ..) = store_on(careless());
    let few = Limits { connections: 0, ..usual() };
    let what = is(told(&store, &few, "connections are used"), Severity::Warning, "max_connections");
    assert!(what.contains(" of 200 connections are used, and 3 "), "{what}");
    let young = Limits { age: -1, ..usual() };
    let what = is(told(&store, &young, "transactions ago"), Severity::Warning, "VACUUM");
    assert!(what.contains("database `") && what.contains("at 2144483648 "), "{what}");
    for (age, severity) in [
        (1_000_000_000, None),
        (1_000_000_001, Some(Severity::Warning)),
        (2_100_000_000, Some(Severity::Fault)),
    ] {
        assert_eq!(
            vacuum::too_old("jobs", age, usual().age).map(|finding| finding.severity),
            severity,
            "{age}"
        );
    }
}

#[test]
fn clocks_that_differ_are_told_by_what_is_certain() {
    let (store, ..) = store_on(shared());
    // Beyond any difference, as none is less than nothing.
    let strict = Limits { skew: TimeDelta::seconds(-1), ..usual() };
    is(told(&store, &strict, "this machine's clock"), Severity::Note, "both clocks");
    let at = |seconds| chrono::DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
    let ahead = |there| server::ahead(at(100), at(110), at(there), TimeDelta::seconds(1));
    assert_eq!([100, 105, 110, 99, 111].map(ahead), [None; 5], "it may be what the question took");
    assert_eq!(ahead(97), Some(TimeDelta::seconds(3)));
    assert_eq!(ahead(115), Some(TimeDelta::seconds(-5)));
}

#[test]
fn what_a_role_may_not_see_is_told_and_the_rest_is_looked_at() {
    let (store, url, mut admin) = store_on(careless());
    let (schema, role) = (&store.pool.address().schema, format!("least_{}", store.pool.address().schema));
    admin
        .batch_execute(&format!(
            "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA {schema} TO {role};
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}"
        ))
        .unwrap();
    let url = url.replacen("postgres://postgres@", &format!("postgres://{role}@"), 1);
    let least = PostgresStore::open(&url).unwrap();
    let grant = format!("GRANT pg_monitor TO {role}");
    let what = is(told(&least, &usual(), "other sessions"), Severity::Note, &grant);
    assert!(what.contains(&format!("as role `{role}`")), "{what}");
    is(told(&least, &usual(), "fsync is off"), Severity::Fault, "");
    assert_eq!(told(&least, &usual(), "cannot be seen by this role"), None);
    admin.batch_execute("REVOKE SELECT ON pg_prepared_xacts FROM PUBLIC").unwrap();
    is(told(&least, &usual(), "prepared transactions cannot be seen"), Severity::Note, "pg_monitor");
    admin.batch_execute(&format!("GRANT SELECT ON pg_prepared_xacts TO PUBLIC; {grant}")).unwrap();
    assert_eq!(told(&least, &usual(), "be seen"), None);
}

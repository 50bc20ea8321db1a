//! The rights that docs/scale.md gives to a worker are enough for a worker, and for no more.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use workitem_orchestrator::{FnAgent, Options, Orchestrator, Retry, Stop, Task, now};
use workitem_pgtest::Server;
use workitem_postgres::PostgresStore;
use workitem_store::{ClaimRequest, Control, NewItem, NewJob, Store, verify};

use crate::plan::connect;

/// The statements of the page, for this server: its database is `postgres`.
fn statements() -> String {
    let page = include_str!("../../../docs/scale.md");
    let block = page.split_once("```sql\n").unwrap().1.split_once("```").unwrap().0;
    assert!(block.contains("ON DATABASE jobs"), "{block}");
    block.replace("DATABASE jobs", "DATABASE postgres")
}

fn as_role(server: &Server, role: &str) -> PostgresStore {
    PostgresStore::open(&server.url().replacen("postgres://postgres@", &format!("postgres://{role}@"), 1))
        .unwrap()
}

#[test]
fn a_worker_works_with_the_rights_of_the_page_and_can_neither_add_nor_forget() {
    let server = Server::start(&[]).unwrap();
    let owner = PostgresStore::create(server.url()).unwrap();
    connect(server.url()).unwrap().batch_execute(&statements()).unwrap();
    let job = owner.create_job(&NewJob { name: None, spec: Value::Null, now: now() }).unwrap();
    let items = ["good", "long", "bad", "left"].map(|id| NewItem { id: id.into(), payload: id.into() });
    owner.submit(job.id, &items).unwrap();
    owner.seal(job.id, "four").unwrap();
    let job = owner.job(&job.name).unwrap();
    // Somebody else has taken an item and is gone.
    let gone =
        ClaimRequest { lease: Duration::from_millis(1), ..ClaimRequest::new(job.id, "gone", 1, now()) };
    assert_eq!(owner.claim(&gone).unwrap().claims.len(), 1);
    std::thread::sleep(Duration::from_millis(50));

    let store = Arc::new(as_role(&server, "workitem_worker"));
    let agent = FnAgent::new(|task: &Task<'_>| match task.item.as_str() {
        "long" => Ok("x".repeat(1 << 20)),
        "bad" => Err("it is bad"),
        _ => Ok(String::new()),
    });
    let retry = Retry { max_attempts: 2, ..Retry::default() };
    let options = Options { retry, ..Options::default() };
    let mut orchestrator = Orchestrator::join(store.clone(), job.clone()).unwrap();
    let summary = orchestrator.run(&agent, &options, &Stop::new().unwrap(), &mut ()).unwrap();
    let counts = summary.counts.by_status;
    assert_eq!((counts.completed, counts.dead_lettered, summary.failures), (3, 1, 2));
    assert!(summary.finished);
    store.set_control(job.id, Control::Pause).unwrap();
    assert!(verify(&*store, &job).unwrap().passed());

    let more = [NewItem { id: "more".into(), payload: "more".into() }];
    let refused = [
        store.add(job.id, &more).map(drop),
        store.create_job(&NewJob { name: None, spec: Value::Null, now: now() }).map(drop),
        store.delete_job(job.id),
        store.retry_letters(job.id, &[3]).map(drop),
    ];
    for refused in refused {
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("permission denied"), "{error}");
    }

    let reader = as_role(&server, "workitem_reader");
    assert!(verify(&reader, &job).unwrap().passed());
    let error = reader.set_control(job.id, Control::Run).unwrap_err().to_string();
    assert!(error.contains("permission denied"), "{error}");
}

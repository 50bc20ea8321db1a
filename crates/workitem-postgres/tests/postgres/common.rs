//! A store in a schema of its own, and what tests do with one.

use std::ops::Deref;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use postgres::{Client, NoTls};
use serde_json::Value;
use workitem_pgtest::shared;
use workitem_postgres::PostgresStore;
use workitem_store::{AnyStep, ClaimRequest, Job, Leased, NewItem, NewJob, Store, verify};
use workitem_types::AgentResult;
use workitem_typestate::{AgentComplete, InProgress};

/// A store, and its address.
pub struct Throwaway {
    pub store: PostgresStore,
    pub url: String,
}

impl Deref for Throwaway {
    type Target = PostgresStore;

    fn deref(&self) -> &PostgresStore {
        &self.store
    }
}

impl Throwaway {
    /// The schema it is in.
    pub fn schema(&self) -> &str {
        self.url.split_once("schema=").unwrap().1.split('&').next().unwrap()
    }

    /// The server's superuser, in this schema.
    pub fn admin(&self) -> Client {
        let mut client = Client::connect(shared().url(), NoTls).unwrap();
        client.batch_execute(&format!("SET search_path TO {}", self.schema())).unwrap();
        client
    }
}

pub fn throwaway() -> Throwaway {
    let url = shared().schema_url("test");
    Throwaway { store: PostgresStore::create(&url).unwrap(), url }
}

pub fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::seconds(seconds)
}

pub fn numbered(items: usize) -> Vec<NewItem> {
    (1..=items)
        .map(|n| NewItem { id: n.to_string().into(), payload: format!("input {n}").as_str().into() })
        .collect()
}

/// A sealed job of so many items.
pub fn job_of(store: &dyn Store, items: usize) -> Job {
    let job = NewJob { name: Some("job".into()), spec: Value::Null, now: at(0) };
    let job = store.create_job(&job).unwrap();
    for batch in numbered(items).chunks(10_000) {
        store.submit(job.id, batch).unwrap();
    }
    store.seal(job.id, "digest").unwrap();
    store.job("job").unwrap()
}

pub fn claim(store: &dyn Store, job: &Job, agent: &str, limit: usize) -> Vec<Leased<InProgress>> {
    let claims = store.claim(&ClaimRequest::new(job.id, agent, limit, at(1))).unwrap().claims;
    claims.into_iter().map(|claim| claim.leased).collect()
}

pub fn completed(leased: Leased<InProgress>) -> AnyStep {
    let id = leased.item().id().to_string();
    let result = Box::new(AgentResult::success(id, Some("done".into()), Duration::from_millis(1_500)));
    leased.step(AgentComplete { result }, at(2)).seal()
}

pub fn assert_sound(store: &dyn Store, job: &Job) {
    let audit = verify(store, job).unwrap();
    assert!(audit.passed(), "{:#?}", audit.problems);
}

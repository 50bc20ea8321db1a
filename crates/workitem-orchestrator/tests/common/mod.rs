//! A store with a job in it, and a way to run it.
#![allow(dead_code, reason = "no test uses all of it")]

use std::num::NonZeroUsize;
use std::sync::Arc;

use workitem_orchestrator::{Agent, Observer, Options, Orchestrator, RunError, Stop, Summary, now};
use workitem_sqlite::SqliteStore;
use workitem_store::{ItemQuery, ItemRow, Job, MemoryStore, NewItem, NewJob, Payload, Store, verify};

/// Runs `test` over the in-memory store, alone and as one that is shared, and over the embedded one.
pub fn all_stores(test: impl Fn(&Bench)) {
    test(&Bench::over(Arc::new(MemoryStore::new())));
    test(&Bench::over(Arc::new(MemoryStore::shared(now))));
    let folder = tempfile::tempdir().unwrap();
    test(&Bench::over(Arc::new(SqliteStore::create(&folder.path().join("workitem.db")).unwrap())));
}

/// So many slots, and the rest as usual.
pub fn slots(slots: usize) -> Options {
    Options { parallelism: NonZeroUsize::new(slots).unwrap(), ..Options::default() }
}

/// A store, and what stops its runs.
pub struct Bench {
    store: Arc<dyn Store>,
    pub stop: Stop,
}

impl Bench {
    pub fn over(store: Arc<dyn Store>) -> Self {
        Self { store, stop: Stop::new().unwrap() }
    }

    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    pub fn shared_store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    /// A sealed job of `items` items.
    pub fn job(&self, items: usize) -> Job {
        let new = NewJob { name: Some("job".into()), spec: serde_json::Value::Null, now: now() };
        let job = self.store.create_job(&new).unwrap();
        let items: Vec<NewItem> = (1..=items)
            .map(|n| NewItem { id: n.to_string().into(), payload: Payload::from(n.to_string().as_str()) })
            .collect();
        self.store.submit(job.id, &items).unwrap();
        self.store.seal(job.id, "digest").unwrap();
        self.store.job("job").unwrap()
    }

    pub fn run(&self, job: &Job, agent: &dyn Agent, options: &Options) -> Summary {
        self.run_watched(job, agent, options, &self.stop, &mut ()).unwrap()
    }

    pub fn run_watched(
        &self,
        job: &Job,
        agent: &dyn Agent,
        options: &Options,
        stop: &Stop,
        observer: &mut dyn Observer,
    ) -> Result<Summary, RunError> {
        self.orchestrator(job).run(agent, options, stop, observer)
    }

    pub fn orchestrator(&self, job: &Job) -> Orchestrator {
        Orchestrator::new(self.store.clone(), job.clone()).unwrap()
    }

    /// One that works beside others.
    pub fn joined(&self, job: &Job) -> Orchestrator {
        Orchestrator::join(self.store.clone(), job.clone()).unwrap()
    }

    pub fn rows(&self, job: &Job) -> Vec<ItemRow> {
        self.store.items(job.id, &ItemQuery { status: None, after: 0, limit: 100_000 }).unwrap()
    }

    pub fn assert_sound(&self, job: &Job) {
        let audit = verify(&*self.store, job).unwrap();
        assert!(audit.passed(), "{:#?}", audit.problems);
    }
}

//! The model's store does what the stores do that are delivered: the same random life in all of them, step by step, with
//! stale and doubled requests. Otherwise the model would say something about itself only.

#![expect(clippy::unwrap_used, reason = "all of it is tests")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use workitem_model::disk::{AGENT, Disk, Item, JOB, NOW};
use workitem_model::state::{Request, Verdict};
use workitem_model::view::View;
use workitem_model::{Bounds, Protocol};
use workitem_postgres::PostgresStore;
use workitem_sqlite::SqliteStore;
use workitem_store::{
    ClaimRequest, ItemQuery, JobId, MemoryStore, NewItem, NewJob, Recovered, Store, recover,
};
use workitem_types::StatusKind;
use workitem_typestate::{Failed, MaxAttempts, RetryPolicy, WorkItem};

const ITEMS: u64 = 3;
const ALL: ItemQuery = ItemQuery { status: None, after: 0, limit: 100 };

#[test]
fn the_store_in_memory_does_what_the_model_does() {
    for seed in 0..300 {
        life(seed, 60, &MemoryStore::new());
    }
}

#[test]
fn the_store_on_disk_does_what_the_model_does() {
    let folder = tempfile::tempdir().unwrap();
    for seed in 0..8 {
        let file = folder.path().join(format!("{seed}.db"));
        life(seed, 40, &SqliteStore::create(Path::new(&file)).unwrap());
    }
}

#[test]
fn the_store_for_many_machines_does_what_the_model_does() {
    for seed in 0..4 {
        let url = workitem_pgtest::shared().schema_url("model");
        life(seed, 40, &PostgresStore::create(&url).unwrap());
    }
}

#[test]
fn what_has_moved_on_meanwhile_is_not_counted_as_recovered() {
    let protocol = Protocol::new(Bounds::new(3, 2, [0; 5]), None);
    let mut model = Disk::new(2);
    let claimed = [1, 2].map(|seq| model.claim(seq, None));
    let late =
        protocol.step(&Request { claimed: Arc::clone(&claimed[0]), worker: 0, verdict: Verdict::Completed });
    let view = View::recovering(&model, Some(1), Some(late), None);
    assert_eq!(recover(&view, JOB, 1, &|_| true, NOW).unwrap(), Recovered::default());
    let by_status = view.counts(JOB).unwrap().by_status;
    assert_eq!((by_status.completed, by_status.in_progress), (1, 1));
}

#[track_caller]
fn life(seed: u64, moves: usize, store: &dyn Store) {
    let mut random = fastrand::Rng::with_seed(seed);
    let job = store.create_job(&NewJob { name: None, spec: serde_json::Value::Null, now: NOW }).unwrap();
    assert_eq!(job.id, JOB);
    let items: Vec<_> =
        (1..=ITEMS).map(|seq| NewItem { id: seq.to_string().into(), payload: "input".into() }).collect();
    store.submit(JOB, &items).unwrap();
    store.seal(JOB, "three items").unwrap();

    let protocol = Protocol::new(Bounds::new(3, 2, [0; 5]), None);
    let mut model = Disk::new(ITEMS);
    let mut claimed: Vec<Arc<Item>> = Vec::new();
    for n in 0..moves {
        let done = match random.u8(0..10) {
            0..4 => claim(store, &mut model, &mut claimed),
            4..9 => record(&mut random, store, &protocol, &mut model, &claimed),
            _ => recover_both(store, &mut model),
        };
        let at = format!("seed {seed}, move {n}, {done}");
        let rows: Vec<_> = model.items.iter().map(|item| item.row.clone()).collect();
        assert_eq!(store.items(JOB, &ALL).unwrap(), rows, "{at}");
        let history: Vec<_> = model.items.iter().flat_map(|item| item.history.clone()).collect();
        assert_eq!(store.history(JOB, 1..=ITEMS).unwrap(), history, "{at}");
        assert_eq!(store.counts(JOB).unwrap(), model.counts, "{at}");
        assert_eq!(store.recount(JOB).unwrap(), model.recount(), "{at}");
    }
}

fn claim(store: &dyn Store, model: &mut Disk, claimed: &mut Vec<Arc<Item>>) -> String {
    let claims = store.claim(&ClaimRequest::new(JOB, AGENT, 1, NOW)).unwrap().claims;
    let Some(claim) = claims.first() else {
        assert!(model.items.iter().all(|item| item.kind() != StatusKind::Pending));
        return "nothing is to be claimed".to_owned();
    };
    let seq = claim.leased.token().seq();
    let item = model.claim(seq, None);
    assert_eq!(item.lease().token(), claim.leased.token());
    claimed.push(item);
    format!("item {seq} is claimed")
}

/// Two steps of anything that was ever claimed: most of them are stale, and some are there twice.
fn record(
    random: &mut fastrand::Rng,
    store: &dyn Store,
    protocol: &Protocol,
    model: &mut Disk,
    claimed: &[Arc<Item>],
) -> String {
    if claimed.is_empty() {
        return "nothing is to be recorded".to_owned();
    }
    let mut request = || {
        // The last are likely to be fresh.
        let back = random.usize(0..claimed.len()).min(random.usize(0..claimed.len()));
        let verdicts = [Verdict::Completed, Verdict::Failed, Verdict::Stranded, Verdict::Interrupted];
        let verdict = verdicts[random.usize(0..4)];
        Request { claimed: Arc::clone(&claimed[claimed.len() - 1 - back]), worker: 0, verdict }
    };
    let requests = [request(), request()];
    let steps = requests.each_ref().map(|request| protocol.step(request));
    let outcomes = steps.each_ref().map(|step| model.write(step, false, None));
    assert_eq!(store.record(&steps).unwrap(), outcomes, "{requests:?}");
    requests.map(|request| request.to_string()).join(", ")
}

fn recover_both(store: &dyn Store, model: &mut Disk) -> String {
    let max_crashes = 1;
    let retry = |item: &WorkItem<Failed>| MaxAttempts(2).should_retry(item);
    let call = |store: &dyn Store, job: JobId| recover(store, job, max_crashes, &retry, NOW).unwrap();
    // What recovery takes of a store with leases is what nobody has any more.
    store.renew(JOB, AGENT, Duration::ZERO, NOW).unwrap();
    call(store, JOB);
    for seq in 1..=ITEMS {
        let view = View::recovering(model, Some(seq), None, None);
        call(&view, JOB);
        if let Some(last) = view.into_written().pop() {
            *model = last.after;
        }
    }
    "everything is recovered".to_owned()
}

//! A job of closures that do nothing in apalis-postgres, as its own documentation sets it up: the database, the number of
//! items and that of workers are arguments. Prints one line of JSON.
//!
//! Four things are in its favour: batches of 100 instead of 10, no pause between two looks for work, workers that share a
//! process, and a clock that stops when the last closure has run, whether that is on the disk or not.

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use apalis::prelude::*;
use apalis_postgres::{Config, PgPool, PostgresStorage};
use futures::stream;
use serde_json::json;

/// Items fetched at a time, and submitted at a time.
const BATCH: usize = 100;
/// How often it looks for work.
const LOOK: Duration = Duration::from_millis(1);
/// How long what is done may take to be written down.
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let url = arguments.next().context("say where the database is")?;
    let items: usize = arguments.next().context("say how many items")?.parse()?;
    let workers: usize = arguments.next().context("say how many workers")?.parse()?;

    let pool = PgPool::connect(&url).await?;
    PostgresStorage::setup(&pool).await?;
    let storage = || {
        let config = Config::default().queue("bench").batch_size(BATCH);
        PostgresStorage::<usize>::new(&pool).with_config(config).poll_with_interval(LOOK)
    };
    let mut sink = PostgresStorage::<usize>::new(&pool).with_config(Config::default().queue("bench"));
    let submitted = Instant::now();
    for first in (1..=items).step_by(5_000) {
        sink.push_stream(stream::iter(first..(first + 5_000).min(items + 1))).await?;
    }
    let submitted = submitted.elapsed().as_secs_f64();

    let done = Arc::new(AtomicUsize::new(0));
    let contexts: Vec<_> = (1..=workers).map(|nth| WorkerContext::new(&format!("worker-{nth}"))).collect();
    let started = Instant::now();
    let mut running = Vec::new();
    for context in &contexts {
        let counted = done.clone();
        let agent = move |_: usize| {
            let done = counted.clone();
            async move {
                done.fetch_add(1, Ordering::Relaxed);
                Ok::<_, BoxDynError>(())
            }
        };
        let worker = WorkerBuilder::new(context).backend(storage()).concurrency(BATCH).build(agent);
        running.push(tokio::spawn(worker.run()));
    }
    while done.load(Ordering::Relaxed) < items {
        ensure!(!running.iter().any(tokio::task::JoinHandle::is_finished), "a worker has ended");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let seconds = started.elapsed().as_secs_f64();

    let waited = Instant::now();
    loop {
        let query = "SELECT count(*) FROM apalis.jobs WHERE job_type = 'bench' AND status = 'Done'";
        let written: i64 = sqlx::query_scalar(query).fetch_one(&pool).await?;
        if usize::try_from(written)? == items {
            break;
        }
        ensure!(waited.elapsed() < PATIENCE, "{written} of {items} items are done in the database");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let done = done.load(Ordering::Relaxed);
    ensure!(done == items, "{done} runs of {items} items");
    println!("{}", json!({ "items": items, "seconds": seconds, "submit_seconds": submitted }));
    std::process::exit(0)
}

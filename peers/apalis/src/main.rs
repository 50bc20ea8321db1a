//! A job of closures that do nothing, two at a time, in apalis-sqlite, as its own documentation sets it up. Prints one
//! line of JSON.
//!
//! Two things are in its favour: batches of 100 instead of 10, and no pause between two looks for work.

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use apalis::prelude::*;
use apalis_sqlite::{Config, SqlitePool, SqliteStorage};
use serde_json::json;

/// Items fetched at a time.
const BATCH: usize = 100;
/// How often it looks for work.
const LOOK: Duration = Duration::from_millis(1);

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let items: usize = arguments.next().context("say how many items")?.parse()?;
    let path = arguments.next().context("say where the database is made")?;

    let pool = SqlitePool::connect(&format!("sqlite://{path}?mode=rwc")).await?;
    SqliteStorage::setup(&pool).await?;
    let config = Config::default().batch_size(BATCH);
    let mut backend = SqliteStorage::new(&pool).with_config(config).poll_with_interval(LOOK);
    for item in 1..=items {
        backend.push(item).await?;
    }

    let done = Arc::new(AtomicUsize::new(0));
    let counted = done.clone();
    let agent = move |_: usize, worker: WorkerContext| {
        let done = counted.clone();
        async move {
            if done.fetch_add(1, Ordering::Relaxed) + 1 == items {
                worker.stop()?;
            }
            Ok::<_, BoxDynError>(())
        }
    };
    let started = Instant::now();
    WorkerBuilder::new("worker").backend(backend).concurrency(2).build(agent).run().await?;
    let seconds = started.elapsed().as_secs_f64();
    let done = done.load(Ordering::Relaxed);
    ensure!(done == items, "{done} of {items} items were run");
    println!("{}", json!({ "items": items, "seconds": seconds }));
    Ok(())
}

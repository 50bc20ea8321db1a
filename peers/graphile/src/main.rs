//! A job of closures that do nothing in `graphile_worker`, with what its own benchmark of 200,000 jobs sets for throughput:
//! a local queue of 5,000, 500 at a time, completions grouped for 5 ms. The database, the number of items and that of
//! workers are arguments. Prints one line of JSON.
//!
//! The clock stops when what was done is written down, as it does for ours: what is completed is deleted. In its favour
//! is that workers share a process.

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use graphile_worker::{
    IntoTaskHandlerResult, JobSpec, LocalQueueConfig, RawJobSpec, TaskHandler, WorkerContext, WorkerOptions,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::postgres::PgPoolOptions;

/// Items submitted at a time.
const BATCH: usize = 5_000;
/// Connections of a worker.
const CONNECTIONS: u32 = 20;
/// How long all of it may take.
const PATIENCE: Duration = Duration::from_mins(10);

/// How often a closure has run.
#[derive(Clone, Debug)]
struct Done(Arc<AtomicUsize>);

#[derive(Serialize, Deserialize)]
struct Nothing {
    number: usize,
}

impl TaskHandler for Nothing {
    const IDENTIFIER: &'static str = "nothing";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        if let Some(done) = context.get_ext::<Done>() {
            done.0.fetch_add(1, Ordering::Relaxed);
        }
        Ok::<(), String>(())
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let url = arguments.next().context("say where the database is")?;
    let items: usize = arguments.next().context("say how many items")?.parse()?;
    let workers: usize = arguments.next().context("say how many workers")?.parse()?;

    let done = Done(Arc::default());
    let mut made = Vec::new();
    for _ in 0..workers {
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(&url).await?;
        let options = WorkerOptions::default()
            .pg_pool(pool)
            .schema("graphile_worker")
            .concurrency(500)
            .poll_interval(Duration::from_millis(5))
            .complete_job_batch_delay(Duration::from_millis(5))
            .local_queue(LocalQueueConfig::default().with_size(5_000))
            .add_extension(done.clone())
            .define_job::<Nothing>();
        made.push(Arc::new(options.init().await?));
    }
    let utils = made.first().context("there is a worker at least")?.create_utils();
    let submitted = Instant::now();
    for first in (1..=items).step_by(BATCH) {
        let job = |number| RawJobSpec {
            identifier: Nothing::IDENTIFIER.to_owned(),
            payload: json!({ "number": number }),
            spec: JobSpec::default(),
        };
        let jobs: Vec<_> = (first..(first + BATCH).min(items + 1)).map(job).collect();
        utils.add_raw_jobs(&jobs).await?;
    }
    let submitted = submitted.elapsed().as_secs_f64();

    let pool = PgPoolOptions::new().connect(&url).await?;
    let started = Instant::now();
    let mut running = Vec::new();
    for worker in &made {
        let worker = worker.clone();
        running.push(tokio::spawn(async move { worker.run().await.map_err(|error| error.to_string()) }));
    }
    while done.0.load(Ordering::Relaxed) < items {
        ensure!(!running.iter().any(tokio::task::JoinHandle::is_finished), "a worker has ended");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    loop {
        let query = "SELECT EXISTS (SELECT 1 FROM graphile_worker._private_jobs)";
        let is_left: bool = sqlx::query_scalar(query).fetch_one(&pool).await?;
        if !is_left {
            break;
        }
        ensure!(started.elapsed() < PATIENCE, "items are left in the database");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let seconds = started.elapsed().as_secs_f64();

    let done = done.0.load(Ordering::Relaxed);
    ensure!(done == items, "{done} runs of {items} items");
    println!("{}", json!({ "items": items, "seconds": seconds, "submit_seconds": submitted }));
    std::process::exit(0)
}

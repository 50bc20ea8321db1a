//! What workers cost that have nothing to do, and how long it takes until they know that they are to stop.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::{Bench, number, said, server};

/// How long they are let come to rest.
const SETTLE: Duration = Duration::from_secs(25);
/// How long they are watched.
const WATCHED: Duration = Duration::from_mins(1);

/// What one worker that has nothing to do sends in a second.
pub struct Idle {
    pub workers: usize,
    pub watched: Duration,
    pub statements: f64,
    pub transactions: f64,
}

/// Workers at a store with one job, which is done.
#[expect(clippy::cast_precision_loss, reason = "there are not so many workers")]
pub fn measure(bench: &Bench) -> Result<Idle> {
    eprintln!("{} idle workers", bench.idle);
    let on = server(&["shared_preload_libraries=pg_stat_statements"])?;
    let mut map = Command::new(&bench.workitem);
    map.args(["map", "--quiet", "--job", "done", "--store", on.url(), "--", "/bin/true"]);
    let mut map = map.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    ensure!(map.wait()?.success(), "`workitem map` failed");
    let mut fleet = Fleet(Vec::new());
    for _ in 0..bench.idle {
        let mut worker = Command::new(&bench.workitem);
        worker.args(["worker", "--quiet", "--store", on.url()]);
        fleet.0.push(worker.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?);
    }
    thread::sleep(SETTLE);
    let (before, started) = (bench.load(&["stats", on.url()])?, Instant::now());
    thread::sleep(WATCHED);
    let (after, watched) = (bench.load(&["stats", on.url()])?, started.elapsed());
    for worker in &mut fleet.0 {
        ensure!(worker.try_wait()?.is_none(), "a worker has ended");
    }
    let each = |name| {
        let more = number(&after, name)? - number(&before, name)?;
        anyhow::Ok(more / watched.as_secs_f64() / bench.idle as f64)
    };
    Ok(Idle {
        workers: bench.idle,
        watched: WATCHED,
        statements: each("statements")?,
        transactions: each("transactions")?,
    })
}

/// The median and the longest time, in seconds, from a cancellation in one store to the end of a run in another.
pub fn cancel(bench: &Bench) -> Result<(f64, f64)> {
    eprintln!("cancelling");
    let on = server(&[])?;
    let said = said(Command::new(&bench.load).args(["cancel", on.url()]))?;
    Ok((number(&said, "seconds")?, number(&said, "longest")?))
}

/// Workers that end with this.
struct Fleet(Vec<Child>);

impl Drop for Fleet {
    fn drop(&mut self) {
        for worker in &mut self.0 {
            // Whoever has ended already needs not be told.
            let _ = kill_process(Pid::from_child(worker), Signal::TERM);
            let _ = worker.wait();
        }
    }
}

//! An agent of your own: it asks a service for each item. Here the service is a thread that counts letters.
//!
//! ```console
//! $ cargo run -p workitem-orchestrator --example own_agent -- ant bee xylophone
//! ant: 3 letters
//! bee: 3 letters
//! xylophone: 9 letters
//! ```
//!
//! Shows: the trait [`Agent`], failures that are worth another attempt, and time limits that an agent passes on.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use workitem_orchestrator::{
    Agent, Backoff, Ended, Fault, How, Options, Orchestrator, Retry, Stop, Task, now,
};
use workitem_store::{AttemptOutput, Cause, ItemQuery, MemoryStore, NewItem, NewJob, Store};
use workitem_types::{AgentResult, WorkItemStatus};

/// Asks the service at an address.
struct Client(SocketAddr);

impl Agent for Client {
    fn run(&self, task: &Task<'_>) -> Result<Ended, Fault> {
        let how = match self.ask(task) {
            Ok(answer) => {
                let (item, took) = (task.item.to_string(), task.started.elapsed());
                How::Completed(Box::new(AgentResult::success(item, Some(answer), took)))
            }
            // Whatever went wrong once all is to stop is no fault of the item.
            Err(_) if task.is_cancelled() => How::Interrupted,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                let cause = Cause::timed_out(task.timeout.unwrap_or_default());
                How::Failed { error: "the service did not answer in time".into(), cause }
            }
            Err(error) => How::Failed { error: error.to_string(), cause: Cause::Error },
        };
        Ok(Ended { how, output: AttemptOutput::default() })
    }
}

impl Client {
    fn ask(&self, task: &Task<'_>) -> io::Result<String> {
        let mut service = TcpStream::connect(self.0)?;
        // A time limit of zero would be an error, not a time-out.
        service.set_read_timeout(task.remaining().map(|left| left.max(Duration::from_millis(1))))?;
        writeln!(service, "{}", task.payload.to_value().as_str().unwrap_or_default())?;
        let mut answer = String::new();
        BufReader::new(service).read_line(&mut answer)?;
        match answer.trim_end() {
            "" => Err(io::Error::other("the service hung up")),
            answer => Ok(answer.to_owned()),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    run(&words, &mut io::stdout())
}

/// Asks about each word, and prints the answers in order.
pub(crate) fn run(words: &[String], out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let store = Arc::new(MemoryStore::new());
    let job = store.create_job(&NewJob { name: None, spec: serde_json::Value::Null, now: now() })?;
    let items: Vec<NewItem> = (1..)
        .zip(words)
        .map(|(n, word)| NewItem { id: format!("{n}").into(), payload: word.as_str().into() })
        .collect();
    store.submit(job.id, &items)?;
    store.seal(job.id, "words")?;

    let options = Options {
        retry: Retry {
            max_attempts: 3,
            backoff: Some(Backoff::new(Duration::from_millis(10))),
            ..Retry::default()
        },
        timeout: Some(Duration::from_secs(5)),
        ..Options::default()
    };
    let job_id = job.id;
    Orchestrator::new(store.clone(), job)?.run(&Client(service()?), &options, &Stop::new()?, &mut ())?;

    let rows = store.items(job_id, &ItemQuery { status: None, after: 0, limit: words.len() })?;
    for (word, row) in words.iter().zip(rows) {
        match row.record.status {
            WorkItemStatus::Completed { result } => {
                writeln!(out, "{word}: {}", result.output.unwrap_or_default())?;
            }
            WorkItemStatus::DeadLettered { error, retry_count, .. } => {
                writeln!(out, "{word}: given up after {retry_count} attempts: {error}")?;
            }
            WorkItemStatus::Pending | WorkItemStatus::InProgress { .. } | WorkItemStatus::Failed { .. } => {}
        }
    }
    Ok(())
}

/// Counts letters for whoever connects. As services do, it hangs up now and then: at every third, and at what it
/// cannot count.
fn service() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for (n, client) in listener.incoming().flatten().enumerate() {
            let mut word = String::new();
            let is_read = BufReader::new(&client).read_line(&mut word).is_ok();
            if is_read && !word.trim().is_empty() && n % 3 != 1 {
                // Who asked may have gone; others have not.
                let _ = writeln!(&client, "{} letters", word.trim().chars().count());
            }
        }
    });
    Ok(address)
}

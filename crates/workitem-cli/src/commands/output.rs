//! What agents printed.

use std::io::{BufWriter, Write, stdout};

use workitem_store::{AttemptRow, BlobName, Captured, ItemQuery, JobId, Store, StreamKind};
use workitem_types::{ItemId, StatusKind, WorkItemEvent};

use super::written;
use crate::error::Error;
use crate::exit::Exit;
use crate::printer::write_stream;
use crate::views::event_line;

/// Items read at a time: their output may be some 64 KiB each.
const PAGE: usize = 200;

pub fn output(store: &dyn Store, name: &str) -> Result<Exit, Error> {
    let job = store.job(name)?;
    let mut out = BufWriter::new(stdout().lock());
    let mut query = ItemQuery { status: Some(StatusKind::Completed), after: 0, limit: PAGE };
    loop {
        let page = store.items(job.id, &query)?;
        let (Some(first), Some(last)) = (page.first(), page.last()) else { break };
        let attempts = store.attempts(job.id, first.seq..=last.seq)?;
        query.after = last.seq;
        for row in &page {
            let last = attempts.iter().find(|at| at.seq == row.seq && at.attempt == row.record.attempts);
            if let Some(attempt) = last {
                write(store, &mut out, job.id, attempt, StreamKind::Stdout)?;
                if attempt.output.stdout.is_cut() {
                    warn_cut(&row.record.id, &attempt.output.stdout);
                }
            }
        }
    }
    written(out.flush())?;
    Ok(Exit::Ok)
}

pub fn logs(store: &dyn Store, name: &str, item: &ItemId) -> Result<Exit, Error> {
    let job = store.job(name)?;
    let item = store.item(&job, item)?;
    let attempts = store.attempts(job.id, item.seq..=item.seq)?;
    let mut out = BufWriter::new(stdout().lock());
    let mut attempt = 0;
    for row in store.history(job.id, item.seq..=item.seq)? {
        written(writeln!(out, "== {}", event_line(&row)))?;
        // An attempt's output stands after the event that ended it.
        if let WorkItemEvent::AgentStart { .. } = row.event {
            attempt += 1;
            continue;
        }
        let ended = attempts.iter().find(|printed| printed.attempt == attempt);
        let already = matches!(row.event, WorkItemEvent::Retry | WorkItemEvent::MoveToDeadLetter);
        let Some(printed) = ended.filter(|_| !already) else { continue };
        let streams = [
            (StreamKind::Stdout, "stdout", &printed.output.stdout),
            (StreamKind::Stderr, "stderr", &printed.output.stderr),
        ];
        for (stream, label, captured) in streams {
            if captured.total == 0 {
                continue;
            }
            let cut =
                if captured.is_cut() { format!(", {} kept", captured.kept_len()) } else { String::new() };
            written(writeln!(out, "-- attempt {attempt}, {label}, {} bytes{cut}", captured.total))?;
            write(store, &mut out, job.id, printed, stream)?;
            if !ends_with_newline(captured) {
                written(writeln!(out))?;
            }
        }
    }
    written(out.flush())?;
    Ok(Exit::Ok)
}

fn ends_with_newline(captured: &Captured) -> bool {
    match &captured.kept {
        workitem_store::Kept::Inline(bytes) => bytes.ends_with(b"\n"),
        workitem_store::Kept::Blob { .. } => false,
    }
}

fn warn_cut(item: &ItemId, captured: &Captured) {
    tell!("item {item}: {} of {} bytes of its output were kept", captured.kept_len(), captured.total);
}

fn write(
    store: &dyn Store,
    out: &mut dyn Write,
    job: JobId,
    row: &AttemptRow,
    stream: StreamKind,
) -> Result<(), Error> {
    let captured = match stream {
        StreamKind::Stdout => &row.output.stdout,
        StreamKind::Stderr => &row.output.stderr,
    };
    let name = BlobName { job, seq: row.seq, attempt: row.attempt, stream };
    write_stream(store, out, name, captured)
}

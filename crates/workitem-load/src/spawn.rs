//! Spawning and waiting, and nothing else.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

pub fn spawn(items: usize) -> Result<Value> {
    let (started, next) = (Instant::now(), AtomicUsize::new(0));
    let run = || -> Result<()> {
        while next.fetch_add(1, Ordering::Relaxed) < items {
            let mut agent = Command::new("/bin/true");
            agent.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            ensure!(agent.status()?.success(), "/bin/true failed");
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads = [scope.spawn(run), scope.spawn(run)];
        threads.into_iter().try_for_each(|thread| thread.join().expect("it does not panic"))
    })?;
    Ok(json!({ "items": items, "seconds": started.elapsed().as_secs_f64() }))
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_item_is_spawned_and_said() {
        assert_eq!(super::spawn(3).unwrap()["items"], 3);
    }
}

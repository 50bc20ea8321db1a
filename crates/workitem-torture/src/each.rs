//! A list of things to do, by several threads: they mostly wait.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Result, anyhow};

/// Works on each of the list, on so many at the same time.
///
/// # Errors
///
/// The first one of `work`, in the order of the threads; what others have begun is ended before.
pub fn each<T: Sync>(list: &[T], at_once: usize, work: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
    let next = AtomicUsize::new(0);
    let thread = || -> Result<()> {
        while let Some(one) = list.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(one)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..at_once).map(|_| scope.spawn(thread)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn each_is_done_once_and_an_error_is_told() {
        let done = Mutex::new(Vec::new());
        let list: Vec<u32> = (0..100).collect();
        let note = |one: &u32| {
            done.lock().unwrap().push(*one);
            Ok(())
        };
        each(&list, 4, note).unwrap();
        let done = done.into_inner().unwrap();
        assert_eq!((done.len(), done.iter().collect::<BTreeSet<_>>().len()), (100, 100));
        let failed = each(&list, 4, |one| if *one == 50 { Err(anyhow!("fifty")) } else { Ok(()) });
        assert_eq!(failed.unwrap_err().to_string(), "fifty");
    }
}

//! Why items were given up, for the end of a run.

use workitem_store::{Job, Store};

use crate::error::Error;
use crate::letters::grouped;
use crate::signature::Group;

/// Letters that are looked at: so many take a fraction of a second, and what they have in common is what the rest has.
const LOOKED_AT: usize = 10_000;
/// Groups that are told.
const TOLD: usize = 3;

/// What the open letters of a job have in common.
#[derive(Default)]
pub struct Causes {
    /// The largest groups, the largest first.
    pub largest: Vec<Group>,
    /// How many groups there are.
    pub groups: usize,
    /// The letters that were looked at; there are more.
    pub among_first: Option<usize>,
}

impl Causes {
    /// Finds what the `open` letters of a job have in common.
    pub fn find(store: &dyn Store, job: &Job, open: usize) -> Result<Self, Error> {
        Self::among(LOOKED_AT, store, job, open)
    }

    fn among(most: usize, store: &dyn Store, job: &Job, open: usize) -> Result<Self, Error> {
        if open == 0 {
            return Ok(Self::default());
        }
        let mut largest = grouped(store, job, most)?;
        let groups = largest.len();
        largest.truncate(TOLD);
        Ok(Self { largest, groups, among_first: (open > most).then_some(most) })
    }

    /// Groups that are not told.
    pub fn others(&self) -> usize {
        self.groups - self.largest.len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use workitem_orchestrator::{FnAgent, Options, Orchestrator, Stop, Task, now};
    use workitem_store::{MemoryStore, NewItem, NewJob};

    use super::*;

    #[test]
    fn of_many_letters_the_first_are_looked_at() {
        let store = Arc::new(MemoryStore::new());
        let new = NewJob { name: Some("job".into()), spec: serde_json::Value::Null, now: now() };
        let job = store.create_job(&new).unwrap();
        let items: Vec<NewItem> =
            (1..=9).map(|n| NewItem { id: n.to_string().into(), payload: "item".into() }).collect();
        store.submit(job.id, &items).unwrap();
        store.seal(job.id, "digest").unwrap();
        let agent =
            FnAgent::new(|task: &Task<'_>| Err::<(), _>(if task.seq < 4 { "no plug" } else { "no lamp" }));
        let mut orchestrator = Orchestrator::new(store.clone(), job.clone()).unwrap();
        orchestrator.run(&agent, &Options::default(), &Stop::new().unwrap(), &mut ()).unwrap();

        let told = |most| {
            let causes = Causes::among(most, &*store, &job, 9).unwrap();
            let sizes: Vec<usize> = causes.largest.iter().map(|group| group.letters.len()).collect();
            (sizes, causes.groups, causes.among_first)
        };
        assert_eq!(told(5), (vec![3, 2], 2, Some(5)));
        assert_eq!(told(9), (vec![6, 3], 2, None));
    }
}

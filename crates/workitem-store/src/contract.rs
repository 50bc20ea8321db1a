//! What every engine must do, as tests.
//!
//! An engine runs all of it, each test under its own name, with one line:
//!
//! ```text
//! workitem_store::contract_tests!(|| MemoryStore::new());
//! ```
//!
//! The closure makes an empty store; it may return anything that derefs to a [`Store`], so that a
//! temporary folder can live as long as the store in it.
#![allow(missing_docs, reason = "their names say what they prove")]
#![allow(clippy::missing_panics_doc, clippy::missing_errors_doc, reason = "they are tests")]
#![allow(clippy::unwrap_used, reason = "they are tests")]

mod claims;
mod fleet;
mod jobs;
mod leases;
mod letters;
mod records;
mod upkeep;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use workitem_types::AgentResult;
use workitem_typestate::{AgentComplete, AgentFailed, InProgress, MoveToDeadLetter, Retry};

use crate::{
    AnyStep, Cause, ClaimRequest, Job, JobCounts, Leased, NewItem, NewJob, Outcome, Payload, Store, verify,
};

pub use claims::*;
pub use fleet::*;
pub use jobs::*;
pub use leases::*;
pub use letters::*;
pub use records::*;
pub use upkeep::*;

/// The suite as a module `contract` of the caller, a test for each promise.
#[macro_export]
macro_rules! contract_tests {
    ($make:expr) => {
        mod contract {
            use super::*;
            $crate::contract_tests!(@each $make;
                a_job_is_found_by_its_name
                a_name_is_taken_once
                a_job_without_a_name_gets_one
                a_deleted_job_is_gone
                one_runner_at_a_time
                submitting_again_adds_nothing
                a_batch_with_a_conflict_adds_nothing
                a_batch_with_a_bad_item_adds_nothing
                any_json_comes_back_as_it_was
                a_sealed_job_takes_no_items
                a_sealed_job_can_be_added_to
                what_is_wanted_of_a_job_is_kept
                skipped_lines_are_kept_and_counted
                nothing_is_claimed_before_the_seal
                claims_come_in_input_order
                an_item_is_claimed_once
                a_claim_is_in_the_history
                what_is_put_off_is_claimed_when_due
                what_is_put_off_until_before_all_clocks_comes_behind_what_never_was
                what_is_due_by_another_clock_is_handed_out_at_the_time_of_day
                what_was_interrupted_comes_first
                concurrent_claims_share_the_items
                what_was_put_back_here_and_there_is_claimed_with_the_rest
                every_state_comes_back_as_it_was
                a_commit_gives_the_next_state
                an_item_is_begun_by_a_step_too
                what_was_claimed_meanwhile_is_not_begun_by_a_step
                a_stale_token_changes_nothing
                a_step_sent_again_is_recorded_once
                a_batch_keeps_the_good_beside_the_stale
                of_two_steps_of_one_attempt_the_first_counts
                counts_follow_every_step
                a_step_of_a_job_that_is_gone_is_an_error
                a_path_that_is_no_text_is_recorded_once
                output_is_kept_for_each_attempt
                long_output_goes_to_blobs
                times_are_kept_to_the_microsecond
                recovery_interrupts_what_ran
                recovery_gives_up_what_crashes_again_and_again
                recovery_settles_stranded_failures
                the_clock_gives_whole_microseconds
                a_live_lease_keeps_its_items
                a_lease_that_has_run_out_gives_up_its_items
                a_claim_prolongs_the_lease_and_never_shortens_it
                a_failure_is_stranded_when_its_agent_has_gone
                two_recoveries_at_once_count_each_item_once
                items_are_listed_in_pages
                items_are_listed_by_their_state
                a_letter_is_listed_until_a_successor_completes
                a_letter_has_one_living_successor
                a_dead_successor_leaves_its_letter_open
                a_taken_successor_id_is_passed_over
                a_dropped_letter_is_dealt_with_and_stays_what_it_is
                verify_replays_a_mixed_job
                a_job_last_changed_when_its_last_event_happened
                a_job_weighs_what_it_holds
                a_job_is_deleted_unless_it_has_changed
                output_that_no_attempt_refers_to_is_swept
                what_a_job_that_is_gone_has_left_is_swept
                a_compacted_store_holds_what_it_held
                what_nobody_goes_on_with_is_told
                the_end_of_a_job_is_noted_once
                who_listens_is_called
            );
        }
    };
    (@each $make:expr; $($test:ident)*) => {
        $(#[test]
        fn $test() {
            let store = $make();
            $crate::contract::$test(&*store);
        })*
    };
}

/// Midnight, and `seconds`.
pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::seconds(seconds)
}

/// A sealed job of `items` items with the ids `1`, `2`, …
pub(crate) fn job_of(store: &dyn Store, items: usize) -> Job {
    let job = open_job(store, "job");
    store.submit(job.id, &numbered(items)).unwrap();
    store.seal(job.id, "digest").unwrap();
    store.job("job").unwrap()
}

pub(crate) fn open_job(store: &dyn Store, name: &str) -> Job {
    store.create_job(&NewJob { name: Some(name.into()), spec: Value::Null, now: at(0) }).unwrap()
}

pub(crate) fn numbered(items: usize) -> Vec<NewItem> {
    (1..=items).map(|n| new_item(&n.to_string(), &format!("input {n}"))).collect()
}

pub(crate) fn new_item(id: &str, input: &str) -> NewItem {
    NewItem { id: id.into(), payload: Payload::from(input) }
}

/// Claims up to `limit` items at `now`, all to be spawned at once.
pub(crate) fn claim(store: &dyn Store, job: &Job, limit: usize, now: i64) -> Vec<Leased<InProgress>> {
    let request = ClaimRequest::new(job.id, "agent-1", limit, at(now));
    store.claim(&request).unwrap().claims.into_iter().map(|claim| claim.leased).collect()
}

pub(crate) fn claim_one(store: &dyn Store, job: &Job, now: i64) -> Leased<InProgress> {
    claim(store, job, 1, now).pop().expect("an item is due")
}

/// The agent of [`claim`] leaves: of a shared store this gives up what it has, of an embedded one that is given up anyway.
pub(crate) fn leave(store: &dyn Store, job: &Job) {
    store.renew(job.id, "agent-1", Duration::ZERO, at(0)).unwrap();
}

pub(crate) fn completed(leased: Leased<InProgress>, now: i64) -> AnyStep {
    let id = leased.item().id().to_string();
    let result = Box::new(AgentResult::success(id, Some("done".into()), Duration::from_millis(1_500)));
    leased.step(AgentComplete { result }, at(now)).seal()
}

pub(crate) fn retried(leased: Leased<InProgress>, now: i64, run_at: i64) -> AnyStep {
    let failed = leased.step(AgentFailed { error: "exit 7".into() }, at(now)).because(Cause::Exit(7));
    failed.then(Retry, at(now)).run_at(at(run_at)).seal()
}

pub(crate) fn dead(leased: Leased<InProgress>, now: i64) -> AnyStep {
    let failed = leased.step(AgentFailed { error: "exit 7".into() }, at(now)).because(Cause::Exit(7));
    failed.then(MoveToDeadLetter, at(now)).seal()
}

pub(crate) fn record(store: &dyn Store, step: AnyStep) -> Outcome {
    store.record(&[step]).unwrap()[0]
}

pub(crate) fn counts(store: &dyn Store, job: &Job) -> JobCounts {
    store.counts(job.id).unwrap()
}

/// The counts as (pending, in progress, completed, failed, dead-lettered).
pub(crate) fn tally(store: &dyn Store, job: &Job) -> (usize, usize, usize, usize, usize) {
    let by = counts(store, job).by_status;
    (by.pending, by.in_progress, by.completed, by.failed, by.dead_lettered)
}

pub(crate) fn assert_sound(store: &dyn Store, job: &Job) {
    let audit = verify(store, job).unwrap();
    assert!(audit.passed(), "{:#?}", audit.problems);
}

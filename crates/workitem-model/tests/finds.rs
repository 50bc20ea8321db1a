//! The model finds what is known to be wrong. If it did not, it would find nothing else either.

use workitem_model::promises::{
    COMPLETED_ONCE, FAILURES_ARE_BOUNDED, NOTHING_TOLD_IS_LOST, REPLAYS, SETTLED_IN_THE_END,
    STALE_CHANGES_NOTHING,
};
use workitem_model::{Bounds, Fault, find};

#[track_caller]
fn finds(bounds: Bounds, fault: Fault, promise: &'static str) {
    let checked = find(bounds, fault, promise);
    println!("{fault:?}, {checked}");
    let [broken] = &checked.broken[..] else { panic!("{fault:?} does not break {promise:?}: {checked}") };
    assert!(!broken.path.is_empty());
}

#[test]
fn the_model_finds_that_without_fencing_an_item_is_completed_twice() {
    finds(Bounds::SMALL, Fault::NoFencing, COMPLETED_ONCE);
}

#[test]
fn the_model_finds_that_without_fencing_a_stale_token_changes_something() {
    finds(Bounds::SMALL, Fault::NoFencing, STALE_CHANGES_NOTHING);
}

#[test]
fn the_model_finds_that_a_forgetful_retry_is_never_bounded() {
    finds(Bounds::SMALL, Fault::ForgetfulRetry, FAILURES_ARE_BOUNDED);
}

#[test]
fn the_model_finds_that_an_early_answer_can_be_forgotten() {
    finds(Bounds::SMALL, Fault::EarlyAnswer, NOTHING_TOLD_IS_LOST);
}

#[test]
fn the_model_finds_that_an_item_which_recovery_forgets_is_never_settled() {
    finds(Bounds::SMALL, Fault::ForgottenItem, SETTLED_IN_THE_END);
}

#[test]
fn the_model_finds_that_a_history_with_a_hole_does_not_replay() {
    finds(Bounds::SMALL, Fault::MissingHistory, REPLAYS);
}

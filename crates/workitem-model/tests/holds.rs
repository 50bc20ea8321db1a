//! What is promised holds in every state within the bounds.

use workitem_model::{Bounds, Protocol, check, longest_path};

#[test]
fn every_promise_holds_in_a_million_states() {
    let mut states = 0;
    for bounds in Bounds::SHARE {
        let checked = check(bounds);
        println!("{checked}");
        assert!(checked.broken.is_empty(), "{checked}");
        assert!(checked.seen.iter().all(|seen| *seen > 0), "something was never tried: {checked}");
        states += checked.states;
    }
    assert!(states >= 1_000_000, "there are only {states}: the bounds have become narrower");
}

#[test]
fn no_life_goes_on_for_ever() {
    let longest = longest_path(&Protocol::new(Bounds::SMALL, None));
    assert!(
        longest.is_some(),
        "there is a circle: what is settled only where nothing more can happen may never be"
    );
}

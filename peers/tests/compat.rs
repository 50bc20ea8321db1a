//! One program, compiled twice from one file: against the original, and against what takes its place. Its own tests
//! pass with both, and whatever script it plays, its user sees the same.

use proptest::collection::vec;
use workitem_conformance::bounds::bounds;
use workitem_conformance::random;

mod original {
    use workitem_peers::original as machine;

    mod program {
        include!("../../crates/workitem-conformance/tests/compat/program.rs");
    }
    pub use program::play;
}

mod ours {
    use workitem_peers::ours as machine;

    mod program {
        include!("../../crates/workitem-conformance/tests/compat/program.rs");
    }
    pub use program::play;
}

#[test]
fn its_user_sees_the_same() {
    let scripts = || vec((0..3_usize, 0..7_usize), 0..40);
    random::check(bounds().cases, scripts, |script| {
        assert_eq!(ours::play(&script), original::play(&script));
    });
}

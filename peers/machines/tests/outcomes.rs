//! Every machine comes to the same end as ours.

use workitem_bench::{Inputs, Machine, Outcome, Refusing, Visit, result};
use workitem_peer_machines::{original, rust_fsm, visit};

#[derive(Default)]
struct Compared {
    machines: usize,
}

impl Visit for Compared {
    fn machine<M: Machine>(&mut self) {
        // What only has a status has no counters.
        let uncounted = [Inputs::ID, <original::Original as Machine>::ID, rust_fsm::RustFsm::ID];
        let nothing = <original::Nothing as Machine>::ID;
        let counted = (!uncounted.contains(&M::ID) && M::ID != nothing).then_some((2, 1));
        let expected = Outcome { id: "42".into(), result: result(), counted };
        assert_eq!(M::outcome(M::live(Inputs::new())), expected, "{}", M::NAME);
        self.machines += 1;
    }

    fn refusing<M: Refusing>(&mut self) {
        drop(M::kept(M::refuse(M::late())));
    }
}

#[test]
fn every_machine_comes_to_the_same_end() {
    let mut compared = Compared::default();
    visit(&mut compared);
    assert_eq!(compared.machines, 7);
}

#[test]
fn the_original_loses_what_it_refuses_and_prints_it() {
    let late = <original::Original as Refusing>::late();
    let kept = original::Original::kept(original::Original::refuse(late));
    assert!(!kept.item && !kept.event);
    assert!(kept.message.contains("322 insertions"), "{}", kept.message);
}

//! Every machine that is measured comes to the same end.

use workitem_bench::{Inputs, Late, Machine, Outcome, Refusing, Visit, result, visit};

#[derive(Default)]
struct Compared {
    machines: usize,
    refusing: usize,
}

impl Visit for Compared {
    fn machine<M: Machine>(&mut self) {
        let counted = (M::ID != Inputs::ID).then_some((2, 1));
        let expected = Outcome { id: "42".into(), result: result(), counted };
        assert_eq!(M::outcome(M::live(Inputs::new())), expected, "{}", M::NAME);
        self.machines += 1;
    }

    fn refusing<M: Refusing>(&mut self) {
        let kept = M::kept(M::refuse(M::late()));
        assert!(kept.item && kept.event, "{}: {kept:?}", M::NAME);
        self.refusing += 1;
    }
}

#[test]
fn every_machine_comes_to_the_same_end() {
    let mut compared = Compared::default();
    visit(&mut compared);
    assert!(compared.machines > 1 && compared.refusing > 1);
}

#[test]
fn what_is_not_kept_is_seen() {
    let mut late = Late::new();
    late.item.failures = 2;
    assert!(!Late::kept(late).item);
}

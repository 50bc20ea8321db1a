//! Time of a life and of a refusal, by criterion. `inputs` and `late_inputs` are what others are net of.

use criterion::{BatchSize, Criterion};
use workitem_bench::{Inputs, Machine, Refusing, Visit, live, refuse};
use workitem_peer_machines::visit;

struct Timed(Criterion);

impl Visit for Timed {
    fn machine<M: Machine>(&mut self) {
        self.0.bench_function(M::ID, |bencher| {
            bencher.iter_batched(Inputs::new, live::<M>, BatchSize::SmallInput);
        });
    }

    fn refusing<M: Refusing>(&mut self) {
        self.0.bench_function(M::ID, |bencher| {
            bencher.iter_batched(M::late, refuse::<M>, BatchSize::SmallInput);
        });
    }
}

fn main() {
    let mut timed = Timed(Criterion::default().configure_from_args());
    visit(&mut timed);
    timed.0.final_summary();
}

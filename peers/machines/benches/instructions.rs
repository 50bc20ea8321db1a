//! Instructions, under callgrind: one function for each row, with the row's name.

// Written by the macros of gungraun.
#![expect(missing_docs, reason = "its functions are public and have no docs")]
#![expect(unused_qualifications, reason = "it names types in full")]

use gungraun::{library_benchmark, library_benchmark_group, main};
use workitem_bench::{Inputs, Refusing, live, refuse};
use workitem_peer_machines::{original, rust_fsm, smlang, statig, statum};
use workitem_peers::original::AgentResult;

/// What is made here, by the attribute's argument, is not counted; what the function drops is.
macro_rules! functions {
    ($group:ident, $run:ident($inputs:expr => $type:ty): $($name:ident = $machine:ty),* $(,)?) => {
        $(
            #[library_benchmark]
            #[bench::row($inputs)]
            fn $name(inputs: $type) {
                $run::<$machine>(inputs);
            }
        )*
        library_benchmark_group!(name = $group, benchmarks = [$($name),*]);
    };
}

functions! {
    lives, live(Inputs::new() => Inputs):
    inputs = Inputs,
    statum = statum::Statum,
    smlang = smlang::Smlang,
    statig = statig::Statig,
    rust_fsm = rust_fsm::RustFsm,
}

functions! {
    original_lives, live(Inputs::new() => Inputs<AgentResult>):
    original_inputs = original::Nothing,
    original = original::Original,
}

functions! {
    original_refusals, refuse(original::Original::late() => original::Late):
    original_late_inputs = original::Nothing,
    refused_original = original::Original,
}

main!(library_benchmark_groups = [lives, original_lives, original_refusals]);

//! Instructions, under callgrind: one function for each row, with the row's name.

// Written by the macros of gungraun.
#![expect(missing_docs, reason = "its functions are public and have no docs")]
#![expect(unused_qualifications, reason = "it names types in full")]

use gungraun::{library_benchmark, library_benchmark_group, main};
use workitem_bench::{Inputs, Refusing, functions};
use workitem_peer_machines::{original, rust_fsm, smlang, statig, statum};
use workitem_peers::original::AgentResult;

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

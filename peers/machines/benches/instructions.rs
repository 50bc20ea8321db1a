//! Instructions, under callgrind: one function for each row, with the row's name.

// Written by the macros of gungraun.
#![expect(missing_docs, reason = "its functions are public and have no docs")]

use gungraun::{library_benchmark, library_benchmark_group, main};
use workitem_bench::{Inputs, Refusing, functions};
use workitem_peer_machines::original::{Late, Nothing, Original};
use workitem_peer_machines::rust_fsm::RustFsm;
use workitem_peer_machines::smlang::Smlang;
use workitem_peer_machines::statig::Statig;
use workitem_peer_machines::statum::Statum;
use workitem_peers::original::AgentResult;

functions! {
    lives, live(Inputs::new() => Inputs):
    inputs = Inputs,
    statum = Statum,
    smlang = Smlang,
    statig = Statig,
    rust_fsm = RustFsm,
}

functions! {
    original_lives, live(Inputs::new() => Inputs<AgentResult>):
    original_inputs = Nothing,
    original = Original,
}

functions! {
    original_refusals, refuse(Original::late() => Late):
    original_late_inputs = Nothing,
    refused_original = Original,
}

main!(library_benchmark_groups = [lives, original_lives, original_refusals]);

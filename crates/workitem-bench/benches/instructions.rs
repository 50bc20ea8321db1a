//! Instructions, under callgrind: one function for each row, with the row's name.

// Written by the macros of gungraun.
#![expect(missing_docs, reason = "its functions are public and have no docs")]
#![expect(unused_qualifications, reason = "it names types in full")]

use std::hint::black_box;

use gungraun::{library_benchmark, library_benchmark_group, main};
use workitem_bench::{Inputs, Late, bulk, by_hand, functions, ours};
use workitem_dynamic::{WorkItemStatus, count_by_status, interrupt_all};

functions! {
    lives, live(Inputs::new() => Inputs):
    inputs = Inputs,
    by_hand_typestate = by_hand::Typestate,
    typed = ours::Typed,
    typed_by_event = ours::TypedByEvent,
    by_hand_in_place = by_hand::InPlace,
    dynamic_in_place = ours::DynamicInPlace,
    by_hand_by_value = by_hand::ByValue,
    dynamic_by_value = ours::DynamicByValue,
    typed_in_a_field = ours::TypedInAField,
}

functions! {
    refusals, refuse(Late::new() => Late):
    late_inputs = Late,
    refused_by_hand_in_place = by_hand::InPlace,
    refused_dynamic_in_place = ours::DynamicInPlace,
    refused_by_hand_by_value = by_hand::ByValue,
    refused_dynamic_by_value = ours::DynamicByValue,
}

/// Statuses of which many are handled at once. They are given back, so that dropping them is not counted.
const MANY: usize = 1_000;

#[library_benchmark]
#[bench::row(bulk::statuses(MANY).collect())]
fn count_1000(statuses: Vec<WorkItemStatus>) -> Vec<WorkItemStatus> {
    black_box(count_by_status(black_box(&statuses)));
    statuses
}

#[library_benchmark]
#[bench::row(bulk::statuses(MANY).collect())]
fn interrupt_1000(mut statuses: Vec<WorkItemStatus>) -> Vec<WorkItemStatus> {
    black_box(interrupt_all(black_box(&mut statuses)));
    statuses
}

library_benchmark_group!(name = many, benchmarks = [count_1000, interrupt_1000]);

main!(library_benchmark_groups = [lives, refusals, many]);

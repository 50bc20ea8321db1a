//! Allocations, bytes, and what a refusal keeps.

use allocation_counter::measure;
use workitem_bench::rows::Memory;
use workitem_peer_machines::visit;

fn main() {
    visit(&mut Memory(|run| measure(run).count_total));
}

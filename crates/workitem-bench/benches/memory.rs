//! Allocations, bytes, and what a refusal keeps: one line of JSON for each row.

use allocation_counter::measure;
use serde_json::json;
use workitem_bench::{Inputs, Machine, Refusing, Visit, live, refuse, visit};

struct Rows;

impl Visit for Rows {
    fn machine<M: Machine>(&mut self) {
        let inputs = Inputs::new();
        let allocations = measure(|| live::<M>(inputs)).count_total;
        println!(
            "{}",
            json!({"id": M::ID, "name": M::NAME, "allocations": allocations, "status": M::STATUS})
        );
    }

    fn refusing<M: Refusing>(&mut self) {
        let late = M::late();
        let allocations = measure(|| refuse::<M>(late)).count_total;
        let kept = M::kept(M::refuse(M::late()));
        println!(
            "{}",
            json!({
                "id": M::ID,
                "name": M::NAME,
                "allocations": allocations,
                "keeps_item": kept.item,
                "keeps_event": kept.event,
                "message": kept.message.len(),
            })
        );
    }
}

fn main() {
    visit(&mut Rows);
}

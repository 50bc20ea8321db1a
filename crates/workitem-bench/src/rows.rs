//! One line of JSON for each row: allocations, bytes, and what a refusal keeps.

use serde_json::json;

use crate::{Inputs, Machine, Refusing, Visit, live, refuse};

/// Prints the rows. It is told how to count allocations: who counts replaces the allocator of the whole program, which
/// is not to happen where instructions or time are measured.
pub struct Memory(pub fn(Box<dyn FnOnce() + '_>) -> u64);

impl Visit for Memory {
    fn machine<M: Machine>(&mut self) {
        let inputs = Inputs::new();
        let allocations = self.0(Box::new(|| live::<M>(inputs)));
        println!(
            "{}",
            json!({"id": M::ID, "name": M::NAME, "allocations": allocations, "status": M::STATUS})
        );
    }

    fn refusing<M: Refusing>(&mut self) {
        let late = M::late();
        let allocations = self.0(Box::new(|| refuse::<M>(late)));
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

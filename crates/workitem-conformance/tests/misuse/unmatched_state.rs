// Whoever matches an item decides for every state.

use workitem_typestate::AnyWorkItem;

fn misuse(item: AnyWorkItem) {
    match item {
        AnyWorkItem::Pending(_item) => {}
        AnyWorkItem::InProgress(_item) => {}
        AnyWorkItem::Completed(_item) => {}
        AnyWorkItem::DeadLettered(_item) => {}
    }
}

fn main() {}

// Whoever matches an item decides for every state.
// The error names `AnyWorkItem::Failed` and `not covered`.

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

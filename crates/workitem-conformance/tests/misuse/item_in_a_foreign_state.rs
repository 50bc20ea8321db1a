// A type that is not a state makes no item.

use workitem_typestate::WorkItem;

struct Paused;

fn misuse(_item: WorkItem<Paused>) {}

fn main() {}

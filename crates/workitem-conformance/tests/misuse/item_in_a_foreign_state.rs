// A type that is not a state makes no item.
// The error names `WorkItem<Paused>` and `is not a state of a work item`.

use workitem_typestate::WorkItem;

struct Paused;

fn misuse(_item: WorkItem<Paused>) {}

fn main() {}

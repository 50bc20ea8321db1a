// There are five states: `State` cannot be implemented outside.
// The error names `State for Paused` and `Sealed`.

use workitem_types::StatusKind;
use workitem_typestate::State;

struct Paused;

impl State for Paused {
    const KIND: StatusKind = StatusKind::Pending;
    const TERMINAL: bool = false;
}

fn main() {}

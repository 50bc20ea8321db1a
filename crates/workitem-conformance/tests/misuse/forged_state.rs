// A state cannot be made by hand: it comes with its item.
// The error names `Failed` and `private field`.

use workitem_typestate::Failed;

fn misuse(error: String) {
    let _state = Failed { error };
}

fn main() {}

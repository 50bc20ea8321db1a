// What a store writes cannot be made by hand.
// The error names `AnyStep` and `private fields`.

use workitem_store::{AnyStep, Token};
use workitem_typestate::{Completed, Step};

fn misuse(step: Step<Completed>, token: Token) {
    let _step = AnyStep { sealed: Step::<Completed>::seal(step), token };
}

fn main() {}

// A lease cannot be made by hand: a store gives it with a claim.
// The error names `Leased<InProgress>` and `private field`.

use workitem_store::{Leased, Token};
use workitem_typestate::{InProgress, WorkItem};

fn misuse(item: WorkItem<InProgress>, token: Token) {
    let _lease: Leased<InProgress> = Leased { item, token };
}

fn main() {}

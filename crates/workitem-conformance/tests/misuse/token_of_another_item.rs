// A token is part of its lease: it cannot be exchanged for that of another item.
// The error names `Leased::<InProgress>` and `private field`.

use workitem_store::Leased;
use workitem_typestate::InProgress;

fn misuse(lease: Leased<InProgress>, other: Leased<InProgress>) {
    let _lease = Leased::<InProgress> { token: other.token(), ..lease };
}

fn main() {}

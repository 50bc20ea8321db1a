// A token cannot be made by hand, not even one for a version that can be guessed.
// The error names `Token` and `private field`.

use workitem_store::{JobId, Leased, Token};
use workitem_typestate::InProgress;

fn misuse(lease: &Leased<InProgress>, job: JobId, version: u64) {
    let _token = Token { job, seq: Leased::<InProgress>::token(lease).seq(), version };
}

fn main() {}

// Whoever settles a failure decides for both endings.
// The error names `Settled::DeadLetter` and `not covered`.

use workitem_typestate::Settled;

fn misuse(settled: Settled) {
    match settled {
        Settled::Retry(_item) => {}
    }
}

fn main() {}

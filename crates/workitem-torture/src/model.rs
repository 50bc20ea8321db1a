//! Every order of everything that can go wrong, on a model of the store protocol: `workitem-model`.
//!
//! Nothing here is random, so there is no seed: what leads to a broken promise is printed, move by move. And each mistake
//! that is made on purpose must be found, or the torture fails as well.

use std::fmt::Write;
use std::time::Instant;

use workitem_model::{Bounds, Fault, check, find};

use crate::Report;

/// Looks through the model within each of `bounds`, and lets every fault be found.
pub fn run(bounds: &[Bounds]) -> Report {
    let begun = Instant::now();
    let (mut ran, mut found) = (0, 0);
    let mut text = "Every order in which two workers and a store can act on a few items, while workers and the store die, \
                    leases run out, and requests arrive late, twice or in another order: with the leases, steps, recovery and \
                    verification that are delivered, in each state that can be reached. `ran` is how many states that were.\n\n\
                    | items | attempts | worker crashes | store crashes | leases run out | doubled | stopped | states | longest life seen |\n\
                    |---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for bounds in bounds {
        let checked = check(*bounds);
        eprintln!("{checked}after {:.0} s\n", begun.elapsed().as_secs_f64());
        if !checked.broken.is_empty() {
            eprintln!("to see it again: cargo xtask torture model --only {bounds}\n");
        }
        ran += checked.states as u64;
        found += checked.broken.len() as u64;
        let columns = bounds.to_string().replace(',', " | ");
        line(&mut text, &format!("| {columns} | {} | {} |", checked.states, checked.depth));
    }
    line(&mut text, "\nMistakes made on purpose, and in how few moves the model shows what they break:\n");
    for (fault, promise) in Fault::ALL {
        let checked = find(Bounds::SMALL, fault, promise);
        eprintln!("made on purpose: {fault}\n{checked}");
        if let [broken] = &checked.broken[..] {
            line(&mut text, &format!("- {fault}: not so that *{promise}*; {} moves", broken.path.len()));
        } else {
            eprintln!("and not found: crates/workitem-model/src/model.rs and promises.rs no longer see it\n");
            line(&mut text, &format!("- {fault}: **not found**"));
            found += 1;
        }
    }
    Report { torture: "model".to_owned(), ran, found, seed: 0, seconds: begun.elapsed().as_secs_f64(), text }
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a string takes whatever is written");
}

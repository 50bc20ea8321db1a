//! What threads share and wait for: the system's own, or, under `cfg(shuttle)`, what a scheduler decides.
//!
//! The crate `workitem-schedules` is this one, compiled with that flag. There the same driver, slots and stop run under
//! thousands of orders in which their threads may take turns. Everything that one thread can see of another goes through
//! here, but for [`Cancel`](crate::Cancel)'s pipes.

#[cfg(not(shuttle))]
mod system;
#[cfg(not(shuttle))]
pub use system::*;

#[cfg(shuttle)]
mod scheduled;
#[cfg(shuttle)]
pub use scheduled::*;

//! What others do to a fleet and its job while it works.

use std::sync::atomic::Ordering;
use std::time::Duration;

use workitem_store::{Control, NewItem, Store};

use super::turns::State;
use crate::simulate::happenings::item;
use crate::simulate::plan::between;

/// Something that somebody else does.
#[derive(Debug, Clone, Copy)]
pub enum Happening {
    /// `workitem pause`, `unpause` or `cancel`.
    Wants(Control),
    /// `workitem add`, so many items.
    Adds(usize),
    /// SIGTERM and Ctrl-C for one member.
    Drains(usize),
    Interrupts(usize),
    /// A member does not move for a while: SIGSTOP, a machine that sleeps, a network that is cut.
    Stops(usize, Duration),
    /// The server's clock is set forward, or back.
    SetsTheClock(Duration, bool),
}

impl Happening {
    /// What happens from now on.
    pub fn draw(state: &mut State) {
        let (most, lease) = (state.plan.happenings, state.plan.options.lease);
        for _ in 0..state.rng.u32(0..=most) {
            let rng = &mut state.rng;
            let at = state.at + between(rng, Duration::from_millis(1), Duration::from_mins(10));
            let pause = between(rng, Duration::from_millis(10), Duration::from_mins(1));
            let member = rng.usize(..state.seats.len());
            let happening = match rng.u8(..12) {
                0 => Self::Wants(Control::Pause),
                1 => Self::Wants(Control::Cancel),
                2 | 3 => Self::Adds(rng.usize(1..=5)),
                4 => Self::Drains(member),
                5 => Self::Interrupts(member),
                6 => Self::SetsTheClock(between(rng, lease / 10, lease * 2), rng.bool()),
                _ => Self::Stops(member, between(rng, lease / 10, lease * 3)),
            };
            // Of two at one moment the number says which is first.
            let number = rng.u64(..);
            if matches!(happening, Self::Wants(_)) {
                state.happenings.insert((at + pause, number), Self::Wants(Control::Run));
            }
            state.happenings.insert((at, number), happening);
        }
    }

    pub fn happen(self, state: &mut State) {
        state.say("somebody", format!("{self:?}"));
        let job = state.holds.job.id;
        match self {
            Self::Wants(control) => {
                state.memory.set_control(job, control).expect("the job is there");
            }
            Self::Adds(items) => {
                let from = state.holds.acknowledged.items.unwrap_or(0);
                let items: Vec<NewItem> = (from + 1..=from + items).map(item).collect();
                let added = state.memory.add(job, &items).expect("the job is there");
                state.holds.acknowledged.items = Some(from + added);
                state.holds.additions += 1;
            }
            Self::Drains(member) | Self::Interrupts(member) => {
                let seat = &state.seats[member];
                if let Some(stop) = seat.stop.as_ref().filter(|_| !seat.calm) {
                    if matches!(self, Self::Drains(_)) {
                        stop.drain();
                    } else {
                        stop.interrupt();
                    }
                    seat.woken.store(true, Ordering::Relaxed);
                }
            }
            Self::Stops(member, time) => {
                if !state.seats[member].calm {
                    state.seats[member].stopped_until = state.at + time;
                    state.disturbed = true;
                }
            }
            Self::SetsTheClock(time, back) => state.jump(time, back),
        }
    }
}

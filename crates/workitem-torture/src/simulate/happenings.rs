//! What others do while a job runs: at other terminals, to the clock, to the items.

use std::time::Duration;

use chrono::TimeDelta;
use workitem_store::{Abandoned, Cause, Control, NewItem, Store};
use workitem_typestate::Interrupt;

use super::plan::between;
use super::sim::Sim;

/// Something that somebody else does.
#[derive(Debug, Clone, Copy)]
pub enum Happening {
    /// `workitem pause`, `unpause` or `cancel`.
    Wants(Control),
    /// `workitem add`, so many items.
    Adds(usize),
    /// SIGTERM, Ctrl-C, and Ctrl-C twice.
    Drains,
    Interrupts,
    Kills,
    /// The clock is set, by so many hours.
    SetsTheClock(i64),
    /// Another orchestrator thinks that an item is abandoned, and puts it back.
    TakesOver,
}

impl Happening {
    /// What happens in the run that begins.
    pub fn draw(sim: &mut Sim) {
        if sim.checks.is_paused() {
            let pause = between(&mut sim.rng, Duration::from_millis(10), Duration::from_mins(1));
            sim.happenings.insert((sim.at + pause, u32::MAX), Self::Wants(Control::Run));
        }
        let most = sim.plan.happenings;
        for number in 0..sim.rng.u32(0..=most) {
            let within = between(&mut sim.rng, Duration::from_millis(1), Duration::from_mins(10));
            let at = sim.at + within;
            let happening = match sim.rng.u8(..12) {
                0 | 1 => {
                    let pause = between(&mut sim.rng, Duration::from_millis(10), Duration::from_mins(1));
                    sim.happenings.insert((at + pause, 100 + number), Self::Wants(Control::Run));
                    Self::Wants(Control::Pause)
                }
                2 => Self::Wants(Control::Cancel),
                3 | 4 => Self::Adds(sim.rng.usize(1..=5)),
                5 => Self::Drains,
                6 => Self::Interrupts,
                7 => Self::Kills,
                8 => Self::SetsTheClock(-1),
                9 => Self::SetsTheClock(365 * 24),
                _ => Self::TakesOver,
            };
            sim.happenings.insert((at, number), happening);
        }
    }

    pub fn happen(self, sim: &mut Sim) {
        sim.say(format!("{self:?}"));
        let job = sim.checks.job.clone();
        match self {
            Self::Wants(control) => {
                sim.memory.set_control(job.id, control).expect("the job is there");
                sim.checks.wanted(control, sim.at);
            }
            Self::Adds(items) => {
                let from = sim.checks.acknowledged.items.unwrap_or(0);
                let items: Vec<NewItem> = (from + 1..=from + items).map(item).collect();
                let added = sim.memory.add(job.id, &items).expect("the job is there");
                sim.checks.acknowledged.items = Some(from + added);
            }
            Self::Drains => sim.stop.drain(),
            Self::Interrupts => sim.stop.interrupt(),
            Self::Kills => sim.stop.kill(),
            Self::SetsTheClock(hours) => sim.jumped += TimeDelta::hours(hours),
            Self::TakesOver => take_over(sim),
        }
    }
}

/// The `number`-th item of a job.
pub fn item(number: usize) -> NewItem {
    NewItem { id: number.to_string().into(), payload: "x".into() }
}

fn take_over(sim: &mut Sim) {
    let (job, now) = (sim.checks.job.id, sim.now());
    let mut items = sim.memory.abandoned(job, usize::MAX, now).expect("the job is there");
    if items.is_empty() {
        return;
    }
    let chosen = sim.rng.usize(..items.len());
    match items.swap_remove(chosen) {
        Abandoned::Running { leased, .. } => {
            let (seq, id) = (leased.token().seq(), leased.item().id().to_string());
            let step = leased.step(Interrupt, now).because(Cause::Crash).seal();
            sim.memory.record(&[step]).expect("the job is there");
            sim.checks.taken_over(seq);
            // Who takes over ends what is left of a run that is gone.
            sim.orphans.retain(|(orphan, _)| *orphan != id);
            sim.say(format!("item {seq} is taken over"));
        }
        Abandoned::Stranded(leased) => {
            sim.wrong(format!("item {} failed, and nothing followed", leased.token().seq()));
        }
    }
}

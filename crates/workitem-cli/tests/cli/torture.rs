//! A share of every torture: what a run of the tests can afford. `cargo xtask torture NAME` runs the whole of each.
//!
//! `WORKITEM_TORTURE_SEED` makes the same plans again.

use std::path::PathBuf;

use workitem_torture::scene::Act;
use workitem_torture::{Report, agents, damage, errors, fleet, kills, points, power, soak, stage, time};

fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_workitem").into()
}

/// The same plan each time: what is new to be found is for the tortures themselves to look for.
fn seed() -> u64 {
    let given = std::env::var("WORKITEM_TORTURE_SEED").ok();
    given.map_or(7, |seed| seed.parse().unwrap())
}

#[track_caller]
fn finds_nothing(report: &Report) {
    let Report { torture, ran, found, seed, .. } = report;
    assert_eq!(*found, 0, "torture {torture}, seed {seed}, found something; it is said above");
    assert!(*ran > 0, "torture {torture} did nothing");
}

#[test]
fn a_hundred_kills_lose_nothing() {
    let options = kills::Options { program: program(), kills: 100, seed: seed(), stores: 2, folder: None };
    finds_nothing(&kills::run(&options).unwrap());
}

#[test]
fn death_at_a_call_that_changes_a_file_loses_nothing() {
    let (acts, rounds, every, at_once) = (vec![Act::Map], 1, 17, 4);
    let options =
        points::Options { program: program(), rounds, every, seed: seed(), acts, at_once, folder: None };
    finds_nothing(&points::run(&options).unwrap());
}

#[test]
fn calls_that_fail_full_disks_and_limits_lose_nothing() {
    finds_nothing(&errors::run(&errors::Options { scenes: share(), every: 7, at_once: 4 }).unwrap());
}

#[test]
fn power_can_be_lost_whenever_it_likes() {
    let (life, losses) = (power::SHORT, 200);
    let options =
        power::Options { program: program(), life, losses, seed: seed(), recording: None, folder: None };
    finds_nothing(&power::run(&options).unwrap());
}

#[test]
fn damage_is_told_or_does_not_matter() {
    let options = damage::Options { program: program(), stores: 30, seed: seed(), folder: None };
    finds_nothing(&damage::run(&options).unwrap());
}

fn share() -> stage::Options {
    stage::Options { program: program(), seed: seed(), rounds: 1, is_full: false, only: None, folder: None }
}

#[test]
fn a_clock_that_is_set_and_programs_that_are_stopped_keep_nothing_waiting() {
    finds_nothing(&time::run(&share()).unwrap());
}

#[test]
fn hostile_agents_and_items_harm_nobody_else() {
    finds_nothing(&agents::run(&share()).unwrap());
}

#[test]
fn workers_that_are_killed_and_stopped_lose_nothing_and_double_nothing() {
    finds_nothing(&fleet::run(&share()).unwrap());
}

#[test]
fn a_long_life_leaks_nothing() {
    let options = soak::Options { program: program(), seed: seed(), minutes: 1.0 / 6.0, folder: None };
    finds_nothing(&soak::run(&options).unwrap());
}

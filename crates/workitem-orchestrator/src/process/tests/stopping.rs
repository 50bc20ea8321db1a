//! Agents that are stopped: their time is up, or the orchestrator stops.

use std::fs;
use std::time::{Duration, Instant};

use workitem_store::Cause;

use super::{Family, ProcessAgent, agent, alive, eventually, failure, inline, run, sh};
use crate::agent::How;
use crate::testing::Bench;

const SHORT: Duration = Duration::from_millis(300);

fn timing_out() -> Bench {
    Bench { timeout: Some(SHORT), ..Bench::new("x") }
}

/// Runs an agent that is to time out in well less than its grace.
fn time_out(agent: &ProcessAgent) -> (Bench, String) {
    let (bench, before) = (timing_out(), Instant::now());
    let (cause, error) = failure(&bench, agent);
    assert_eq!(cause, Cause::timed_out(SHORT));
    assert!(before.elapsed() >= SHORT && before.elapsed() < Duration::from_secs(10));
    assert_eq!(alive(&bench), 0, "of {agent:?}");
    (bench, error)
}

#[test]
fn a_timed_out_agent_is_gone_with_its_children() {
    let (_, error) = time_out(&sh("echo working >&2; sleep 100 & sleep 100"));
    assert_eq!(error, "timed out after 300ms: working");
}

#[test]
#[cfg(target_os = "linux")]
fn children_in_other_groups_and_sessions_are_found() {
    time_out(&sh("setsid sleep 100 & sleep 100"));
    time_out(&sh("timeout 100 sleep 100"));
    time_out(&sh("(setsid sh -c 'sleep 100 & sleep 100' &); sleep 100"));
    // Nothing but its parent gives this one away; the test knows it by how long it sleeps.
    let sleep = format!("98.{}", std::process::id());
    let hidden = format!("env -i setsid sh -c 'trap \"\" TERM; sleep {sleep}' & sleep 100");
    time_out(&sh(&hidden).grace(SHORT));
    let mut left = Family::new(|process| {
        let line = fs::read(format!("/proc/{}/cmdline", process.pid.as_raw_nonzero()));
        line.is_ok_and(|line| line == format!("sleep\0{sleep}\0").as_bytes())
    });
    assert_eq!(left.living(), []);
}

#[test]
fn who_ignores_sigterm_is_killed_after_the_grace() {
    let stubborn = sh("trap '' TERM; while :; do sleep 0.05; done").grace(Duration::from_millis(200));
    let before = Instant::now();
    time_out(&stubborn);
    assert!(before.elapsed() >= SHORT + Duration::from_millis(200));
}

#[test]
fn who_is_stopped_by_a_signal_can_still_be_ended() {
    time_out(&sh("kill -STOP $$"));
}

#[test]
fn who_exits_0_too_late_has_failed() {
    time_out(&sh("trap 'exit 0' TERM; while :; do sleep 0.05; done"));
}

#[test]
fn the_whole_group_has_the_grace_to_clean_up() {
    let bench = timing_out();
    let child = "trap 'sleep 0.2; echo cleaned; exit' TERM; while :; do sleep 0.05; done";
    let (how, output) = run(&bench, &sh(&format!("sh -c \"{child}\" & wait")));
    assert!(matches!(how, How::Failed { cause: Cause::TimedOut { .. }, .. }));
    assert_eq!(inline(output.stdout), b"cleaned\n");
}

#[test]
fn what_was_printed_before_is_kept() {
    let (how, output) = run(&timing_out(), &sh("echo before; exec sleep 100"));
    assert!(matches!(how, How::Failed { .. }));
    assert_eq!(inline(output.stdout), b"before\n");
}

/// Raises the bench's `Cancel` while the agent runs, which says so by printing.
fn cancelled(bench: &Bench, agent: &ProcessAgent, raise: impl Fn() + Sync) -> How {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            eventually("the agent runs", || alive(bench) > 0);
            std::thread::sleep(Duration::from_millis(100));
            raise();
        });
        let before = Instant::now();
        let (how, _) = run(bench, agent);
        assert!(before.elapsed() < Duration::from_secs(10));
        assert_eq!(alive(bench), 0);
        how
    })
}

#[test]
fn a_cancelled_agent_is_interrupted_however_it_ends() {
    for script in ["sleep 100 & sleep 100", "trap 'exit 3' TERM; while :; do sleep 0.05; done"] {
        let bench = Bench::new("x");
        let how = cancelled(&bench, &sh(script), || bench.cancel.terminate());
        assert!(matches!(how, How::Interrupted), "{how:?}");
    }
}

#[test]
fn a_cancelled_agent_that_exits_0_has_completed() {
    let bench = Bench::new("x");
    let agent = sh("trap 'exit 0' TERM; while :; do sleep 0.05; done");
    let how = cancelled(&bench, &agent, || bench.cancel.terminate());
    assert!(matches!(how, How::Completed(_)), "{how:?}");
}

#[test]
fn killing_does_not_wait_for_the_grace() {
    let stubborn = sh("trap '' TERM; while :; do sleep 0.05; done");
    let bench = Bench::new("x");
    let how = cancelled(&bench, &stubborn, || bench.cancel.kill());
    assert!(matches!(how, How::Interrupted), "{how:?}");

    let bench = Bench::new("x");
    let how = cancelled(&bench, &stubborn, || {
        bench.cancel.terminate();
        std::thread::sleep(Duration::from_millis(100));
        bench.cancel.kill();
    });
    assert!(matches!(how, How::Interrupted), "{how:?}");
}

#[test]
fn nothing_is_started_once_the_orchestrator_stops() {
    let bench = Bench::new("x");
    bench.cancel.terminate();
    assert!(matches!(run(&bench, &agent(&["no-such-command"])).0, How::Interrupted));
}

/// A script that these signals end, also where the tests were started in the background, with both ignored.
fn at_the_terminal(script: &str) -> ProcessAgent {
    agent(&["env", "--default-signal=INT,HUP", "sh", "-c", script])
}

#[test]
fn an_agent_that_ctrl_c_reached_before_the_orchestrator_is_interrupted() {
    for signal in ["INT", "HUP"] {
        let agent = at_the_terminal(&format!("sleep 0.2; kill -{signal} $$; sleep 100"));
        let bench = Bench::new("x");
        let how = std::thread::scope(|scope| {
            scope.spawn(|| {
                eventually("the agent runs", || alive(&bench) > 0);
                eventually("the agent has ended", || alive(&bench) == 0);
                bench.cancel.terminate();
            });
            run(&bench, &agent).0
        });
        assert!(matches!(how, How::Interrupted), "{how:?}");
    }
}

#[test]
fn an_agent_that_ends_itself_by_the_same_signal_has_failed() {
    let ends_itself = at_the_terminal("kill -INT $$; sleep 100");
    assert_eq!(failure(&Bench::new("x"), &ends_itself).0, Cause::Signal(2));
}

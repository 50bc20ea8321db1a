// A program as its author had it before this crate: `machine` is the original, or the crate that takes its place.
//
// It names everything that the original offers, builds every value field by field and matches without `..`
// where it can, so that a renamed field, a changed type or an added variant does not compile.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::machine::{AgentResult, AgentStatus, CleanupStatus};
use super::machine::{
    StatusCounts, TransitionError, WorkItemEvent, WorkItemStatus, apply_interrupt_to_all, count_by_status,
    transition_work_item,
};

/// A work list that lives in memory, with a limit on retries.
struct WorkList {
    statuses: HashMap<String, WorkItemStatus>,
    max_retries: usize,
}

impl WorkList {
    fn new(ids: &[&str], max_retries: usize) -> Self {
        let statuses = ids.iter().map(|id| ((*id).to_string(), WorkItemStatus::Pending)).collect();
        Self { statuses, max_retries }
    }

    fn send(&mut self, id: &str, event: WorkItemEvent) -> Result<&WorkItemStatus, TransitionError> {
        let current = self.statuses[id].clone();
        let next = transition_work_item(current, event)?;
        self.statuses.insert(id.to_string(), next);
        Ok(&self.statuses[id])
    }

    fn after_failure(&mut self, id: &str) -> Result<(), TransitionError> {
        let event = if self.statuses[id].can_retry(self.max_retries) {
            WorkItemEvent::Retry
        } else {
            WorkItemEvent::MoveToDeadLetter
        };
        self.send(id, event).map(|_| ())
    }

    fn after_a_crash(&mut self) {
        let statuses = std::mem::take(&mut self.statuses);
        self.statuses = apply_interrupt_to_all(statuses).into_iter().collect();
    }

    fn counts(&self) -> StatusCounts {
        count_by_status(self.statuses.values())
    }
}

fn describe(status: &WorkItemStatus) -> String {
    match status {
        WorkItemStatus::Pending => "waiting".to_string(),
        WorkItemStatus::InProgress { agent_id, started_at } => {
            let started_at: &DateTime<Utc> = started_at;
            format!("{agent_id} since {}", ago(started_at))
        }
        WorkItemStatus::Completed { result } => {
            let result: &AgentResult = result;
            format!("done: {}", result.item_id)
        }
        WorkItemStatus::Failed { error, retry_count } => {
            let count: usize = *retry_count;
            format!("failed {count}x: {error}")
        }
        WorkItemStatus::DeadLettered { error, retry_count, dlq_at } => {
            let dlq_at: &DateTime<Utc> = dlq_at;
            format!("gave up after {retry_count}, {}: {error}", ago(dlq_at))
        }
    }
}

fn ago(time: &DateTime<Utc>) -> &'static str {
    let is_past = *time <= Utc::now();
    if is_past && (Utc::now() - *time).num_hours() == 0 { "just now" } else { "some other time" }
}

fn name(event: &WorkItemEvent) -> &str {
    match event {
        WorkItemEvent::AgentStart { agent_id } => agent_id,
        WorkItemEvent::AgentComplete { result } => &result.item_id,
        WorkItemEvent::AgentFailed { error } => error,
        WorkItemEvent::Interrupt => "interrupt",
        WorkItemEvent::Retry => "retry",
        WorkItemEvent::MoveToDeadLetter => "dead letter",
    }
}

fn full_result() -> AgentResult {
    AgentResult {
        item_id: "a".to_string(),
        status: AgentStatus::Success,
        output: Some("ok".to_string()),
        commits: vec!["c0ffee".to_string()],
        files_modified: vec!["src/lib.rs".to_string()],
        duration: Duration::from_secs(3),
        error: None,
        worktree_path: Some(PathBuf::from("/tmp/worktree")),
        branch_name: Some("agent-a".to_string()),
        worktree_session_id: Some("session".to_string()),
        json_log_location: Some("/tmp/log.json".to_string()),
        cleanup_status: Some(CleanupStatus::Success),
    }
}

fn start(agent: &str) -> WorkItemEvent {
    WorkItemEvent::AgentStart { agent_id: agent.to_string() }
}

fn failure(error: &str) -> WorkItemEvent {
    WorkItemEvent::AgentFailed { error: error.to_string() }
}

/// Plays a script, an item and what happens to it in each line, on three items that may fail twice; gives what
/// its user sees.
pub fn play(script: &[(usize, usize)]) -> Vec<String> {
    let ids = ["a", "b", "c"];
    let mut list = WorkList::new(&ids, 2);
    let play = |&(item, what): &(usize, usize)| {
        let id = ids[item % ids.len()];
        let done = match what % 7 {
            0 => list.send(id, start("agent-1")).map(|_| ()),
            1 => {
                let result = AgentResult { item_id: id.to_string(), ..full_result() };
                list.send(id, WorkItemEvent::AgentComplete { result: Box::new(result) }).map(|_| ())
            }
            2 => list.send(id, failure("exit 7")).map(|_| ()),
            3 => list.send(id, WorkItemEvent::Interrupt).map(|_| ()),
            4 => list.send(id, WorkItemEvent::Retry).map(|_| ()),
            5 => list.after_failure(id),
            _ => {
                list.after_a_crash();
                Ok(())
            }
        };
        let said = if done.is_ok() { "" } else { " (refused)" };
        format!("{id} {}{said}; {:?}", describe(&list.statuses[id]), list.counts())
    };
    script.iter().map(play).collect()
}

#[test]
fn a_script_is_played() {
    let seen = play(&[(0, 0), (1, 4), (0, 2), (0, 2), (0, 5), (2, 0), (2, 6)]);
    let starts: Vec<_> = seen.iter().filter_map(|line| line.split(';').next()).collect();
    assert_eq!(
        starts,
        [
            "a agent-1 since just now",
            "b waiting (refused)",
            "a failed 1x: exit 7",
            "a failed 2x: exit 7",
            "a gave up after 2, just now: exit 7",
            "c agent-1 since just now",
            "c waiting",
        ]
    );
}

#[test]
fn a_work_list_runs_to_its_end() -> Result<(), TransitionError> {
    let mut list = WorkList::new(&["a", "b", "c"], 1);

    list.send("a", start("agent-1"))?;
    let done = list.send("a", WorkItemEvent::AgentComplete { result: Box::new(full_result()) })?;
    assert_eq!(describe(done), "done: a");

    list.send("b", start("agent-2"))?;
    assert_eq!(describe(list.send("b", failure("exit 7"))?), "failed 1x: exit 7");
    assert_eq!(describe(list.send("b", failure("exit 8"))?), "failed 2x: exit 8");
    list.after_failure("b")?;
    assert_eq!(describe(&list.statuses["b"]), "gave up after 2, just now: exit 8");

    list.send("c", start("agent-3"))?;
    assert_eq!(describe(&list.statuses["c"]), "agent-3 since just now");
    list.after_a_crash();
    assert_eq!(describe(&list.statuses["c"]), "waiting");

    let StatusCounts { pending, in_progress, completed, failed, dead_lettered } = list.counts();
    assert_eq!((pending, in_progress, completed, failed, dead_lettered), (1, 0, 1, 0, 1));
    assert_eq!(list.counts().total(), 3);
    assert_eq!(
        list.counts().clone(),
        StatusCounts { pending: 1, completed: 1, dead_lettered: 1, ..Default::default() }
    );
    Ok(())
}

#[test]
fn a_failed_item_is_retried_below_the_limit() -> Result<(), TransitionError> {
    let mut list = WorkList::new(&["a"], 3);
    list.send("a", start("agent-1"))?;
    list.send("a", failure("exit 7"))?;
    list.after_failure("a")?;
    assert!(matches!(list.statuses["a"], WorkItemStatus::Pending));
    Ok(())
}

#[test]
fn an_error_can_be_matched_and_read() {
    let error = transition_work_item(WorkItemStatus::Pending, WorkItemEvent::Retry).unwrap_err();
    let shown: Box<dyn std::error::Error + Send + Sync> = Box::new(error.clone());
    assert!(shown.to_string().starts_with("Invalid transition from Pending"));
    match error {
        TransitionError::Invalid { current, event } => {
            let (current, event): (String, String) = (current, event);
            assert!(current.contains("Pending") && event.contains("Retry"));
        }
    }
}

#[test]
fn statuses_are_observed_by_the_same_names() {
    let now = Utc::now();
    let statuses = [
        WorkItemStatus::Pending,
        WorkItemStatus::InProgress { agent_id: "agent-1".to_string(), started_at: now },
        WorkItemStatus::Completed { result: Box::new(full_result()) },
        WorkItemStatus::Failed { error: "exit 7".to_string(), retry_count: 1 },
        WorkItemStatus::DeadLettered { error: "exit 7".to_string(), retry_count: 3, dlq_at: now },
    ];
    let names: Vec<&'static str> = statuses.iter().map(WorkItemStatus::discriminant).collect();
    assert_eq!(names, ["Pending", "InProgress", "Completed", "Failed", "DeadLettered"]);
    let select = |f: fn(&WorkItemStatus) -> bool| -> Vec<_> {
        statuses.iter().filter(|status| f(status)).map(WorkItemStatus::discriminant).collect()
    };
    assert_eq!(select(WorkItemStatus::is_terminal), ["Completed", "DeadLettered"]);
    assert_eq!(select(WorkItemStatus::needs_processing), ["Pending"]);
    assert_eq!(select(|status| status.can_retry(3)), ["Failed"]);
    assert!(statuses[0].matches(&statuses[0].clone()) && !statuses[0].matches(&statuses[1]));
    assert_eq!(count_by_status(statuses.iter()).total(), 5);
    assert!(format!("{:?}", statuses[3]).contains("exit 7"));
}

#[test]
fn events_are_built_and_matched_by_the_same_names() {
    let events = [
        start("agent-1"),
        WorkItemEvent::AgentComplete { result: Box::new(full_result()) },
        failure("exit 7"),
        WorkItemEvent::Interrupt,
        WorkItemEvent::Retry,
        WorkItemEvent::MoveToDeadLetter,
    ];
    let names: Vec<_> = events.iter().map(name).collect();
    assert_eq!(names, ["agent-1", "a", "exit 7", "interrupt", "retry", "dead letter"]);
}

#[test]
fn results_are_built_and_asked_by_the_same_names() {
    let success = AgentResult::success("a".to_string(), Some("out".to_string()), Duration::from_secs(1));
    assert!(success.is_success() && !success.is_failure());
    assert_eq!((success.output.as_deref(), success.error.as_deref()), (Some("out"), None));

    let failed = AgentResult::failed("a".to_string(), "exit 7".to_string(), Duration::from_secs(1));
    assert!(failed.is_failure() && !failed.is_success());
    assert_eq!(failed.error.as_deref(), Some("exit 7"));
    assert_eq!(failed.status, AgentStatus::Failed("exit 7".to_string()));

    let of = |status: AgentStatus| AgentResult { status, ..full_result() };
    for (status, success, failure) in [
        (AgentStatus::Pending, false, false),
        (AgentStatus::Running, false, false),
        (AgentStatus::Success, true, false),
        (AgentStatus::Failed("exit 7".to_string()), false, true),
        (AgentStatus::Timeout, false, true),
        (AgentStatus::Retrying(2), false, false),
    ] {
        let result = of(status);
        assert_eq!((result.is_success(), result.is_failure()), (success, failure), "{:?}", result.status);
    }
    let cleanups =
        [CleanupStatus::Success, CleanupStatus::Failed("busy".to_string()), CleanupStatus::Skipped];
    for cleanup in cleanups {
        match cleanup {
            CleanupStatus::Success | CleanupStatus::Skipped => {}
            CleanupStatus::Failed(why) => assert_eq!(why, "busy"),
        }
    }
}

/// The original derived serde for statuses: a file it wrote is read, and read back.
#[test]
fn a_status_file_survives() {
    let file = r#"{"DeadLettered":{"error":"exit 7","retry_count":3,"dlq_at":"2026-10-29T16:30:35Z"}}"#;
    let status: WorkItemStatus = serde_json::from_str(file).unwrap();
    assert_eq!(serde_json::to_string(&status).unwrap(), file);
}

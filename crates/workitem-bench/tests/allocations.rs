//! No path of our machines allocates: every cell, legal or refused, at both levels and both ways, and in bulk.
//!
//! What is measured here is compiled without optimization, where nothing that allocates can be optimized away.

use allocation_counter::measure;
use workitem_bench::{Inputs, NOW, bulk, live, ours, result};
use workitem_dynamic::{apply, apply_item, count_by_status, interrupt_all, transition, transition_item};
use workitem_types::{AgentResult, EventKind, WorkItemEvent, WorkItemRecord, WorkItemStatus};
use workitem_typestate::{
    AgentComplete, AgentFailed, AgentStart, AnyWorkItem, Failed, InProgress, Interrupt, MaxAttempts,
    MoveToDeadLetter, Pending, Retry, Settled, WorkItem,
};

#[track_caller]
fn allocates_nothing(what: &str, run: impl FnOnce()) {
    let allocations = measure(run).count_total;
    assert_eq!(allocations, 0, "{what} allocates");
}

fn statuses() -> [WorkItemStatus; 5] {
    [
        WorkItemStatus::Pending,
        WorkItemStatus::InProgress { agent_id: "agent-1".into(), started_at: NOW },
        WorkItemStatus::Completed { result: Box::new(result()) },
        WorkItemStatus::Failed { error: "exit 7".into(), retry_count: 1 },
        WorkItemStatus::DeadLettered { error: "exit 7".into(), retry_count: 1, dlq_at: NOW },
    ]
}

fn events() -> [WorkItemEvent; 6] {
    [
        WorkItemEvent::AgentStart { agent_id: "agent-2".into() },
        WorkItemEvent::AgentComplete { result: Box::new(result()) },
        WorkItemEvent::AgentFailed { error: "exit 8".into() },
        WorkItemEvent::Interrupt,
        WorkItemEvent::Retry,
        WorkItemEvent::MoveToDeadLetter,
    ]
}

#[test]
fn no_cell_of_the_dynamic_machine_allocates() {
    let mut legal = 0;
    for status in statuses() {
        for event in events() {
            let what = format!("`{}` in `{}`", event.kind(), status.kind());
            let record = WorkItemRecord { id: "42".into(), attempts: 1, failures: 1, status: status.clone() };

            let (mut current, happening) = (status.clone(), event.clone());
            allocates_nothing(&what, || legal += usize::from(apply(&mut current, happening, NOW).is_ok()));
            let (current, happening) = (status.clone(), event.clone());
            allocates_nothing(&what, || drop(transition(current, happening, NOW)));
            let (mut item, happening) = (record.clone(), event.clone());
            allocates_nothing(&what, || drop(apply_item(&mut item, happening, NOW)));
            allocates_nothing(&what, || drop(transition_item(record, event, NOW)));
        }
    }
    assert_eq!(legal, 7);
}

#[test]
fn looking_at_a_refusal_allocates_nothing() {
    let refused =
        apply(&mut WorkItemStatus::Pending, WorkItemEvent::Retry, NOW).expect_err("it is not legal");
    allocates_nothing("looking", || {
        assert_eq!(refused.legal(), [EventKind::AgentStart]);
        assert_eq!(refused.event_kind(), EventKind::Retry);
        assert_eq!(refused.into_event(), WorkItemEvent::Retry);
    });
}

#[test]
fn many_at_once_allocate_nothing() {
    let mut statuses: Vec<_> = bulk::statuses(1_000).collect();
    allocates_nothing("counting", || assert_eq!(count_by_status(&statuses).total(), 1_000));
    allocates_nothing("interrupting", || assert!(interrupt_all(&mut statuses) > 0));
}

fn pending() -> WorkItem<Pending> {
    WorkItem::new("42")
}

fn in_progress() -> WorkItem<InProgress> {
    pending().start("agent-1", NOW)
}

fn failed() -> WorkItem<Failed> {
    in_progress().fail("exit 7")
}

#[test]
fn no_transition_of_the_typed_machine_allocates() {
    fn by<T, U>(what: &str, item: T, input: U, run: impl FnOnce(T, U)) {
        allocates_nothing(what, || run(item, input));
    }
    let text = || "agent-2".to_owned();
    let result = || Box::new(result());

    by("start", pending(), text(), |item, text| drop(item.start(text, NOW)));
    by("complete", in_progress(), result(), |item, result| drop(item.complete(result)));
    by("fail", in_progress(), text(), |item, text| drop(item.fail(text)));
    by("interrupt", in_progress(), (), |item, ()| drop(item.interrupt()));
    by("retry", failed(), (), |item, ()| drop(item.retry()));
    by("fail again", failed(), text(), |item, text| drop(item.fail(text)));
    by("dead_letter", failed(), (), |item, ()| drop(item.dead_letter(NOW)));
    for budget in [MaxAttempts(1), MaxAttempts(2)] {
        by("settle", failed(), budget, |item, budget| match item.settle(&budget, NOW) {
            Settled::Retry(item) => assert_eq!(item.failures(), 1),
            Settled::DeadLetter(item) => assert_eq!(item.failures(), 1),
        });
    }

    let (agent_id, error) = (text(), text());
    by("AgentStart", pending(), AgentStart { agent_id }, |item, event| drop(item.apply(event, NOW)));
    let event = AgentComplete { result: result() };
    by("AgentComplete", in_progress(), event, |item, event| drop(item.apply(event, NOW)));
    by("AgentFailed", in_progress(), AgentFailed { error }, |item, event| drop(item.apply(event, NOW)));
    by("Interrupt", in_progress(), Interrupt, |item, event| drop(item.apply(event, NOW)));
    by("Retry", failed(), Retry, |item, event| drop(item.apply(event, NOW)));
    by("MoveToDeadLetter", failed(), MoveToDeadLetter, |item, event| drop(item.apply(event, NOW)));
    let event = AgentFailed { error: text() };
    by("AgentFailed again", failed(), event, |item, event| drop(item.apply(event, NOW)));
}

#[test]
fn going_out_of_the_types_and_back_allocates_nothing() {
    let record: WorkItemRecord = failed().into();
    allocates_nothing("both doors", || {
        let Ok(item) = AnyWorkItem::rehydrate(record) else { panic!("it can be reached") };
        let Ok(item) = WorkItem::<Failed>::try_from(item) else { panic!("it has failed") };
        drop(WorkItemRecord::<AgentResult>::from(item));
    });
}

#[test]
fn no_life_allocates() {
    let inputs = Inputs::new();
    allocates_nothing("a typed life", || live::<ours::Typed>(inputs));
    let inputs = Inputs::new();
    allocates_nothing("a dynamic life", || live::<ours::DynamicInPlace>(inputs));
}

#[test]
fn an_allocation_is_seen() {
    let once = measure(|| drop(std::hint::black_box(Box::new(7_u64))));
    assert_eq!(once.count_total, 1);
}

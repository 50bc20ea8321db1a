//! What must stay writable. A type that forbids all misuse and half of the use as well would pass every
//! compile-fail case; these compile and run, one thing that users write in each.

use std::cell::Cell;
use std::collections::HashMap;
use std::error::Error;
use std::sync::mpsc;
use std::thread;

use chrono::{DateTime, Utc};
use workitem_conformance::samples::{NOW, result};
use workitem_store::{Leased, NewItem, NewJob, Store, StoreError, StoreExt};
use workitem_types::{AgentResult, ItemId, StatusKind, WorkItemEvent, WorkItemRecord};
use workitem_typestate::{
    AgentComplete, AgentFailed, AgentStart, AnyWorkItem, Completed, DeadLettered, Failed, InProgress,
    Interrupt, LegalIn, MaxAttempts, Pending, Retry, RetryPolicy, SealedStep, Settled, State, Step, WorkItem,
};

fn start() -> AgentStart {
    AgentStart { agent_id: "agent-1".into() }
}

fn failure() -> AgentFailed {
    AgentFailed { error: "exit 7".into() }
}

fn failed(id: &str) -> WorkItem<Failed> {
    WorkItem::new(id).start("agent-1", NOW).fail("exit 7")
}

#[test]
fn code_over_any_state() {
    fn line<S: State>(item: &WorkItem<S>) -> String {
        let ended = if S::TERMINAL { ", for good" } else { "" };
        format!("{}: {}{ended} after {} attempts", item.id(), S::KIND, item.attempts())
    }
    assert_eq!(line(&WorkItem::new("42")), "42: Pending after 0 attempts");
    assert_eq!(line(&failed("42").dead_letter(NOW)), "42: DeadLettered, for good after 1 attempts");
}

#[test]
fn code_over_any_legal_event() {
    fn logged<S: State, E: LegalIn<S>>(
        log: &mut Vec<String>,
        item: WorkItem<S>,
        event: E,
        now: DateTime<Utc>,
    ) -> WorkItem<E::Next> {
        log.push(format!("{} -> {}", S::KIND, E::Next::KIND));
        item.apply(event, now)
    }
    let mut log = Vec::new();
    let item = logged(&mut log, WorkItem::new("42"), start(), NOW);
    let item = logged(&mut log, item, Interrupt, NOW);
    assert_eq!(
        (item.attempts(), log),
        (1, vec!["Pending -> InProgress".into(), "InProgress -> Pending".into()])
    );
}

/// The builder has no state of its own: which calls are legal follows from the item inside.
#[test]
fn a_builder_over_legal_events() {
    struct Script<S: State> {
        item: WorkItem<S>,
        clock: DateTime<Utc>,
        told: Vec<WorkItemEvent>,
    }

    impl Script<Pending> {
        fn of(id: &str) -> Self {
            Self { item: WorkItem::new(id), clock: NOW, told: Vec::new() }
        }
    }

    impl<S: State> Script<S> {
        fn then<E: LegalIn<S> + Clone + Into<WorkItemEvent>>(mut self, event: E) -> Script<E::Next> {
            self.told.push(event.clone().into());
            let clock = self.clock + chrono::TimeDelta::seconds(1);
            Script { item: self.item.apply(event, clock), clock, told: self.told }
        }
    }

    let result = AgentComplete { result: Box::new(result("the")) };
    let script = Script::of("42").then(start()).then(failure()).then(Retry).then(start()).then(result);
    assert_eq!((script.item.attempts(), script.item.failures(), script.told.len()), (2, 1, 5));
    assert_eq!(script.item.result().item_id, "the item id");
}

#[test]
fn items_of_mixed_states_in_one_collection() -> Result<(), Box<dyn Error>> {
    let mut items: HashMap<ItemId, AnyWorkItem> = HashMap::new();
    items.insert("1".into(), WorkItem::new("1").into());
    items.insert("2".into(), WorkItem::new("2").start("agent-1", NOW).into());
    items.insert("3".into(), failed("3").into());

    // Taken out, matched once, moved on and put back.
    let ids: Vec<ItemId> = items.keys().cloned().collect();
    for id in ids {
        let next: AnyWorkItem = match items.remove(&id).ok_or("it is there")? {
            AnyWorkItem::Pending(item) => item.start("agent-2", NOW).into(),
            AnyWorkItem::InProgress(item) => item.interrupt().into(),
            AnyWorkItem::Failed(item) => item.retry().into(),
            ended @ (AnyWorkItem::Completed(_) | AnyWorkItem::DeadLettered(_)) => ended,
        };
        items.insert(id, next);
    }
    let mut kinds: Vec<_> = items.iter().map(|(id, item)| (id.as_str(), item.kind())).collect();
    kinds.sort_unstable();
    let expected = [("1", StatusKind::InProgress), ("2", StatusKind::Pending), ("3", StatusKind::Pending)];
    assert_eq!(kinds, expected);

    // Or asked for in one state, with `?` for the case that it is in another.
    let item = WorkItem::<InProgress>::try_from(items.remove(&ItemId::from("1")).ok_or("it is there")?)?;
    assert_eq!(item.agent_id(), "agent-2");
    Ok(())
}

#[test]
fn objects_of_items_in_any_state() {
    trait Describe {
        fn describe(&self) -> String;
    }

    impl<S: State> Describe for WorkItem<S> {
        fn describe(&self) -> String {
            format!("{} is {}", self.id(), S::KIND)
        }
    }

    let items: [Box<dyn Describe>; 2] = [Box::new(WorkItem::new("1")), Box::new(failed("2"))];
    let described = items.map(|item| item.describe());
    assert_eq!(described, ["1 is Pending", "2 is Failed"]);
}

#[test]
fn an_item_in_a_field_that_moves_on_in_place() {
    struct Slot {
        item: Option<AnyWorkItem>,
    }

    impl Slot {
        fn fail(&mut self, error: &str) -> bool {
            match self.item.take() {
                Some(AnyWorkItem::InProgress(item)) => {
                    self.item = Some(item.fail(error).into());
                    true
                }
                other => {
                    self.item = other;
                    false
                }
            }
        }
    }

    let mut slot = Slot { item: Some(WorkItem::new("42").start("agent-1", NOW).into()) };
    assert_eq!([slot.fail("exit 7"), slot.fail("exit 8")], [true, false]);
    assert!(matches!(slot.item, Some(AnyWorkItem::Failed(item)) if item.error() == "exit 7"));
}

#[test]
fn stages_that_name_their_state() {
    trait Stage {
        type In: State;
        type Out: State;
        fn run(&self, item: WorkItem<Self::In>) -> WorkItem<Self::Out>;
    }

    struct Begin;
    struct GiveUp;

    impl Stage for Begin {
        type In = Pending;
        type Out = InProgress;
        fn run(&self, item: WorkItem<Pending>) -> WorkItem<InProgress> {
            item.start("agent-1", NOW)
        }
    }

    impl Stage for GiveUp {
        type In = InProgress;
        type Out = DeadLettered;
        fn run(&self, item: WorkItem<InProgress>) -> WorkItem<DeadLettered> {
            item.fail("exit 7").dead_letter(NOW)
        }
    }

    fn both<A: Stage, B: Stage<In = A::Out>>(a: &A, b: &B, item: WorkItem<A::In>) -> WorkItem<B::Out> {
        b.run(a.run(item))
    }

    assert_eq!(both(&Begin, &GiveUp, WorkItem::new("42")).retry_count(), 1);
}

#[test]
fn results_of_ones_own() {
    #[derive(Debug, PartialEq)]
    struct Lines(usize);

    let item: WorkItem<Completed<Lines>> =
        WorkItem::new("42").start("agent-1", NOW).complete(Box::new(Lines(7)));
    assert_eq!(item.result(), &Lines(7));
    let record: WorkItemRecord<Lines> = item.into();
    let Ok(AnyWorkItem::Completed(item)) = AnyWorkItem::rehydrate(record) else { panic!("it is completed") };
    assert_eq!(*item.into_result(), Lines(7));
}

#[test]
fn policies_of_ones_own() {
    struct Stubborn;

    impl RetryPolicy for Stubborn {
        fn should_retry(&self, item: &WorkItem<Failed>) -> bool {
            item.error() != "no such file"
        }
    }

    let asked = Cell::new(0);
    let closure = |item: &WorkItem<Failed>| {
        asked.set(asked.get() + 1);
        item.can_retry(1)
    };
    assert!(matches!(failed("1").settle(&Stubborn, NOW), Settled::Retry(_)));
    assert!(matches!(failed("2").settle(&closure, NOW), Settled::DeadLetter(_)));
    assert!(matches!(failed("3").settle(&MaxAttempts(2), NOW), Settled::Retry(_)));
    assert_eq!(asked.get(), 1);
}

#[test]
fn items_that_go_from_thread_to_thread() -> Result<(), Box<dyn Error>> {
    fn shareable<T: Send + Sync>(value: T) -> T {
        value
    }
    let (to_agent, tasks) = mpsc::channel::<WorkItem<Pending>>();
    let agent = thread::spawn(move || {
        tasks.into_iter().map(|item| item.start("agent-1", NOW).interrupt()).collect::<Vec<_>>()
    });
    for id in ["1", "2"] {
        to_agent.send(shareable(WorkItem::new(id)))?;
    }
    drop(to_agent);
    let back = agent.join().map_err(|_| "the agent panicked")?;
    assert_eq!(back.iter().map(WorkItem::attempts).collect::<Vec<_>>(), [1, 1]);
    Ok(())
}

#[test]
fn a_sink_for_steps_into_any_state() {
    struct Journal(Vec<SealedStep>);

    impl Journal {
        fn write<S: State>(&mut self, step: Step<S>)
        where
            WorkItemRecord: From<WorkItem<S>>,
        {
            self.0.push(step.seal());
        }
    }

    let mut journal = Journal(Vec::new());
    journal.write(WorkItem::new("1").step(start(), NOW));
    journal.write(failed("2").step(Retry, NOW).then(start(), NOW));
    let written: Vec<_> = journal.0.iter().map(|step| (step.from(), step.events().len())).collect();
    assert_eq!(written, [(StatusKind::Pending, 1), (StatusKind::Failed, 2)]);
}

/// From claim to claim on any engine, with the state on disk in the type.
#[test]
fn code_over_any_store() -> Result<(), StoreError> {
    fn finish(
        store: &dyn Store,
        lease: Leased<InProgress>,
        result: AgentResult,
    ) -> Result<Leased<Completed>, StoreError> {
        store.commit(lease.step(AgentComplete { result: Box::new(result) }, NOW))
    }

    let store = workitem_store::MemoryStore::new();
    let job = store.create_job(&NewJob { name: None, spec: serde_json::Value::Null, now: NOW })?;
    store.submit(job.id, &[NewItem { id: "1".into(), payload: "a".into() }])?;
    store.seal(job.id, "digest")?;
    let request = workitem_store::ClaimRequest::new(job.id, "agent-1", 1, NOW);
    for claim in store.claim(&request)?.claims {
        let done = finish(&store, claim.leased, result("the"))?;
        assert_eq!(done.item().result().item_id, "the item id");
    }
    assert_eq!(store.counts(job.id)?.by_status.completed, 1);
    Ok(())
}

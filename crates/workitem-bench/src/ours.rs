//! Our machines, as their docs say to use them.

use std::hint::black_box;

use workitem_dynamic::{Refused, RefusedTransition, apply_item, transition_item};
use workitem_types::{AgentResult, Event, Status, WorkItemRecord, WorkItemStatus};
use workitem_typestate::{
    AgentComplete, AgentFailed, AgentStart, AnyWorkItem, Completed, DeadLettered, Failed, InProgress,
    Pending, Retry, WorkItem,
};

use crate::{Inputs, Kept, LEGAL, Late, Machine, NOW, Outcome, Refusing, lives};

const TYPED: &[usize] = &[
    size_of::<Pending>(),
    size_of::<InProgress>(),
    size_of::<Completed>(),
    size_of::<Failed>(),
    size_of::<DeadLettered>(),
];
const DYNAMIC: &[usize] = &[size_of::<WorkItemStatus>()];

/// `workitem-typestate`, by its methods.
pub struct Typed;

impl Machine for Typed {
    const ID: &'static str = "typed";
    const NAME: &'static str = "**`workitem-typestate`**";
    const STATUS: &'static [usize] = TYPED;
    type Result = AgentResult;
    type Completed = WorkItem<Completed>;

    fn live(inputs: Inputs) -> WorkItem<Completed> {
        let Inputs { id, first_agent, error, second_agent, result, now } = inputs;
        WorkItem::new(id)
            .start(first_agent, now)
            .fail(error)
            .retry()
            .start(second_agent, now)
            .complete(result)
    }

    fn outcome(item: WorkItem<Completed>) -> Outcome {
        Outcome::of(item.into())
    }
}

/// `workitem-typestate`, by its events: `LegalIn`.
pub struct TypedByEvent;

impl Machine for TypedByEvent {
    const ID: &'static str = "typed_by_event";
    const NAME: &'static str = "**`workitem-typestate`**, through `LegalIn`";
    const STATUS: &'static [usize] = TYPED;
    type Result = AgentResult;
    type Completed = WorkItem<Completed>;

    fn live(inputs: Inputs) -> WorkItem<Completed> {
        let Inputs { id, first_agent, error, second_agent, result, now } = inputs;
        WorkItem::new(id)
            .apply(AgentStart { agent_id: first_agent }, now)
            .apply(AgentFailed { error }, now)
            .apply(Retry, now)
            .apply(AgentStart { agent_id: second_agent }, now)
            .apply(AgentComplete { result }, now)
    }

    fn outcome(item: WorkItem<Completed>) -> Outcome {
        Outcome::of(item.into())
    }
}

/// `workitem-typestate`, kept in a field of a state known only at run time: matched before each transition.
pub struct TypedInAField;

impl Machine for TypedInAField {
    const ID: &'static str = "typed_in_a_field";
    const NAME: &'static str = "**`workitem-typestate`**, in an `AnyWorkItem`";
    const STATUS: &'static [usize] = &[size_of::<AnyWorkItem>()];
    type Result = AgentResult;
    type Completed = AnyWorkItem;

    fn live(inputs: Inputs) -> AnyWorkItem {
        let Inputs { id, first_agent, error, second_agent, result, now } = inputs;
        let mut item: AnyWorkItem = WorkItem::new(id).into();
        black_box(&mut item);
        item = WorkItem::<Pending>::try_from(item).expect(LEGAL).start(first_agent, now).into();
        black_box(&mut item);
        item = WorkItem::<InProgress>::try_from(item).expect(LEGAL).fail(error).into();
        black_box(&mut item);
        item = WorkItem::<Failed>::try_from(item).expect(LEGAL).retry().into();
        black_box(&mut item);
        item = WorkItem::<Pending>::try_from(item).expect(LEGAL).start(second_agent, now).into();
        black_box(&mut item);
        WorkItem::<InProgress>::try_from(item).expect(LEGAL).complete(result).into()
    }

    fn outcome(item: AnyWorkItem) -> Outcome {
        Outcome::of(item.into())
    }
}

/// `workitem-dynamic`, in place.
pub struct DynamicInPlace;

impl Machine for DynamicInPlace {
    const ID: &'static str = "dynamic_in_place";
    const NAME: &'static str = "**`workitem-dynamic`**, in place";
    const STATUS: &'static [usize] = DYNAMIC;
    type Result = AgentResult;
    type Completed = WorkItemRecord;

    fn live(inputs: Inputs) -> WorkItemRecord {
        lives::in_place!(inputs, apply_item)
    }

    fn outcome(item: WorkItemRecord) -> Outcome {
        Outcome::of(item)
    }
}

impl Refusing for DynamicInPlace {
    const ID: &'static str = "refused_dynamic_in_place";
    const NAME: &'static str = "**`workitem-dynamic`**, in place";
    type Late = Late;
    type Left = (WorkItemRecord, Result<(), Refused>);

    fn late() -> Late {
        Late::new()
    }

    fn refuse(late: Late) -> Self::Left {
        lives::refused_in_place!(late, apply_item)
    }

    fn kept((item, refused): Self::Left) -> Kept {
        let refused = refused.expect_err("nothing leads from `Failed` to `Completed`");
        let message = refused.to_string();
        Kept { message, ..Late::kept(Late { item, event: refused.into_event() }) }
    }
}

/// `workitem-dynamic`, by value.
pub struct DynamicByValue;

impl Machine for DynamicByValue {
    const ID: &'static str = "dynamic_by_value";
    const NAME: &'static str = "**`workitem-dynamic`**, by value";
    const STATUS: &'static [usize] = DYNAMIC;
    type Result = AgentResult;
    type Completed = WorkItemRecord;

    fn live(inputs: Inputs) -> WorkItemRecord {
        lives::by_value!(inputs, transition_item)
    }

    fn outcome(item: WorkItemRecord) -> Outcome {
        Outcome::of(item)
    }
}

impl Refusing for DynamicByValue {
    const ID: &'static str = "refused_dynamic_by_value";
    const NAME: &'static str = "**`workitem-dynamic`**, by value";
    type Late = Late;
    type Left = Result<WorkItemRecord, RefusedTransition<AgentResult, WorkItemRecord>>;

    fn late() -> Late {
        Late::new()
    }

    fn refuse(Late { item, event }: Late) -> Self::Left {
        transition_item(item, event, NOW)
    }

    fn kept(left: Self::Left) -> Kept {
        let refused = left.expect_err("nothing leads from `Failed` to `Completed`");
        let message = refused.to_string();
        let (item, event) = refused.into_parts();
        Kept { message, ..Late::kept(Late { item, event }) }
    }
}

//! The life and the refusal of machines for states known only at run time: one text for ours and those by hand, so that
//! nothing differs but the rule.
//!
//! Macros and not functions that are given the rule: it is to be called by name, as it is in a program.

/// A life in place.
macro_rules! in_place {
    ($inputs:ident, $apply:path) => {{
        let Inputs { id, first_agent, error, second_agent, result, now } = $inputs;
        let mut item = WorkItemRecord { id, attempts: 0, failures: 0, status: Status::Pending };
        let mut happen = |event| $apply(black_box(&mut item), black_box(event), now).expect(LEGAL);
        happen(Event::AgentStart { agent_id: first_agent });
        happen(Event::AgentFailed { error });
        happen(Event::Retry);
        happen(Event::AgentStart { agent_id: second_agent });
        happen(Event::AgentComplete { result });
        item
    }};
}

/// A life by value.
macro_rules! by_value {
    ($inputs:ident, $transition:path) => {{
        let Inputs { id, first_agent, error, second_agent, result, now } = $inputs;
        let happen = |mut item, event| {
            black_box(&mut item);
            $transition(item, black_box(event), now).expect(LEGAL)
        };
        let item = WorkItemRecord { id, attempts: 0, failures: 0, status: Status::Pending };
        let item = happen(item, Event::AgentStart { agent_id: first_agent });
        let item = happen(item, Event::AgentFailed { error });
        let item = happen(item, Event::Retry);
        let item = happen(item, Event::AgentStart { agent_id: second_agent });
        happen(item, Event::AgentComplete { result })
    }};
}

/// A refusal in place.
macro_rules! refused_in_place {
    ($late:ident, $apply:path) => {{
        let Late { mut item, event } = $late;
        let refused = $apply(black_box(&mut item), event, NOW);
        (item, refused)
    }};
}

pub(crate) use {by_value, in_place, refused_in_place};

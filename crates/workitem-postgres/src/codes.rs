//! The numbers under which states, events, controls and streams are stored. They are part of the schema: a number is never
//! reused. `schema/1.sql` names some of them.

use workitem_store::{Control, StreamKind};
use workitem_types::{EventKind, StatusKind};

pub const fn status_code(kind: StatusKind) -> i16 {
    match kind {
        StatusKind::Pending => 0,
        StatusKind::InProgress => 1,
        StatusKind::Completed => 2,
        StatusKind::Failed => 3,
        StatusKind::DeadLettered => 4,
    }
}

pub fn status_kind(code: i16) -> Option<StatusKind> {
    StatusKind::ALL.into_iter().find(|kind| status_code(*kind) == code)
}

pub const fn event_code(kind: EventKind) -> i16 {
    match kind {
        EventKind::AgentStart => 0,
        EventKind::AgentComplete => 1,
        EventKind::AgentFailed => 2,
        EventKind::Interrupt => 3,
        EventKind::Retry => 4,
        EventKind::MoveToDeadLetter => 5,
    }
}

pub fn event_kind(code: i16) -> Option<EventKind> {
    EventKind::ALL.into_iter().find(|kind| event_code(*kind) == code)
}

pub const fn control_code(control: Control) -> i16 {
    match control {
        Control::Run => 0,
        Control::Pause => 1,
        Control::Cancel => 2,
    }
}

pub fn control_of(code: i16) -> Option<Control> {
    [Control::Run, Control::Pause, Control::Cancel].into_iter().find(|control| control_code(*control) == code)
}

pub const fn stream_code(stream: StreamKind) -> i16 {
    match stream {
        StreamKind::Stdout => 0,
        StreamKind::Stderr => 1,
    }
}

pub fn stream_of(code: i16) -> Option<StreamKind> {
    [StreamKind::Stdout, StreamKind::Stderr].into_iter().find(|stream| stream_code(*stream) == code)
}

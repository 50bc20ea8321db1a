//! Refusals: what came, where it came, and what would have been legal. Kinds only, never payloads.

use std::error::Error;
use std::fmt;

use workitem_types::{AgentResult, Event, EventKind, Status, StatusKind};

/// An event that is not legal in the state it met. The state is untouched and the event is in here.
///
/// Neither `Display` nor `Debug` shows a payload, so a refusal can be logged whatever it carries; and making
/// one allocates nothing.
///
/// ```
/// use chrono::{DateTime, Utc};
/// use workitem_dynamic::{EventKind, StatusKind, WorkItemEvent, WorkItemStatus, apply};
///
/// let event = WorkItemEvent::AgentFailed { error: "a secret".into() };
/// let refused = apply(&mut WorkItemStatus::Pending, event.clone(), DateTime::<Utc>::UNIX_EPOCH).unwrap_err();
///
/// assert_eq!((refused.from(), refused.event_kind()), (StatusKind::Pending, EventKind::AgentFailed));
/// assert_eq!(refused.to_string(), "event `AgentFailed` is not legal in state `Pending`: only `AgentStart` is");
/// assert_eq!(format!("{refused:?}"), "Refused { from: Pending, event: AgentFailed }");
/// assert_eq!(refused.into_event(), event);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Refused<R = AgentResult> {
    from: StatusKind,
    event: Event<R>,
}

impl<R> Refused<R> {
    pub(crate) const fn new(from: StatusKind, event: Event<R>) -> Self {
        Self { from, event }
    }

    /// The state that the event met.
    pub const fn from(&self) -> StatusKind {
        self.from
    }

    /// The event, with its payload.
    pub const fn event(&self) -> &Event<R> {
        &self.event
    }

    /// The event without its payload.
    pub const fn event_kind(&self) -> EventKind {
        self.event.kind()
    }

    /// The event, given up by the refusal.
    pub fn into_event(self) -> Event<R> {
        self.event
    }

    /// The events that would have been legal; none if the state is terminal.
    pub const fn legal(&self) -> &'static [EventKind] {
        match self.from {
            StatusKind::Pending => &[EventKind::AgentStart],
            StatusKind::InProgress => {
                &[EventKind::AgentComplete, EventKind::AgentFailed, EventKind::Interrupt]
            }
            StatusKind::Completed => &[],
            StatusKind::Failed => &[EventKind::AgentFailed, EventKind::Retry, EventKind::MoveToDeadLetter],
            StatusKind::DeadLettered => &[],
        }
    }
}

impl<R> fmt::Display for Refused<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event `{}` is not legal in state `{}`: ", self.event_kind(), self.from)?;
        match self.legal() {
            [] => f.write_str("no event is"),
            [only] => write!(f, "only `{only}` is"),
            [others @ .., last] => {
                for (i, event) in others.iter().enumerate() {
                    write!(f, "{}`{event}`", if i == 0 { "" } else { ", " })?;
                }
                write!(f, " and `{last}` are")
            }
        }
    }
}

impl<R> fmt::Debug for Refused<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused").field("from", &self.from).field("event", &self.event_kind()).finish()
    }
}

impl<R> Error for Refused<R> {}

/// A refused transition by value: it gives back what was to change (`T`, a status or a whole item) and the
/// event.
///
/// Prints what its [`Refused`] prints, and never a payload.
#[derive(Clone, PartialEq, Eq)]
pub struct RefusedTransition<R = AgentResult, T = Status<R>> {
    current: T,
    refused: Refused<R>,
}

impl<R, T> RefusedTransition<R, T> {
    pub(crate) const fn new(current: T, refused: Refused<R>) -> Self {
        Self { current, refused }
    }

    /// What was to change, unchanged.
    pub const fn current(&self) -> &T {
        &self.current
    }

    /// What was refused, and where.
    pub const fn refused(&self) -> &Refused<R> {
        &self.refused
    }

    /// What was to change and the event, both as they came.
    pub fn into_parts(self) -> (T, Event<R>) {
        (self.current, self.refused.event)
    }
}

impl<R, T> fmt::Display for RefusedTransition<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.refused, f)
    }
}

impl<R, T> fmt::Debug for RefusedTransition<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefusedTransition")
            .field("from", &self.refused.from)
            .field("event", &self.refused.event_kind())
            .finish_non_exhaustive()
    }
}

impl<R, T> Error for RefusedTransition<R, T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_would_be_legal() {
        let said = |from| Refused::<()>::new(from, Event::Interrupt).to_string();
        assert_eq!(
            said(StatusKind::Completed),
            "event `Interrupt` is not legal in state `Completed`: no event is"
        );
        assert_eq!(
            said(StatusKind::Failed),
            "event `Interrupt` is not legal in state `Failed`: \
             `AgentFailed`, `Retry` and `MoveToDeadLetter` are"
        );
    }

    #[test]
    fn a_refusal_by_value_hides_what_it_carries() {
        let refused = Refused::new(StatusKind::Pending, Event::AgentComplete { result: Box::new("secret") });
        let refused = RefusedTransition::new("secret", refused);
        for said in [refused.to_string(), format!("{refused:?}"), format!("{refused:#?}")] {
            assert!(!said.contains("secret") && said.contains("AgentComplete"), "{said}");
        }
    }

    #[test]
    fn a_refusal_is_small_enough_to_return_by_value() {
        assert!(size_of::<Refused>() <= 40);
        assert!(size_of::<RefusedTransition>() <= 88);
    }
}

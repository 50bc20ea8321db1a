//! One item in every machine at once: after each event all of them must hold the same.

use std::fmt::{Debug, Display, Write as _};

use chrono::{DateTime, Utc};
use workitem_types::{EventKind, WorkItemEvent, WorkItemRecord};
use workitem_typestate::{AnyWorkItem, Inconsistent, WorkItem};

use crate::typed::{self, OneStep};
use crate::{Verdict, dynamic, reachable, table};

/// An event and its time, as each machine wants them.
#[derive(Debug, Clone)]
pub struct Happening {
    event: WorkItemEvent,
    now: DateTime<Utc>,
    by_name: table::Event,
}

impl Happening {
    /// The event happens at `now`.
    pub fn new(event: WorkItemEvent, now: DateTime<Utc>) -> Self {
        let by_name = table::Event::new(&event, now);
        Self { event, now, by_name }
    }

    /// What happens, without its payload.
    pub const fn kind(&self) -> EventKind {
        self.event.kind()
    }
}

/// An item in the typed machine three times over, in the dynamic one and in the table.
///
/// Its own life goes on in each: none is told what another came to.
#[derive(Debug)]
#[must_use = "it holds the item"]
pub struct Machines {
    /// Or why the typed machine does not let the item in.
    typed: Result<Typed, Inconsistent>,
    dynamic: WorkItemRecord,
    table: table::Item,
}

impl Machines {
    /// A new item.
    pub fn born(id: &str) -> Self {
        let dynamic = WorkItemRecord::new(id);
        Self { typed: Ok(Typed::born(id)), table: table::Item::new(&dynamic), dynamic }.checked()
    }

    /// The item of a record. It may be one that no events lead to: the dynamic machine and the table take it
    /// all the same, the typed machine must not.
    ///
    /// # Panics
    ///
    /// If the typed machine refuses what can be reached, or lets in what cannot.
    pub fn of(record: &WorkItemRecord) -> Self {
        let rehydrate = || AnyWorkItem::rehydrate(record.clone());
        let typed = rehydrate().map(|item| {
            let again = || rehydrate().expect("it was let in before");
            Typed { by_method: again(), by_event: again(), in_one_step: OneStep::new(item) }
        });
        assert_eq!(
            typed.is_ok(),
            reachable::is_reachable(record),
            "what is let in ({:?}) is not what can be reached: look at {REHYDRATE}\n{record:?}",
            typed.as_ref().map(|_| "it was"),
        );
        Self { typed, dynamic: record.clone(), table: table::Item::new(record) }.checked()
    }

    /// The item once more, for another future: `life` is what has happened to it since its birth, and the
    /// typed machines live it again from there, so that no door stands between their events.
    pub fn again<'a>(&self, life: impl IntoIterator<Item = &'a Happening>) -> Self {
        let mut typed = Typed::born(self.dynamic.id.as_str());
        for happening in life {
            typed = typed.happen(happening).next();
        }
        Self { typed: Ok(typed), dynamic: self.dynamic.clone(), table: self.table.clone() }
    }

    /// The event happens in each machine, and all give one answer.
    ///
    /// # Panics
    ///
    /// If they do not. Says which machine stands alone, and where its rule is.
    pub fn happen(self, happening: &Happening) -> Verdict<Self> {
        let Happening { event, now, by_name } = happening;
        let (from, event_kind) = (self.dynamic.status.kind(), event.kind());
        let typed = self.typed.map(|typed| typed.happen(happening));
        let dynamic = dynamic::on_item(&self.dynamic, event, *now);
        let table = self.table.happen(by_name);
        assert_one_answer(
            &format_args!("`{event_kind}` in `{from}`"),
            typed.as_ref().ok().map(Answers::seen).as_slice().as_flattened(),
            &dynamic,
            &table.as_ref().map(table::Item::record),
        );
        let (typed, table) = (typed.map(Answers::next), table.into_inner());
        dynamic.map(|dynamic| Self { typed, dynamic, table }.checked_json())
    }

    /// The item is written as JSON and read back.
    ///
    /// # Panics
    ///
    /// If that changes it, or a machine did not hold what it showed.
    pub fn through_json(self) -> Self {
        let json = serde_json::to_string(&self.dynamic).expect("a record can be written");
        let read: WorkItemRecord = serde_json::from_str(&json).expect("what was written can be read");
        assert_eq!(read, self.dynamic, "JSON changes the item: look at {TYPES}");
        if let Ok(Typed { by_method, by_event, in_one_step }) = self.typed {
            for item in [by_method, by_event, in_one_step.into_item()] {
                assert_eq!(
                    WorkItemRecord::from(item),
                    read,
                    "what an item leaves behind is another: look at {OUT}"
                );
            }
        }
        Self::of(&read)
    }

    /// The item, the same in each.
    pub const fn item(&self) -> &WorkItemRecord {
        &self.dynamic
    }

    /// Why the typed machine does not let the item in, if it does not.
    pub fn inconsistent(&self) -> Option<&Inconsistent> {
        self.typed.as_ref().err()
    }

    /// All machines hold the same before anything happens.
    fn checked(self) -> Self {
        let typed = self.typed.as_ref().ok().map(|typed| typed.seen().map(Verdict::Illegal));
        let (dynamic, table) =
            (Verdict::Illegal(self.dynamic.clone()), Verdict::Illegal(self.table.record()));
        assert_one_answer(&"before anything happens", typed.as_slice().as_flattened(), &dynamic, &table);
        self.checked_json()
    }

    fn checked_json(self) -> Self {
        let written = serde_json::to_value(&self.dynamic).expect("a record can be written");
        assert_eq!(written, self.table.json(), "JSON is not what the table makes: look at {TYPES}");
        self
    }
}

#[derive(Debug)]
struct Typed {
    by_method: AnyWorkItem,
    by_event: AnyWorkItem,
    in_one_step: OneStep,
}

impl Typed {
    fn born(id: &str) -> Self {
        let born = || WorkItem::new(id).into();
        Self { by_method: born(), by_event: born(), in_one_step: OneStep::new(born()) }
    }

    fn seen(&self) -> [WorkItemRecord; 3] {
        [typed::seen(&self.by_method), typed::seen(&self.by_event), self.in_one_step.seen()]
    }

    fn happen(self, Happening { event, now, by_name: _ }: &Happening) -> Answers {
        Answers {
            by_method: typed::by_method(self.by_method, event.clone(), *now),
            by_event: typed::by_event(self.by_event, event.clone(), *now),
            in_one_step: self.in_one_step.happen(event.clone(), *now),
        }
    }
}

/// What the typed machine says, three times over.
struct Answers {
    by_method: Verdict<AnyWorkItem>,
    by_event: Verdict<AnyWorkItem>,
    in_one_step: Verdict<OneStep>,
}

impl Answers {
    fn seen(&self) -> [Verdict<WorkItemRecord>; 3] {
        let Self { by_method, by_event, in_one_step } = self;
        [
            by_method.as_ref().map(typed::seen),
            by_event.as_ref().map(typed::seen),
            in_one_step.as_ref().map(OneStep::seen),
        ]
    }

    fn next(self) -> Typed {
        Typed {
            by_method: self.by_method.into_inner(),
            by_event: self.by_event.into_inner(),
            in_one_step: self.in_one_step.into_inner(),
        }
    }
}

/// Where the rules are, for whoever reads a failure.
const METHODS: &str = "crates/workitem-typestate/src/item.rs";
const LEGAL_IN: &str = "crates/workitem-typestate/src/events.rs";
const STEPS: &str = "crates/workitem-typestate/src/step.rs";
pub(crate) const OUT: &str = "crates/workitem-typestate/src/any.rs";
const REHYDRATE: &str = "crates/workitem-typestate/src/rehydrate.rs";
const CELLS: &str = "crates/workitem-dynamic/src/cells.rs and item.rs";
pub(crate) const ROWS: &str = "crates/workitem-table/src/lib.rs";
const TYPES: &str = "crates/workitem-types/src";

/// Fails unless all answers are one. The methods, the dynamic machine and the table were written one by one,
/// so where two of them agree the third is the one to look at first; the other two ways into the typed
/// machine go through the methods.
///
/// `typed` is what the methods say, then `LegalIn`, then a step; those that were asked.
///
/// # Panics
///
/// If the answers are not one.
pub fn assert_one_answer<T: PartialEq + Debug>(
    what: &dyn Display,
    typed: &[Verdict<T>],
    dynamic: &Verdict<T>,
    table: &Verdict<T>,
) {
    if dynamic == table && typed.iter().all(|typed| typed == dynamic) {
        return;
    }
    let look = match typed.first() {
        None => format!("{CELLS}, and {ROWS}"),
        Some(methods) if methods == dynamic && methods != table => ROWS.to_owned(),
        Some(methods) if methods == table && methods != dynamic => CELLS.to_owned(),
        Some(methods) if dynamic == table && methods != dynamic => METHODS.to_owned(),
        Some(methods) if typed.get(1).is_some_and(|by_event| by_event != methods) => LEGAL_IN.to_owned(),
        Some(methods) if methods == dynamic => STEPS.to_owned(),
        Some(_) => "all of them".to_owned(),
    };
    let mut said = format!("{what}: the machines differ: look at {look}\n");
    let untyped = [(CELLS, dynamic), (ROWS, table)];
    for (place, answer) in [METHODS, LEGAL_IN, STEPS].into_iter().zip(typed).chain(untyped) {
        _ = writeln!(said, "{place}: {answer:?}");
    }
    panic!("{said}");
}

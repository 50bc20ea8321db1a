//! From PostgreSQL's errors to the store's. What is told never holds the password: not the address, but its name is
//! quoted.

use std::error::Error as _;

use postgres::error::{DbError, Severity, SqlState};
use workitem_store::StoreError;

/// An error inside a transaction: PostgreSQL's, a value that makes no sense, one that already is the store's, or none: what
/// was hoped for was not so, and another way has to be gone.
#[derive(Debug)]
pub enum Failure {
    Sql(postgres::Error),
    Misfit(String),
    Store(StoreError),
    Overtaken,
}

impl From<postgres::Error> for Failure {
    fn from(error: postgres::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Failure {
    /// Whether the connection is of no use any more: anything but a statement that the server has refused.
    pub fn has_lost_connection(&self) -> bool {
        match self {
            Self::Sql(error) => is_lost(error),
            Self::Misfit(_) | Self::Store(_) | Self::Overtaken => false,
        }
    }

    /// Whether another way may do: somebody else was quicker, or waited for this as this did for them.
    pub fn is_overtaken(&self) -> bool {
        matches!(self, Self::Overtaken) || self.is(&SqlState::T_R_DEADLOCK_DETECTED)
    }

    /// Whether the server says that this is the reason.
    pub fn is(&self, state: &SqlState) -> bool {
        matches!(self, Self::Sql(error) if error.code() == Some(state))
    }

    /// The error with the store's name and what was attempted.
    pub fn while_doing(self, store: &str, what: &str) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Misfit(why) => damaged(store, format!("{what}: {why}")),
            Self::Sql(error) => sql(store, what, error),
            Self::Overtaken => refused(store, format!("{what}: somebody else was quicker")),
        }
    }
}

pub fn damaged(store: &str, what: String) -> StoreError {
    StoreError::Damaged { store: store.to_owned(), what }
}

/// An error without a cause.
pub fn refused(store: &str, what: impl Into<String>) -> StoreError {
    StoreError::Engine { store: store.to_owned(), what: what.into(), cause: None }
}

fn is_lost(error: &postgres::Error) -> bool {
    error.as_db_error().is_none_or(|error| {
        !matches!(error.parsed_severity(), Some(Severity::Error | Severity::Warning | Severity::Notice))
    })
}

fn sql(store: &str, what: &str, error: postgres::Error) -> StoreError {
    let Some(told) = error.as_db_error() else {
        let why = match chain(&error) {
            why if why.ends_with("password missing") => {
                "the server asks for a password: give it by PGPASSWORD or in ~/.pgpass".to_owned()
            }
            why => why,
        };
        let what = format!("{what}: {why}");
        return StoreError::Engine { store: store.to_owned(), what, cause: Some(Box::new(error)) };
    };
    let state = told.code();
    if is_damage(state) {
        return damaged(store, format!("{what}: {}", words(told)));
    }
    let why = if *state == SqlState::DISK_FULL {
        "the server's disk is full".to_owned()
    } else if *state == SqlState::READ_ONLY_SQL_TRANSACTION {
        "it cannot be written to: the server is a standby, or set to read only".to_owned()
    } else if *state == SqlState::LOCK_NOT_AVAILABLE || *state == SqlState::QUERY_CANCELED {
        format!("another session has kept it locked or busy for too long ({})", words(told))
    } else if [SqlState::INVALID_SQL_STATEMENT_NAME, SqlState::DUPLICATE_PSTATEMENT].contains(state) {
        let pooler = "a pooler in between must pool sessions, not transactions";
        format!("the session is not the one that it was before; {pooler} ({})", words(told))
    } else if *state == SqlState::INSUFFICIENT_PRIVILEGE {
        format!("this role may not do that: {}", words(told))
    } else {
        words(told)
    };
    StoreError::Engine {
        store: store.to_owned(),
        what: format!("{what}: {why}"),
        cause: Some(Box::new(error)),
    }
}

/// What is written follows from what was read. If there is no room for it, that was not true.
fn is_damage(state: &SqlState) -> bool {
    let damage = [SqlState::DATA_CORRUPTED, SqlState::INDEX_CORRUPTED];
    let integrity = ["23502", "23503", "23505", "23514"];
    damage.contains(state) || integrity.contains(&state.code())
}

/// What the server says, in a line.
fn words(error: &DbError) -> String {
    let mut words = error.message().to_owned();
    for more in [error.detail(), error.hint()].into_iter().flatten() {
        words.push_str("; ");
        words.push_str(more);
    }
    words
}

/// What the driver says, with its causes.
fn chain(error: &postgres::Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        told.push_str(": ");
        told.push_str(&cause.to_string());
        source = cause.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_is_another_one_between_two_transactions_is_told() {
        let mut client = postgres::Client::connect(workitem_pgtest::shared().url(), postgres::NoTls).unwrap();
        client.batch_execute("PREPARE known AS SELECT 1").unwrap();
        for statement in ["EXECUTE unknown", "PREPARE known AS SELECT 1"] {
            let failure = Failure::Sql(client.batch_execute(statement).unwrap_err());
            let told = failure.while_doing("store", "claiming").to_string();
            assert!(told.contains("claiming: the session is not the one that it was before"), "{told}");
            assert!(told.contains("must pool sessions, not transactions (prepared statement"), "{told}");
        }
    }
}

//! Connections: a few, so that threads need not wait for each other, each set up the same way and kept until it breaks.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use postgres::types::ToSql;
use postgres::{Client, Row, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;
use workitem_store::StoreError;

use crate::address::Address;
use crate::error::{Failure, damaged};
use crate::migrate::known;

/// Most connections of a store, but for those that hold a job's lock. More threads than that wait for each other.
const MOST: usize = 8;
/// How many rows the counts of a job have.
pub const SHARDS: i16 = 16;

/// Said on each connection before anything else.
///
/// - No plan depends on statistics: whatever has to be found is found by an index, whether the tables were ever analysed
///   or not, and the plan that a statement was first given stays. Without this, the planner reads and sorts all pending
///   items for each claim of a table that it knows nothing of.
/// - What is acknowledged is durable, whatever the server or the role says otherwise.
/// - Nobody waits for ever, neither for a lock nor for an answer; and who is stopped in the midst of a transaction keeps
///   others out for no longer than a minute.
/// - A client that is gone is noticed by the server within half a minute, and its locks with it.
const SETTINGS: &str = "
    SET plan_cache_mode = force_generic_plan;
    SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off; SET enable_incremental_sort = off;
    SET enable_hashjoin = off; SET enable_mergejoin = off; SET max_parallel_workers_per_gather = 0; SET jit = off;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
    SET lock_timeout = '30s'; SET statement_timeout = '10min';
    SET idle_in_transaction_session_timeout = '1min'; SET idle_session_timeout = 0;
    SET tcp_keepalives_idle = 15; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;
    SET tcp_user_timeout = '30s';
    SET default_transaction_isolation = 'read committed'; SET client_min_messages = error;
";

/// The connections of one store.
pub struct Pool {
    address: Address,
    tls: MakeRustlsConnect,
    shelf: Mutex<Shelf>,
    returned: Condvar,
}

struct Shelf {
    idle: Vec<Connection>,
    /// Idle ones and those in use.
    open: usize,
}

/// A connection, and the statements that it has prepared.
pub struct Connection {
    client: Client,
    statements: HashMap<String, Statement>,
    /// Which row of a job's counts it changes.
    shard: i16,
}

/// What a transaction is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Write,
    Read,
}

impl Kind {
    const fn begin(self) -> &'static str {
        match self {
            // What a statement locks it looks at again, so that each statement decides by what is there by then.
            Self::Write => "BEGIN ISOLATION LEVEL READ COMMITTED",
            Self::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        }
    }
}

impl Pool {
    pub fn new(address: Address) -> Result<Arc<Self>, StoreError> {
        let tls = crate::tls::connector(&address)?;
        let shelf = Mutex::new(Shelf { idle: Vec::new(), open: 0 });
        Ok(Arc::new(Self { address, tls, shelf, returned: Condvar::new() }))
    }

    pub const fn address(&self) -> &Address {
        &self.address
    }

    pub fn name(&self) -> &str {
        &self.address.name
    }

    /// A connection that belongs to nobody else, set up as all are. The schema may have become newer since the store was
    /// opened; whoever connects anew meets that.
    pub fn connect(&self) -> Result<Client, Failure> {
        let mut client = self.reach()?;
        known(&mut client, &self.address)?;
        Ok(client)
    }

    /// The same to a store of which nothing is known yet.
    pub fn reach(&self) -> Result<Client, Failure> {
        let mut client = self.address.config.connect(self.tls.clone())?;
        // A table of the session's own would hide one of ours, were it not named last.
        client
            .batch_execute(&format!("SET search_path TO \"{}\", pg_temp; {SETTINGS}", self.address.schema))?;
        Ok(client)
    }

    /// Runs `write` in a transaction that is durable when this returns.
    pub fn write<T>(
        &self,
        what: &str,
        write: impl FnOnce(&mut Tx<'_>) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        self.attempt(write).map_err(|failure| failure.while_doing(self.name(), what))
    }

    /// The same, for who knows what to do if it fails.
    pub fn attempt<T>(&self, write: impl FnOnce(&mut Tx<'_>) -> Result<T, Failure>) -> Result<T, Failure> {
        self.transact(Kind::Write, write)
    }

    /// Runs `read` on one snapshot.
    pub fn read<T>(
        &self,
        what: &str,
        read: impl Fn(&mut Tx<'_>) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        self.snapshot(read).map_err(|failure| failure.while_doing(self.name(), what))
    }

    /// Runs `read` on one snapshot. It changes nothing, so it is tried once more if its connection breaks.
    pub fn snapshot<T>(&self, read: impl Fn(&mut Tx<'_>) -> Result<T, Failure>) -> Result<T, Failure> {
        match self.transact(Kind::Read, &read) {
            Err(failure) if failure.has_lost_connection() => self.transact(Kind::Read, &read),
            answer => answer,
        }
    }

    fn transact<T>(
        &self,
        kind: Kind,
        run: impl FnOnce(&mut Tx<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut held = self.begun(kind)?;
        let mut transaction = Tx { connection: held.connection(), store: self.name() };
        let done = run(&mut transaction);
        let ended = match &done {
            Ok(_) => held.connection().client.batch_execute("COMMIT"),
            Err(failure) if failure.has_lost_connection() => return done,
            Err(_) => held.connection().client.batch_execute("ROLLBACK"),
        };
        match (done, ended) {
            (Ok(_), Err(error)) => Err(error.into()),
            (done, Ok(())) => {
                held.keep();
                done
            }
            // Why it failed is what is to be told; without its connection there is nothing to be rolled back.
            (Err(failure), Err(_)) => Err(failure),
        }
    }

    /// A connection on which a transaction has begun. One that was idle may have broken meanwhile, and nothing was asked of
    /// it yet: the next one is taken, a new one at last.
    fn begun(&self, kind: Kind) -> Result<Held<'_>, Failure> {
        loop {
            let mut held = self.take()?;
            match held.connection().client.batch_execute(kind.begin()) {
                Ok(()) => return Ok(held),
                Err(error) if held.is_new => return Err(error.into()),
                Err(_) => {}
            }
        }
    }

    fn take(&self) -> Result<Held<'_>, Failure> {
        let mut shelf = self.shelf();
        loop {
            if let Some(connection) = shelf.idle.pop() {
                return Ok(Held { pool: self, connection: Some(connection), is_new: false, is_kept: false });
            }
            if shelf.open < MOST {
                break;
            }
            shelf = self.returned.wait(shelf).unwrap_or_else(PoisonError::into_inner);
        }
        shelf.open += 1;
        drop(shelf);
        // Counted before it is there; if it does not come to be, dropping this says so.
        let mut held = Held { pool: self, connection: None, is_new: true, is_kept: false };
        let client = self.connect()?;
        held.connection =
            Some(Connection { client, statements: HashMap::new(), shard: fastrand::i16(0..SHARDS) });
        Ok(held)
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection in use. Dropped without [`keep`](Self::keep), also by a panic, it is closed, and the server rolls back.
struct Held<'p> {
    pool: &'p Pool,
    connection: Option<Connection>,
    is_new: bool,
    is_kept: bool,
}

impl Held<'_> {
    fn connection(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("it is taken out only when this is dropped")
    }

    fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let connection = self.connection.take();
        let mut shelf = self.pool.shelf();
        match connection {
            Some(connection) if self.is_kept => shelf.idle.push(connection),
            closed => {
                shelf.open -= 1;
                drop(shelf);
                // Not under the lock: to close it is to talk to the server.
                drop(closed);
            }
        }
        self.pool.returned.notify_one();
    }
}

/// A transaction, and the name of its store.
pub struct Tx<'c> {
    connection: &'c mut Connection,
    pub store: &'c str,
}

impl Tx<'_> {
    /// Which row of a job's counts this may change.
    pub const fn shard(&self) -> i16 {
        self.connection.shard
    }

    pub fn query(&mut self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Failure> {
        let statement = self.prepared(sql)?;
        Ok(self.connection.client.query(&statement, parameters)?)
    }

    pub fn query_opt(
        &mut self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, Failure> {
        let statement = self.prepared(sql)?;
        Ok(self.connection.client.query_opt(&statement, parameters)?)
    }

    pub fn query_one(&mut self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Row, Failure> {
        let statement = self.prepared(sql)?;
        Ok(self.connection.client.query_one(&statement, parameters)?)
    }

    /// How many rows it has changed.
    pub fn execute(&mut self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<u64, Failure> {
        let statement = self.prepared(sql)?;
        Ok(self.connection.client.execute(&statement, parameters)?)
    }

    pub fn damaged(&self, what: String) -> Failure {
        damaged(self.store, what).into()
    }

    fn prepared(&mut self, sql: &str) -> Result<Statement, Failure> {
        if let Some(statement) = self.connection.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.connection.client.prepare(sql)?;
        self.connection.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

#[cfg(test)]
mod plans;

//! The store of work items for many machines: PostgreSQL, 14 or newer.
//!
//! A [`PostgresStore`] keeps the promises of [`Store`](workitem_store::Store) for any number of processes on any number of
//! machines that reach one server. What it has said is on the server's disk; items are handed out without anybody waiting
//! for anybody; and who works on an item is known by a lease, which the server's clock ends.
//!
//! ```no_run
//! use workitem_postgres::PostgresStore;
//! use workitem_store::{NewItem, NewJob, Store};
//!
//! let store = PostgresStore::create("postgres://worker@db.example.org/jobs?sslmode=verify-full")?;
//! let job = store.create_job(&NewJob { name: None, spec: serde_json::Value::Null, now: store.now()? })?;
//! store.submit(job.id, &[NewItem { id: "1".into(), payload: "a.rs".into() }])?;
//! store.seal(job.id, "digest of the input")?;
//! # Ok::<(), workitem_store::StoreError>(())
//! ```
//!
//! [`PostgresStore::create`] makes the schema and its tables if there are none, [`PostgresStore::open`] wants them there.
//! A role that only uses the store needs `USAGE` of the schema, and `SELECT`, `INSERT`, `UPDATE` and `DELETE` on its
//! tables.
//!
//! # The address
//!
//! `postgres://USER:PASSWORD@HOST:PORT/DATABASE?OPTION=VALUE&…`, or `postgresql://`. A folder as `host` is that of a Unix
//! socket. What is left out is taken from the environment, as libpq does: `PGHOST`, `PGPORT`, `PGUSER`, `PGPASSWORD`,
//! `PGPASSFILE`, `PGDATABASE`, `PGSSLMODE`, `PGSSLROOTCERT`, `PGSSLCERT` and `PGSSLKEY`. Messages name the address without
//! the password.
//!
//! | option | |
//! |---|---|
//! | `schema` | where the tables are; `workitem`. Stores in several schemas of one database do not see each other |
//! | `sslmode` | `disable`, `prefer` (the default), `require`, `verify-ca`, `verify-full`: as libpq understands them |
//! | `sslrootcert` | a file with the certificates that are trusted; those of the system, if it is left out or `system` |
//! | `sslcert`, `sslkey` | files with the certificate by which the role shows who it is, and its key, which only its owner may read |
//! | `passfile` | a file of passwords, which only its owner may read: lines `host:port:database:user:password`, of which the first that fits counts, `*` fits all. `~/.pgpass`, if it is left out |
//! | `connect_timeout`, … | all that the driver knows: see [`postgres::Config`] |
//!
//! A session must stay with its connection, since a job's lock is the session's: a pooler in between has to pool sessions,
//! not transactions.

mod address;
mod blobs;
mod calls;
mod claim;
mod codes;
mod counts;
mod due;
mod error;
mod examine;
mod head;
mod jobs;
mod lease;
mod letters;
mod lock;
mod log;
mod migrate;
mod open;
mod pool;
mod read;
mod record;
mod rows;
mod states;
mod store;
mod submit;
mod tls;
mod upkeep;

pub use open::PostgresStore;

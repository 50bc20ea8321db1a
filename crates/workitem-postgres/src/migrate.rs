//! Which of our schemas the database has, and how it comes to have this program's.

use postgres::Client;
use postgres::error::SqlState;
use workitem_store::StoreError;

use crate::address::Address;
use crate::error::{Failure, damaged, refused};

/// What leads from each version to the next, from none. Each is one transaction; what has been delivered is not changed.
const MIGRATIONS: [&str; 1] = [include_str!("schema/1.sql")];
/// The schema this program writes.
pub const VERSION: i32 = 1;
/// The oldest server with all that is asked of one.
const OLDEST_SERVER: i32 = 140_000;
/// Stands in our tables, so that nobody else's are taken for them.
const PROGRAM: &str = "workitem";

/// What the database has.
struct Found {
    version: i32,
    identity: String,
}

/// Makes sure that the schema is this program's, and gives the store's identity. Where there is nothing to do, nothing is
/// asked for that needs more than the right to use the tables.
///
/// # Errors
///
/// [`StoreError::NoStore`] if there is none and `make` is not set, [`StoreError::NewerSchema`],
/// [`StoreError::Damaged`] if the schema is somebody else's.
pub fn migrate(client: &mut Client, address: &Address, make: bool) -> Result<String, Failure> {
    check_server(client, address)?;
    if let Some(found) = found(client, address)?.filter(|found| found.version == VERSION) {
        return identity(client, &found);
    }
    // Two that find the same thing missing: the second one waits, and looks again.
    client.execute("SELECT pg_advisory_lock(hashtextextended($1, 0))", &[&lock_name(address)])?;
    let migrated = migrate_locked(client, address, make);
    client.execute("SELECT pg_advisory_unlock(hashtextextended($1, 0))", &[&lock_name(address)])?;
    let found = migrated?;
    identity(client, &found)
}

/// Makes sure that the schema is not newer than this program.
///
/// # Errors
///
/// Those of [`migrate`].
pub fn known(client: &mut Client, address: &Address) -> Result<(), Failure> {
    let none = || StoreError::NoStore { store: address.name.clone() };
    found(client, address)?.map(|_| ()).ok_or_else(|| none().into())
}

fn migrate_locked(client: &mut Client, address: &Address, make: bool) -> Result<Found, Failure> {
    let mut version = match found(client, address)? {
        Some(found) => found.version,
        None if make => 0,
        None => return Err(StoreError::NoStore { store: address.name.clone() }.into()),
    };
    if version == 0 {
        make_schema(client, address)?;
    }
    for step in MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or_default()) {
        version += 1;
        let mut transaction = client.transaction()?;
        transaction.batch_execute(step)?;
        if version == 1 {
            let random = "INSERT INTO meta (program, version, identity) VALUES ($1, 1, replace(gen_random_uuid()::text, '-', ''))";
            transaction.execute(random, &[&PROGRAM])?;
        } else {
            transaction.execute("UPDATE meta SET version = $1", &[&version])?;
        }
        transaction.commit()?;
    }
    found(client, address)?.ok_or_else(|| refused(&address.name, "its tables are gone again").into())
}

/// Makes the schema if there is none. To make one asks for a right on the database, to make tables in one that is there
/// asks for a right on that only; so it is looked for first.
fn make_schema(client: &mut Client, address: &Address) -> Result<(), Failure> {
    let there = client.query_opt("SELECT 1 FROM pg_namespace WHERE nspname = $1", &[&address.schema])?;
    if there.is_none() {
        client.batch_execute(&format!("CREATE SCHEMA \"{}\"", address.schema))?;
    }
    Ok(())
}

/// The version that is there; an error if it is newer than this program, or not ours.
fn found(client: &mut Client, address: &Address) -> Result<Option<Found>, Failure> {
    let exists = "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = $1 AND c.relname = 'meta'";
    if client.query_opt(exists, &[&address.schema])?.is_none() {
        return Ok(None);
    }
    let foreign =
        || damaged(&address.name, format!("the schema `{}` belongs to another program", address.schema));
    let read = "SELECT version, identity FROM meta WHERE program = $1";
    let row = match client.query_opt(read, &[&PROGRAM]).map_err(Failure::from) {
        Err(failure) if failure.is(&SqlState::UNDEFINED_COLUMN) => return Err(foreign().into()),
        row => row?.ok_or_else(foreign)?,
    };
    let (version, identity): (i32, String) = (row.try_get(0)?, row.try_get(1)?);
    if version > VERSION {
        let (found, known) = (version.into(), VERSION.into());
        return Err(StoreError::NewerSchema { store: address.name.clone(), found, known }.into());
    }
    Ok(Some(Found { version, identity }))
}

/// A copy of the tables in another database is another store.
fn identity(client: &mut Client, found: &Found) -> Result<String, Failure> {
    let database = client.query_one("SELECT oid FROM pg_database WHERE datname = current_database()", &[])?;
    let database: u32 = database.try_get(0)?;
    Ok(format!("{}-{database:x}", found.identity))
}

fn check_server(client: &mut Client, address: &Address) -> Result<(), Failure> {
    let row = client.query_one(
        "SELECT current_setting('server_version_num')::integer, current_setting('server_version'),
         current_setting('server_encoding')",
        &[],
    )?;
    let (number, version, encoding): (i32, String, String) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if number < OLDEST_SERVER {
        let what = format!("the server is PostgreSQL {version}, expected 14 or newer");
        return Err(refused(&address.name, what).into());
    }
    if encoding != "UTF8" {
        let what =
            format!("the database has the encoding {encoding}, expected UTF8: make it with ENCODING 'UTF8'");
        return Err(refused(&address.name, what).into());
    }
    Ok(())
}

fn lock_name(address: &Address) -> String {
    format!("workitem schema {}", address.schema)
}

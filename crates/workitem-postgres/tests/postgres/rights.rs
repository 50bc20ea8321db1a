//! Whose schema it is, and what a role may do.

use postgres::{Client, NoTls};
use workitem_pgtest::shared;
use workitem_postgres::PostgresStore;
use workitem_store::{Outcome, Runner, Store, StoreError, Upkeep, recover};

use super::common::{assert_sound, at, claim, completed, job_of, throwaway};

fn admin() -> Client {
    Client::connect(shared().url(), NoTls).unwrap()
}

/// The address, for another role.
fn as_role(url: &str, role: &str) -> String {
    url.replacen("postgres://postgres@", &format!("postgres://{role}@"), 1)
}

/// How an opening was refused.
fn refused(opened: Result<PostgresStore, StoreError>) -> StoreError {
    opened.err().expect("it is refused")
}

#[test]
fn a_store_is_made_once_and_found_again() {
    let url = shared().schema_url("made");
    assert!(
        matches!(refused(PostgresStore::open(&url)), StoreError::NoStore { store } if url.contains("schema=") && store.contains("schema=made"))
    );
    let store = PostgresStore::create(&url).unwrap();
    let job = job_of(&store, 2);
    for again in [PostgresStore::create(&url), PostgresStore::open(&url)] {
        let again = again.unwrap();
        assert_eq!(again.jobs().unwrap(), std::slice::from_ref(&job));
        assert_eq!((again.identity(), again.name()), (store.identity(), store.name()));
    }
}

#[test]
fn several_who_make_the_same_store_at_once_make_one() {
    let url = shared().schema_url("race");
    let identities: Vec<String> = std::thread::scope(|scope| {
        let makers: Vec<_> =
            (0..6).map(|_| scope.spawn(|| PostgresStore::create(&url).unwrap().identity())).collect();
        makers.into_iter().map(|maker| maker.join().unwrap()).collect()
    });
    assert!(identities.iter().all(|identity| *identity == identities[0]), "{identities:?}");
}

#[test]
fn tenants_do_not_see_each_other() {
    let (one, other) = (throwaway(), throwaway());
    assert_ne!(one.identity(), other.identity());
    let (job, twin) = (job_of(&*one, 3), job_of(&*other, 2));
    assert_eq!(job.id, twin.id, "each counts for itself");
    assert_eq!(claim(&*one, &job, "worker", 9).len(), 3);
    assert_eq!(other.counts(twin.id).unwrap().by_status.pending, 2);
    let runner = Runner { process: 1, since: at(1), settled_before: 0 };
    let _held = one.lock_job(&job, &runner).unwrap();
    assert_eq!(other.running(&twin).unwrap(), None);
    let _also = other.lock_job(&twin, &runner).unwrap();
    other.delete_job(twin.id).unwrap();
    assert_eq!(one.counts(job.id).unwrap().by_status.in_progress, 3);
    assert_sound(&*one, &job);
}

#[test]
fn a_newer_schema_is_refused_and_says_what_to_do() {
    let store = throwaway();
    store.admin().execute("UPDATE meta SET version = 99", &[]).unwrap();
    for opened in [PostgresStore::open(&store.url), PostgresStore::create(&store.url)] {
        let error = refused(opened);
        assert!(matches!(error, StoreError::NewerSchema { found: 99, known: 1, .. }), "{error}");
        assert!(error.to_string().contains("use a newer one"), "{error}");
    }
}

#[test]
fn a_schema_of_another_program_is_left_alone() {
    for table in ["meta (name text)", "meta (program text, version integer, identity text)"] {
        let url = shared().schema_url("foreign");
        let schema = url.split_once("schema=").unwrap().1;
        admin().batch_execute(&format!("CREATE SCHEMA {schema}; CREATE TABLE {schema}.{table}")).unwrap();
        let error = refused(PostgresStore::create(&url));
        assert!(
            matches!(&error, StoreError::Damaged { what, .. } if what.contains("another program")),
            "{error}"
        );
        let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = $1";
        assert_eq!(admin().query_one(tables, &[&schema]).unwrap().get::<_, i64>(0), 1);
    }
}

#[test]
fn a_role_that_may_use_the_tables_and_nothing_else_is_enough() {
    let store = throwaway();
    let (schema, role) = (store.schema(), format!("least_{}", store.schema()));
    admin()
        .batch_execute(&format!(
            "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA {schema} TO {role};
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}"
        ))
        .unwrap();
    // A job from its beginning to its end, by that role, which may not even make a table for itself.
    let least = PostgresStore::create(&as_role(&store.url, &role)).unwrap();
    let job = job_of(&least, 6);
    let lock = least.lock_job(&job, &Runner { process: 1, since: at(1), settled_before: 0 }).unwrap();
    let mut claims = claim(&least, &job, "worker", 4);
    assert_eq!(least.record(&[completed(claims.remove(0))]).unwrap(), [Outcome::Recorded]);
    least.renew(job.id, "worker", std::time::Duration::ZERO, at(2)).unwrap();
    assert_eq!(recover(&least, job.id, 10, &|_| true, at(3)).unwrap().interrupted, 3);
    drop(lock);
    assert!(least.compact().unwrap(), "what is not its own is passed over");
    assert_sound(&least, &job);
    least.delete_job(job.id).unwrap();
    assert_eq!(least.sweep_gone(true).unwrap(), workitem_store::Swept::default());

    let url = as_role(&shared().schema_url("refused"), &role);
    let error = refused(PostgresStore::create(&url)).to_string();
    assert!(
        error.contains("opening it: this role may not do that: permission denied for database"),
        "{error}"
    );
}

#[test]
fn a_role_without_rights_on_the_tables_is_told_so() {
    let store = throwaway();
    let (schema, role) = (store.schema(), format!("none_{}", store.schema()));
    admin()
        .batch_execute(&format!("CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA {schema} TO {role}"))
        .unwrap();
    let error = refused(PostgresStore::open(&as_role(&store.url, &role))).to_string();
    assert!(error.contains("this role may not do that: permission denied for table meta"), "{error}");
}

#[test]
fn a_database_with_another_encoding_is_refused() {
    let name = shared().schema_url("latin").split_once("schema=").unwrap().1.to_owned();
    admin()
        .batch_execute(&format!(
            "CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
        ))
        .unwrap();
    let (user, place) = shared().url().split_once('@').unwrap();
    let url = format!("{user}@{}", place.replacen("/postgres", &format!("/{name}"), 1));
    let error = refused(PostgresStore::create(&url)).to_string();
    assert!(error.contains("has the encoding LATIN1, expected UTF8"), "{error}");
}

#[test]
fn nobody_at_home_is_an_error_that_names_the_address() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("postgres://ada:secret@/jobs?host={}&port=5999", folder.path().display());
    let error = refused(PostgresStore::open(&url)).to_string();
    assert!(error.starts_with("store postgres://ada@/jobs?host=/"), "{error}");
    assert!(error.contains("opening it: ") && !error.contains("secret"), "{error}");
}

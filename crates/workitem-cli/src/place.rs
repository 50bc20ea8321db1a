//! Where the store is: a file, or the address of a server.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use workitem_postgres::PostgresStore;
use workitem_sqlite::SqliteStore;
use workitem_store::Store;

use crate::config::Config;
use crate::error::Error;
use crate::text::quoted;

/// Where a store is unless said otherwise.
const DEFAULT_STORE: &str = ".workitem/workitem.db";

/// Where the store is.
pub struct Place {
    path: PathBuf,
    /// Who says so.
    pub said_by: SaidBy,
    /// Where it would be if no flag said so.
    implied: PathBuf,
}

/// Who says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaidBy {
    Flag,
    Environment,
    File,
    Nobody,
}

impl Place {
    pub fn new(
        by_flag: Option<PathBuf>,
        by_env: Option<PathBuf>,
        config: &Config,
        config_by_flag: bool,
    ) -> Self {
        let by_env = by_env.or_else(|| std::env::var_os("WORKITEM_STORE").map(PathBuf::from));
        let by_file = config.store.clone();
        let said =
            [(by_flag, SaidBy::Flag), (by_env.clone(), SaidBy::Environment), (by_file.clone(), SaidBy::File)];
        let said = said.into_iter().find_map(|(path, said_by)| Some((path?, said_by)));
        let (path, said_by) = said.unwrap_or_else(|| (DEFAULT_STORE.into(), SaidBy::Nobody));
        // A file that a flag has named is not named by the next command.
        let implied = by_env.or(by_file.filter(|_| !config_by_flag)).unwrap_or_else(|| DEFAULT_STORE.into());
        Self { path, said_by, implied }
    }

    /// The store, which must be there.
    pub fn open(&self) -> Result<Arc<dyn Store>, Error> {
        Ok(match kind(&self.path)? {
            Kind::File => Arc::new(SqliteStore::open(&self.path)?),
            Kind::Postgres(address) => Arc::new(PostgresStore::open(address)?),
        })
    }

    /// The store, made if it is not there.
    pub fn create(&self) -> Result<Arc<dyn Store>, Error> {
        Ok(match kind(&self.path)? {
            Kind::File => Arc::new(SqliteStore::create(&self.path)?),
            Kind::Postgres(address) => Arc::new(PostgresStore::create(address)?),
        })
    }

    /// The place as it may be shown.
    pub fn shown(&self) -> String {
        shown(&self.path)
    }

    /// What a suggested command needs to find the same store.
    pub fn flag(&self) -> String {
        if self.path == self.implied {
            String::new()
        } else {
            format!(" --store {}", quoted(&shown(&self.path)))
        }
    }
}

/// What is at a place.
enum Kind<'a> {
    File,
    Postgres(&'a str),
}

/// What is meant by `--store`: an address has a scheme, a path has none.
fn kind(path: &Path) -> Result<Kind<'_>, Error> {
    let Some((scheme, _)) = path.to_str().and_then(scheme) else { return Ok(Kind::File) };
    match scheme {
        "postgres" | "postgresql" => Ok(Kind::Postgres(path.to_str().expect("its scheme was read"))),
        _ => Err(Error::usage(format!("there are no stores of the kind `{scheme}://`"))
            .next("a store is a file, or postgres://USER@HOST/DATABASE")),
    }
}

/// The scheme of an address, and what comes behind it.
pub fn scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_word(scheme).then_some((scheme, rest))
}

/// A place as it may be shown: an address without its password. Who has one has another way to give it.
fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    let Some((scheme, rest)) = scheme(&text) else { return text.into_owned() };
    let (authority, behind) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let authority = match authority.rsplit_once('@') {
        Some((user, host)) => format!("{}@{host}", user.split(':').next().unwrap_or_default()),
        None => authority.to_owned(),
    };
    let (base, options) = behind.split_once('?').unwrap_or((behind, ""));
    let options: Vec<&str> = options.split('&').filter(|option| !option.starts_with("password=")).collect();
    let options = options.join("&");
    let options = if options.is_empty() { options } else { format!("?{options}") };
    format!("{scheme}://{authority}{base}{options}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_from_a_path() {
        let is_file = |text: &str| kind(Path::new(text)).is_ok_and(|kind| matches!(kind, Kind::File));
        for path in ["workitem.db", "/a/b:c", "./postgres:/x", "://", "a b://c"] {
            assert!(is_file(path), "{path}");
        }
        for address in ["postgres://host/db", "postgresql:///db?host=/run"] {
            assert!(matches!(kind(Path::new(address)), Ok(Kind::Postgres(same)) if same == address));
        }
        assert!(kind(Path::new("mysql://host/db")).is_err());
    }

    #[test]
    fn a_password_is_not_shown() {
        for (address, expected) in [
            ("postgres://me:secret@host:5432/db?schema=x", "postgres://me@host:5432/db?schema=x"),
            ("postgres://me:se@cret@host/db", "postgres://me@host/db"),
            ("postgres://host/db?password=secret&schema=x", "postgres://host/db?schema=x"),
            ("postgres://host?password=secret", "postgres://host"),
            ("postgres://me@host/a@b", "postgres://me@host/a@b"),
            ("some/where.db", "some/where.db"),
        ] {
            assert_eq!(shown(Path::new(address)), expected);
        }
    }
}

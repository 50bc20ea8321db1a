//! Opening the store: who may, is it ours, and which schema it has.

use std::sync::Arc;

use workitem_store::StoreError;

use crate::address::Address;
use crate::calls::Calls;
use crate::error::Failure;
use crate::head::Heads;
use crate::migrate::migrate;
use crate::pool::{Pool, Tx};

/// A store on a PostgreSQL server: for many machines. Shared between threads, each of which has a connection while it
/// needs one.
pub struct PostgresStore {
    pub(crate) pool: Arc<Pool>,
    pub(crate) identity: String,
    pub(crate) heads: Heads,
    pub(crate) calls: Arc<Calls>,
}

impl PostgresStore {
    /// Opens the store at an address, and makes its schema and tables if there are none.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadAddress`] if the address is not understood, [`StoreError::Damaged`] if the schema is somebody
    /// else's, [`StoreError::NewerSchema`] if a newer program wrote it, [`StoreError::Engine`] if the server cannot be
    /// reached, lets nobody in, or lets the role make nothing.
    pub fn create(url: &str) -> Result<Self, StoreError> {
        Self::opened(url, true)
    }

    /// Opens the store at an address.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoStore`] if there is none, and those of [`create`](Self::create).
    pub fn open(url: &str) -> Result<Self, StoreError> {
        Self::opened(url, false)
    }

    fn opened(url: &str, make: bool) -> Result<Self, StoreError> {
        let pool = Pool::new(Address::parse(url)?)?;
        let opened = pool.reach().and_then(|mut client| migrate(&mut client, pool.address(), make));
        let identity = opened.map_err(|failure| failure.while_doing(pool.name(), "opening it"))?;
        Ok(Self { pool, identity, heads: Heads::default(), calls: Arc::default() })
    }

    pub(crate) fn write<T>(
        &self,
        what: &str,
        write: impl FnOnce(&mut Tx<'_>) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        self.pool.write(what, write)
    }

    pub(crate) fn read<T>(
        &self,
        what: &str,
        read: impl Fn(&mut Tx<'_>) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        self.pool.read(what, read)
    }
}

//! The store on PostgreSQL, on a server of these tests.
#![cfg(test)]
#![expect(clippy::unwrap_used, reason = "all of it is tests")]

mod common;
mod connections;
mod output;
mod rights;
mod sharing;
mod tls;

use common::throwaway;

workitem_store::contract_tests!(throwaway);

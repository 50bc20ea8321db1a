//! The store on PostgreSQL, on a server of these tests.
#![cfg(test)]

mod common;
mod connections;
mod crowd;
mod output;
mod races;
mod rights;
mod sharing;
mod tls;
mod twins;

use common::throwaway;

workitem_store::contract_tests!(throwaway);

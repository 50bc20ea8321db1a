//! A server that is killed comes back with what it has acknowledged; one that is gone has left it to its standby.
#![cfg(test)]

use postgres::{Client, NoTls};
use workitem_pgtest::Server;

fn count(url: &str) -> i64 {
    Client::connect(url, NoTls).unwrap().query_one("SELECT count(*) FROM t", &[]).unwrap().get(0)
}

#[test]
fn what_was_acknowledged_survives_a_crash() {
    let mut server = Server::start(&[]).unwrap();
    let mut client = Client::connect(server.url(), NoTls).unwrap();
    client.batch_execute("CREATE TABLE t (n bigint); INSERT INTO t VALUES (1)").unwrap();
    server.kill().unwrap();
    assert!(client.simple_query("SELECT 1").is_err(), "nobody answers");
    server.start_again().unwrap();
    assert_eq!(count(server.url()), 1);
    server.kill().unwrap();
    server.start_again().unwrap();
    assert_eq!(count(server.url()), 1);
}

#[test]
fn a_standby_has_what_was_acknowledged_once_its_primary_is_gone() {
    let primary = Server::start(&["synchronous_standby_names=second"]).unwrap();
    let second = primary.standby("second", &[]).unwrap();
    let mut client = Client::connect(primary.url(), NoTls).unwrap();
    client.batch_execute("CREATE TABLE t (n bigint); INSERT INTO t VALUES (1)").unwrap();
    let folder = primary.folder().unwrap().to_owned();
    primary.destroy().unwrap();
    assert!(!folder.exists());
    let refused = Client::connect(second.url(), NoTls).unwrap().batch_execute("INSERT INTO t VALUES (2)");
    assert!(refused.is_err(), "it is a standby");
    second.promote().unwrap();
    Client::connect(second.url(), NoTls).unwrap().batch_execute("INSERT INTO t VALUES (2)").unwrap();
    assert_eq!(count(second.url()), 2);
}

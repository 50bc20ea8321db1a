use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use tempfile::NamedTempFile;

use super::*;

fn file(lines: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(lines.as_bytes()).unwrap();
    file
}

fn found(lines: &str, address: &str) -> Option<String> {
    let file = file(lines);
    let password = Passfile::Usual(file.path().into()).password(&address.parse().unwrap()).unwrap();
    password.map(|bytes| String::from_utf8(bytes).unwrap())
}

fn refused(passfile: &Passfile, address: &str) -> String {
    passfile.password(&address.parse().unwrap()).unwrap_err().to_string()
}

#[test]
fn the_first_line_that_fits_has_the_password() {
    let lines =
        "# db:5432:jobs:ada:commented\n\ndb:5432:jobs:ada:first\r\ndb:5432:jobs:ada:second\ndb:*:*:bob:any\n";
    for (address, password) in [
        ("postgres://ada@db/jobs", Some("first")),
        ("postgres://ada@db:5432/jobs", Some("first")),
        ("postgres://ada@db:5433/jobs", None),
        ("postgres://ada@db/more", None),
        ("postgres://ada@other/jobs", None),
        ("postgres://eve@db/jobs", None),
        ("postgres://bob@db:7/more", Some("any")),
        // The database of who names none is called as they are.
        ("postgres://bob@db", Some("any")),
    ] {
        assert_eq!(found(lines, address).as_deref(), password, "{address}");
    }
    assert_eq!(found("db:5432:ada:ada:own", "postgres://ada@db").as_deref(), Some("own"));
    let me = whoami::username().unwrap();
    assert_eq!(found(&format!("db:5432:jobs:{me}:mine"), "postgres://db/jobs").as_deref(), Some("mine"));
}

#[test]
fn a_backslash_lets_a_colon_a_backslash_and_a_star_stand_for_themselves() {
    let lines = "\\*:*:*:*:star\n\\:\\:1:5432:jo\\\\bs:a\\da:se\\:cr\\\\et\n";
    assert_eq!(found(lines, "postgres://ada@[::1]/jo%5Cbs").as_deref(), Some("se:cr\\et"));
    assert_eq!(found(lines, "postgres://ada@db/jobs"), None);
    assert_eq!(found("db:5432:jobs:ada:end\\", "postgres://ada@db/jobs").as_deref(), Some("end\\"));
    assert_eq!(found("db:5432:jobs:ada:pass:more", "postgres://ada@db/jobs").as_deref(), Some("pass"));
}

#[test]
fn lines_that_are_none_are_passed_over() {
    let lines = "\n:\nno line\ndb:5432:jobs:ada\ndb:5432:jobs:ada:\n*:*:*:*:last";
    assert_eq!(found(lines, "postgres://ada@db/jobs").as_deref(), Some("last"));
    assert_eq!(found("", "postgres://ada@db/jobs"), None);
}

#[test]
fn a_socket_is_its_folder_and_the_usual_one_is_localhost() {
    let lines = "localhost:5432:jobs:ada:here\n/run/pg:5433:jobs:ada:there\n10.0.0.1:*:*:*:by number\n";
    let usual = format!("postgres:///jobs?user=ada&host={SOCKETS}");
    assert_eq!(found(lines, &usual).as_deref(), Some("here"));
    let other = "postgres:///jobs?user=ada&host=/run/pg&port=5433";
    assert_eq!(found(lines, other).as_deref(), Some("there"));
    let number = "postgres:///jobs?user=ada&hostaddr=10.0.0.1";
    assert_eq!(found(lines, number).as_deref(), Some("by number"));
}

#[test]
fn several_hosts_have_one_password() {
    let address = "postgres://ada@one,two:7/jobs";
    assert_eq!(found("one:5432:*:*:same\ntwo:7:*:*:same\n", address).as_deref(), Some("same"));
    assert_eq!(found("two:7:*:*:same\n", address).as_deref(), Some("same"));
    let file = file("one:*:*:*:1\ntwo:*:*:*:2\n");
    let told = refused(&Passfile::Named(file.path().into()), address);
    assert!(told.contains("several passwords for these hosts"), "{told}");
}

#[test]
fn a_file_that_others_can_read_is_refused_if_its_password_would_be_used() {
    let file = file("db:*:*:*:secret\n");
    let passfile = Passfile::Usual(file.path().into());
    fs::set_permissions(file.path(), PermissionsExt::from_mode(0o644)).unwrap();
    let told = refused(&passfile, "postgres://ada@db/jobs");
    assert!(told.contains("can be read by others: chmod 600 /") && !told.contains("secret"), "{told}");
    assert_eq!(passfile.password(&"postgres://ada@other".parse().unwrap()).unwrap(), None);
}

#[test]
fn a_file_has_to_be_there_if_it_is_named() {
    let (missing, address) = (PathBuf::from("/no/such/file"), "postgres://ada@db");
    assert_eq!(Passfile::Usual(missing.clone()).password(&address.parse().unwrap()).unwrap(), None);
    let told = refused(&Passfile::Named(missing), address);
    assert!(told.contains("the password file /no/such/file cannot be read"), "{told}");
    assert!(refused(&Passfile::Usual("/".into()), address).contains("cannot be read"));
    assert_eq!(Passfile::Named("/dev/null".into()).password(&address.parse().unwrap()).unwrap(), None);
}

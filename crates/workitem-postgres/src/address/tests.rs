use super::*;

fn read(url: &str, variables: &[(&str, &str)]) -> Result<Address, StoreError> {
    Address::read(url, &|name| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    })
}

fn address(url: &str) -> Address {
    read(url, &[]).unwrap()
}

#[test]
fn an_address_is_named_without_its_password_and_without_what_does_not_tell_where_it_is() {
    for (url, name) in [
        ("postgres://ada:secret@db:5433/jobs", "postgres://ada@db:5433/jobs"),
        ("postgresql://db", "postgres://db"),
        ("postgres://ada@db/jobs?password=secret&sslmode=disable&schema=workitem", "postgres://ada@db/jobs"),
        ("postgres://ada@one,two:7/jobs?schema=other", "postgres://ada@one,two:7/jobs?schema=other"),
        ("postgres:///jobs?host=/run/pg&port=6000&user=ada", "postgres://ada@/jobs?host=/run/pg&port=6000"),
        ("postgres://ada:s%40e@[::1]/jobs", "postgres://ada@[::1]/jobs"),
    ] {
        let address = address(url);
        assert_eq!(address.name, name);
        assert_eq!(format!("{address:?}"), name);
    }
}

#[test]
fn what_is_left_out_is_what_libpq_would_take() {
    let all = [
        ("PGHOST", "db"),
        ("PGPORT", "5433"),
        ("PGUSER", "ada"),
        ("PGPASSWORD", "secret"),
        ("PGDATABASE", "jobs"),
        ("PGSSLMODE", "verify-full"),
        ("PGSSLROOTCERT", "/root.pem"),
    ];
    let found = read("postgres://", &all).unwrap();
    assert_eq!(found.name, "postgres://ada@db:5433/jobs");
    assert_eq!(found.config.get_password(), Some(&b"secret"[..]));
    assert_eq!((found.trust, found.roots), (Trust::VerifyFull, Some("/root.pem".into())));

    let found = read("postgres://bob:own@other:1/more?sslmode=require&sslrootcert=system", &all).unwrap();
    assert_eq!(found.name, "postgres://bob@other:1/more");
    assert_eq!(found.config.get_password(), Some(&b"own"[..]));
    assert_eq!((found.trust, found.roots), (Trust::Require, None));
    let found = read("postgres://ada:secret@one,[::1],two:7/jobs", &all).unwrap();
    assert_eq!(found.name, "postgres://ada@one:5433,[::1]:5433,two:7/jobs");
    assert!(matches!(read("postgres:///jobs", &[("PGPORT", "many")]), Err(StoreError::BadAddress { .. })));
    assert!(matches!(read("postgres://db/", &[("PGPORT", "many")]), Err(StoreError::BadAddress { .. })));
    assert_eq!(address("postgres:///jobs").config.get_hosts().len(), 1, "there is always a host");
}

#[test]
fn a_password_from_a_file_is_the_last_that_counts() {
    let home = tempfile::tempdir().unwrap();
    let write = |name: &str, line: &str| {
        let path = home.path().join(name);
        std::fs::write(&path, line).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        path.display().to_string()
    };
    write(".pgpass", "db:*:*:*:usual\n");
    let (other, third) = (write("other", "db:*:*:*:other\n"), write("third", "db:*:*:*:third\n"));
    let usual =
        [("HOME", &*home.path().display().to_string()), ("PGPASSFILE", &*other), ("PGPASSWORD", "own")];
    let password = |url: &str, variables: &[(&str, &str)]| {
        let config = read(url, variables).unwrap().config;
        config.get_password().map(|password| String::from_utf8(password.to_vec()).unwrap())
    };
    let by_option = format!("postgres://db?passfile={third}");
    for (url, variables, expected) in [
        ("postgres://db", 1, Some("usual")),
        ("postgres://other", 1, None),
        ("postgres://db", 2, Some("other")),
        (&*by_option, 2, Some("third")),
        (&*by_option, 3, Some("own")),
        ("postgres://ada:given@db", 3, Some("given")),
    ] {
        assert_eq!(password(url, &usual[..variables]).as_deref(), expected, "{url} {variables}");
    }
    assert_eq!(password(&format!("{by_option}&host=more"), &[]).as_deref(), Some("third"));
    assert!(read("postgres://db", &[("PGPASSFILE", "/no/such/file")]).is_err());
    // A file that is not needed is not looked for.
    assert!(read("postgres://db", &[("PGPASSFILE", "/no/such/file"), ("PGPASSWORD", "own")]).is_ok());
}

#[test]
fn who_asks_is_a_certificate_and_its_key() {
    let variables = [("PGSSLCERT", "/c"), ("PGSSLKEY", "/k")];
    let client = |url: &str, variables: &[(&str, &str)]| read(url, variables).unwrap().client;
    assert_eq!(client("postgres://db", &[]), None);
    assert_eq!(client("postgres://db", &variables), Some(("/c".into(), "/k".into())));
    assert_eq!(client("postgres://db?sslcert=/d&sslkey=/l", &variables), Some(("/d".into(), "/l".into())));
    for (url, variables) in [("postgres://db?sslcert=/c", &[][..]), ("postgres://db", &variables[1..])] {
        let told = read(url, variables).unwrap_err().to_string();
        assert!(told.contains("of sslcert and sslkey one is left out"), "{told}");
    }
}

#[test]
fn options_of_the_driver_are_passed_on_and_have_better_defaults() {
    let config = address("postgres://db").config;
    assert_eq!(config.get_connect_timeout(), Some(&CONNECT));
    assert_eq!(config.get_keepalives_idle(), KEEPALIVE_IDLE);
    assert_eq!(config.get_tcp_user_timeout(), Some(&UNACKNOWLEDGED));
    assert_eq!(config.get_application_name(), Some("workitem"));
    let config = address(
        "postgres://db?connect_timeout=3&keepalives_idle=4&keepalives_interval=5&keepalives_retries=6\
         &tcp_user_timeout=7&application_name=mine",
    )
    .config;
    assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(3)));
    assert_eq!(config.get_keepalives_idle(), Duration::from_secs(4));
    assert_eq!(config.get_keepalives_interval(), Some(Duration::from_secs(5)));
    assert_eq!(config.get_keepalives_retries(), Some(6));
    assert_eq!(config.get_tcp_user_timeout(), Some(&Duration::from_secs(7)));
    assert_eq!(config.get_application_name(), Some("mine"));
}

#[test]
fn tls_is_asked_for_as_the_address_says_and_not_of_a_socket() {
    for (word, trust, mode) in [
        ("disable", Trust::Disable, SslMode::Disable),
        ("allow", Trust::Prefer, SslMode::Prefer),
        ("prefer", Trust::Prefer, SslMode::Prefer),
        ("require", Trust::Require, SslMode::Require),
        ("verify-ca", Trust::VerifyCa, SslMode::Require),
        ("verify-full", Trust::VerifyFull, SslMode::Require),
    ] {
        let found = address(&format!("postgres://db?sslmode={word}"));
        assert_eq!((found.trust, found.config.get_ssl_mode()), (trust, mode));
        let socket = address(&format!("postgres:///jobs?host=/run/pg&sslmode={word}"));
        assert_eq!(socket.config.get_ssl_mode(), SslMode::Disable);
    }
    assert_eq!(address("postgres://db").trust, Trust::Prefer);
}

#[test]
fn an_address_that_is_not_understood_says_what_was_expected_and_never_the_password() {
    for (url, told) in [
        ("postgres://ada:secret@db/jobs?schema=Big", "schema is `Big`, expected small letters"),
        ("postgres://ada:secret@db/jobs?schema=a-b", "expected small letters"),
        ("postgres://ada:secret@db/jobs?schema=", "schema is ``, expected"),
        ("postgres://ada:secret@db/jobs?schema=1a", "not a digit first"),
        ("postgres://ada:secret@db/jobs?schema=pg_mine", "none of PostgreSQL's own"),
        (&format!("postgres://ada:secret@db/jobs?schema={}", "x".repeat(64)), "at most 63"),
        ("postgres://ada:secret@db/jobs?sslmode=strict", "sslmode is `strict`, expected disable"),
        ("postgres://ada:secret@db/jobs?sslmood=strict", "unknown option `sslmood`"),
        ("postgres://ada:secret@db/jobs?connect_timeout=soon", "invalid value for option `connect_timeout`"),
        ("postgres://ada:secret/jobs", "expected something like postgres://"),
        ("postgres://ada:se?cret@db/jobs", "%3F"),
        ("postgres://ada:se@cret@db/jobs", "%40"),
        ("mysql://ada:secret@db/jobs", "expected something like postgres://"),
    ] {
        let Err(refused) = read(url, &[]) else { panic!("{url} is understood") };
        let refused = refused.to_string();
        assert!(refused.contains(told), "{refused}");
        assert!(!refused.contains("secret") && !refused.contains("cret@"), "{refused}");
    }
}

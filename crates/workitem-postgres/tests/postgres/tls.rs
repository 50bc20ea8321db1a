//! Who the server is: a server with a certificate of its own making.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{fs, io};

use tempfile::TempDir;
use workitem_pgtest::Server;
use workitem_postgres::PostgresStore;
use workitem_store::StoreError;

/// A server whose certificate is for `localhost`, and two roots: its own, and one that has nothing to do with it.
struct Secured {
    server: Server,
    root: PathBuf,
    other: PathBuf,
    folder: TempDir,
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What an elliptic key of its own and a request or certificate for it take.
const NEW_KEY: [&str; 6] = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

fn make_root(folder: &Path, name: &str) {
    let (key, certificate, subject) = (format!("{name}.key"), format!("{name}.pem"), format!("/CN={name}"));
    let as_root = ["-x509", "-days", "2", "-subj", &subject, "-keyout", &key, "-out", &certificate];
    openssl(folder, &[&NEW_KEY[..], &as_root].concat());
}

/// A key and a certificate for it, by the root: `NAME.key` and `NAME.crt`.
fn sign(folder: &Path, name: &str, common_name: &str, extensions: &str) {
    let [key, request, certificate] = ["key", "csr", "crt"].map(|ending| format!("{name}.{ending}"));
    let subject = format!("/CN={common_name}");
    let whose = ["-subj", &subject, "-keyout", &key, "-out", &request];
    openssl(folder, &[&NEW_KEY[..], &whose].concat());
    fs::write(folder.join("extensions"), extensions).unwrap();
    let by_root = ["x509", "-req", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "2"];
    let signed = ["-in", &request, "-extfile", "extensions", "-out", &certificate];
    openssl(folder, &[&by_root[..], &signed].concat());
}

fn secured() -> &'static Secured {
    static SECURED: OnceLock<Secured> = OnceLock::new();
    SECURED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        make_root(path, "root");
        make_root(path, "other");
        sign(path, "server", "localhost", "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n");
        sign(path, "client", "holder", "basicConstraints=CA:FALSE\n");
        let give = |data: &Path| -> io::Result<()> {
            for file in ["root.pem", "server.crt", "server.key"] {
                fs::copy(path.join(file), data.join(file))?;
            }
            let rules = data.join("pg_hba.conf");
            let others = fs::read_to_string(&rules)?;
            fs::write(&rules, format!("hostssl all holder all cert\n{others}"))?;
            set_mode(&data.join("server.key"), 0o600)
        };
        let settings =
            ["ssl=on", "ssl_cert_file=server.crt", "ssl_key_file=server.key", "ssl_ca_file=root.pem"];
        let server = Server::start_with(&settings, give).unwrap();
        let mut admin = postgres::Client::connect(server.url(), postgres::NoTls).unwrap();
        admin.batch_execute("CREATE ROLE holder LOGIN; GRANT ALL ON DATABASE postgres TO holder").unwrap();
        Secured { server, root: path.join("root.pem"), other: path.join("other.pem"), folder }
    })
}

fn set_mode(file: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(file, PermissionsExt::from_mode(mode))
}

/// Opens the store by TCP; the password is one that the server knows unless told otherwise.
fn open(password: &str, host: &str, options: &str) -> Result<PostgresStore, StoreError> {
    let port = secured().server.port().unwrap();
    PostgresStore::create(&format!("postgres://postgres:{password}@{host}:{port}/postgres?{options}"))
}

fn refused(host: &str, options: &str) -> String {
    open("secret", host, options).err().expect("it is refused").to_string()
}

/// Whether the session is encrypted.
fn is_secret(options: &str) -> bool {
    let name = format!("{options}_asked").replace('=', "_");
    let store = open("secret", "localhost", &format!("{options}&application_name={name}")).unwrap();
    workitem_store::Store::jobs(&store).unwrap();
    let mut admin = postgres::Client::connect(secured().server.url(), postgres::NoTls).unwrap();
    let ssl = "SELECT bool_and(s.ssl) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.application_name = $1";
    admin.query_one(ssl, &[&name]).unwrap().get(0)
}

#[test]
fn the_right_root_and_the_right_host_are_accepted() {
    let root = secured().root.display();
    for options in
        [format!("sslmode=verify-full&sslrootcert={root}"), format!("sslmode=verify-ca&sslrootcert={root}")]
    {
        open("secret", "localhost", &options).unwrap();
    }
    open("secret", "127.0.0.1", &format!("sslmode=verify-ca&sslrootcert={root}")).unwrap();
    open("secret", "127.0.0.1", &format!("sslmode=require&sslrootcert={root}")).unwrap();
}

#[test]
fn a_wrong_host_is_refused_where_the_host_is_asked_for() {
    let root = secured().root.display();
    let told = refused("127.0.0.1", &format!("sslmode=verify-full&sslrootcert={root}"));
    assert!(told.contains("certificate not valid for name"), "{told}");
}

#[test]
fn a_wrong_root_is_refused_where_a_root_is_asked_for() {
    let other = secured().other.display();
    for mode in ["verify-full", "verify-ca", "require"] {
        let told = refused("localhost", &format!("sslmode={mode}&sslrootcert={other}"));
        assert!(told.contains("invalid peer certificate"), "{mode}: {told}");
    }
    // The system does not know this root either.
    let told = refused("localhost", "sslmode=verify-full");
    assert!(told.contains("certificate"), "{told}");
}

#[test]
fn roots_that_are_not_there_are_named() {
    let told = refused("localhost", "sslmode=verify-full&sslrootcert=/no/such/file");
    assert!(told.contains("sslrootcert, /no/such/file, cannot be read"), "{told}");
    let empty = tempfile::NamedTempFile::new().unwrap();
    let told = refused("localhost", &format!("sslmode=verify-ca&sslrootcert={}", empty.path().display()));
    assert!(told.contains("has no certificate to trust"), "{told}");
}

#[test]
fn a_session_is_secret_unless_it_is_told_not_to_be() {
    assert!(is_secret("sslmode=require"));
    assert!(is_secret("sslmode=prefer"));
    assert!(!is_secret("sslmode=disable"));
}

#[test]
fn a_wrong_password_is_refused_and_not_repeated() {
    for options in ["sslmode=disable", "sslmode=require"] {
        let told = open("geheim", "localhost", options).err().expect("it is refused");
        let (shown, all) = (told.to_string(), format!("{told:?}"));
        assert!(shown.contains("password authentication failed"), "{shown}");
        assert!(!all.contains("geheim"), "{all}");
    }
    let store = open("secret", "localhost", "sslmode=require").unwrap();
    assert!(!workitem_store::Store::name(&store).contains("secret"));
}

#[test]
fn who_has_no_password_is_told_how_to_give_it() {
    let port = secured().server.port().unwrap();
    let without = format!("postgres://postgres@localhost:{port}/postgres?passfile=/dev/null");
    let told = PostgresStore::create(&without).err().expect("it is refused").to_string();
    assert!(told.contains("the server asks for a password: give it by PGPASSWORD"), "{told}");
}

#[test]
fn a_server_without_tls_is_refused_where_it_is_asked_for() {
    let plain = workitem_pgtest::shared();
    let Some(port) = plain.port() else { return };
    let url = format!("postgres://postgres:secret@localhost:{port}/postgres?sslmode=require");
    let told = PostgresStore::create(&url).err().expect("it is refused").to_string();
    assert!(told.contains("server does not support TLS"), "{told}");
}

/// Opens the store as the role that shows a certificate; where its key is, and who signed for the server.
fn open_by_certificate(key: &Path, more: &str) -> Result<PostgresStore, String> {
    let (port, root) = (secured().server.port().unwrap(), secured().root.display());
    let certificate = secured().folder.path().join("client.crt");
    let (certificate, key) = (certificate.display(), key.display());
    PostgresStore::create(&format!(
        "postgres://holder@localhost:{port}/postgres?schema=holders&sslrootcert={root}&sslcert={certificate}&sslkey={key}&{more}"
    ))
    .map_err(|error| error.to_string())
}

#[test]
fn a_role_may_show_who_it_is_by_a_certificate() {
    let key = secured().folder.path().join("client.key");
    for mode in ["sslmode=verify-full", "sslmode=prefer"] {
        open_by_certificate(&key, mode).unwrap();
    }
    let port = secured().server.port().unwrap();
    let without =
        format!("postgres://holder:secret@localhost:{port}/postgres?schema=holders&sslmode=require");
    let told = PostgresStore::create(&without).err().expect("it is refused").to_string();
    assert!(told.contains("requires a valid client certificate"), "{told}");
}

#[test]
fn a_certificate_that_cannot_be_shown_is_told() {
    let folder = secured().folder.path();
    let refused = |key: &str| open_by_certificate(&folder.join(key), "").err().expect("it is refused");
    let told = refused("missing.key");
    assert!(told.contains("sslkey, /") && told.contains("missing.key, cannot be read"), "{told}");
    fs::write(folder.join("no.key"), "no key").unwrap();
    set_mode(&folder.join("no.key"), 0o600).unwrap();
    let told = refused("no.key");
    assert!(told.contains("no.key, cannot be read"), "{told}");
    let told = refused("other.key");
    assert!(told.contains("cannot be used together"), "{told}");
    fs::copy(folder.join("client.key"), folder.join("open.key")).unwrap();
    set_mode(&folder.join("open.key"), 0o644).unwrap();
    let told = refused("open.key");
    assert!(told.contains("open.key, can be read by others: chmod 600 /"), "{told}");
}

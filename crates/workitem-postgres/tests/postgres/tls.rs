//! Who the server is: a server with a certificate of its own making.

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
    _folder: TempDir,
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn make_root(folder: &Path, name: &str) {
    let (key, certificate, subject) = (format!("{name}.key"), format!("{name}.pem"), format!("/CN={name}"));
    openssl(
        folder,
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            &subject,
            "-keyout",
            &key,
            "-out",
            &certificate,
        ],
    );
}

fn secured() -> &'static Secured {
    static SECURED: OnceLock<Secured> = OnceLock::new();
    SECURED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        make_root(path, "root");
        make_root(path, "other");
        let request = [
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=localhost",
            "-keyout",
            "server.key",
            "-out",
            "server.csr",
        ];
        openssl(path, &request);
        fs::write(path.join("names"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n").unwrap();
        let sign = [
            "x509",
            "-req",
            "-in",
            "server.csr",
            "-CA",
            "root.pem",
            "-CAkey",
            "root.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "names",
            "-out",
            "server.crt",
        ];
        openssl(path, &sign);
        let give = |data: &Path| -> io::Result<()> {
            for file in ["server.crt", "server.key"] {
                fs::copy(path.join(file), data.join(file))?;
            }
            let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            fs::set_permissions(data.join("server.key"), private)
        };
        let settings = ["ssl=on", "ssl_cert_file=server.crt", "ssl_key_file=server.key"];
        let server = Server::start_with(&settings, give).unwrap();
        Secured { server, root: path.join("root.pem"), other: path.join("other.pem"), _folder: folder }
    })
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
fn a_server_without_tls_is_refused_where_it_is_asked_for() {
    let plain = workitem_pgtest::shared();
    let Some(port) = plain.port() else { return };
    let url = format!("postgres://postgres:secret@localhost:{port}/postgres?sslmode=require");
    let told = PostgresStore::create(&url).err().expect("it is refused").to_string();
    assert!(told.contains("server does not support TLS"), "{told}");
}

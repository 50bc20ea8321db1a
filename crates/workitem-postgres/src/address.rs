//! Where the server is, and who asks: `postgres://user:password@host:port/database?option=value&…`.
//!
//! All options of the driver are passed on. Its own are `schema`, which several stores of one database are told apart by,
//! and what libpq knows and the driver does not: `sslmode` in full, `sslrootcert`, `sslcert`, `sslkey` and `passfile`. What
//! the address leaves out is taken from the environment that libpq reads: `PGHOST`, `PGPORT`, `PGUSER`, `PGPASSWORD`,
//! `PGPASSFILE`, `PGDATABASE`, `PGSSLMODE`, `PGSSLROOTCERT`, `PGSSLCERT` and `PGSSLKEY`.

pub mod passfile;

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fmt};

use percent_encoding::percent_decode_str;
use postgres::config::{Config, Host, SslMode};
use workitem_store::StoreError;

use passfile::Passfile;

/// The schema of a store whose address names none.
const SCHEMA: &str = "workitem";
/// Where Debian's server has its socket.
const SOCKETS: &str = "/var/run/postgresql";
/// Longest name of anything that PostgreSQL keeps in full.
const LONGEST_NAME: usize = 63;
/// How long to wait for a server to answer.
const CONNECT: Duration = Duration::from_secs(10);
/// A connection on which nothing comes is asked whether it is still there after so long, ...
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
/// ... again after so long, ...
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// ... and given up after so many questions; or when what was sent has not arrived for as long.
const KEEPALIVES: u32 = 3;
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// How far the connection is to be trusted: libpq's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// No TLS.
    Disable,
    /// TLS if the server has it. Who it is, is not asked.
    Prefer,
    /// TLS. Who the server is, is asked only if `sslrootcert` is there, as libpq does.
    Require,
    /// A certificate from a root that is trusted.
    VerifyCa,
    /// ... for this host.
    VerifyFull,
}

/// An address, understood.
#[derive(Clone)]
pub struct Address {
    pub config: Config,
    pub trust: Trust,
    /// The roots that are trusted; `None` for those of the system.
    pub roots: Option<PathBuf>,
    /// Who asks, by a certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
    /// A plain identifier.
    pub schema: String,
    /// What it is called in messages: the address without its password.
    pub name: String,
}

/// Not derived: a configuration knows the password.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadAddress`].
    pub fn parse(url: &str) -> Result<Self, StoreError> {
        Self::read(url, &|variable| env::var(variable).ok().filter(|value| !value.is_empty()))
    }

    fn read(url: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, StoreError> {
        let (base, options) = url.split_once('?').unwrap_or((url, ""));
        // Quoted in an error would be what may be the rest of a password.
        if options.contains('@') {
            return Err(bad("an `@` stands behind `?`: write a `?` in a user or password as %3F"));
        }
        if base.matches('@').count() > 1 {
            return Err(bad("it has more than one `@`: write one in a user or password as %40"));
        }
        let (mut trust, mut roots) = (environment("PGSSLMODE"), environment("PGSSLROOTCERT"));
        let (mut certificate, mut secret) = (environment("PGSSLCERT"), environment("PGSSLKEY"));
        let mut passfile = environment("PGPASSFILE");
        let (mut schema, mut given, mut passed_on) = (SCHEMA.to_owned(), Vec::new(), Vec::new());
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (key, raw) = option.split_once('=').unwrap_or((option, ""));
            let value =
                percent_decode_str(raw).decode_utf8().map_err(|_| bad(format!("`{key}` is not UTF-8")))?;
            match key {
                "schema" => schema = value.into_owned(),
                "sslmode" => trust = Some(value.into_owned()),
                "sslrootcert" => roots = Some(value.into_owned()),
                "sslcert" => certificate = Some(value.into_owned()),
                "sslkey" => secret = Some(value.into_owned()),
                "passfile" => passfile = Some(value.into_owned()),
                _ => {
                    given.push(key);
                    passed_on.push(option);
                }
            }
        }
        let base = match environment("PGPORT") {
            Some(port) => with_port(base, &port),
            None => base.to_owned(),
        };
        let parsed = format!("{base}?{}", passed_on.join("&")).parse();
        let mut config: Config = parsed.map_err(|error| bad(understood(&error)))?;
        check_schema(&schema)?;
        let trust = trust.map_or(Ok(Trust::Prefer), |word| trust_of(&word))?;
        let roots = roots.filter(|file| file != "system").map(PathBuf::from);
        let client = match (certificate, secret) {
            (None, None) => None,
            (Some(certificate), Some(secret)) => Some((certificate.into(), secret.into())),
            _ => return Err(bad("of sslcert and sslkey one is left out: both are needed")),
        };
        from_environment(&mut config, environment)?;
        let usual = || environment("HOME").map(|home| Passfile::Usual(Path::new(&home).join(".pgpass")));
        if let (None, Some(file)) =
            (config.get_password(), passfile.map(|file| Passfile::Named(file.into())).or_else(usual))
            && let Some(password) = file.password(&config)?
        {
            config.password(password);
        }
        let defaults = |option: &str| !given.contains(&option);
        if defaults("connect_timeout") {
            config.connect_timeout(CONNECT);
        }
        if defaults("keepalives_idle") {
            config.keepalives_idle(KEEPALIVE_IDLE);
        }
        if defaults("keepalives_interval") {
            config.keepalives_interval(KEEPALIVE_INTERVAL);
        }
        if defaults("keepalives_retries") {
            config.keepalives_retries(KEEPALIVES);
        }
        if defaults("tcp_user_timeout") {
            config.tcp_user_timeout(UNACKNOWLEDGED);
        }
        if defaults("application_name") {
            config.application_name("workitem");
        }
        config.ssl_mode(match trust {
            Trust::Disable => SslMode::Disable,
            Trust::Prefer => SslMode::Prefer,
            Trust::Require | Trust::VerifyCa | Trust::VerifyFull => SslMode::Require,
        });
        // A socket in the file system leads to this machine; libpq does not ask for TLS there either.
        if config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)))
            && config.get_hostaddrs().is_empty()
        {
            config.ssl_mode(SslMode::Disable);
        }
        let name = name(&config, &schema);
        Ok(Self { config, trust, roots, client, schema, name })
    }
}

pub fn bad(what: impl Into<String>) -> StoreError {
    StoreError::BadAddress { what: what.into() }
}

/// What the driver says of an address it does not understand; it names options, and quotes no value.
fn understood(error: &postgres::Error) -> String {
    let why = std::error::Error::source(error).map(ToString::to_string);
    let why =
        why.filter(|why| why.starts_with("invalid value for option") || why.starts_with("unknown option"));
    let like = "expected something like postgres://user:password@host:5432/database?sslmode=verify-full&schema=workitem";
    why.map_or_else(|| like.to_owned(), |why| format!("{why}; {like}"))
}

fn trust_of(word: &str) -> Result<Trust, StoreError> {
    match word {
        "disable" => Ok(Trust::Disable),
        // It would try without TLS first; to try with it first is no less.
        "allow" | "prefer" => Ok(Trust::Prefer),
        "require" => Ok(Trust::Require),
        "verify-ca" => Ok(Trust::VerifyCa),
        "verify-full" => Ok(Trust::VerifyFull),
        other => Err(bad(format!(
            "sslmode is `{other}`, expected disable, allow, prefer, require, verify-ca or verify-full"
        ))),
    }
}

/// A schema's name is put into statements, so it is a plain identifier.
fn check_schema(schema: &str) -> Result<(), StoreError> {
    let is_letter = |c: char| c.is_ascii_lowercase() || c == '_';
    let plain = schema.starts_with(is_letter) && schema.chars().all(|c| is_letter(c) || c.is_ascii_digit());
    let why = if !plain {
        "small letters, digits and `_`, not a digit first"
    } else if schema.len() > LONGEST_NAME {
        "at most 63 characters"
    } else if schema.starts_with("pg_") || schema == "information_schema" {
        "none of PostgreSQL's own"
    } else {
        return Ok(());
    };
    Err(bad(format!("schema is `{schema}`, expected {why}")))
}

/// The address with a port at each host that has none: the driver would take 5432.
fn with_port(base: &str, port: &str) -> String {
    let begin = base.find('@').or_else(|| base.find("//").map(|at| at + 1)).map_or(0, |at| at + 1);
    let end = base[begin..].find('/').map_or(base.len(), |at| begin + at);
    let hosts = base[begin..end].split(',').map(|host| {
        let has_port = host.rsplit(']').next().is_some_and(|rest| rest.contains(':'));
        if host.is_empty() || has_port { host.to_owned() } else { format!("{host}:{port}") }
    });
    format!("{}{}{}", &base[..begin], hosts.collect::<Vec<_>>().join(","), &base[end..])
}

/// What the address leaves out.
fn from_environment(
    config: &mut Config,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<(), StoreError> {
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        match environment("PGHOST") {
            Some(hosts) => hosts.split(',').for_each(|host| {
                config.host(host);
            }),
            None if Path::new(SOCKETS).is_dir() => {
                config.host_path(SOCKETS);
            }
            None => {
                config.host("localhost");
            }
        }
    }
    if let (true, Some(port)) = (config.get_ports().is_empty(), environment("PGPORT")) {
        config.port(port.parse().map_err(|_| bad(format!("PGPORT is `{port}`, expected a number")))?);
    }
    if let (None, Some(user)) = (config.get_user(), environment("PGUSER")) {
        config.user(&user);
    }
    if let (None, Some(password)) = (config.get_password(), environment("PGPASSWORD")) {
        config.password(password);
    }
    if let (None, Some(database)) = (config.get_dbname(), environment("PGDATABASE")) {
        config.dbname(&database);
    }
    Ok(())
}

/// The address without its password and without options that say nothing of where it is.
fn name(config: &Config, schema: &str) -> String {
    let mut name = "postgres://".to_owned();
    if let Some(user) = config.get_user() {
        let _ = write!(name, "{user}@");
    }
    let ports = config.get_ports();
    let port = |nth: usize| ports.get(nth).or(ports.first()).filter(|port| **port != 5432);
    let addresses = config.get_hostaddrs().iter().map(IpAddr::to_string);
    let mut sockets = Vec::new();
    let hosts = config.get_hosts().iter().filter_map(|host| match host {
        Host::Tcp(host) => Some(host.clone()),
        Host::Unix(folder) => {
            sockets.push(format!("host={}", folder.display()));
            None
        }
    });
    let hosts: Vec<String> = hosts.collect();
    let hosts = if hosts.is_empty() { addresses.collect() } else { hosts };
    for (nth, host) in hosts.iter().enumerate() {
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let comma = if nth > 0 { "," } else { "" };
        let _ = write!(name, "{comma}{host}");
        if let Some(port) = port(nth) {
            let _ = write!(name, ":{port}");
        }
    }
    if let Some(database) = config.get_dbname() {
        let _ = write!(name, "/{database}");
    }
    let mut options = sockets;
    if let (true, Some(port)) = (hosts.is_empty(), port(0)) {
        options.push(format!("port={port}"));
    }
    if schema != SCHEMA {
        options.push(format!("schema={schema}"));
    }
    if !options.is_empty() {
        let _ = write!(name, "?{}", options.join("&"));
    }
    name
}

#[cfg(test)]
mod tests;

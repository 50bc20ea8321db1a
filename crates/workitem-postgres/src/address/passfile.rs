//! Passwords from a file, as libpq has them: lines `host:port:database:user:password`, of which the first that fits counts.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use postgres::config::{Config, Host};
use workitem_store::StoreError;

use super::{SOCKETS, bad};

/// Where such a file is.
pub enum Passfile {
    /// Somebody has named it, so it has to be there.
    Named(PathBuf),
    /// Where it is looked for otherwise.
    Usual(PathBuf),
}

impl Passfile {
    /// The password for whoever connects by `config`, if the file has one.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadAddress`] if the file is named and cannot be read, if others could read the password, too, or if
    /// the hosts have several: the driver takes one for all of them.
    pub fn password(&self, config: &Config) -> Result<Option<Vec<u8>>, StoreError> {
        let (Self::Named(path) | Self::Usual(path)) = self;
        let what = |why: &str| bad(format!("the password file {} {why}", path.display()));
        let unreadable = |error: std::io::Error| match (self, error.kind()) {
            (
                Self::Usual(_),
                ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied,
            ) => Ok(None),
            _ => Err(what(&format!("cannot be read: {error}"))),
        };
        let (text, about) = match fs::read(path).and_then(|text| Ok((text, fs::metadata(path)?))) {
            Ok(read) => read,
            Err(error) => return unreadable(error),
        };
        let mut found: Vec<Vec<u8>> = places(config).iter().filter_map(|place| first(&text, place)).collect();
        found.sort_unstable();
        found.dedup();
        if !found.is_empty() && is_open(&about) {
            return Err(what(&format!("can be read by others: chmod 600 {}", path.display())));
        }
        if found.len() > 1 {
            return Err(what(
                "has several passwords for these hosts, and one is needed: give it by PGPASSWORD",
            ));
        }
        Ok(found.pop())
    }
}

/// Whether others than its owner can read a secret's file. If that is root, its group may: that is how it is given to
/// a service. A device is nobody's secret.
pub fn is_open(about: &Metadata) -> bool {
    let others = if about.uid() == 0 { 0o037 } else { 0o077 };
    about.is_file() && about.mode() & others != 0
}

/// What the lines say whom they are for, in their order.
type Place = [String; 4];

/// Where a connection may lead, one for each host.
fn places(config: &Config) -> Vec<Place> {
    let user = config.get_user().map(str::to_owned).or_else(|| whoami::username().ok()).unwrap_or_default();
    let database = config.get_dbname().unwrap_or(&user).to_owned();
    let named = config.get_hosts().iter().map(|host| match host {
        Host::Unix(folder) if folder == Path::new(SOCKETS) => "localhost".to_owned(),
        Host::Unix(folder) => folder.display().to_string(),
        Host::Tcp(host) => host.clone(),
    });
    let mut hosts: Vec<String> = named.collect();
    if hosts.is_empty() {
        hosts = config.get_hostaddrs().iter().map(ToString::to_string).collect();
    }
    let ports = config.get_ports();
    let port = |nth: usize| ports.get(nth).or(ports.first()).unwrap_or(&5432).to_string();
    let place = |(nth, host)| [host, port(nth), database.clone(), user.clone()];
    hosts.into_iter().enumerate().map(place).collect()
}

/// The password of the first line that is for this place.
fn first(text: &[u8], place: &Place) -> Option<Vec<u8>> {
    let lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.filter(|line| !line.starts_with(b"#")).find_map(|line| {
        let fields = fields(line);
        let (whom, password) = fields.split_at_checked(place.len())?;
        let fits =
            |(field, wanted): (&&[u8], &String)| *field == b"*" || unescaped(field) == wanted.as_bytes();
        let password = unescaped(password.first()?);
        (whom.iter().zip(place).all(fits) && !password.is_empty()).then_some(password)
    })
}

/// What stands between colons, but not those behind a backslash.
fn fields(line: &[u8]) -> Vec<&[u8]> {
    let mut is_escaped = false;
    let is_end = |byte: &u8| {
        let ends = *byte == b':' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        ends
    };
    line.split(is_end).collect()
}

/// A field without the backslashes before what they let stand for itself.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut bytes = field.iter();
    let mut text = Vec::new();
    while let Some(byte) = bytes.next() {
        text.push(if *byte == b'\\' { *bytes.next().unwrap_or(byte) } else { *byte });
    }
    text
}

#[cfg(test)]
mod tests;

//! What whoever keeps the file should know: how large its write-ahead log is, what room there is in it and around it, who
//! may read it, and on what it lies.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::statvfs;
use workitem_store::engine::{left_behind, size};
use workitem_store::{Finding, StoreError};

use crate::SqliteStore;
use crate::open::SCHEMA_VERSION;
use crate::upkeep::{has_room, pages};

/// From where on something is worth telling.
pub struct Limits {
    /// Bytes in the write-ahead log. Unless somebody is in the way, it is begun anew at a quarter of that.
    pub log: u64,
    /// Bytes that should be free around the file, however small it is.
    pub room: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { log: 64 << 20, room: 1 << 30 }
    }
}

/// What the file lies on.
struct Medium {
    /// By which number the system knows its kind of file system, if it has such numbers.
    kind: Option<u32>,
    /// Bytes that this user may still write.
    free: u64,
}

/// File systems on which SQLite cannot rely on locks, or on memory shared between machines, by the numbers of Linux.
const FAR: [(u32, &str); 11] = [
    (0x0000_6969, "NFS"),
    (0x0000_517B, "SMB"),
    (0xFF53_4D42, "SMB"),
    (0xFE53_4D42, "SMB"),
    (0x6573_5546, "FUSE"),
    (0x0102_1997, "9P"),
    (0x00C3_6400, "Ceph"),
    (0x0BD0_0BD0, "Lustre"),
    (0x5346_414F, "AFS"),
    (0x7375_7245, "Coda"),
    (0x786F_4256, "a folder of VirtualBox"),
];

pub fn examine(store: &SqliteStore, limits: &Limits) -> Result<Vec<Finding>, StoreError> {
    let failed = |error| store.file_error("looking at the file and what it lies on", error);
    let path = store.beside("");
    let length = fs::metadata(&path).map_err(failed)?.len();
    let mut findings = room_within(store, length)?;
    findings.extend(log(store, limits).map_err(failed)?);
    findings.extend(rights(store).map_err(failed)?);
    findings.extend(room_around(&Medium::of(&path).map_err(failed)?, length, limits));
    findings.extend(left_behind(store)?);
    Ok(findings)
}

fn room_within(store: &SqliteStore, length: u64) -> Result<Vec<Finding>, StoreError> {
    let (free, all, is_much) = store.read("looking at its pages", |tx| {
        Ok((pages(tx, "freelist_count")?, pages(tx, "page_count")?, has_room(tx)?))
    })?;
    let version = rusqlite::version();
    let about = format!("SQLite {version}, schema version {SCHEMA_VERSION}, {}", size(length));
    let mut findings = vec![Finding::note(about)];
    if is_much {
        let what = format!("{free} of the file's {all} pages are free");
        findings.push(Finding::note(what).next("`workitem gc` gives them back to the file system"));
    }
    Ok(findings)
}

fn log(store: &SqliteStore, limits: &Limits) -> io::Result<Option<Finding>> {
    let Some(length) = there(fs::metadata(store.beside("-wal")))?.map(|log| log.len()) else {
        return Ok(None);
    };
    Ok((length > limits.log).then(|| {
        let length = size(length);
        let what = format!(
            "the write-ahead log has {length}: somebody reads, or has read, one moment of the store for long"
        );
        Finding::warning(what)
            .next("end what reads it, such as a backup or a forgotten `sqlite3`, then `workitem gc`")
    }))
}

/// Who else may read or change the file, or what stands beside it.
fn rights(store: &SqliteStore) -> io::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut open = Vec::new();
    let of_file = fs::metadata(store.beside(""))?.permissions().mode();
    for suffix in ["", "-wal", "-shm", ".locks", ".output"] {
        let path = store.beside(suffix);
        let Some(found) = there(fs::metadata(&path))? else { continue };
        let mode = found.permissions().mode();
        // What SQLite makes beside the file gets the file's mode, and comes and goes.
        let is_told = suffix.starts_with('-') && mode == of_file;
        if mode & 0o077 != 0 && !is_told {
            open.push((path.display().to_string(), mode & 0o777));
        }
    }
    if !open.is_empty() {
        let list: Vec<String> = open.iter().map(|(path, mode)| format!("{path} (mode {mode:o})")).collect();
        let what = format!("inputs and output are open to other users: {}", list.join(", "));
        let paths: Vec<&str> = open.iter().map(|(path, _)| path.as_str()).collect();
        findings.push(Finding::warning(what).next(format!("chmod go-rwx {}", paths.join(" "))));
    }
    if let Some(folder) = store.beside("").parent() {
        let mode = fs::metadata(folder)?.permissions().mode();
        // Where the sticky bit is set, nobody can replace what is another's.
        if mode & 0o002 != 0 && mode & 0o1000 == 0 {
            let folder = folder.display();
            let what = format!(
                "anybody can put another file in the place of the store: {folder} has mode {:o}",
                mode & 0o777
            );
            findings.push(Finding::warning(what).next(format!("chmod o-w {folder}")));
        }
    }
    Ok(findings)
}

fn room_around(medium: &Medium, length: u64, limits: &Limits) -> Vec<Finding> {
    let mut findings = Vec::new();
    let far = FAR.iter().find(|(kind, _)| Some(*kind) == medium.kind);
    if let Some((_, name)) = far {
        let what =
            format!("the file lies on {name}, where SQLite's locks cannot be relied on: it may be damaged");
        let next = "put it on a disk of this machine; for many machines there is --store postgres://...";
        findings.push(Finding::fault(what).next(next));
    }
    if medium.free < length.max(limits.room) {
        let (free, length) = (size(medium.free), size(length));
        let what =
            format!("there are {free} free around the file, which has {length}: a full disk stops every job");
        let next =
            "make room, or `workitem gc`, which needs as much as it leaves of the file to make that smaller";
        findings.push(Finding::warning(what).next(next));
    }
    findings
}

impl Medium {
    fn of(path: &Path) -> io::Result<Self> {
        let room = statvfs(path)?;
        Ok(Self { kind: kind(path)?, free: room.f_bavail.saturating_mul(room.f_frsize) })
    }
}

#[cfg(target_os = "linux")]
fn kind(path: &Path) -> io::Result<Option<u32>> {
    Ok(u32::try_from(rustix::fs::statfs(path)?.f_type).ok())
}

#[cfg(not(target_os = "linux"))]
fn kind(_: &Path) -> io::Result<Option<u32>> {
    Ok(None)
}

/// What is not there is nothing.
fn there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use rusqlite::Connection;
    use tempfile::TempDir;
    use workitem_store::{NewItem, NewJob, Severity, Store, Upkeep};

    use super::*;

    /// Whatever room there is on the machine of these tests.
    const ROOMY: Limits = Limits { log: 64 << 20, room: 0 };

    fn store() -> (TempDir, SqliteStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::create(&folder.path().join("own/workitem.db")).unwrap();
        fill(&store, 3_000);
        (folder, store)
    }

    /// A sealed job.
    fn fill(store: &SqliteStore, items: usize) {
        let job = NewJob { name: None, spec: serde_json::Value::Null, now: chrono::DateTime::UNIX_EPOCH };
        let job = store.create_job(&job).unwrap();
        let items: Vec<NewItem> =
            (1..=items).map(|n| NewItem { id: n.to_string().into(), payload: "input".into() }).collect();
        store.submit(job.id, &items).unwrap();
        store.seal(job.id, "digest").unwrap();
    }

    /// What is found beyond notes.
    fn told(store: &SqliteStore, limits: &Limits) -> Vec<Finding> {
        let findings = examine(store, limits).unwrap().into_iter();
        findings.filter(|finding| finding.severity > Severity::Note).collect()
    }

    fn note(store: &SqliteStore, word: &str) -> Option<Finding> {
        examine(store, &ROOMY).unwrap().into_iter().find(|finding| finding.what.contains(word))
    }

    #[test]
    fn of_a_healthy_store_it_is_only_told_what_it_is() {
        let (_folder, store) = store();
        let [about] = &examine(&store, &ROOMY).unwrap()[..] else { panic!("{:?}", examine(&store, &ROOMY)) };
        assert_eq!((about.severity, &about.next), (Severity::Note, &None));
        assert!(
            about.what.starts_with("SQLite 3.") && about.what.contains("schema version 2"),
            "{}",
            about.what
        );
    }

    #[test]
    fn a_log_that_a_reader_keeps_from_being_folded_back_is_told() {
        let (_folder, store) = store();
        let limits = Limits { log: 1 << 20, ..ROOMY };
        assert!(store.compact().unwrap());
        assert_eq!(told(&store, &limits), []);
        let reader = Connection::open(store.beside("")).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM jobs").unwrap();
        for _ in 0..3 {
            fill(&store, 5_000);
        }
        let [finding] = &told(&store, &limits)[..] else { panic!("{:?}", told(&store, &limits)) };
        assert_eq!(finding.severity, Severity::Warning);
        assert!(
            finding.what.starts_with("the write-ahead log has ") && finding.what.contains("MiB"),
            "{}",
            finding.what
        );
        assert!(finding.next.as_ref().unwrap().contains("`workitem gc`"));
        assert_eq!(told(&store, &ROOMY), [], "it is small still");
        drop(reader);
        assert!(store.compact().unwrap());
        assert_eq!(told(&store, &limits), [], "as it was said");
    }

    #[test]
    fn free_pages_are_told_until_they_are_given_back() {
        let (_folder, store) = store();
        store.delete_job(store.jobs().unwrap()[0].id).unwrap();
        let free = note(&store, "pages are free").unwrap();
        assert_eq!(free.severity, Severity::Note);
        assert!(free.next.unwrap().contains("`workitem gc`"));
        assert!(store.compact().unwrap());
        assert_eq!(note(&store, "pages are free"), None);
    }

    #[test]
    fn whatever_others_may_read_or_replace_is_told_with_how_to_end_that() {
        let (_folder, store) = store();
        let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let (file, locks) = (store.beside(""), store.beside(".locks"));
        let folder = file.parent().unwrap();
        fs::create_dir(&locks).unwrap();
        set(&locks, 0o700);
        for (path, mode, good) in [(&*file, 0o640, 0o600), (&*locks, 0o755, 0o700), (folder, 0o777, 0o700)] {
            set(path, good);
            assert_eq!(told(&store, &ROOMY), []);
            set(path, mode);
            let [finding] = &told(&store, &ROOMY)[..] else { panic!("{:?}", told(&store, &ROOMY)) };
            let (what, next) = (&finding.what, finding.next.as_ref().unwrap());
            assert_eq!(finding.severity, Severity::Warning);
            assert!(what.contains(&format!("mode {mode:o}")), "{what}");
            assert!(next.starts_with("chmod ") && next.ends_with(&path.display().to_string()), "{next}");
            set(path, good);
        }
        set(folder, 0o1777);
        assert_eq!(told(&store, &ROOMY), [], "in a folder such as /tmp nobody replaces what is another's");
    }

    #[test]
    fn a_file_system_of_another_machine_is_a_fault_and_little_room_a_warning() {
        let (_folder, store) = store();
        let severities = |kind, free| {
            let limits = Limits { room: 1_000, ..ROOMY };
            let found = room_around(&Medium { kind, free }, 5_000, &limits);
            found.iter().map(|finding| finding.severity).collect::<Vec<_>>()
        };
        let (ext4, tmpfs) = (0xEF53, 0x0102_1994);
        for local in [Some(ext4), Some(tmpfs), None] {
            assert_eq!(severities(local, 5_000), []);
        }
        assert_eq!(severities(Some(ext4), 4_999), [Severity::Warning]);
        for far in [0x6969, 0x517B, 0xFF53_4D42, 0xFE53_4D42, 0x6573_5546] {
            assert_eq!(severities(Some(far), 5_000), [Severity::Fault]);
        }
        let nfs = room_around(&Medium { kind: Some(0x6969), free: u64::MAX }, 0, &ROOMY);
        assert!(nfs[0].what.contains("lies on NFS"), "{}", nfs[0].what);
        // No disk has so much room.
        let [finding] = &told(&store, &Limits { room: u64::MAX, ..ROOMY })[..] else { panic!() };
        assert!(finding.what.starts_with("there are ") && finding.what.contains(" free around the file"));
    }
}

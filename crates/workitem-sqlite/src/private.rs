//! What stands beside the store's file: only its owner may read it, and nobody else can have put it there.

use std::fs::{self, DirBuilder, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::process::geteuid;

/// Makes the folder. One that is there already must belong to the owner of the store or to this user, and
/// so must the link that leads to it: anybody else could have it lead anywhere.
pub fn folder(path: &Path, owner: u32) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    check(path, owner)
}

/// Whether there is such a folder; one that belongs to somebody else is an error.
pub fn is_ours(path: &Path, owner: u32) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        found => {
            found?;
            check(path, owner).map(|()| true)
        }
    }
}

fn check(path: &Path, owner: u32) -> io::Result<()> {
    let ours = [owner, geteuid().as_raw()];
    let is_foreign = |found: &Metadata| !ours.contains(&found.uid());
    match [fs::symlink_metadata(path)?, fs::metadata(path)?].iter().find(|found| is_foreign(found)) {
        Some(found) => {
            let what = format!("the folder {} belongs to another user, {}", path.display(), found.uid());
            Err(io::Error::new(io::ErrorKind::PermissionDenied, what))
        }
        None => Ok(()),
    }
}

/// For a file in such a folder. A link in its place is an error.
pub fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_looked_at_is_an_error_and_not_absent() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let owner = geteuid().as_raw();
        assert!(is_ours(folder.path(), owner).unwrap());
        assert!(!is_ours(&folder.path().join("nothing"), owner).unwrap());
        assert!(is_ours(&file.join("nothing"), owner).is_err());
    }
}

//! File systems of a few hundred KiB, for which it takes root and the programs that mount. Gone with their value.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::stage::Stage;

/// One that is mounted.
pub struct Mount {
    folder: PathBuf,
    /// The file in which it is, if it is not in memory.
    image: Option<PathBuf>,
}

/// Whether file systems can be mounted here; says so in the scene if not. Not even root can everywhere.
pub fn can_mount(stage: &mut Stage) -> bool {
    let tried = Mount::memory(&stage.place.path().join("tried"), 16);
    if let Err(error) = &tried {
        eprintln!("errors: no file system can be mounted here, this scene is left out: {error:#}");
        "left out: no file system can be mounted".clone_into(&mut stage.fact);
    }
    tried.is_ok()
}

impl Mount {
    /// One in memory with so much room, that is seen in `folder`.
    pub fn memory(folder: &Path, kib: usize) -> Result<Self> {
        private(folder)?;
        run("mount", &["-t", "tmpfs", "-o", &format!("size={kib}k,mode=700"), "tmpfs"], folder)?;
        Ok(Self { folder: folder.to_path_buf(), image: None })
    }

    /// One in a file, which can only be read once something is wrong with it. Not everywhere can that be had.
    pub fn file(folder: &Path, image: &Path, mib: u64) -> Result<Self> {
        private(folder)?;
        fs::File::create(image)?.set_len(mib << 20)?;
        run("mkfs.ext4", &["-q", "-F"], image)?;
        let mount = Self { folder: folder.to_path_buf(), image: Some(image.to_path_buf()) };
        mount.again("loop,errors=remount-ro")?;
        Ok(mount)
    }

    /// Gives it room.
    pub fn room(&self, kib: usize) -> Result<()> {
        run("mount", &["-o", &format!("remount,size={kib}k")], &self.folder)
    }

    /// Lets it find an error: it can only be read from now on, whoever has files open.
    pub fn breaks(&self) -> Result<()> {
        let mounts = fs::read_to_string("/proc/mounts")?;
        let folder = self.folder.canonicalize()?.display().to_string();
        let line = mounts.lines().find(|line| line.split(' ').nth(1) == Some(&folder));
        let device = line.and_then(|line| line.strip_prefix("/dev/")?.split(' ').next());
        let device = device.with_context(|| format!("nothing is mounted in {folder}"))?;
        let trigger = format!("/sys/fs/ext4/{device}/trigger_fs_error");
        fs::write(&trigger, "1").with_context(|| format!("cannot write to {trigger}"))
    }

    /// Mends it, and mounts it with other options. Nobody may be using it.
    pub fn mend(&self, options: &str) -> Result<()> {
        let Some(image) = &self.image else { return Ok(()) };
        run("umount", &[], &self.folder)?;
        let ended = Command::new("e2fsck").arg("-fy").arg(image).output().context("cannot start e2fsck")?;
        // 1 is: what was wrong is mended.
        let said = String::from_utf8_lossy(&ended.stdout);
        ensure!(matches!(ended.status.code(), Some(0 | 1)), "e2fsck could not mend it: {said}");
        self.again(options)
    }

    fn again(&self, options: &str) -> Result<()> {
        let Some(image) = &self.image else { return Ok(()) };
        run("mount", &["-o", options, &image.display().to_string()], &self.folder)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Whoever still uses it sees it to the end.
        let _ = run("umount", &["-l"], &self.folder);
    }
}

fn private(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

fn run(program: &str, words: &[&str], path: &Path) -> Result<()> {
    let ended = Command::new(program)
        .args(words)
        .arg(path)
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "`{program}` for {}: {}", path.display(), said.trim());
    Ok(())
}

//! What a program has done to its files, in the order in which it did it: what `strace` has seen.
//!
//! Only what changes files below one folder is kept, what the program has said, and which agents it has started. A call
//! that the [`disk`](super::disk) knows nothing of is an error, not passed over.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The calls that are looked at: all that can change a file, and what says who was told what, and when.
pub const CALLS: &str = "openat,open,creat,write,pwrite64,writev,pwritev,pwritev2,lseek,ftruncate,truncate,fallocate,\
                         fsync,fdatasync,sync_file_range,mkdir,mkdirat,rmdir,unlink,unlinkat,rename,renameat,\
                         renameat2,link,linkat,symlink,symlinkat,copy_file_range,sendfile,splice,execve";

/// One call. Its times are lines of the trace.
#[derive(Debug)]
pub struct Call {
    /// From here on others may see what it does.
    pub begun: usize,
    /// From here on it is done.
    pub ended: usize,
    /// What it did.
    pub what: What,
}

/// What a call did. Paths are relative to the folder.
#[derive(Debug, PartialEq, Eq)]
pub enum What {
    /// Wrote into a file.
    Write { file: PathBuf, at: u64, bytes: Vec<u8> },
    /// Gave a file a length.
    Cut { file: PathBuf, len: u64 },
    /// Made a file, unless it was there.
    Make(PathBuf),
    /// Made a folder.
    Folder(PathBuf),
    /// Removed a file or a folder.
    Remove(PathBuf),
    /// Made a file, or the names in a folder, durable.
    Sync(PathBuf),
    /// Said something: on standard output, or on standard error.
    Say { output: bool, bytes: Vec<u8> },
    /// Started an agent, with these variables.
    Start(BTreeMap<String, String>),
}

/// Reads a trace, whose first line is number `first`.
pub fn read(text: &str, first: usize, folder: &Path) -> Result<Vec<Call>> {
    let mut reader = Reader { folder, positions: BTreeMap::new(), calls: Vec::new() };
    let mut unfinished: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    let mut last = first;
    for (line, text) in (first..).zip(text.lines()) {
        last = line;
        let Some((process, text)) = text.split_once(' ') else { continue };
        let text = text.trim_start();
        if let Some(begin) = text.strip_suffix(" <unfinished ...>").or(text.strip_suffix(" <detached ...>")) {
            unfinished.insert(process, (line, begin));
        } else if let Some(rest) = text.strip_prefix("<... ") {
            let (_, rest) = rest.split_once(" resumed>").context("a call goes on in a strange way")?;
            if let Some((begun, begin)) = unfinished.remove(process) {
                reader.call(begun, line, &format!("{begin}{rest}"))?;
            }
        } else if !text.starts_with(['+', '-']) {
            reader.call(line, line, text)?;
        }
    }
    // What was cut off together with its program: the system has done it, or will have when another one looks. Only a sync
    // that nobody has come back from may never have begun.
    for (begun, begin) in unfinished.into_values() {
        reader.call(begun, last, begin)?;
    }
    reader.calls.sort_by_key(|call| call.begun);
    Ok(reader.calls)
}

struct Reader<'a> {
    folder: &'a Path,
    /// Where the next `write` goes: each file is written through one descriptor at a time.
    positions: BTreeMap<PathBuf, u64>,
    calls: Vec<Call>,
}

impl Reader<'_> {
    fn call(&mut self, begun: usize, ended: usize, text: &str) -> Result<()> {
        let (name, rest) =
            text.split_once('(').with_context(|| format!("line {begun} is no call: {text}"))?;
        let (arguments, result) = match rest.rsplit_once(" = ") {
            Some((arguments, result)) => (arguments.trim_end().trim_end_matches(')'), result),
            None => (rest, ""),
        };
        if result.starts_with('-') {
            return Ok(());
        }
        let mut add = |what| self.calls.push(Call { begun, ended, what });
        if name == "execve" {
            let variables = strings(arguments).filter_map(|bytes| {
                let text = String::from_utf8(bytes).ok()?;
                let (name, value) = text.split_once('=')?;
                name.starts_with("WORKITEM_").then(|| (name.to_owned(), value.to_owned()))
            });
            let variables: BTreeMap<String, String> = variables.collect();
            if variables.contains_key("WORKITEM_ATTEMPT") {
                add(What::Start(variables));
            }
            return Ok(());
        }
        let arguments: Vec<&str> = arguments.split(", ").collect();
        let first = arguments.first().copied().unwrap_or_default();
        if let ("write" | "writev", Some(stream @ (1 | 2))) = (name, descriptor(first)) {
            add(What::Say { output: stream == 1, bytes: written(&arguments, result) });
            return Ok(());
        }
        let Some(path) = self.path(name, &arguments) else { return Ok(()) };
        let number = |place: usize| -> Result<u64> {
            let argument = arguments.get(place).context("an argument is missing")?;
            argument.parse().with_context(|| format!("line {begun}: `{argument}` is no number"))
        };
        let what = match name {
            "openat" => {
                let flags = arguments.get(2).copied().unwrap_or_default();
                if flags.contains("O_CREAT") {
                    self.calls.push(Call { begun, ended, what: What::Make(path.clone()) });
                }
                self.positions.insert(path.clone(), 0);
                if !flags.contains("O_TRUNC") {
                    return Ok(());
                }
                What::Cut { file: path, len: 0 }
            }
            "write" | "writev" => {
                let bytes = written(&arguments, result);
                let position = self.positions.entry(path.clone()).or_default();
                let at = *position;
                *position += bytes.len() as u64;
                What::Write { file: path, at, bytes }
            }
            "pwrite64" => What::Write { file: path, at: number(3)?, bytes: written(&arguments, result) },
            "lseek" => {
                self.positions.insert(path, result.parse().unwrap_or_default());
                return Ok(());
            }
            "ftruncate" => What::Cut { file: path, len: number(1)? },
            "fsync" | "fdatasync" if result != "0" => return Ok(()),
            "fsync" | "fdatasync" => What::Sync(path),
            "mkdir" | "mkdirat" => What::Folder(path),
            "unlink" | "unlinkat" | "rmdir" => What::Remove(path),
            other => bail!("line {begun}: nothing is known of what `{other}` does to {}", path.display()),
        };
        self.calls.push(Call { begun, ended, what });
        Ok(())
    }

    /// The path below the folder that a call is about; nothing if it is about another, or one that is gone.
    fn path(&self, name: &str, arguments: &[&str]) -> Option<PathBuf> {
        let first = arguments.first()?;
        let string = |place: usize| arguments.get(place).and_then(|text| strings(text).next()).map(path_of);
        let path = match name {
            _ if name.ends_with("at") || name.ends_with("at2") => decorated(first)?.join(string(1)?),
            _ if first.starts_with('"') => self.folder.join(string(0)?),
            _ if first.ends_with("(deleted)") => return None,
            _ => decorated(first)?,
        };
        let path = path.strip_prefix(self.folder).ok()?;
        // The memory that is shared is never synced, and made anew by whoever comes next.
        (!path.to_string_lossy().ends_with("-shm")).then(|| path.to_path_buf())
    }
}

/// What was written, as far as it was.
fn written(arguments: &[&str], result: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = arguments.iter().flat_map(|argument| strings(argument)).flatten().collect();
    if let Ok(len) = result.parse() {
        bytes.truncate(len);
    }
    bytes
}

fn descriptor(argument: &str) -> Option<u32> {
    argument.split('<').next()?.parse().ok()
}

/// The path that `strace` tells of a descriptor.
fn decorated(argument: &str) -> Option<PathBuf> {
    let (_, path) = argument.split_once('<')?;
    Some(path_of(bytes(path.split_once('>')?.0)?))
}

fn path_of(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}

/// Every quoted string.
fn strings(text: &str) -> impl Iterator<Item = Vec<u8>> {
    text.split('"').skip(1).step_by(2).filter_map(bytes)
}

/// `\x2f\x74`; nothing if it is anything else.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(hex.len() / 4);
    for byte in hex.split("\\x").skip(1) {
        bytes.push(u8::from_str_radix(byte, 16).ok()?);
    }
    (bytes.len() * 4 == hex.len()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> String {
        text.bytes().fold(String::new(), |hex, byte| format!("{hex}\\x{byte:02x}"))
    }

    fn read_lines(lines: &[String]) -> Vec<Call> {
        read(&lines.join("\n"), 10, Path::new("/w")).unwrap()
    }

    #[test]
    fn calls_are_read_with_the_lines_at_which_they_begin_and_end() {
        let (db, wal) = (hex("/w/db"), hex("/w/db-wal"));
        let calls = read_lines(&[
            format!("7 openat(AT_FDCWD<{}>, \"{}\", O_RDWR|O_CREAT, 0600) = 3<{db}>", hex("/w"), hex("db")),
            format!("7 pwrite64(3<{db}>, \"{}\", 3, 512 <unfinished ...>", hex("abc")),
            format!("8 fdatasync(4<{wal}>)       = 0"),
            "7 <... pwrite64 resumed>)           = 2".to_owned(),
            format!("8 fsync(5<{}>) = -1 EIO (Input/output error)", hex("/w")),
            format!("9 fsync(4<{wal}>) = ?"),
            format!("8 write(1<{}>, \"{}\", 2) = 2", hex("/out"), hex("ok")),
            format!("8 write(6<{}>(deleted), \"{}\", 2) = 2", hex("/w/gone"), hex("ok")),
            format!("8 write(6<{}>, \"{}\", 2) = 2", hex("/elsewhere"), hex("ok")),
            "8 +++ exited with 0 +++".to_owned(),
        ]);
        let seen: Vec<_> = calls.iter().map(|call| (call.begun, call.ended, &call.what)).collect();
        let write = What::Write { file: "db".into(), at: 512, bytes: b"ab".to_vec() };
        assert_eq!(
            seen,
            [
                (10, 10, &What::Make("db".into())),
                (11, 13, &write),
                (12, 12, &What::Sync("db-wal".into())),
                (16, 16, &What::Say { output: true, bytes: b"ok".to_vec() }),
            ]
        );
    }

    #[test]
    fn what_is_written_without_a_place_goes_behind_what_was_written_before() {
        let file = hex("/w/f");
        let write = |text: &str| format!("7 write(3<{file}>, \"{}\", 9) = {}", hex(text), text.len());
        let calls = read_lines(&[
            write("abc"),
            write("de"),
            format!("7 lseek(3<{file}>, 0, SEEK_SET) = 0"),
            write("f"),
        ]);
        let at = calls.iter().map(|call| match call.what {
            What::Write { at, .. } => at,
            _ => panic!("{call:?}"),
        });
        assert_eq!(at.collect::<Vec<_>>(), [0, 3, 0]);
    }

    #[test]
    fn an_agent_is_started_with_its_variables_and_what_nobody_knows_is_an_error() {
        let calls = read_lines(&[format!(
            "7 execve(\"{}\", [\"{}\"], [\"{}\", \"{}\"] <detached ...>",
            hex("/bin/true"),
            hex("true"),
            hex("PATH=/bin"),
            hex("WORKITEM_ATTEMPT=2")
        )]);
        let What::Start(variables) = &calls[0].what else { panic!("{calls:?}") };
        assert_eq!(variables["WORKITEM_ATTEMPT"], "2");
        let rename = format!("7 rename(\"{}\", \"{}\") = 0", hex("a"), hex("b"));
        assert!(read(&rename, 0, Path::new("/w")).is_err());
    }
}

//! Defaults of options, from a file.
//!
//! A key is the name of an option, and its value is read by the option's own parser: a file says what flags say, in the
//! same words, and can say nothing that a flag could not. What it says holds for jobs that are made; a job that is there
//! keeps what it was made with. A file that is wrong anywhere is refused whole.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Args, Command, FromArgMatches};
use rustix::process::geteuid;
use toml::{Spanned, Value};

use crate::args::RunArgs;
use crate::error::Error;
use crate::text::one_line;

/// Where a config file is, in the current folder.
const HERE: &str = ".workitem/config.toml";
/// Options of a run that are none of a file's: what is printed for programs must not depend on it, and a folder is
/// one job's.
const NOT_FOR_FILES: [&str; 2] = ["json", "cwd"];
/// The one that is not of a run.
const STORE: &str = "store";

/// What a file says.
#[derive(Debug, Default)]
pub struct Config {
    /// The file; nothing if there is none.
    pub file: Option<PathBuf>,
    /// Options of a run, where they are said.
    pub run: RunArgs,
    /// The store.
    pub store: Option<PathBuf>,
    /// What is said, by key.
    pub said: BTreeMap<String, Said>,
}

/// One value, and where it stands.
#[derive(Debug)]
pub struct Said {
    /// As the command line would have it; several for an option that can be given several times.
    pub values: Vec<String>,
    /// The line, from 1.
    pub line: usize,
}

impl Config {
    /// Reads the file that is named, or the one that is found, if there is one.
    pub fn load(named: Option<&Path>) -> Result<Self, Error> {
        if let Some(path) = named {
            let file = File::open(path).map_err(|error| unreadable(path, &error))?;
            return Self::read(path, file);
        }
        for path in places() {
            match File::open(&path) {
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(unreadable(&path, &error)),
                Ok(file) => {
                    check_owner(&path, &file)?;
                    return Self::read(&path, file);
                }
            }
        }
        Ok(Self::default())
    }

    fn read(path: &Path, file: File) -> Result<Self, Error> {
        let text = io::read_to_string(file).map_err(|error| unreadable(path, &error))?;
        Self::parse(path, &text)
    }

    pub fn parse(file: &Path, text: &str) -> Result<Self, Error> {
        let line =
            |span: &Range<usize>| 1 + text.bytes().take(span.start).filter(|byte| *byte == b'\n').count();
        let wrong = |line: usize, what: &str| {
            Error::usage(format!("config file {}, line {line}: {what}", file.display()))
                .next("mend it, or name another by --config; nothing was done")
        };
        let entries: BTreeMap<Spanned<String>, Spanned<Value>> = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line(&span));
            wrong(line, error.message().lines().next().unwrap_or_default())
        })?;
        let mut said = BTreeMap::new();
        let mut argv: Vec<String> = Vec::new();
        for (key, value) in entries {
            let line = line(&key.span());
            let key = key.into_inner();
            let options = options();
            let mut known = options.get_arguments().filter(|_| !NOT_FOR_FILES.contains(&key.as_str()));
            let Some(option) = known.find(|option| option.get_long() == Some(&key)) else {
                let next = format!("the known ones are {}", keys().join(", "));
                return Err(wrong(line, &format!("there is no option `{}`", one_line(&key, 60))).next(next));
            };
            let values =
                values(option, value.get_ref()).map_err(|why| wrong(line, &format!("`{key}` {why}")))?;
            let flags = flags(option, &key, &values);
            // Each by itself first, to know which is wrong.
            options.clone().try_get_matches_from(&flags).map_err(|error| {
                let value = one_line(&values.join(", "), 60);
                wrong(line, &format!("`{key}` cannot be `{value}`: {}", reason(&error)))
            })?;
            argv.extend(flags);
            said.insert(key, Said { values, line });
        }
        let together = |error: clap::Error| wrong(1, &reason(&error));
        let matches = options().try_get_matches_from(argv).map_err(together)?;
        let run = RunArgs::from_arg_matches(&matches).map_err(together)?;
        let store = matches.get_one::<PathBuf>(STORE).cloned();
        Ok(Self { file: Some(file.to_owned()), run, store, said })
    }
}

/// Every key that a file may have, in the order of `map --help`.
pub fn keys() -> Vec<String> {
    let options = options();
    let longs = options.get_arguments().filter_map(Arg::get_long);
    longs.filter(|long| !NOT_FOR_FILES.contains(long)).map(str::to_owned).collect()
}

/// What holds if nothing is said: the option's own help has it.
pub fn built_in(key: &str) -> String {
    let options = options();
    let option = options.get_arguments().find(|option| option.get_long() == Some(key));
    if option.is_some_and(is_flag) {
        return "false".to_owned();
    }
    let help = option.and_then(Arg::get_help).map(ToString::to_string).unwrap_or_default();
    let default = help.rsplit_once("[default: ").and_then(|(_, default)| default.strip_suffix(']'));
    default.map_or_else(|| "none".to_owned(), str::to_owned)
}

/// Where a file is looked for, the first that is there counts.
pub fn places() -> Vec<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let own = folder("XDG_CONFIG_HOME").or_else(|| folder("HOME").map(|home| home.join(".config")));
    let own = own.map(|folder| folder.join("workitem/config.toml"));
    std::iter::once(PathBuf::from(HERE)).chain(own).collect()
}

/// The options of a run and the store, as a command line of their own.
fn options() -> Command {
    let store = Arg::new(STORE).long(STORE).value_parser(clap::value_parser!(PathBuf));
    let store = store.help("The store [default: .workitem/workitem.db]");
    RunArgs::augment_args(Command::new("config").no_binary_name(true).disable_help_flag(true)).arg(store)
}

/// A value as the command line would have it.
fn values(option: &Arg, value: &Value) -> Result<Vec<String>, String> {
    let takes_many = matches!(option.get_action(), ArgAction::Append);
    match value {
        Value::Boolean(yes) if is_flag(option) => Ok(vec![yes.to_string()]),
        _ if is_flag(option) => Err("is true or false".to_owned()),
        Value::String(text) => Ok(vec![text.clone()]),
        Value::Integer(number) => Ok(vec![number.to_string()]),
        Value::Float(number) => Ok(vec![number.to_string()]),
        Value::Array(values) if takes_many => values
            .iter()
            .map(|value| value.as_str().map(str::to_owned).ok_or_else(|| "is a list of texts".to_owned()))
            .collect(),
        Value::Array(_) | Value::Boolean(_) | Value::Datetime(_) | Value::Table(_) => {
            let expected = if takes_many { "a text or a list of texts" } else { "a text or a number" };
            Err(format!("is {expected}, not of type {}", value.type_str()))
        }
    }
}

fn is_flag(option: &Arg) -> bool {
    matches!(option.get_action(), ArgAction::SetTrue)
}

fn flags(option: &Arg, key: &str, values: &[String]) -> Vec<String> {
    if is_flag(option) {
        let is_set = values.iter().any(|value| value == "true");
        return is_set.then(|| format!("--{key}")).into_iter().collect();
    }
    values.iter().map(|value| format!("--{key}={value}")).collect()
}

/// What clap has against it, without its advice.
fn reason(error: &clap::Error) -> String {
    let told = error.to_string();
    let line = told.lines().next().unwrap_or_default();
    error.source().map_or_else(|| line.trim_start_matches("error: ").to_owned(), ToString::to_string)
}

/// Whoever writes this file decides what agents find in their environment: nobody but its user and root may.
fn check_owner(path: &Path, file: &File) -> Result<(), Error> {
    let owner = file.metadata().map_err(|error| unreadable(path, &error))?.uid();
    if owner == 0 || owner == geteuid().as_raw() {
        return Ok(());
    }
    let what = format!("config file {} belongs to another user, {owner}", path.display());
    Err(Error::usage(what).next("if that is right, name it by --config; /dev/null is one that says nothing"))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn unreadable(file: &Path, error: &io::Error) -> Error {
    Error::usage(format!("could not read config file {}: {error}", file.display()))
        .next("mend that, or name another by --config; nothing was done")
}

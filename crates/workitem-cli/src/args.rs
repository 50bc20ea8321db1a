//! The command line.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use workitem_orchestrator::{Backoff, Rate, Variable, Worth};
use workitem_types::StatusKind;

use crate::durations::{backoff, duration, positive};
use crate::input::Format;
use crate::values::{delay, folder, job_name, lease, listening, parallelism, share, size, state};

/// Runs a command over thousands of items. Never loses one, never records one twice.
#[derive(Debug, Parser)]
#[command(name = "workitem", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,

    /// The store, which holds jobs, items, history and output: a file, or `postgres://USER@HOST/DATABASE` [default:
    /// .workitem/workitem.db]
    #[arg(long, global = true, value_name = "PATH|URL", hide_env_values = true, env = "WORKITEM_STORE")]
    pub store: Option<PathBuf>,

    /// Defaults of options, as TOML [default: .workitem/config.toml, or workitem/config.toml in ~/.config]
    #[arg(long, global = true, value_name = "FILE", env = "WORKITEM_CONFIG")]
    pub config: Option<PathBuf>,

    /// Tell what goes on inside: each attempt, -vv also claims and writes, -vvv everything
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  every item is completed
  2  the command line or the input makes no sense; nothing was run
  3  some items are dead-lettered, or a rule stopped the job, or it was cancelled
  4  the job is not finished: `workitem resume` goes on with it
  5  the store failed, or `verify` or `doctor` found something wrong
  6  another process runs the job";

const MAP_HELP: &str = "\
In COMMAND and its arguments, {} is the item, {id} its id, and {.a.b} a field of a JSON item. \
Each is put in once, inside one argument; no shell sees it. Without {} nothing is appended. \
The agent's standard input is empty; WORKITEM_JOB, WORKITEM_ID, WORKITEM_ATTEMPT, WORKITEM_RUN and \
WORKITEM_ITEM (JSON; a long one is in the file WORKITEM_ITEM_FILE) are in its environment.

Examples:
  find src -name '*.rs' | workitem map -- wc -l {}
  workitem map -i pages.jsonl --id-from .slug --max-attempts 3 --backoff 1s..1m -- ./get {.url}
  printf '%s\\0' * | workitem map -0 --job sums -- sha256sum {}

Exit codes: 0 all completed, 2 usage or input, 3 dead letters, 4 interrupted, 5 store, 6 busy.";

const WORKER_HELP: &str = "\
Jobs are made by `workitem map`, and run as they were made: the same command, in a folder of the same path, with the \
program's environment of this machine. Their output is in the store: `workitem output JOB`.

SIGTERM lets running agents finish (--drain), then ends; Ctrl-C ends them and puts their items back. A worker that \
vanishes is noticed by the others when its lease has run out, and its items are run again. A job whose stopping rule \
fires is paused for all.

Examples:
  workitem worker --store postgres://jobs@db/jobs -j 16
  workitem worker census --until-done --metrics 9187

Exit codes: 0 told to stop, or all done, 2 usage, 3 done with dead letters, 4 stopped before all was done (--until-done), \
5 store.";

const ADD_HELP: &str = "\
Without --id-from (or that of the `map` that made the job) an item's id is its position in the job, so that \
adding the same lines twice adds them twice. With it, items that are there already are passed over.";

const DOCTOR_HELP: &str = "\
A note is good to know. A warning gets worse unless something is done. With a fault the store cannot be relied on, or not be \
worked with.

Exit codes: 0 no fault, 2 usage, 5 a fault, or the store failed.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a command for each item of an input
    ///
    /// Items are the lines of standard input, or come from --input. All of them are stored first, then
    /// run. A `map` under the name of a job that exists goes on with it, if command and input are the same.
    #[command(after_help = MAP_HELP)]
    Map(MapArgs),
    /// Go on with a job that was interrupted: same command, same items, only what is left
    Resume {
        /// The job; the last one if not given
        job: Option<String>,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Work on jobs as they come, until told to stop
    ///
    /// Takes up what is due, job after job, oldest first. On a store that is an address, as many workers as you like, on as
    /// many machines, work on the same jobs; on a file, a worker runs the jobs that nobody else runs.
    #[command(after_help = WORKER_HELP)]
    Worker(WorkerArgs),
    /// Put more items into a job, behind all others; who runs it takes them up
    #[command(after_help = ADD_HELP)]
    Add {
        /// The job
        job: String,
        #[command(flatten)]
        from: InputArgs,
        /// Say nothing of what was added
        #[arg(long, short)]
        quiet: bool,
    },
    /// Start nothing more of a job until it is unpaused; what runs may end
    Pause {
        /// The job
        job: String,
    },
    /// Take back a pause or a cancellation
    Unpause {
        /// The job
        job: String,
    },
    /// Stop a job: what runs is ended and put back, nothing more is started
    Cancel {
        /// The job
        job: String,
    },
    /// Look on while another process runs a job, until it ends
    Watch {
        /// The job; the last one if not given
        job: Option<String>,
        /// Print JSON, a line a second or when the state changes, and one at the end
        #[arg(long)]
        json: bool,
    },
    /// How far a job is: counts, rate, time left
    Status {
        /// The job; the last one if not given
        job: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Every job in the store
    Jobs {
        /// Print JSON, a job a line
        #[arg(long)]
        json: bool,
    },
    /// The items of a job, in input order
    Items {
        /// The job
        job: String,
        /// Only items in this state
        #[arg(long, value_parser = state, value_name = "STATE")]
        state: Option<StatusKind>,
        /// The lines of the input that --skip-bad passed over, instead of items
        #[arg(long, conflicts_with = "state")]
        skipped: bool,
        /// Print JSON, an item a line
        #[arg(long)]
        json: bool,
    },
    /// Everything that happened to an item
    History {
        /// The job
        job: String,
        /// The item's id
        item: String,
        /// Print JSON, an event a line
        #[arg(long)]
        json: bool,
    },
    /// The standard output of every completed item, in input order
    Output {
        /// The job
        job: String,
    },
    /// What each attempt at an item printed
    Logs {
        /// The job
        job: String,
        /// The item's id
        item: String,
    },
    /// Dead letters: items that were given up
    #[command(subcommand)]
    Dlq(DlqCommand),
    /// Remove finished jobs that are old, and what belongs to nobody
    ///
    /// A job goes with its items, their history and output. One that is running, is not finished or has open dead
    /// letters stays, unless said otherwise.
    Gc(GcArgs),
    /// What whoever keeps the store should know, the worst first, and what to do about it
    ///
    /// Of a file: its write-ahead log, its room, who may read it, what it lies on. Of a server: what keeps it from vacuuming,
    /// how it is set, what it runs out of. Of both: jobs with which nobody goes on. It changes nothing.
    #[command(after_help = DOCTOR_HELP)]
    Doctor {
        /// Print JSON, a finding a line
        #[arg(long)]
        json: bool,
    },
    /// The config file that is in force, and each option's value with where it comes from
    Config {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Replay the history of a job and audit the store
    Verify {
        /// The job
        job: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// The state machine of a work item
    Machine {
        /// How to print it
        #[arg(long, value_enum, default_value_t = MachineFormat::Table)]
        format: MachineFormat,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, for `man -l -`
    Man,
}

impl Command {
    /// Whether everything on standard error is to be JSON.
    pub const fn tells_json(&self) -> bool {
        match self {
            Self::Map(MapArgs { run, .. })
            | Self::Resume { run, .. }
            | Self::Dlq(DlqCommand::Retry { run, .. }) => run.json,
            Self::Worker(args) => args.json,
            _ => false,
        }
    }

    /// Whether it is about the program itself: it needs neither a store nor a config file, and a broken one is not in
    /// its way.
    pub const fn is_about_itself(&self) -> bool {
        matches!(self, Self::Machine { .. } | Self::Completions { .. } | Self::Man)
    }

    /// Whether it says little, if that was said elsewhere. What prints JSON goes on doing so.
    pub const fn hush(&mut self) {
        match self {
            Self::Map(MapArgs { run, .. })
            | Self::Resume { run, .. }
            | Self::Dlq(DlqCommand::Retry { run, .. }) => run.quiet |= !run.json,
            Self::Add { quiet, .. } => *quiet = true,
            Self::Worker(args) => args.quiet |= !args.json,
            _ => {}
        }
    }
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one of it")]
pub enum DlqCommand {
    /// The dead letters that nobody has dealt with, with their errors
    List {
        /// The job
        job: String,
        /// Only letters of these groups
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
        /// Print JSON, a letter a line
        #[arg(long)]
        json: bool,
    },
    /// What the dead letters have in common: a line for each kind of error, the most frequent first
    Groups {
        /// The job
        job: String,
        /// Print JSON, a group a line
        #[arg(long)]
        json: bool,
    },
    /// One dead letter: its input, its history, its output
    Show {
        /// The job
        job: String,
        /// The item's id
        item: String,
    },
    /// Run dead letters again, as new items that name their origin
    Retry {
        /// The job
        job: String,
        #[command(flatten)]
        letters: LettersArgs,
        /// Only submit the new items, for `workitem resume` to run
        #[arg(long)]
        no_run: bool,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Print the inputs of dead letters as JSON lines, which `map --format jsonl` reads
    Export {
        /// The job
        job: String,
        #[command(flatten)]
        letters: LettersArgs,
    },
    /// Dismiss dead letters: they count as dealt with, and stay among the items
    Drop {
        /// The job
        job: String,
        #[command(flatten)]
        letters: LettersArgs,
        /// All open letters
        #[arg(long, conflicts_with_all = ["items", "groups"])]
        all: bool,
    },
}

/// What is to be removed.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct GcArgs {
    /// Only these jobs, whatever their age
    pub jobs: Vec<String>,
    /// Only jobs to which nothing has happened for so long
    #[arg(long, value_name = "DUR", value_parser = duration, default_value = "30d", conflicts_with = "jobs")]
    pub older_than: Duration,
    /// Also jobs that are not finished; never one that is running
    #[arg(long)]
    pub unfinished: bool,
    /// Also jobs with open dead letters
    #[arg(long)]
    pub with_letters: bool,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print JSON, a job a line
    #[arg(long)]
    pub json: bool,
}

/// Which dead letters.
#[derive(Debug, Args)]
pub struct LettersArgs {
    /// Only these items; all open letters if neither items nor groups are given
    pub items: Vec<String>,
    /// Only letters of these groups, as `dlq groups` names them
    #[arg(long = "group", value_name = "GROUP")]
    pub groups: Vec<String>,
}

/// Where items come from.
#[derive(Debug, Args)]
pub struct InputArgs {
    /// Read items from FILE, - is standard input; its ending says how: .txt .jsonl .json .csv
    #[arg(long, short, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// How the input is written, when its name does not say
    #[arg(long, value_enum, conflicts_with = "null")]
    pub format: Option<Format>,
    /// Items end with NUL instead of a newline
    #[arg(short = '0', long)]
    pub null: bool,
    /// Which parts of a JSON input are items, as JSONPath (RFC 9535): '$.pages.*'
    #[arg(long, value_name = "PATH")]
    pub json_path: Option<String>,
    /// Take each item's id from this field (.a.b); otherwise it is its position in the input
    #[arg(long, value_name = "FIELD")]
    pub id_from: Option<String>,
    /// Pass over lines that cannot be items, and count them
    #[arg(long)]
    pub skip_bad: bool,
    /// Of items with the same id take the first, and count the others among those passed over
    #[arg(long, requires = "id_from")]
    pub dedup: bool,
}

#[derive(Debug, Args)]
pub struct MapArgs {
    #[command(flatten)]
    pub from: InputArgs,
    /// The job's name; otherwise one is made up
    #[arg(long, value_name = "NAME", value_parser = job_name)]
    pub job: Option<String>,
    /// Give each agent its item on standard input, with a newline behind it
    #[arg(long)]
    pub stdin: bool,
    /// Print the commands of the first ten items, and neither store nor run anything
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub run: RunArgs,
    /// The command to run for each item
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

impl InputArgs {
    /// The file to read items from; nothing for standard input.
    pub fn file(&self) -> Option<&Path> {
        self.input.as_deref().filter(|path| *path != "-")
    }
}

/// How a worker works.
#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// Only these jobs; all of the store if none are given
    pub only: Vec<String>,
    /// Items that run at a time, up to 4096 [default: number of cores]
    #[arg(long, short, value_name = "N", value_parser = parallelism)]
    pub jobs: Option<NonZeroUsize>,
    /// End when there is nothing left to do
    #[arg(long)]
    pub until_done: bool,
    /// How long after this worker's last sign of life others take up its items; it gives one three times as often
    #[arg(long, value_name = "DUR", value_parser = lease, default_value = "1m")]
    pub lease: Duration,
    /// How long SIGTERM lets running agents finish
    #[arg(long, value_name = "DUR", value_parser = duration, default_value = "30s")]
    pub drain: Duration,
    /// The folder that agents run in [default: the one in which `map` was called]
    #[arg(long, value_name = "DIR", value_parser = folder)]
    pub cwd: Option<PathBuf>,
    /// Give agents this variable, besides what they inherit
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<Variable>,
    /// Answer at this address: /health, and /metrics for Prometheus; a port alone is one of this machine only
    #[arg(long, value_name = "ADDRESS", value_parser = listening)]
    pub metrics: Option<SocketAddr>,
    /// Say nothing of what is done
    #[arg(long, short)]
    pub quiet: bool,
    /// Tell what is done as JSON, an event a line, on standard error
    #[arg(long, conflicts_with = "quiet")]
    pub json: bool,
}

/// How to run a job. `resume` takes what is not given from when the job was made.
#[derive(Debug, Clone, Default, Args)]
pub struct RunArgs {
    /// Items that run at a time, up to 4096 [default: number of cores]
    #[arg(long, short, value_name = "N", value_parser = parallelism)]
    pub jobs: Option<NonZeroUsize>,
    /// Failed runs of an item before it is dead-lettered [default: 1]
    #[arg(long, value_name = "N")]
    pub max_attempts: Option<NonZeroUsize>,
    /// Which failures are worth another attempt: timeout, exit, exit:75, signal, signal:9, start [default: all]
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    pub retry_on: Option<Vec<Worth>>,
    /// Stop once so many items were given up; what runs may end [default: never]
    #[arg(long, value_name = "N")]
    pub max_failures: Option<NonZeroUsize>,
    /// Stop once more than this share of the items was given up: 20% [default: never]
    #[arg(long, value_name = "PERCENT", value_parser = share)]
    pub max_failure_rate: Option<f64>,
    /// Items that must be completed or given up before --max-failure-rate counts [default: 20]
    #[arg(long, value_name = "N")]
    pub failure_rate_after: Option<usize>,
    /// Crashes of the orchestrator or host an item may be there at [default: 10]
    #[arg(long, value_name = "N")]
    pub max_crashes: Option<usize>,
    /// Start no more than so many attempts in a time, spread evenly: 10/s, 30/m, 1/250ms [default: no limit]
    #[arg(long, value_name = "N/TIME")]
    pub rate: Option<Rate>,
    /// Pause so long between the starts of two attempts: 250ms is the same as --rate 1/250ms
    #[arg(long, value_name = "DUR", value_parser = delay, conflicts_with = "rate")]
    pub delay: Option<Rate>,
    /// Be as nice to other processes: 19 takes only what they leave [default: as `workitem` is]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(-20..=19), allow_negative_numbers = true)]
    pub nice: Option<i32>,
    /// How long one attempt may take: 30s, 1h 30m [default: for ever]
    #[arg(long, value_name = "DUR", value_parser = positive)]
    pub timeout: Option<Duration>,
    /// Wait before another attempt, doubling each time, randomly shortened: 1s, 1s..1m [default: none]
    #[arg(long, value_name = "DUR[..MAX]", value_parser = backoff)]
    pub backoff: Option<Backoff>,
    /// How long an agent may take to end after SIGTERM [default: 5s]
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub grace: Option<Duration>,
    /// How long SIGTERM lets running agents finish [default: 30s]
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub drain: Option<Duration>,
    /// The folder that agents run in [default: the one in which `map` was called]
    #[arg(long, value_name = "DIR", value_parser = folder)]
    pub cwd: Option<PathBuf>,
    /// Give agents this variable, besides what they inherit; a PATH makes each start slower
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<Variable>,
    /// Most bytes kept of each stream of an attempt: 512K, 10M, 1G [default: 64M]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub output_limit: Option<u64>,
    /// Print the items' output in input order
    #[arg(long)]
    pub keep_order: bool,
    /// Print no progress and no summary
    #[arg(long, short)]
    pub quiet: bool,
    /// Print progress as JSON, an event a line, on standard error
    #[arg(long, conflicts_with = "quiet")]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum MachineFormat {
    Table,
    Mermaid,
    Dot,
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn states_are_named_in_any_spelling() {
        for text in ["in_progress", "in-progress", "InProgress", "INPROGRESS"] {
            assert_eq!(state(text), Ok(StatusKind::InProgress));
        }
        assert!(state("done").is_err());
    }
}

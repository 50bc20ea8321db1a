//! A job beside the long one, from its `map` to its `gc`, with everything in between that a person may do to it.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, bail};
use fastrand::Rng;
use workitem_sqlite::SqliteStore;
use workitem_store::Store;

use crate::checker::{Moment, check_job};
use crate::heard::Heard;
use crate::place::{Ended, Place, Run};
use crate::processes::MARK;

/// An agent for `sh -c`, for jobs of a soak; `$1` is the item.
pub const AGENT: &str = r#"job=$WORKITEM_JOB
echo "$WORKITEM_ID $WORKITEM_ATTEMPT" >> "started.$job"
case $1 in
    bad) [ -e "mended.$job" ] || exit 7;;
    flaky) [ $((WORKITEM_ATTEMPT % 2)) = 0 ] || exit 75;;
    slow) sleep 0.3;;
    leaves) sleep 300 & (sleep 300 &);;
    hangs) [ -e "mended.$job" ] || sleep 300;;
    stay) until [ -e "over.$job" ]; do sleep 0.1; done;;
esac
echo "$WORKITEM_ID done"
[ $1 != big ] || head -c 100000 /dev/zero | tr '\0' ' ';  [ $1 != big ] || echo"#;

/// Somebody else has the job's lock: the `gc` of another job, or a cancellation that ends the agents of a run that was
/// killed. Both have it for a moment.
const BUSY: i32 = 6;
/// How often that may be.
const PATIENCE: usize = 100;
/// How often a dead letter may need to be tried again.
const RETRIES: usize = 5;

/// One of the kinds of items that end by themselves.
pub fn item(rng: &mut Rng) -> &'static str {
    match rng.u8(..16) {
        0 => "bad\n",
        1 | 2 => "flaky\n",
        3 => "slow\n",
        4 | 5 => "big\n",
        6 => "leaves\n",
        _ => "ok\n",
    }
}

pub struct Side<'a> {
    place: &'a Place,
    job: String,
    rng: Rng,
    heard: Heard,
    wrong: Vec<String>,
    kills: u64,
}

impl<'a> Side<'a> {
    pub fn new(place: &'a Place, job: String, rng: Rng) -> Self {
        Self { place, job, rng, heard: Heard::default(), wrong: Vec::new(), kills: 0 }
    }

    /// Lives, and says what was wrong with that, and how often it was killed.
    pub fn live(mut self) -> (Vec<String>, u64) {
        if let Err(error) = self.lives()
            && self.wrong.is_empty()
        {
            self.wrong.push(format!("job `{}`: {error:#}", self.job));
        }
        (self.wrong, self.kills)
    }

    fn lives(&mut self) -> Result<()> {
        let mut items: String = (0..self.rng.usize(3..40)).map(|_| item(&mut self.rng)).collect();
        if self.rng.u8(..3) == 0 {
            items += "hangs\n";
        }
        let map = [
            "map",
            "--job",
            &self.job.clone(),
            "--json",
            "-j",
            "4",
            "--max-attempts",
            "2",
            "--backoff",
            "1ms..20ms",
        ]
        .map(str::to_owned);
        let agent = [
            "--timeout",
            "1s",
            "--grace",
            "100ms",
            "--max-crashes",
            "1000",
            "--",
            "sh",
            "-c",
            AGENT,
            "agent",
            "{}",
        ];
        let map: Vec<String> = map.into_iter().chain(agent.map(str::to_owned)).collect();
        let map: Vec<&str> = map.iter().map(String::as_str).collect();
        while self.heard.acknowledged.items.is_none() {
            self.runs(&map, &items)?;
        }
        for _ in 0..self.rng.usize(1..6) {
            self.something()?;
        }
        self.mended()?;
        let job = self.job.clone();
        let output = self.ask(&["output", &job], "", &[0])?;
        if output.stdout.is_empty() {
            self.wrong.push(format!("job `{job}`: `output` prints nothing"));
        }
        let gone = self.done(&["gc", &job])?;
        if gone.code != 0 {
            bail!("`{}` exited with {}: {}", gone.what, gone.code, gone.stderr);
        }
        Ok(())
    }

    /// Something that a person might do.
    fn something(&mut self) -> Result<()> {
        let job = self.job.clone();
        match self.rng.u8(..8) {
            0 | 1 => {
                let items: String = (0..self.rng.usize(1..6)).map(|_| item(&mut self.rng)).collect();
                self.ask(&["add", &job, "-q"], &items, &[0])?;
                self.runs(&["resume", &job, "--json"], "")
            }
            2 => self.controlled("pause", &[-9, 0, 3, 4]),
            3 => self.controlled("cancel", &[-9, 0, 3, 4]),
            4 => {
                self.runs(&["dlq", "retry", &job, "--json"], "")?;
                self.runs(&["resume", &job, "--json"], "")
            }
            5 => {
                for command in ["status", "items", "verify", "dlq"] {
                    let words =
                        if command == "dlq" { vec!["dlq", "groups", &job] } else { vec![command, &job] };
                    let locks = command == "verify";
                    self.ask(&words, "", if locks { &[0, BUSY] } else { &[0] })?;
                }
                self.ask(&["gc"], "", &[0]).map(|_| ())
            }
            _ => self.runs(&["resume", &job, "--json"], ""),
        }
    }

    /// A run that is paused or cancelled on its way, and goes on.
    fn controlled(&mut self, command: &str, codes: &[i32]) -> Result<()> {
        let job = self.job.clone();
        let run = self.start(&["resume", &job, "--json"], "")?;
        sleep(Duration::from_millis(self.rng.u64(..300)));
        // With 2 it says that the job is finished.
        self.ask(&[command, &job], "", &[0, 2])?;
        sleep(Duration::from_millis(self.rng.u64(..300)));
        self.ask(&["unpause", &job], "", &[0, 2])?;
        let ended = run.wait()?;
        if ended.code == BUSY {
            return self.take_in(&ended, &[BUSY], Moment::Cut);
        }
        self.take_in(&ended, codes, Moment::AtRest)
    }

    /// Once nothing fails any more, every item and every letter is dealt with.
    fn mended(&mut self) -> Result<()> {
        let job = self.job.clone();
        self.place.write(&format!("mended.{job}"), "")?;
        // With time enough: what only hangs does so no more, and a machine that is busy is no failure of an item.
        let time = ["--timeout", "5m"];
        let ended = self.done(&[&["resume", &job, "--json"][..], &time].concat())?;
        self.take_in(&ended, &[0, 3], Moment::Finished)?;
        for _ in 0..RETRIES {
            if self.letters()? > 0 {
                let retry = [&["dlq", "retry", &job, "--json"][..], &time].concat();
                let ended = self.done(&retry)?;
                self.take_in(&ended, &[0, 3], Moment::Finished)?;
            }
        }
        let left = self.letters()?;
        if left > 0 {
            self.wrong.push(format!("job `{job}`: {left} letters are open, though nothing fails any more"));
        }
        Ok(())
    }

    /// A run that may be killed.
    fn runs(&mut self, arguments: &[&str], input: &str) -> Result<()> {
        let run = self.start(arguments, input)?;
        let ended = if self.rng.bool() {
            let moment = Duration::from_millis(self.rng.u64(5..800));
            run.kill_after(moment)?
        } else {
            run.wait()?
        };
        self.kills += u64::from(ended.is_killed());
        self.take_in(&ended, &[-9, 0, 3, BUSY], Moment::Cut)
    }

    fn take_in(&mut self, ended: &Ended, codes: &[i32], moment: Moment) -> Result<()> {
        let mut wrong = self.heard.run(&ended.stdout, &ended.stderr);
        if !codes.contains(&ended.code) {
            wrong.push(format!("`{}` exited with {}: {}", ended.what, ended.code, ended.stderr));
        }
        let notes = self.place.file(format!("started.{}", self.job));
        wrong.extend(self.heard.starts(&notes, &BTreeSet::new())?);
        if self.place.store().exists() {
            let broken = check_job(&self.store()?, &self.job, &self.heard.acknowledged, moment)?;
            wrong.extend(broken.iter().map(ToString::to_string));
        }
        self.wrong.extend(wrong.into_iter().map(|what| format!("job `{}`: {what}", self.job)));
        if !self.wrong.is_empty() {
            bail!("{}", self.wrong.join("\n"));
        }
        Ok(())
    }

    /// What is to be done, however often somebody else has the job's lock for a moment.
    fn done(&self, arguments: &[&str]) -> Result<Ended> {
        for _ in 0..PATIENCE {
            let ended = self.start(arguments, "")?.wait()?;
            if ended.code != BUSY {
                return Ok(ended);
            }
        }
        bail!("`{}` was in vain {PATIENCE} times: somebody has the job's lock", arguments.join(" "));
    }

    /// A command that ends by itself.
    fn ask(&mut self, arguments: &[&str], input: &str, codes: &[i32]) -> Result<Ended> {
        let ended = self.start(arguments, input)?.wait()?;
        if !codes.contains(&ended.code) {
            bail!("`{}` exited with {}: {}", ended.what, ended.code, ended.stderr);
        }
        Ok(ended)
    }

    fn start(&self, arguments: &[&str], input: &str) -> Result<Run> {
        let input = self.place.write(&format!("asked.{}", self.job), input)?;
        let mut command = self.place.command(&[], arguments);
        command.env(MARK, self.place.path());
        self.place.start(command, Some(&input))
    }

    fn letters(&self) -> Result<usize> {
        let store = self.store()?;
        Ok(store.counts(store.job(&self.job)?.id)?.open_letters)
    }

    fn store(&self) -> Result<SqliteStore> {
        Ok(SqliteStore::open(&self.place.store())?)
    }
}

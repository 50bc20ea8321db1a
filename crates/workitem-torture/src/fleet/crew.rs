//! A fleet at work: its store, its jobs, its workers, what they have said, and what must hold in the end.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde_json::Value;

use super::audit::Audit;
use crate::place::{Run, tail};
use crate::processes::{children, signal};
use crate::stage::{PATIENCE, Stage};

/// What agents do: note who has started them, then what their item says. `$1` is the item; `CREW` is the worker, if it is
/// one. An item that hangs does so at its first attempt, if a worker has it who is away.
const AGENT: &str = r#"echo "$WORKITEM_ID $WORKITEM_ATTEMPT $WORKITEM_RUN $CREW" >> "started.$WORKITEM_JOB"
case $1 in
    bad) exit 7;;
    flaky) [ -e "failed.$WORKITEM_JOB.$WORKITEM_ID" ] || { : > "failed.$WORKITEM_JOB.$WORKITEM_ID"; exit 75; };;
    hang) case $CREW in away*) [ "$WORKITEM_ATTEMPT" = 1 ] && sleep 300;; esac;;
esac
sleep 0.1
echo "$WORKITEM_ID done""#;

/// The lease of every worker.
pub const LEASE: Duration = Duration::from_secs(2);

/// What a worker logs of an item that somebody else has by now.
pub const FENCED: &str = "taken over by somebody else";

/// A worker that runs.
pub struct Worker {
    pub name: String,
    pub run: Run,
    /// Whether others have started it, and wait for it.
    is_apart: bool,
}

impl Worker {
    /// The process of the worker itself.
    pub fn process(&self) -> u32 {
        let started = self.run.id();
        if self.is_apart { children(started).first().copied().unwrap_or(started) } else { started }
    }
}

/// An agent's start, as it was noted.
pub struct Start {
    pub item: usize,
    pub crew: String,
}

struct Job {
    name: String,
    items: Vec<&'static str>,
    /// How often items came: so often it can end.
    comings: u64,
}

/// Workers and their jobs, on a stage.
pub struct Fleet<'s> {
    pub stage: &'s mut Stage,
    pub audit: Audit,
    pub workers: Vec<Worker>,
    jobs: Vec<Job>,
    /// `map`, and the job that it works on, if it does.
    front: Option<(Run, String)>,
    named: usize,
    /// Completions that workers have summed up, by job, and how often its end was told.
    summed: BTreeMap<String, (u64, u64)>,
}

impl<'s> Fleet<'s> {
    /// A store in a schema of its own at `address`, which all use; `admin` is the server's own.
    pub fn new(stage: &'s mut Stage, address: String, admin: &str, schema: &str) -> Result<Self> {
        stage.address = Some(address);
        // Whoever makes a job makes the store; nothing of it can be watched before.
        stage.run("", &["map", "--job", "first", "--quiet", "--", "true"], "", &[0])?;
        let audit = Audit::begin(admin, schema)?;
        let (workers, jobs, summed) = (Vec::new(), Vec::new(), BTreeMap::new());
        Ok(Self { stage, audit, workers, jobs, front: None, named: 0, summed })
    }

    /// Makes two jobs: of items that do not fail, after those that `first` names, and of such that do.
    pub fn two_jobs(&mut self, first: &[&'static str], n: usize) -> Result<()> {
        let steady: Vec<&'static str> = first.iter().copied().chain((0..n).map(|_| "ok")).collect();
        let moody: Vec<&'static str> = (0..n).map(|n| ["ok", "flaky", "ok", "bad"][n % 4]).collect();
        for (job, items) in [("steady", steady), ("moody", moody)] {
            let map = map_of(job);
            let map: Vec<&str> = map.iter().map(String::as_str).collect();
            // Without input it ends at once; what is added then is for the workers.
            self.stage.run(job, &map, "", &[0])?;
            self.jobs.push(Job { name: job.to_owned(), items: Vec::new(), comings: 0 });
            self.add(job, &items)?;
        }
        Ok(())
    }

    /// Adds items to a job.
    pub fn add(&mut self, job: &str, items: &[&'static str]) -> Result<()> {
        self.stage.run("", &["add", job], &lines(items), &[0])?;
        let known = self.jobs.iter_mut().find(|known| known.name == job).context("no such job")?;
        known.items.extend(items);
        known.comings += 1;
        let n = known.items.len() as u64;
        self.stage.heard(job).items(Some(n));
        Ok(())
    }

    /// Adds items if there is nothing left to do.
    pub fn busy(&mut self, items: usize) -> Result<()> {
        if self.is_done()? { self.add("steady", &vec!["ok"; items]) } else { Ok(()) }
    }

    /// Starts `map` on a third job, with all its items, on which workers work as well.
    pub fn front(&mut self, n: usize) -> Result<()> {
        let items: Vec<&'static str> = (0..n).map(|n| ["ok", "flaky", "bad"][n % 3]).collect();
        self.jobs.push(Job { name: "front".to_owned(), items, comings: 1 });
        self.front_again()
    }

    fn front_again(&mut self) -> Result<()> {
        let Some(job) = self.jobs.iter().find(|job| job.name == "front") else { return Ok(()) };
        // In a file that nobody else reads from.
        self.stage.place.write("front.txt", lines(&job.items))?;
        let map = map_of("front");
        let (map, agent) = map.split_at(map.iter().position(|word| word == "--").unwrap_or(map.len()));
        let words = map.iter().map(String::as_str).chain(["--input", "front.txt"]);
        let words: Vec<&str> = words.chain(agent.iter().map(String::as_str)).collect();
        self.front = Some((self.stage.start(&[], &words, "", &[])?, "front".to_owned()));
        Ok(())
    }

    /// `kill -9` of `map`, which comes again.
    pub fn kill_front(&mut self) -> Result<()> {
        let Some((run, job)) = self.front.take() else { return Ok(()) };
        let ended = run.kill_after(Duration::ZERO)?;
        self.stage.ended(&job, ended, &[-9, 0, 3])?;
        self.stage.count("`map` killed", 1);
        self.front_again()
    }

    /// Starts a worker.
    pub fn worker(&mut self) -> Result<()> {
        self.worker_through(&[])
    }

    /// Starts a worker that is called by `through`.
    pub fn worker_through(&mut self, through: &[&str]) -> Result<()> {
        self.named += 1;
        let name = format!("worker-{}", self.named);
        self.worker_at(name, through, None)
    }

    /// Starts a worker that is called by `through` and has the store at an address of its own.
    pub fn worker_at(&mut self, name: String, through: &[&str], address: Option<&str>) -> Result<()> {
        let crew = format!("CREW={name}");
        let worker = ["worker", "--json", "-j", "2", "--lease", "2s", "--drain", "20s", "--env", &crew];
        let mut variables = vec![("WORKITEM_LOG", Path::new("workitem_orchestrator=debug"))];
        variables.extend(address.map(|address| ("WORKITEM_STORE", Path::new(address))));
        let run = self.stage.start(through, &worker, "", &variables)?;
        self.workers.push(Worker { name, run, is_apart: !through.is_empty() });
        Ok(())
    }

    /// `kill -9` of a worker.
    pub fn kill(&mut self, nth: usize) -> Result<()> {
        let worker = self.workers.swap_remove(nth);
        let ended = worker.run.kill_after(Duration::ZERO)?;
        if !ended.is_killed() {
            self.stage.wrong(format!("{} has ended by itself: {}", worker.name, tail(&ended.stderr)));
        }
        self.hear(&ended.stderr);
        self.stage.count("workers killed", 1);
        Ok(())
    }

    /// Waits for the end of a worker, which may have one of these exit codes; what it has said.
    pub fn ends(&mut self, worker: Worker, codes: &[i32]) -> Result<String> {
        let Worker { name, run, .. } = worker;
        let ended = run.wait()?;
        if !codes.contains(&ended.code) {
            let (code, said) = (ended.code, tail(&ended.stderr));
            self.stage.wrong(format!("{name} has ended with {code} instead of {codes:?}: {said}"));
        }
        self.hear(&ended.stderr);
        Ok(ended.stderr)
    }

    /// Tells all workers to end, as whoever stops a service does.
    pub fn dismiss(&mut self) -> Result<()> {
        for worker in std::mem::take(&mut self.workers) {
            signal(worker.process(), Signal::TERM);
            self.ends(worker, &[0])?;
        }
        Ok(())
    }

    /// What agents have noted of their starts at a job.
    pub fn starts(&self, job: &str) -> Vec<Start> {
        let text =
            std::fs::read_to_string(self.stage.place.file(format!("started.{job}"))).unwrap_or_default();
        let read = |line: &str| {
            let mut words = line.split(' ');
            let (item, crew) = (words.next()?.parse().ok()?, words.nth(2)?.to_owned());
            Some(Start { item, crew })
        };
        text.lines().filter_map(read).collect()
    }

    /// Waits until all jobs are finished; `meanwhile` happens now and then. Whoever makes no headway for two minutes hangs.
    pub fn until_done(&mut self, mut meanwhile: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        let (mut seen, mut since) = (String::new(), Instant::now());
        loop {
            let now = self.progress();
            if let Ok((_, true)) = now {
                break;
            }
            let now = now.map_or_else(|error| format!("{error:#}"), |(counts, _)| counts);
            if now != seen {
                (seen, since) = (now, Instant::now());
            } else if since.elapsed() > PATIENCE {
                bail!("nothing goes on: {seen}; {}", self.workers_say());
            }
            self.look_at_front()?;
            meanwhile(self)?;
            sleep(Duration::from_millis(50));
        }
        while let Some((run, job)) = self.front.take() {
            let ended = run.wait()?;
            let ended = self.stage.ended(&job, ended, &[0, 3, 5])?;
            if ended.code == 5 {
                self.front_again()?;
            }
        }
        Ok(())
    }

    /// Whether all jobs are finished.
    pub fn is_done(&self) -> Result<bool> {
        Ok(self.progress()?.1)
    }

    /// Counts of all jobs, and whether they are finished.
    fn progress(&self) -> Result<(String, bool)> {
        let (store, mut told, mut is_done) = (self.stage.store()?, String::new(), true);
        for job in &self.jobs {
            let Ok(found) = store.job(&job.name) else { return Ok((told, false)) };
            let counts = store.counts(found.id)?;
            let _ = write!(told, "{}: {:?} ", job.name, counts.by_status);
            is_done &= found.is_sealed() && counts.is_finished();
        }
        Ok((told, is_done))
    }

    /// A `map` whose store has failed comes again, as its user would have it do.
    fn look_at_front(&mut self) -> Result<()> {
        let Some((run, _)) = &mut self.front else { return Ok(()) };
        if run.is_running()? {
            return Ok(());
        }
        if let Some((run, job)) = self.front.take() {
            let ended = self.stage.ended(&job, run.wait()?, &[0, 3, 5])?;
            if ended.code == 5 {
                self.stage.count("`map` gave up", 1);
                self.front_again()?;
            }
        }
        Ok(())
    }

    fn workers_say(&self) -> String {
        let say = |worker: &Worker| {
            let said = worker.run.said();
            format!("{}: {}", worker.name, said.lines().last().unwrap_or_default())
        };
        self.workers.iter().map(say).collect::<Vec<_>>().join("; ")
    }

    /// Takes in what a worker has said and logged.
    fn hear(&mut self, said: &str) {
        for line in said.lines() {
            // The last one may be cut off.
            let Ok(told) = serde_json::from_str::<Value>(line) else { continue };
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let job = text(&told["span"]["job"]);
            let summed = self.summed.entry(text(&told["job"])).or_default();
            match told["event"].as_str() {
                Some("worked") => summed.0 += told["completed"].as_u64().unwrap_or_default(),
                Some("finished") => summed.1 += 1,
                _ => {}
            }
            match told["message"].as_str() {
                Some("attempt ended") => {
                    let attempt = told["attempt"].as_u64().and_then(|attempt| attempt.try_into().ok());
                    let (heard, id) = (self.stage.heard(&job), text(&told["item"]));
                    let wrong = match told["outcome"].as_str() {
                        Some("completed") => heard.completed(&id, attempt),
                        Some("dead-lettered") => {
                            heard.acknowledged.given_up.insert(id);
                            None
                        }
                        _ => None,
                    };
                    if let Some(wrong) = wrong {
                        self.stage.wrong(wrong);
                    }
                }
                Some(message) if message.starts_with(FENCED) => self.stage.count("outcomes fenced off", 1),
                Some("run failed") => self.stage.count("runs that failed", 1),
                _ => {}
            }
        }
        if said.contains("panicked") {
            self.stage.wrong(format!("a worker panicked: {}", tail(said)));
        }
    }

    /// Whatever has happened, this holds in the end; everybody has gone home.
    pub fn finish(mut self) -> Result<()> {
        self.dismiss()?;
        for wrong in self.audit.wrong()? {
            self.stage.wrong(wrong);
        }
        let taken = self.audit.taken()?.len() as u64;
        self.stage.count("items taken over", taken);
        for Job { name, items, comings } in std::mem::take(&mut self.jobs) {
            let given_up = items.iter().filter(|kind| **kind == "bad").count();
            self.stage.finished(&name, items.len() - given_up, given_up)?;
            self.summed_up(&name, items.len() - given_up, comings);
            self.printed(&name, &items)?;
            self.stage.count("items", items.len() as u64);
        }
        Ok(())
    }

    /// No two workers count the same item, and each end of a job is told once.
    fn summed_up(&mut self, job: &str, completed: usize, comings: u64) {
        let (summed, ends) = self.summed.get(job).copied().unwrap_or_default();
        self.stage.expect(summed <= completed as u64, || {
            format!("job `{job}`: workers have completed {summed} items by their own account, of {completed}")
        });
        self.stage.expect(ends <= comings, || {
            format!("job `{job}`: its end was told {ends} times, and items came {comings} times")
        });
    }

    /// What is kept of the output is what agents have printed that succeeded, each once.
    fn printed(&mut self, job: &str, items: &[&str]) -> Result<()> {
        let output = self.stage.run("", &["output", job], "", &[0])?;
        let good = items.iter().enumerate().filter(|(_, kind)| **kind != "bad");
        let expected: String = good.map(|(n, _)| (n + 1).to_string() + " done\n").collect();
        self.stage.expect(output.stdout == expected.as_bytes(), || {
            format!("job `{job}`: `output` prints {}", tail(&String::from_utf8_lossy(&output.stdout)))
        });
        Ok(())
    }
}

fn lines(items: &[&str]) -> String {
    items.iter().flat_map(|item| [item, "\n"]).collect()
}

fn map_of(job: &str) -> Vec<String> {
    let map = ["map", "--job", job, "--json", "-j", "2", "--max-attempts", "4", "--backoff", "50ms..200ms"];
    let rest = ["--max-crashes", "1000", "--", "sh", "-c", AGENT, "agent", "{}"];
    map.iter().chain(&rest).map(ToString::to_string).collect()
}

//! Agents that print more than anybody wants, or what nobody can read; and very many of them.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::processes::{bytes_below, usage};
use crate::stage::{NOTE, Stage, numbered};

/// KiB that an orchestrator may take at its peak, whatever its agents print: it takes some 10 to 20 MiB.
const MEMORY: u64 = 64 << 10;
const MIB: usize = 1 << 20;

pub fn flood(stage: &mut Stage) -> Result<()> {
    let total = if stage.is_full { "10G" } else { "70M" };
    let mut facts = Vec::new();
    for (job, options, limit, agents) in
        [("limited", &["--output-limit", "1M"][..], 1, 2), ("default", &[], 64, 1)]
    {
        let script = format!("{NOTE}head -c {total} /dev/zero; head -c 3M /dev/zero >&2");
        let map = ["map", "--job", job, "-q", "-j", "2"];
        let arguments = [&map[..], options, &["--", "sh", "-c", &script]].concat();
        let run = stage.start(&[], &arguments, &numbered(agents), &[])?;
        let mut peak = 0;
        let ended = run.watch(Duration::from_mins(5), |pid| {
            peak = usage(pid).map_or(peak, |usage| usage.peak.max(peak));
        })?;
        stage.ended(job, ended, &[0])?;
        stage.expect(peak > 0 && peak < MEMORY, || format!("it took {peak} KiB of memory"));
        let disk = usize::try_from(bytes_below(&stage.place.file(".workitem")))?;
        // What the jobs before this one have left counts as well.
        let most = (limit + 3) * agents * MIB + 12 * MIB;
        stage.expect(disk < most, || format!("{disk} bytes are on disk, more than {most}"));
        stage.finished(job, agents, 0)?;
        facts.push(format!(
            "{agents} × {total} against {limit} MiB: {} MiB of memory, {} of disk",
            peak >> 10,
            disk / MIB
        ));
    }
    stage.fact = facts.join("; ");
    Ok(())
}

pub fn babble(stage: &mut Stage) -> Result<()> {
    let mut bytes: Vec<u8> = (0..=255).collect();
    bytes.extend(b"\xff\xfe\xc3\x28\xed\xa0\x80 \x1b]0;title\x07\x1b[2J \r\x08\n\n");
    let mut random = vec![0; stage.of(100_000, 1_000_000)];
    random.fill_with(|| stage.rng.u8(..));
    bytes.extend(random);
    bytes.extend(vec![b'x'; stage.of(MIB, 30 * MIB)]);
    stage.place.write("bytes", &bytes)?;
    let script = format!("{NOTE}cat bytes; cat bytes >&2; [ $1 = succeed ]");
    let map = [
        "map",
        "--job",
        "job",
        "--json",
        "-j",
        "2",
        "--keep-order",
        "--",
        "sh",
        "-c",
        &script,
        "agent",
        "{}",
    ];
    // What it prints is noise, in which anything may be found: nothing of it is acknowledged.
    let ended = stage.run("", &map, "succeed\nfail\n", &[3])?;
    stage.expect(ended.stdout == bytes, || {
        format!("{} bytes were printed of {}", ended.stdout.len(), bytes.len())
    });
    let longest = ended.stderr.lines().map(str::len).max().unwrap_or(0);
    stage.expect(longest < 16 << 10, || format!("an event has {longest} bytes"));
    let is_plain = |text: &str| text.chars().all(|c| !c.is_control() || c == '\n');
    stage.expect(is_plain(&ended.stderr), || "events hold control characters".to_owned());
    let kept = stage.run("", &["output", "job"], "", &[0])?;
    stage
        .expect(kept.stdout == bytes, || format!("{} bytes were kept of {}", kept.stdout.len(), bytes.len()));
    let letter = stage.run("", &["dlq", "list", "job"], "", &[0])?;
    let shown = String::from_utf8_lossy(&letter.stdout).into_owned();
    stage.expect(shown.chars().all(|c| !c.is_control() || "\n\t".contains(c)), || {
        format!("`dlq list` shows control characters: {:?}", shown.chars().take(300).collect::<String>())
    });
    stage.finished("job", 1, 1)
}

pub fn crowd(stage: &mut Stage) -> Result<()> {
    let items = stage.of(500, 100_000);
    let map = ["map", "--job", "job", "--json", "-j", "64", "--", "echo", "{id} done"];
    let run = stage.start(&[], &map, &numbered(items), &[])?;
    let (begun, mut peak) = (Instant::now(), 0);
    // A spawn takes about a millisecond, ten on a machine that is very busy.
    let ended =
        run.watch(Duration::from_mins(1) + Duration::from_millis(10) * u32::try_from(items)?, |pid| {
            peak = usage(pid).map_or(peak, |usage| usage.peak.max(peak));
        })?;
    stage.fact =
        format!("{items} items in {:.0} s, {} MiB of memory", begun.elapsed().as_secs_f64(), peak >> 10);
    stage.ended("job", ended, &[0])?;
    stage.expect(peak < MEMORY, || format!("it took {peak} KiB of memory"));
    let jobs = stage.store()?.jobs()?.len();
    stage.expect(jobs == 1, || format!("there are {jobs} jobs"));
    stage.finished("job", items, 0)
}

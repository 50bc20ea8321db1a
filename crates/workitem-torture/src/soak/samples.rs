//! What was measured now and then, and whether it grows.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::processes::Usage;

/// KiB by which memory may grow within an epoch: what an allocator keeps of its busiest moment.
const MEMORY: f64 = 4_096.0;
/// Threads and open files that may come to more: agents that happen to run at the end and not at the beginning.
const THREADS: f64 = 3.0;
const FILES: f64 = 16.0;

/// Samples of one process, in order.
#[derive(Debug, Default)]
pub struct Samples(Vec<(f64, Usage, u64)>);

impl Samples {
    /// One more, `at` since the first, with the bytes on disk.
    pub fn add(&mut self, at: Duration, usage: Usage, disk: u64) {
        self.0.push((at.as_secs_f64(), usage, disk));
    }

    /// Most bytes on disk.
    pub fn most(&self) -> u64 {
        self.0.iter().map(|(_, _, disk)| *disk).max().unwrap_or(0)
    }

    /// By how much memory, threads and open files have grown, according to lines fitted to the samples without the
    /// first third: a process warms up.
    pub fn grown(&self) -> [f64; 3] {
        let steady = &self.0[self.0.len() / 3..];
        let of = |value: fn(&Usage) -> u64| {
            #[expect(clippy::cast_precision_loss, reason = "no process has so much of anything")]
            let points: Vec<(f64, f64)> =
                steady.iter().map(|(at, usage, _)| (*at, value(usage) as f64)).collect();
            let took = points.last().map_or(0.0, |last| last.0) - points.first().map_or(0.0, |first| first.0);
            slope(&points) * took
        };
        [of(|usage| usage.memory), of(|usage| usage.threads), of(|usage| usage.files)]
    }

    /// Appends them to a file, a line each.
    pub fn write(&self, file: &Path, epoch: u32) -> Result<()> {
        let mut file = File::options().create(true).append(true).open(file)?;
        writeln!(file, "epoch\tseconds\tmemory_kib\tthreads\tfiles\tdisk_bytes")?;
        for (at, Usage { memory, threads, files, .. }, disk) in &self.0 {
            writeln!(file, "{epoch}\t{at:.1}\t{memory}\t{threads}\t{files}\t{disk}")?;
        }
        Ok(())
    }
}

/// What has grown more than it may.
pub fn judged(grown: [f64; 3]) -> Vec<String> {
    let limits = [("KiB of memory", MEMORY), ("threads", THREADS), ("open files", FILES)];
    let judge = |((what, limit), grown): ((&str, f64), f64)| {
        (grown > limit).then(|| format!("the long run grew by {grown:.1} {what} in an epoch; {limit} may be"))
    };
    limits.into_iter().zip(grown).filter_map(judge).collect()
}

/// The slope of the line with the least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "there are thousands at most")]
    let n = points.len().max(1) as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let (mut across, mut along) = (0.0, 0.0);
    for point in points {
        across += (point.0 - x) * (point.1 - y);
        along += (point.0 - x).powi(2);
    }
    if along > 0.0 { across / along } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(files: impl Fn(u64) -> u64) -> Samples {
        let mut samples = Samples::default();
        for n in 0..90 {
            let usage = Usage { memory: 9_000 + n % 7 * 10, threads: 7, files: files(n), peak: 0 };
            samples.add(Duration::from_secs(n), usage, 1_000 * (n % 50));
        }
        samples
    }

    #[test]
    fn what_leaks_is_seen_and_what_only_trembles_or_warms_up_is_not() {
        let trembles = samples(|n| 30 + n * 13 % 12);
        assert_eq!(judged(trembles.grown()), [""; 0]);
        let warms_up = samples(|n| n.min(25));
        assert_eq!(judged(warms_up.grown()), [""; 0]);
        let leaks = samples(|n| 30 + n * 13 % 12 + n);
        let found = judged(leaks.grown());
        assert!(matches!(&found[..], [what] if what.contains("open files")), "{found:?}");
        assert_eq!(leaks.most(), 49_000);
    }

    #[test]
    fn a_line_is_fitted() {
        assert!((slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) - 2.0).abs() < 1e-9);
        assert!(slope(&[]).abs() < 1e-9 && slope(&[(1.0, 5.0)]).abs() < 1e-9);
    }
}

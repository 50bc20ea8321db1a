//! What is kept of an agent's output.

use workitem_store::{INLINE_OUTPUT, Kept, StreamKind};

use super::{alive, failure, inline, run, sh, stdout};
use crate::agent::{Agent, How};
use crate::testing::{Bench, MemoryBlobs};

#[test]
fn bytes_are_kept_as_they_are_and_streams_apart() {
    let bench = Bench::new("x");
    let (how, output) = run(&bench, &sh(r"printf '\000\377\n\r\033[31m'; printf err >&2"));
    assert!(matches!(how, How::Completed(_)));
    assert_eq!(output.stderr, b"err".to_vec().into());
    assert_eq!(inline(output.stdout), b"\0\xff\n\r\x1b[31m");
}

#[test]
fn much_output_goes_into_blobs() {
    let bench = Bench::new("x");
    let (how, output) =
        run(&bench, &sh("yes 0123456789 | head -c 1000000 & yes abc | head -c 500000 >&2; wait"));
    assert!(matches!(how, How::Completed(_)), "{how:?}");
    assert_eq!(output.stdout.kept, Kept::Blob { len: 1_000_000 });
    assert_eq!(output.stderr.kept, Kept::Blob { len: 500_000 });
    let kept = bench.blob(StreamKind::Stdout).unwrap();
    assert_eq!(kept.len(), 1_000_000);
    assert!(kept.chunks(11).all(|line| b"0123456789\n".starts_with(line)));
}

#[test]
fn what_it_prints_last_is_not_lost() {
    // More than a pipe holds, written just before the exit.
    let bench = Bench::new("x");
    for _ in 0..50 {
        assert_eq!(stdout(&bench, &sh("head -c 30000 /dev/zero; printf end")).len(), 30_003);
    }
}

#[test]
fn what_is_over_the_limit_is_counted_and_the_agent_does_not_block() {
    let bench = Bench::new("x");
    let agent = sh("head -c 300000000 /dev/zero; echo last >&2; exit 1").output_limit(100_000);
    let (how, output) = run(&bench, &agent);
    assert!(matches!(how, How::Failed { error, .. } if error == "exit 1: last"));
    assert_eq!((output.stdout.total, output.stdout.kept_len()), (300_000_000, 100_000));
    assert_eq!(bench.blob(StreamKind::Stdout).unwrap().len(), 100_000);
}

#[test]
fn the_last_line_of_a_long_stderr_is_in_the_error() {
    let (_, error) =
        failure(&Bench::new("x"), &sh("yes | head -c 100000 >&2; echo 'the reason' >&2; exit 4"));
    assert_eq!(error, "exit 4: the reason");
}

#[test]
fn when_output_cannot_be_kept_the_agent_is_ended_and_the_store_is_at_fault() {
    let bench = Bench { blobs: MemoryBlobs::full(), ..Bench::new("x") };
    let error = sh("sleep 100 & head -c 100000 /dev/zero; sleep 100").run(&bench.task()).unwrap_err();
    assert!(error.to_string().contains("could not write blob 1/7-2.stdout"), "{error}");
    assert_eq!(alive(&bench), 0);
    const { assert!(INLINE_OUTPUT < 100_000) };
}

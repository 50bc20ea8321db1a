//! Errors for people: how an agent ended, and the last thing it said.

use std::borrow::Cow;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::Signal;
use workitem_store::Cause;

/// Most bytes of an agent's standard error that get into an error.
const MAX_SAID: usize = 400;

/// How an unsuccessful agent ended, as a type and for people: `exit 7`, `signal 9 (SIGKILL)`.
pub(super) fn ending(status: ExitStatus) -> (Cause, String) {
    if let Some(signal) = status.signal() {
        let cause = Cause::Signal(signal);
        return match signal_name(signal) {
            Some(name) => (cause, format!("{cause} ({name})")),
            None => (cause, cause.to_string()),
        };
    }
    let cause = Cause::Exit(status.code().unwrap_or(-1));
    (cause, cause.to_string())
}

/// An error followed by the last line of what the agent said, if it said anything: `exit 7: no such file`.
pub(super) fn with_last_line(error: String, tail: &[u8]) -> String {
    let said = last_line(tail);
    if said.is_empty() { error } else { format!("{error}: {said}") }
}

/// An I/O error without its number.
pub(super) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// The last line that shows anything, made harmless and short.
fn last_line(tail: &[u8]) -> String {
    let text = String::from_utf8_lossy(tail);
    let text = without_escapes(&text);
    // Progress bars overwrite their line with a carriage return: what was last seen counts.
    let line = text.split(['\n', '\r']).map(harmless).rfind(|line| !line.is_empty()).unwrap_or_default();
    if line.len() <= MAX_SAID {
        return line;
    }
    let end = line.floor_char_boundary(MAX_SAID - '…'.len_utf8());
    format!("{}…", &line[..end])
}

/// Drops the escape sequences of terminals: colours (`ESC [ … m`) and titles (`ESC ] … BEL`).
fn without_escapes(text: &str) -> Cow<'_, str> {
    if !text.contains('\x1b') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        if char != '\x1b' {
            plain.push(char);
            continue;
        }
        match chars.next_if(|next| matches!(next, '[' | ']')) {
            Some('[') => while chars.next_if(|next| matches!(next, ' '..='?')).is_some() {},
            Some(_) => while chars.next_if(|next| !matches!(next, '\x07' | '\x1b' | '\n')).is_some() {},
            None => {}
        }
        // The sequence's last character.
        chars.next_if(|next| *next != '\n');
    }
    Cow::Owned(plain)
}

/// A line that no terminal takes for a command, and that reads in the order in which it is stored.
fn harmless(line: &str) -> String {
    let is_invisible =
        |char| matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let shown: String = line
        .chars()
        .filter(|char| !is_invisible(*char))
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect();
    shown.trim().to_owned()
}

fn signal_name(signal: i32) -> Option<&'static str> {
    const NAMES: [(Signal, &str); 24] = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::USR1, "SIGUSR1"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::USR2, "SIGUSR2"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::TERM, "SIGTERM"),
        (Signal::CHILD, "SIGCHLD"),
        (Signal::XCPU, "SIGXCPU"),
        (Signal::XFSZ, "SIGXFSZ"),
        (Signal::VTALARM, "SIGVTALRM"),
        (Signal::PROF, "SIGPROF"),
        (Signal::IO, "SIGIO"),
        (Signal::SYS, "SIGSYS"),
        (Signal::CONT, "SIGCONT"),
        (Signal::STOP, "SIGSTOP"),
    ];
    NAMES.iter().find(|(known, _)| known.as_raw() == signal).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_told_apart() {
        let ended = |raw| ending(ExitStatus::from_raw(raw));
        assert_eq!(ended(7 << 8), (Cause::Exit(7), "exit 7".to_owned()));
        assert_eq!(ended(9), (Cause::Signal(9), "signal 9 (SIGKILL)".to_owned()));
        assert_eq!(ended(0x80 + 11), (Cause::Signal(11), "signal 11 (SIGSEGV)".to_owned()));
        assert_eq!(ended(40), (Cause::Signal(40), "signal 40".to_owned()));
        assert_eq!(ended(0x137f).0, Cause::Exit(-1), "stopped, which is no ending at all");
    }

    #[test]
    fn the_last_line_that_shows_anything_is_taken() {
        assert_eq!(with_last_line("exit 1".into(), b"one\ntwo\n\n  \n"), "exit 1: two");
        assert_eq!(with_last_line("exit 1".into(), b""), "exit 1");
        assert_eq!(with_last_line("exit 1".into(), b"\n \x07\n"), "exit 1");
        assert_eq!(last_line(b"10%\r50%\rfailed\r\n"), "failed");
    }

    #[test]
    fn it_is_harmless() {
        assert_eq!(last_line(b"\x1b[1;31merror\x1b[0m: no\x1b]0;title\x07 file\x08\x00"), "error: no file");
        assert_eq!(last_line(b"a\xffb\tc"), "a\u{fffd}b c");
        assert_eq!(last_line("x\u{202e}y".as_bytes()), "xy");
        assert_eq!(last_line(b"cut short \x1b["), "cut short");
        assert_eq!(last_line(b"cut short \x1b"), "cut short");
    }

    #[test]
    fn it_is_short() {
        let line = last_line("ü".repeat(1000).as_bytes());
        assert!((MAX_SAID - 1..=MAX_SAID).contains(&line.len()) && line.ends_with("ü…"), "{line}");
    }

    #[test]
    fn io_errors_are_shown_without_their_number() {
        assert_eq!(plain(&io::Error::from_raw_os_error(2)), "No such file or directory");
        assert_eq!(plain(&io::Error::other("odd")), "odd");
    }
}

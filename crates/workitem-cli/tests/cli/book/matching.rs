//! Whether a command printed what a page shows.
//!
//! Times, dates and durations are never the same twice and are not compared; neither is how far columns are
//! apart. `[..]` stands for anything within a line, a line `...` for any number of lines.

/// Whether `printed` is what is `shown`.
pub fn matches(shown: &str, printed: &str) -> bool {
    let lines = |text: &str| -> Vec<String> { text.trim_end().lines().map(plain).collect() };
    lines_match(&lines(shown), &lines(printed))
}

fn lines_match(shown: &[String], printed: &[String]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first == "..." => {
            (0..=printed.len()).any(|skipped| lines_match(rest, &printed[skipped..]))
        }
        Some((first, rest)) => printed
            .split_first()
            .is_some_and(|(line, after)| line_matches(first, line) && lines_match(rest, after)),
    }
}

/// Every piece in its order; the first at the beginning, the last at the end.
fn line_matches(shown: &str, printed: &str) -> bool {
    let Some((start, rest)) = shown.split_once("[..]") else { return shown == printed };
    let Some(printed) = printed.strip_prefix(start) else { return false };
    let ends = printed.char_indices().map(|(at, _)| at).chain([printed.len()]);
    ends.into_iter().any(|at| line_matches(rest, &printed[at..]))
}

/// The line with one blank between words, and one name for everything that tells time.
fn plain(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let line = words.join(" ");
    let mut out = String::new();
    let mut rest = line.as_str();
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let in_word = rest[..start].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '_'));
        let run = &rest[start..];
        let end =
            run.find(|c: char| !c.is_alphanumeric() && !matches!(c, '.' | ':' | '-')).unwrap_or(run.len());
        let word = run[..end].trim_end_matches(['.', ':', '-']);
        out.push_str(&rest[..start]);
        out.push_str(if !in_word && tells_time(word) { "TIME" } else { word });
        rest = &run[word.len()..];
    }
    out.push_str(rest);
    out
}

/// `2026-11-26`, `10:30:02.123`, `2026-11-26T10:30:02.123456Z`, `1.2s`, `850ms`.
fn tells_time(word: &str) -> bool {
    let shape: String = word.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let is_clock = shape.starts_with("0000-00-00") || shape.starts_with("00:00:00");
    let unit = shape.trim_start_matches(['0', '.']);
    is_clock || matches!(unit, "ns" | "µs" | "ms" | "s" | "m" | "h" | "d")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_not_compared_and_everything_else_is() {
        for (shown, printed) in [
            ("done in 1.2s, 3 left", "done in 850ms, 3 left"),
            ("1\t2026-11-26 10:30:02.123 UTC\tx", "1  2027-01-01 00:00:00.000 UTC  x"),
            (r#"{"at":"2026-11-26T10:30:02.123456Z"}"#, r#"{"at":"2027-11-26T10:30:02Z"}"#),
        ] {
            assert!(matches(shown, printed), "{shown}");
        }
        for (shown, printed) in [("3 left", "4 left"), ("item-3s", "item-4s"), ("a", "a b"), ("a", "a\nb")] {
            assert!(!matches(shown, printed), "{shown}");
        }
    }

    #[test]
    fn wildcards_stand_for_parts_of_lines_and_for_lines() {
        for (shown, printed) in [
            ("a [..] c", "a b c"),
            ("[..]b[..]", "abc"),
            ("a\n...\nd", "a\nb\nc\nd"),
            ("...", ""),
            ("a\n...\n", "a"),
        ] {
            assert!(matches(shown, printed), "{shown}");
        }
        assert!(!matches("a [..] c", "a b d"));
        assert!(!matches("a\n...\nd", "a\nb"));
    }
}

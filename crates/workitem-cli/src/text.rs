//! Small matters of wording.

/// `1 item`, `2 items`.
pub fn plural(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// The text as one word of a shell's command line.
pub fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,~".contains(c);
    if !text.is_empty() && !text.starts_with('~') && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Text for a terminal's line: control characters are shown, not sent, and it is cut at `width` characters.
pub fn one_line(text: &str, width: usize) -> String {
    let mut line = String::new();
    for (n, c) in text.chars().enumerate() {
        if n >= width {
            line.push('…');
            break;
        }
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_when_a_shell_would_read_them_otherwise() {
        assert_eq!(quoted("census-2.db"), "census-2.db");
        assert_eq!(quoted("it's; rm -rf"), r"'it'\''s; rm -rf'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("~x"), "'~x'");
    }

    #[test]
    fn lines_are_cut_and_harmless() {
        assert_eq!(one_line("a\x1b[31m\nb", 20), r"a\u{1b}[31m\nb");
        assert_eq!(one_line("абвгд", 3), "абв…");
    }
}

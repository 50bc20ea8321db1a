//! What a terminal showed, moment by moment, from what it was sent.

use std::num::NonZeroU16;
use std::time::Duration;

use vt100::{Cell, Color, Parser, Screen};

/// What follows so soon belongs to the same moment: a bar is wiped away before it is drawn anew.
const AT_ONCE: Duration = Duration::from_millis(25);

/// What was shown from a moment on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub at: Duration,
    pub rows: Vec<Row>,
    /// Row and column of the cursor, if it is shown.
    pub cursor: Option<(u16, u16)>,
}

/// A row, by what looks alike.
pub type Row = Vec<Run>;

/// Characters side by side that look alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Run {
    pub column: u16,
    /// How many columns it takes.
    pub width: u16,
    pub text: String,
    pub look: Look,
}

/// How characters look. Other attributes than these are not shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Look {
    /// One of the sixteen colours; none is the usual one.
    pub colour: Option<u8>,
    pub bold: bool,
    pub dim: bool,
}

/// Every moment at which something else was shown.
pub fn frames(recorded: &[(Duration, Vec<u8>)], (rows, columns): (NonZeroU16, NonZeroU16)) -> Vec<Frame> {
    let mut terminal = Parser::new(rows, columns, 0);
    let mut frames: Vec<Frame> = Vec::new();
    for (n, (at, bytes)) in recorded.iter().enumerate() {
        terminal.process(bytes);
        if recorded.get(n + 1).is_some_and(|(next, _)| *next < *at + AT_ONCE) {
            continue;
        }
        let frame = frame(*at, terminal.screen());
        let is_news = |last: &Frame| (&last.rows, last.cursor) != (&frame.rows, frame.cursor);
        if frames.last().is_none_or(is_news) {
            frames.push(frame);
        }
    }
    frames
}

fn frame(at: Duration, screen: &Screen) -> Frame {
    let (rows, columns) = screen.size();
    let cells = |row| (0..columns.get()).filter_map(move |column| Some((column, screen.cell(row, column)?)));
    let cursor = (!screen.hide_cursor()).then(|| screen.cursor_position());
    Frame { at, rows: (0..rows.get()).map(|row| runs(cells(row))).collect(), cursor }
}

/// A row of cells, without the blanks at its end.
fn runs<'a>(cells: impl Iterator<Item = (u16, &'a Cell)>) -> Row {
    let mut row = Row::new();
    for (column, cell) in cells.filter(|(_, cell)| !cell.is_wide_continuation()) {
        let (look, width) = (look(cell), if cell.is_wide() { 2 } else { 1 });
        let text = if cell.has_contents() { cell.contents() } else { " " };
        match row.last_mut() {
            // Lines are drawn and not written, so they are apart from text.
            Some(run) if run.look == look && line(&run.text) == line(text) => {
                run.text.push_str(text);
                run.width += width;
            }
            _ => row.push(Run { column, width, text: text.to_owned(), look }),
        }
    }
    while row.last().is_some_and(|run| run.text.trim().is_empty()) {
        row.pop();
    }
    if let Some(run) = row.last_mut() {
        let text = run.text.trim_end();
        // A blank takes one column, whatever stands before it.
        run.width -= u16::try_from(run.text.len() - text.len()).unwrap_or(0);
        run.text = text.to_owned();
    }
    row
}

/// The line that a text is, if it is one: a bar.
pub fn line(text: &str) -> Option<char> {
    text.chars().next().filter(|c| matches!(c, '━' | '─'))
}

fn look(cell: &Cell) -> Look {
    let colour = match cell.fgcolor() {
        Color::Idx(colour) if colour < 16 => Some(colour),
        Color::Default | Color::Idx(_) | Color::Rgb(..) => None,
    };
    Look { colour, bold: cell.bold(), dim: cell.dim() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: (NonZeroU16, NonZeroU16) = (NonZeroU16::new(3).unwrap(), NonZeroU16::new(20).unwrap());

    fn film(sent: &[(u64, &str)]) -> Vec<Frame> {
        let recorded: Vec<_> =
            sent.iter().map(|(at, text)| (Duration::from_millis(*at), text.as_bytes().to_vec())).collect();
        frames(&recorded, SIZE)
    }

    fn texts(row: &Row) -> Vec<(u16, u16, &str)> {
        row.iter().map(|run| (run.column, run.width, run.text.as_str())).collect()
    }

    #[test]
    fn a_moment_is_what_stands_still() {
        let film =
            film(&[(0, "$ "), (100, "\r\x1b[K"), (110, "bar 1"), (200, "\r"), (201, "bar 1"), (300, "!")]);
        let seen: Vec<_> = film.iter().map(|frame| (frame.at.as_millis(), texts(&frame.rows[0]))).collect();
        assert_eq!(
            seen,
            [(0, vec![(0, 1, "$")]), (110, vec![(0, 5, "bar 1")]), (300, vec![(0, 6, "bar 1!")])]
        );
        assert_eq!((film[0].cursor, film[2].cursor), (Some((0, 2)), Some((0, 6))));
    }

    #[test]
    fn what_looks_alike_is_one_run_and_a_bar_is_one_of_its_own() {
        let film = film(&[(0, "\x1b[32m$\x1b[m job ━━─ 1/2  \r\n  \x1b[1mb\x1b[?25l")]);
        let row = &film[0].rows[0];
        assert_eq!(texts(row), [(0, 1, "$"), (1, 5, " job "), (6, 2, "━━"), (8, 1, "─"), (9, 4, " 1/2")]);
        assert_eq!((row[0].look.colour, row[1].look), (Some(2), Look::default()));
        assert!(film[0].rows[1][1].look.bold && film[0].rows[2].is_empty() && film[0].cursor.is_none());
    }
}

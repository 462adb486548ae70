//! The first difference of two lists of lines: of the events of two runs, or of the steps in two
//! recordings.

use std::fmt::Write as _;

/// The number of lines that are printed before the first difference.
pub(crate) const BEFORE: usize = 5;

/// The number of lines of each side that are printed from the first difference on.
pub(crate) const AFTER: usize = 3;

/// The lines of one side, with its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side<'a> {
    pub(crate) name: &'a str,
    pub(crate) lines: &'a [String],
}

/// Returns the first index at which the two differ, or `None` if they are equal.
pub(crate) fn first_difference(one: &[String], other: &[String]) -> Option<usize> {
    let differs = one.iter().zip(other).position(|(one, other)| one != other);
    let shorter = one.len().min(other.len());
    differs.or((one.len() != other.len()).then_some(shorter))
}

/// The lines around the first difference, at `place`. `more` is a word for further lines, in the
/// plural.
pub(crate) fn text_around(place: usize, sides: [Side<'_>; 2], more: &str) -> String {
    let mut text = String::new();
    let before = place.saturating_sub(BEFORE)..place;
    sides[0].lines[before].iter().for_each(|line| push_line(&mut text, "  both", line));
    for Side { name, lines } in sides {
        let _ = writeln!(text, "\n{name}");
        match lines.get(place..) {
            Some([]) | None => _ = writeln!(text, "  no more {more}"),
            Some(rest) => rest.iter().take(AFTER).for_each(|line| push_line(&mut text, " ", line)),
        }
    }
    text
}

fn push_line(text: &mut String, margin: &str, line: &str) {
    let _ = writeln!(text, "{margin}  {line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_may_be_the_end_of_one_side() {
        let lines = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };
        assert_eq!(first_difference(&lines("a\nb"), &lines("a\nb")), None);
        assert_eq!(first_difference(&lines("a\nb"), &lines("a\nc")), Some(1));
        assert_eq!(first_difference(&lines("a\nb"), &lines("a")), Some(1));
        assert_eq!(first_difference(&[], &lines("a")), Some(0));
    }
}

//! Tables that read well as they are, and are Markdown.

use std::fmt::Write as _;

/// The rows, the first of which has the titles, as a table whose cells are flush right.
#[must_use]
pub fn markdown<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..COLUMNS).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for (place, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(text, "| {cell:>width$} ");
        }
        text.push_str("|\n");
        if place == 0 {
            widths.iter().for_each(|width| text.push_str(&format!("|-{}:", "-".repeat(*width))));
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["n", "what"], ["10", "–"]].map(|row| row.map(str::to_owned));
        assert_eq!(markdown(&rows), "|  n | what |\n|---:|-----:|\n| 10 |    – |\n");
    }
}

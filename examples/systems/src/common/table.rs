//! Aligned tables in Markdown, with one row per line.

use std::fmt::Write as _;

/// Returns the rows as a right-aligned table; the first row has the titles.
#[must_use]
pub fn markdown<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..COLUMNS).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(text, "| {cell:>width$} ");
        }
        text.push_str("|\n");
        if index == 0 {
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

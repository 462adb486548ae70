//! Text tables, with columns as wide as their widest cell.

use std::fmt;

/// The rows of a table, each a list of cells.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table(Vec<Vec<String>>);

impl Table {
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.0.push(cells.into_iter().collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.0.iter().filter_map(|row| row.get(column));
            // The widths of format strings are numbers of 16 bits.
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default().min(u16::MAX.into())
        };
        for row in &self.0 {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                line += &format!("{cell:0$}  ", width(column));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

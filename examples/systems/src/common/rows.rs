//! Snapshots as a stream of encoded rows, of which only one is in memory at a time.

use std::io::{self, Cursor, Read};
use std::iter;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::common::codec;

/// A reader that encodes rows on demand.
struct Rows<I> {
    rows: I,
    row: Cursor<Vec<u8>>,
}

/// Returns a reader of the encoded rows, the format that [`read`] decodes.
pub fn write<R: Serialize + Send + 'static>(
    rows: impl Iterator<Item = R> + Send + 'static,
) -> Box<dyn Read + Send> {
    let rows = rows.map(Some).chain(iter::once(None));
    Box::new(Rows { rows, row: Cursor::default() })
}

/// Decodes the rows and passes each to `take`, in order.
///
/// # Errors
/// The error of the stream, or [`io::ErrorKind::InvalidData`] for an invalid row.
pub fn read<R: DeserializeOwned>(stream: &mut dyn Read, mut take: impl FnMut(R)) -> io::Result<()> {
    while let Some(row) = codec::read(stream)? {
        take(row);
    }
    Ok(())
}

impl<R: Serialize, I: Iterator<Item = R>> Read for Rows<I> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.row.read(into)?;
            if read > 0 || into.is_empty() {
                return Ok(read);
            }
            match self.rows.next() {
                Some(row) => self.row = Cursor::new(codec::encode(&row)),
                None => return Ok(0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_as_they_were_written() {
        let rows: Vec<(u64, String)> =
            (0..100).map(|row| (row, "x".repeat(row as usize))).collect();
        let mut bytes = Vec::new();
        write(rows.clone().into_iter())
            .read_to_end(&mut bytes)
            .expect("reading from memory succeeds");
        let mut back = Vec::new();
        read(&mut &bytes[..], |row: (u64, String)| back.push(row)).expect("the rows are valid");
        assert_eq!(back, rows);
        bytes.truncate(bytes.len() - 1);
        assert!(read(&mut &bytes[..], |_: (u64, String)| {}).is_err(), "the last row is truncated");
    }
}

//! Fixtures: the bytes of each format as this version writes them, kept in `tests/data/formats`.
//!
//! A line of a file is one value: its name and its bytes, or the hash of many bytes.
//! `docs/FORMAT.md` says what a changed byte means, and how the files are written again.

#![allow(dead_code, reason = "each test binary uses its own part of it")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

#[path = "fixture_text.rs"]
pub(crate) mod fixture_text;

use fixture_text::{line_of, value_in};

/// The variable that makes a test rewrite its file.
const UPDATE: &str = "UPDATE_FORMATS";

/// The line of a file whose bytes no release has written yet.
const UNRELEASED: &str = "# unreleased";

/// Stands for a new line in a text.
const NEWLINE: &str = "¶";

/// The fewest equal bytes that are written as one byte and their number.
const RUN_MIN: usize = 8;

/// The file of one version of a format, and the lines that it should have.
pub(crate) struct Fixtures {
    path: PathBuf,
    file: String,
    text: String,
    is_released: bool,
    is_update: bool,
    written: Vec<String>,
    names: BTreeSet<String>,
}

impl Fixtures {
    /// Opens the file of a format in the version that is written today.
    pub(crate) fn of(format: &str, version: u64) -> Fixtures {
        let file = format!("tests/data/formats/{format}-{version}.txt");
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(&file);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let is_released = text.lines().next().is_some_and(|line| line != UNRELEASED);
        let is_update = std::env::var_os(UPDATE).is_some();
        let (written, names) = (Vec::new(), BTreeSet::new());
        Fixtures { path, file, text, is_released, is_update, written, names }
    }

    /// Adds a value whose bytes are kept. `read` decodes the kept bytes, which an earlier build of
    /// this version wrote, and asserts that they are the value.
    pub(crate) fn value(&mut self, name: &str, written: &[u8], read: impl FnOnce(&[u8])) {
        self.add(name, format!("{name} = {}", text_of(written)));
        match value_in(&self.text, name) {
            Some(kept) if !self.is_update => read(&kept),
            _ => read(written),
        }
    }

    /// Adds a value that is text, which is kept as it is. `read` is as in [`Fixtures::value`].
    pub(crate) fn text(&mut self, name: &str, written: &str, read: impl FnOnce(&str)) {
        assert!(!written.contains(NEWLINE), "{name}: `{NEWLINE}` stands for a new line");
        let line = written.replace('\n', NEWLINE);
        self.add(name, format!("{name} : {line}"));
        match line_of(&self.text, name, " : ") {
            Some(kept) if !self.is_update => read(&kept.replace(NEWLINE, "\n")),
            _ => read(written),
        }
    }

    /// Adds many bytes, of which only the hash is kept.
    pub(crate) fn hash(&mut self, name: &str, written: &[u8]) {
        let hash = blake3::hash(written).to_hex();
        self.add(name, format!("{name} # {} bytes, {}", written.len(), &hash[..32]));
    }

    fn add(&mut self, name: &str, line: String) {
        let is_name = !name.is_empty() && !name.contains(char::is_whitespace);
        assert!(is_name && self.names.insert(name.to_owned()), "`{name}` names one value");
        self.written.push(line);
    }

    /// Asserts that the file has these lines, or writes them.
    pub(crate) fn finish(self) {
        let kept: Vec<&str> = self.text.lines().filter(|line| !line.starts_with('#')).collect();
        let name_of = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
        let missing = kept.iter().filter(|line| !self.written.iter().any(|it| it == *line));
        let changed: Vec<String> = missing.map(|line| name_of(line)).collect();
        let new = self.written.iter().filter(|line| !kept.contains(&line.as_str()));
        let new: Vec<String> = new.map(|line| name_of(line)).collect();
        let file = &self.file;
        if self.is_update && (changed.is_empty() || !self.is_released) {
            let head = self.text.lines().next().unwrap_or(UNRELEASED);
            let text = format!("{head}\n{}\n", self.written.join("\n"));
            std::fs::write(&self.path, text).expect("the tree is writable");
            return;
        }
        let what_to_do = match self.is_released {
            true => {
                "A release has written this version: undo the change, or give the format a new \
                     version, and keep the reader and the file of this one"
            }
            false => {
                "No release has written this version, so it may change. If you mean the \
                      change, rewrite the files"
            }
        };
        assert!(
            changed.is_empty(),
            "{file}: the bytes of these values changed: {}.\n{what_to_do} (docs/FORMAT.md, \
             Versions):\n{COMMAND}",
            changed.join(", ")
        );
        let new = new.join(", ");
        assert!(new.is_empty(), "{file}: these values are new, add them: {new}\n{COMMAND}");
        assert!(kept == self.written, "{file}: the order changed\n{COMMAND}");
    }
}

const COMMAND: &str =
    "    UPDATE_FORMATS=1 cargo test --workspace --all-features --tests --no-fail-fast fixtures";

/// Writes bytes in hexadecimal digits; a run of equal bytes is one of them and its length.
fn text_of(bytes: &[u8]) -> String {
    let mut text = String::new();
    for run in bytes.chunk_by(|one, other| one == other) {
        let digits = format!("{:02x}", run[0]);
        match run.len() {
            RUN_MIN.. => write!(text, " {digits}*{} ", run.len()).expect("a string has room"),
            _ => text.push_str(&digits.repeat(run.len())),
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

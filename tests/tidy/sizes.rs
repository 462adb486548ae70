//! Limits on the length of files, functions and lines, and the rule for a file's first line.

use super::source::Source;
use super::tree::{Finding, assert_clean, sources};

const FILE_LINES_MAX: usize = 600;
/// The first example that a newcomer reads, and its maximum length in lines: one page.
const FIRST_PAGE: (&str, usize) = ("examples/three_nodes.rs", 80);
const FUNCTION_LINES_MAX: usize = 70;
const LINE_COLUMNS_MAX: usize = 100;

fn long_files(source: &Source) -> Vec<Finding> {
    let lines = source.text.lines().count();
    let max = if source.path == FIRST_PAGE.0 { FIRST_PAGE.1 } else { FILE_LINES_MAX };
    let advice = format!("{lines} lines, over {max}: split the file");
    let finding = Finding { advice, ..whole_file(source, "file", lines) };
    if lines > max { vec![finding] } else { Vec::new() }
}

fn long_functions(source: &Source) -> Vec<Finding> {
    let long = source.functions().into_iter().filter(|f| f.lines > FUNCTION_LINES_MAX);
    long.map(|function| Finding {
        path: source.path.clone(),
        line: function.line,
        size: function.lines,
        advice: format!(
            "`{}` has {} lines, over {FUNCTION_LINES_MAX}",
            function.name, function.lines
        ),
        item: function.name,
    })
    .collect()
}

fn long_lines(source: &Source) -> Vec<Finding> {
    let lines = source.text.lines().map(|line| line.chars().count()).zip(1..);
    let long = lines.filter(|(columns, _)| *columns > LINE_COLUMNS_MAX);
    long.map(|(columns, line)| Finding {
        path: source.path.clone(),
        line,
        item: "line".to_owned(),
        size: columns,
        advice: format!("{columns} columns, over {LINE_COLUMNS_MAX}"),
    })
    .collect()
}

/// The rule for a file's first line: a `//!` sentence of at least two words that says its purpose.
fn missing_purposes(source: &Source) -> Vec<Finding> {
    let purpose = source.text.lines().next().and_then(|line| line.strip_prefix("//! "));
    let says_something = purpose.is_some_and(|purpose| purpose.split_whitespace().count() >= 2);
    let advice = "begin with a `//!` line that says what the file implements".to_owned();
    let finding = Finding { advice, ..whole_file(source, "purpose", 0) };
    if says_something { Vec::new() } else { vec![finding] }
}

fn whole_file(source: &Source, item: &str, size: usize) -> Finding {
    let (path, item) = (source.path.clone(), item.to_owned());
    Finding { path, line: 1, item, size, advice: String::new() }
}

#[test]
fn files_are_short() {
    assert_clean("file-length", &sources().iter().flat_map(long_files).collect::<Vec<_>>());
}

#[test]
fn a_long_file_is_noticed() {
    let found = |path: &str, lines: usize| long_files(&Source::new(path, &"\n".repeat(lines)));
    assert_eq!(found("src/a.rs", 600), []);
    assert_eq!(found("src/a.rs", 601)[0].size, 601);
    assert_eq!(found(FIRST_PAGE.0, 80), []);
    assert_eq!(found(FIRST_PAGE.0, 81)[0].size, 81);
}

#[test]
fn functions_are_short() {
    let findings: Vec<Finding> = sources().iter().flat_map(long_functions).collect();
    assert_clean("function-length", &findings);
}

#[test]
fn a_long_function_is_noticed() {
    let of_lines = |lines: usize| {
        let body = "    x();\n".repeat(lines - 2);
        Source::new("src/a.rs", &format!("mod m {{\nfn f(\"}}\") {{\n{body}}}\n}}\n"))
    };
    assert_eq!(long_functions(&of_lines(70)), []);
    let found = &long_functions(&of_lines(71))[0];
    assert_eq!((found.item.as_str(), found.line, found.size), ("f", 2, 71));
}

#[test]
fn lines_are_short() {
    assert_clean("line-length", &sources().iter().flat_map(long_lines).collect::<Vec<_>>());
}

#[test]
fn a_long_line_is_noticed() {
    let of_columns =
        |columns: usize| Source::new("src/a.rs", &format!("\n{}\n", "é".repeat(columns)));
    assert_eq!(long_lines(&of_columns(100)), []);
    assert_eq!(long_lines(&of_columns(101))[0].line, 2);
}

#[test]
fn files_begin_with_their_purpose() {
    assert_clean("first-line", &sources().iter().flat_map(missing_purposes).collect::<Vec<_>>());
}

#[test]
fn a_missing_purpose_is_noticed() {
    let found = |text: &str| missing_purposes(&Source::new("src/a.rs", text)).len();
    assert_eq!(found("//! What the log is made of.\n"), 0);
    assert_eq!(found("use crate::types::Term;\n//! What the log is made of.\n"), 1);
    assert_eq!(found("//! Log.\n"), 1);
    assert_eq!(found("//\n"), 1);
    assert_eq!(found(""), 1);
}

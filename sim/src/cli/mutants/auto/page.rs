//! The sources as a self-contained HTML page, line by line with their mutants. It shows the lines
//! that no check protects.

use std::collections::{BTreeMap, BTreeSet};

use crate::cli::mutants::auto::catalog::{Catalog, CatalogFile};
use crate::cli::mutants::auto::records::{AutoRecord, Verdict};
use crate::cli::report::page::{STYLE, escaped};

/// The CSS of the source lines, which follows the CSS of all reports.
const LINES: &str = "\
body{max-width:80rem}pre{margin:0;font:13px/1.45 ui-monospace,monospace;white-space:pre-wrap}\
summary{cursor:pointer}pre span{display:block;padding:0 .5rem;border-left:.35rem solid transparent}\
.alive{border-color:var(--bad)!important;background:light-dark(#fde7ea,#4a1720)}\
.killed{border-color:var(--good)!important}.idle{border-color:#8888!important}\
pre em{display:block;padding-left:4rem;font-style:normal;color:var(--bad)}";

/// The results of the mutants of one line.
#[derive(Default)]
struct Line<'a> {
    records: Vec<&'a AutoRecord>,
}

impl Line<'_> {
    /// Returns the class of the line: `alive` if a mutant is alive, otherwise `killed` if one was
    /// killed, otherwise `idle`, because no seed reached a mutant with a different value.
    fn class(&self) -> &'static str {
        let has = |verdict| self.records.iter().any(|record| record.verdict == verdict);
        if has(Verdict::Alive) {
            "alive"
        } else if has(Verdict::Killed) {
            "killed"
        } else if self.records.is_empty() {
            ""
        } else {
            "idle"
        }
    }
}

/// Returns the page of the measured mutants.
pub(crate) fn document(
    catalog: &Catalog,
    left_out: &BTreeSet<usize>,
    measured: &[AutoRecord],
) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Lines that no check protects</title>\n<style>\n{STYLE}\n{LINES}\n</style>\n\
         </head>\n<body>\n<h1>Lines that no check protects</h1>\n\
         <p>{} of {} mutants were measured; {} do not compile. A line with a red bar has a mutant \
         that changed a value and that no check noticed. Green: every mutant that changed a value \
         was killed. Grey: no seed reached a mutant with a different value.</p>\n",
        measured.len(),
        catalog.mutants.len(),
        left_out.len(),
    );
    let mut files: Vec<(&CatalogFile, BTreeMap<usize, Line<'_>>)> =
        catalog.files.iter().map(|file| (file, lines(file, measured))).collect();
    files.retain(|(_, lines)| !lines.is_empty());
    files.sort_by_key(|(file, lines)| (usize::MAX - alive(lines), &file.path));
    files.iter().for_each(|(file, lines)| page.push_str(&of_file(file, lines)));
    page.push_str("</body>\n</html>\n");
    page
}

fn lines<'a>(file: &CatalogFile, measured: &'a [AutoRecord]) -> BTreeMap<usize, Line<'a>> {
    let name = file.path.display().to_string();
    let mut lines: BTreeMap<usize, Line<'_>> = BTreeMap::new();
    for record in measured.iter().filter(|record| record.file == name) {
        lines.entry(record.line).or_default().records.push(record);
    }
    lines
}

fn alive(lines: &BTreeMap<usize, Line<'_>>) -> usize {
    lines.values().filter(|line| line.class() == "alive").count()
}

fn of_file(file: &CatalogFile, lines: &BTreeMap<usize, Line<'_>>) -> String {
    let (name, alive) = (escaped(&file.path.display().to_string()), alive(lines));
    let open = if alive > 0 { " open" } else { "" };
    let mut text = format!(
        "<details{open}>\n<summary><b>{name}</b>: {alive} of {} measured lines unprotected\
         </summary>\n<pre>",
        lines.len()
    );
    for (at, code) in file.text.lines().enumerate() {
        let line = lines.get(&(at + 1));
        let class = line.map_or("", Line::class);
        let title: Vec<String> =
            line.iter().flat_map(|line| &line.records).map(|one| words(one)).collect();
        let title = escaped(&title.join("\n"));
        text.push_str(&format!(
            "<span class=\"{class}\" title=\"{title}\">{:5} {}</span>",
            at + 1,
            escaped(code)
        ));
        let living = line.iter().flat_map(|line| &line.records);
        for record in living.filter(|record| record.verdict == Verdict::Alive) {
            text.push_str(&format!("<em>{}</em>", escaped(&words(record))));
        }
    }
    text.push_str("</pre>\n</details>\n");
    text
}

/// Returns the result of a mutant in words.
fn words(record: &AutoRecord) -> String {
    let result = match (record.verdict, &record.killer) {
        (Verdict::NotReached, _) => "not reached".to_owned(),
        (Verdict::NotDifferent, _) => "never a different value".to_owned(),
        (Verdict::Alive, _) => "alive".to_owned(),
        (Verdict::Killed, None) => "killed".to_owned(),
        (Verdict::Killed, Some(killer)) => format!(
            "killed by {} in seed {} of {}",
            killer.failure.check, killer.seed, killer.profile
        ),
    };
    format!("{}: {}: {result}", record.kind, record.change)
}

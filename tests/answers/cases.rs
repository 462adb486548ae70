//! The files of cases: they are read, every case is run, and each is accounted for.

use std::any::Any;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::skip;

/// The outcome of one case.
pub(crate) enum Verdict {
    Passed,
    /// The case was not run, for this reason.
    Skipped(String),
}

/// A file of cases and its content.
pub(crate) struct CaseFile {
    /// The name of the file in reports.
    pub(crate) name: String,
    pub(crate) cases: Vec<Value>,
    /// Whether it is the copy in this repository, whose skipped cases are all listed by name.
    in_repository: bool,
}

impl CaseFile {
    /// Returns every version of `tests/data/<path>`: the copy here, and the one under
    /// `QUORATE_DATA` if it differs. The cases are the list `key` of the file, or its lines.
    pub(crate) fn versions(path: &str, key: &str) -> Vec<CaseFile> {
        let file = |(at, (name, text)): (usize, (String, String))| {
            let cases = parse(&name, key, &text);
            CaseFile { name, cases, in_repository: at == 0 }
        };
        texts(path).into_iter().enumerate().map(file).collect()
    }

    /// Returns every version of a file that is one case, with its name.
    pub(crate) fn whole(path: &str) -> Vec<(String, Value)> {
        let value = |(name, text): (String, String)| {
            let value = value_of(&name, &text);
            (name, value)
        };
        texts(path).into_iter().map(value).collect()
    }

    /// Returns the cases made from another project's file, if `QUORATE_DATA` has it.
    pub(crate) fn public(path: &str, key: &str) -> Option<CaseFile> {
        let text = Self::public_text(path)?;
        let name = format!("QUORATE_DATA/public/{path}");
        Some(CaseFile { cases: parse(&name, key, &text), name, in_repository: false })
    }

    /// Returns a file of another project, if `QUORATE_DATA` has it; reports it as skipped
    /// otherwise.
    pub(crate) fn public_text(path: &str) -> Option<String> {
        let name = format!("QUORATE_DATA/public/{path}");
        let Some(folder) = shared_folder() else {
            skip::skipped(&name, "QUORATE_DATA is not set");
            return None;
        };
        let file = folder.join("public").join(path);
        if !file.exists() {
            skip::skipped(&name, "there is no such file");
            return None;
        }
        Some(read(&file))
    }

    /// Runs every case, reports the number of cases run, and fails with the list of the failed
    /// ones. In the repository's copy of the file, the cases named in `skips` must be skipped, and
    /// no others may be; in any other version, any case may be skipped.
    pub(crate) fn run(&self, skips: &[&str], mut case: impl FnMut(&Value) -> Verdict) {
        let (mut passed, mut skipped, mut failed) = (0, Vec::new(), Vec::new());
        for value in &self.cases {
            let id = value["id"].as_str().expect("every case has an id").to_owned();
            match catch_unwind(AssertUnwindSafe(|| case(value))) {
                Ok(Verdict::Passed) => passed += 1,
                Ok(Verdict::Skipped(reason)) => {
                    skip::skipped(&format!("{}/{id}", self.name), &reason);
                    skipped.push(id);
                }
                Err(panic) => failed.push(format!("{id}: {}", text_of(&*panic))),
            }
        }
        report(&self.name, passed + failed.len(), self.cases.len());
        assert!(failed.is_empty(), "{} failed:\n  {}", failed.len(), failed.join("\n  "));
        assert_eq!(passed + skipped.len(), self.cases.len(), "every case is accounted for");
        if self.in_repository {
            assert_eq!(skipped, skips, "exactly the cases listed in the test are skipped");
        }
    }
}

/// Reports the number of cases of a file that ran, and bypasses the test runner's capture, so that
/// the count is always visible.
pub(crate) fn report(name: &str, run: usize, total: usize) {
    let line = format!("{name}: {run} of {total} cases run, {} skipped\n", total - run);
    std::io::stdout().write_all(line.as_bytes()).expect("standard output is open");
}

/// Decodes a case. A case that does not fit the type is an error of the test.
pub(crate) fn decoded<T: DeserializeOwned>(case: &Value) -> T {
    serde_json::from_value(case.clone()).unwrap_or_else(|error| panic!("{error} in {case}"))
}

/// Returns the name and the text of each version of a file, the copy in this repository first.
fn texts(path: &str) -> Vec<(String, String)> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(path);
    let mut texts = vec![(path.to_owned(), read(&here))];
    let shared = shared_folder().map(|folder| folder.join("facts").join(path));
    if let Some(text) = shared.filter(|file| file.exists()).map(|file| read(&file))
        && text != texts[0].1
    {
        texts.push((format!("QUORATE_DATA/facts/{path}"), text));
    }
    texts
}

/// The shared folder of cases, if the environment names one.
pub(crate) fn shared_folder() -> Option<PathBuf> {
    env::var_os("QUORATE_DATA").map(PathBuf::from)
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn parse(name: &str, key: &str, text: &str) -> Vec<Value> {
    if name.ends_with(".jsonl") {
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        return lines.map(|line| value_of(name, line)).collect();
    }
    let file = value_of(name, text);
    let cases = file[key].as_array().unwrap_or_else(|| panic!("{name} has no {key}")).clone();
    assert_eq!(file["count"], cases.len(), "{name} has as many cases as it declares");
    cases
}

fn value_of(name: &str, text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without text").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(in_repository: bool) -> CaseFile {
        let cases = ["good", "late", "bad"].map(|id| serde_json::json!({ "id": id }));
        CaseFile { name: "forged".into(), cases: cases.to_vec(), in_repository }
    }

    /// Returns the panic text of the run of the forged file, if it fails.
    fn failure(file: &CaseFile, skips: &[&str], bad_passes: bool) -> Option<String> {
        let case = |case: &Value| match case["id"].as_str() {
            Some("late") => Verdict::Skipped("it comes later".into()),
            Some("bad") => {
                assert!(bad_passes, "only the bad case may panic");
                Verdict::Passed
            }
            _ => Verdict::Passed,
        };
        let run = catch_unwind(AssertUnwindSafe(|| file.run(skips, case)));
        run.err().map(|panic| text_of(&*panic))
    }

    #[test]
    fn no_case_fails_or_is_skipped_unnoticed() {
        assert_eq!(failure(&file(true), &["late"], true), None);
        assert!(failure(&file(true), &["late"], false).is_some_and(|text| text.contains("bad: ")));
        assert!(failure(&file(true), &[], true).is_some_and(|text| text.contains("late")));
        assert!(failure(&file(true), &["late", "bad"], true).is_some());
        assert_eq!(failure(&file(false), &[], true), None, "other versions may skip others");
    }

    #[test]
    #[should_panic(expected = "as many cases as it declares")]
    fn a_file_has_as_many_cases_as_it_declares() {
        parse("forged.json", "cases", r#"{"count": 2, "cases": [{"id": "one"}]}"#);
    }
}

//! The report of a sweep in every requested format: table, JSON, JUnit, HTML, GitHub Actions.

pub(crate) mod content;
mod estimates;
mod github;
pub(crate) mod json;
mod junit;
pub(crate) mod page;
pub(crate) mod table;
#[cfg(test)]
pub(crate) mod tests;

use std::env;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::cli::args::OutputArguments;
use crate::cli::console;
use crate::cli::exit::{CommandError, CommandResult};
use crate::cli::report::content::{Report, by_fingerprint};

/// The requested output formats. Their files are opened before the first seed runs, so that a
/// wrong path is reported at once.
pub(crate) struct Outputs {
    json: bool,
    junit: Option<Output>,
    page: Option<Output>,
    github: Option<Output>,
}

struct Output {
    flag: &'static str,
    path: PathBuf,
    file: File,
}

impl Outputs {
    /// Creates the output files.
    pub(crate) fn open(arguments: &OutputArguments) -> CommandResult<Outputs> {
        let create = |flag, path: &Option<PathBuf>| {
            path.as_deref().map(|path| Output::create(flag, path)).transpose()
        };
        let github = match arguments.github {
            true => Output::step_summary()?,
            false => None,
        };
        Ok(Outputs {
            json: arguments.json,
            junit: create("--junit", &arguments.junit)?,
            page: create("--report", &arguments.report)?,
            github,
        })
    }

    /// Writes the report in every requested format. The text comes first, and one file that cannot
    /// be written does not prevent the others, because the result of a long sweep must not be lost.
    pub(crate) fn write(self, report: &Report) -> CommandResult<()> {
        let text = if self.json { json::document(report) } else { table::summary(report) };
        for (name, seeds) in by_fingerprint(&report.summary.failed) {
            let replay = report.seed_line(seeds[0].seed);
            if self.json {
                // The JSON is for a program; a person reads the log of the job.
                eprintln!("{}", table::failure_line(&name, &seeds, &replay));
            } else if report.parts.is_some() {
                console::print_line(&table::failure(seeds[0], &replay));
            }
        }
        for line in self.github.iter().flat_map(|_| github::annotations(report)) {
            // GitHub reads both streams; standard output must contain only the JSON.
            if self.json { eprintln!("{line}") } else { console::print_line(&line) }
        }
        console::print_line(&text);
        let written = [
            self.junit.map(|output| output.write(&junit::document(report)?)),
            self.page.map(|output| output.write(&page::document(report))),
            self.github.map(|output| output.write(&github::step_summary(report))),
        ];
        written.into_iter().flatten().collect()
    }
}

impl Output {
    fn create(flag: &'static str, path: &Path) -> CommandResult<Output> {
        let file = File::create(path).map_err(|error| CommandError::file(flag, path, &error))?;
        Ok(Output { flag, path: path.to_owned(), file })
    }

    /// Opens the step summary file, which GitHub Actions shows on the page of the job. Returns
    /// `None` outside GitHub Actions, with a note on standard error.
    fn step_summary() -> CommandResult<Option<Output>> {
        let flag = "--github";
        let Some(path) = env::var_os("GITHUB_STEP_SUMMARY").map(PathBuf::from) else {
            eprintln!(
                "note: {flag} has no effect here: GITHUB_STEP_SUMMARY is not set, so annotations \
                 and step summary are left out"
            );
            return Ok(None);
        };
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.map_err(|error| CommandError::file(flag, &path, &error))?;
        Ok(Some(Output { flag, path, file }))
    }

    fn write(mut self, text: &str) -> CommandResult<()> {
        let written = self.file.write_all(text.as_bytes());
        written.map_err(|error| CommandError::file(self.flag, &self.path, &error))
    }
}

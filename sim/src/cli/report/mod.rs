//! What a sweep came to, told in every form that was asked for.

pub(crate) mod content;
mod github;
pub(crate) mod json;
mod junit;
mod page;
pub(crate) mod table;
#[cfg(test)]
mod tests;
mod worth;

use std::env;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::cli::args::ToldArguments;
use crate::cli::console;
use crate::cli::exit::Trouble;
use crate::cli::report::content::Report;

/// The forms that were asked for; their files are open before the first seed runs.
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
    /// Opens the files.
    pub(crate) fn open(arguments: &ToldArguments) -> Result<Outputs, Trouble> {
        let create = |flag, path: &Option<PathBuf>| {
            path.as_deref().map(|path| Output::create(flag, path)).transpose()
        };
        let github = arguments.github.then(Output::step_summary).transpose()?;
        Ok(Outputs {
            json: arguments.json,
            junit: create("--junit", &arguments.junit)?,
            page: create("--report", &arguments.report)?,
            github,
        })
    }

    /// Tells the report in every form.
    pub(crate) fn write(self, report: &Report) -> Result<(), Trouble> {
        if let Some(output) = self.junit {
            output.write(&junit::document(report)?)?;
        }
        if let Some(output) = self.page {
            output.write(&page::document(report))?;
        }
        if let Some(output) = self.github {
            output.write(&github::step_summary(report))?;
            for line in github::annotations(report) {
                // The runner reads both streams; JSON must stay alone on standard output.
                if self.json { eprintln!("{line}") } else { console::say(&line) }
            }
        }
        let text = if self.json { json::document(report) } else { table::summary(report) };
        console::say(&text);
        Ok(())
    }
}

impl Output {
    fn create(flag: &'static str, path: &Path) -> Result<Output, Trouble> {
        let file = File::create(path).map_err(|error| Trouble::file(flag, path, &error))?;
        Ok(Output { flag, path: path.to_owned(), file })
    }

    /// The file that GitHub Actions shows below a job's steps.
    fn step_summary() -> Result<Output, Trouble> {
        let flag = "--github";
        let path = env::var_os("GITHUB_STEP_SUMMARY").map(PathBuf::from).ok_or_else(|| {
            Trouble(format!("{flag}: GITHUB_STEP_SUMMARY is not set: is this GitHub Actions?"))
        })?;
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.map_err(|error| Trouble::file(flag, &path, &error))?;
        Ok(Output { flag, path, file })
    }

    fn write(mut self, text: &str) -> Result<(), Trouble> {
        let written = self.file.write_all(text.as_bytes());
        written.map_err(|error| Trouble::file(self.flag, &self.path, &error))
    }
}

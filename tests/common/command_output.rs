//! Runs of commands that end by themselves, with their exit codes and outputs.

use std::process::Command;

use serde_json::Value;

/// The exit code and the output of one run.
#[derive(Debug)]
pub(crate) struct CommandOutput {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl CommandOutput {
    pub(crate) fn run(command: &mut Command) -> CommandOutput {
        let output = command.output().expect("the command was built");
        let text = |bytes| String::from_utf8(bytes).expect("the output is UTF-8");
        CommandOutput {
            code: output.status.code().unwrap_or(-1),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    /// Returns the standard output; panics unless the exit code is 0.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// Returns the standard output as JSON, for any exit code.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts this exit code, and this part of the standard output.
    #[track_caller]
    pub(crate) fn prints(&self, code: i32, part: &str) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.out.contains(part), "{part:?} is not in {self:?}");
    }

    /// Asserts this exit code, and this part of the standard error.
    #[track_caller]
    pub(crate) fn fails_with(&self, code: i32, part: &str) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.err.contains(part), "{part:?} is not in {self:?}");
    }
}

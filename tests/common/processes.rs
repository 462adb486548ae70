//! Child processes of a test, and helpers to wait for them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

/// The number of tries before a wait fails, which is half a minute.
const TRIES: usize = 1500;

/// Child processes by name, which are killed when this is dropped.
#[derive(Default)]
pub(crate) struct Processes(BTreeMap<String, Running>);

struct Running {
    child: Child,
    log: PathBuf,
}

impl Processes {
    /// Starts a process whose output is appended to `log`.
    pub(crate) fn spawn(&mut self, name: &str, command: &mut Command, log: &Path) {
        let file = File::options().create(true).append(true).open(log).expect("the log opens");
        let output = file.try_clone().expect("it is open");
        let child = command.stdout(output).stderr(file).spawn().expect("the command was built");
        let running = Running { child, log: log.to_owned() };
        let earlier = self.0.insert(name.to_owned(), running);
        assert!(earlier.is_none(), "{name} runs already");
    }

    /// Kills the process with SIGKILL.
    pub(crate) fn kill(&mut self, name: &str) {
        let mut running = self.0.remove(name).expect("it runs");
        running.child.kill().expect("it is ours");
        running.child.wait().expect("it is ours");
    }

    /// Sends the signal `TERM`, `STOP` or `CONT`.
    pub(crate) fn signal(&self, name: &str, signal: &str) {
        let pid = self.0[name].child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{signal}"), &pid]).status();
        assert!(sent.expect("`kill` is installed").success(), "{signal} to {name}");
    }

    /// Returns the id of the running process.
    pub(crate) fn pid(&self, name: &str) -> u32 {
        self.0[name].child.id()
    }

    /// Waits until the process ends by itself, and returns its exit status.
    pub(crate) fn ended(&mut self, name: &str) -> ExitStatus {
        let mut status = None;
        eventually("the process ends", || {
            let running = self.0.get_mut(name).expect("it runs");
            status = running.child.try_wait().expect("it is ours");
            status.is_some()
        });
        self.0.remove(name);
        status.expect("the process ended")
    }

    /// Returns the exit status of a process that has ended by itself.
    pub(crate) fn has_ended(&mut self, name: &str) -> Option<ExitStatus> {
        let status = self.0.get_mut(name).expect("it runs").child.try_wait().expect("it is ours");
        status.inspect(|_| drop(self.0.remove(name)))
    }

    /// Returns the output of a running process so far, including earlier runs with the same log.
    pub(crate) fn words(&self, name: &str) -> String {
        fs::read_to_string(&self.0[name].log).unwrap_or_default()
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for (name, running) in &mut self.0 {
            // It may have ended by itself.
            let _ = running.child.kill();
            let _ = running.child.wait();
            if std::thread::panicking() {
                let log = fs::read_to_string(&running.log).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                let last = &lines[lines.len().saturating_sub(15)..];
                eprintln!("--- the last lines of {name}\n{}", last.join("\n"));
            }
        }
    }
}

/// Waits until the condition holds; panics with `condition_text` if it does not in time.
#[track_caller]
pub(crate) fn eventually(condition_text: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..TRIES {
        if condition() {
            return;
        }
        pause(Duration::from_millis(20));
    }
    panic!("timed out: {condition_text}");
}

#[expect(clippy::disallowed_methods, reason = "it waits for other processes")]
pub(crate) fn pause(span: Duration) {
    std::thread::sleep(span);
}

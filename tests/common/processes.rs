//! Processes that a test starts, and what it takes to wait for them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

/// How often something is tried before it never comes: for half a minute.
const TRIES: usize = 1500;

/// Processes by name, killed when this is dropped.
#[derive(Default)]
pub(crate) struct Processes(BTreeMap<String, Running>);

struct Running {
    child: Child,
    log: PathBuf,
}

impl Processes {
    /// Starts a process whose words go to `log`, after those of its earlier lives.
    pub(crate) fn spawn(&mut self, name: &str, command: &mut Command, log: &Path) {
        let file = File::options().create(true).append(true).open(log).expect("there is room");
        let output = file.try_clone().expect("it is open");
        let child = command.stdout(output).stderr(file).spawn().expect("the command was built");
        let running = Running { child, log: log.to_owned() };
        let earlier = self.0.insert(name.to_owned(), running);
        assert!(earlier.is_none(), "{name} runs already");
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self, name: &str) {
        let mut running = self.0.remove(name).expect("it runs");
        running.child.kill().expect("it is ours");
        running.child.wait().expect("it is ours");
    }

    /// Sends `TERM`, `STOP` or `CONT`.
    pub(crate) fn signal(&self, name: &str, signal: &str) {
        let pid = self.0[name].child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{signal}"), &pid]).status();
        assert!(sent.expect("there is a kill").success(), "{signal} to {name}");
    }

    /// How the process ended, once it has by itself.
    pub(crate) fn ended(&mut self, name: &str) -> ExitStatus {
        let mut status = None;
        eventually("the process ends", || {
            let running = self.0.get_mut(name).expect("it runs");
            status = running.child.try_wait().expect("it is ours");
            status.is_some()
        });
        self.0.remove(name);
        status.expect("it was waited for")
    }

    /// What a process that runs has said so far, in all of its lives.
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
                eprintln!("--- the last words of {name}\n{}", last.join("\n"));
            }
        }
    }
}

/// Waits until it is so.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..TRIES {
        if is_so() {
            return;
        }
        pause(Duration::from_millis(20));
    }
    panic!("this never comes: {what}");
}

#[expect(clippy::disallowed_methods, reason = "it waits for other processes")]
pub(crate) fn pause(span: Duration) {
    std::thread::sleep(span);
}

//! The nodes: processes of `quorate serve`, what is done to them, and their directories.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::cli::clock::{Stopwatch, pause};
use crate::cli::procs::apart::apart;
use crate::cli::procs::asking::millis;
use crate::cli::procs::net::Net;
use crate::settings::Settings;

/// Processes by their nodes. They are killed when this is dropped.
#[derive(Debug)]
pub(super) struct Nodes {
    running: BTreeMap<u64, Child>,
    /// Those that are to end by themselves.
    stopping: BTreeMap<u64, Child>,
    binary: PathBuf,
    folder: PathBuf,
    /// The words that all nodes are started with.
    words: Vec<String>,
    /// Who founds the cluster, as words.
    founders: String,
    voters: u64,
    /// How many directories were taken away.
    taken: u32,
}

/// How long a node may take to stop in good order.
const STOP_MAX: Duration = Duration::from_secs(10);

impl Nodes {
    /// Nobody runs yet.
    pub(super) fn new(settings: &Settings, net: &Net, binary: &Path, folder: &Path) -> Nodes {
        let config = &settings.config;
        let mut words: Vec<String> =
            ["--plaintext", "--segment-size", "16MiB", "--segments-ahead", "1"]
                .map(Into::into)
                .into();
        for (flag, value) in [
            ("--heartbeat", millis(config.heartbeat_interval)),
            ("--election-timeout", millis(config.election_timeout_min)),
            ("--snapshot-entries", settings.snapshot_entries.to_string()),
            ("--trailing-entries", settings.trailing_entries.to_string()),
        ] {
            words.extend([flag.to_owned(), value]);
        }
        let voters = u64::from(settings.voters);
        let one = |id| format!("{id}={}", net.address(id));
        let founders: Vec<String> = (1..=voters).map(one).collect();
        Nodes {
            running: BTreeMap::new(),
            stopping: BTreeMap::new(),
            binary: binary.to_owned(),
            folder: folder.to_owned(),
            words,
            founders: founders.join(","),
            voters,
            taken: 0,
        }
    }

    fn directory(&self, id: u64) -> PathBuf {
        self.folder.join(format!("n{id}"))
    }

    /// Starts a node, for the first time or again; nothing happens if it runs.
    pub(super) fn start(&mut self, id: u64, net: &Net) -> Result<(), String> {
        self.await_stop(id);
        if self.running.contains_key(&id) {
            return Ok(());
        }
        let within = net.within(id);
        let mut command = apart(&within[0]);
        command.args(&within[1..]).arg(&self.binary).arg("serve").args(["--id", &id.to_string()]);
        command.arg("--data-dir").arg(self.directory(id)).args(&self.words);
        let known = if id <= self.voters { "--members" } else { "--join" };
        command.args([known, &self.founders, "--listen", &net.listens_at(id)]);
        let log = self.folder.join(format!("n{id}.log"));
        let said = |error| format!("{}: {error}", log.display());
        let out = File::options().create(true).append(true).open(&log).map_err(said)?;
        let err = out.try_clone().map_err(said)?;
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let child = command.spawn().map_err(|error| format!("n{id}: {error}"))?;
        self.running.insert(id, child);
        Ok(())
    }

    /// Whether the node's process is there, and is to stay.
    pub(super) fn runs(&self, id: u64) -> bool {
        self.running.contains_key(&id)
    }

    /// The processes that have ended by themselves, and how.
    pub(super) fn ended(&mut self) -> Vec<(u64, String)> {
        let mut ended = Vec::new();
        for (id, child) in &mut self.running {
            if let Ok(Some(status)) = child.try_wait() {
                ended.push((*id, status.to_string()));
            }
        }
        self.running.retain(|id, _| !ended.iter().any(|(gone, _)| gone == id));
        ended
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self, id: u64) {
        if let Some(mut child) = self.running.remove(&id) {
            end(&mut child);
        }
    }

    /// Has a node stop in good order.
    pub(super) fn stop(&mut self, id: u64) -> Result<(), String> {
        self.signal(id, "TERM")?;
        if let Some(child) = self.running.remove(&id) {
            self.stopping.insert(id, child);
        }
        Ok(())
    }

    fn await_stop(&mut self, id: u64) {
        let Some(mut child) = self.stopping.remove(&id) else { return };
        let watch = Stopwatch::start();
        while watch.elapsed() < STOP_MAX && matches!(child.try_wait(), Ok(None)) {
            pause(Duration::from_millis(10));
        }
        end(&mut child);
    }

    /// Sends `STOP`, `CONT` or `TERM`, if the node runs.
    pub(super) fn signal(&self, id: u64, signal: &str) -> Result<(), String> {
        let Some(child) = self.running.get(&id) else { return Ok(()) };
        run(apart("kill").arg(format!("-{signal}")).arg(child.id().to_string()))
    }

    /// Takes the directory of a node that does not run away from it.
    pub(super) fn lose_directory(&mut self, id: u64) -> Result<(), String> {
        self.taken += 1;
        let away = self.folder.join(format!("n{id}.lost{}", self.taken));
        rename(&self.directory(id), &away)
    }

    /// Copies a node's directory as it is, while its process stands still.
    pub(super) fn save_directory(&mut self, id: u64) -> Result<(), String> {
        let image = self.folder.join(format!("n{id}.image"));
        // An earlier one is of no use any more.
        let _ = fs::remove_dir_all(&image);
        self.signal(id, "STOP")?;
        let copied = run(apart("cp").arg("-a").arg(self.directory(id)).arg(&image));
        self.signal(id, "CONT")?;
        copied
    }

    /// Puts the copy in the place of the directory of a node that does not run.
    pub(super) fn restore_directory(&mut self, id: u64) -> Result<(), String> {
        self.lose_directory(id)?;
        rename(&self.folder.join(format!("n{id}.image")), &self.directory(id))
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.running.values_mut().chain(self.stopping.values_mut()).for_each(end);
    }
}

/// Ends a process that is ours, whatever it does.
fn end(child: &mut Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

fn rename(from: &Path, to: &Path) -> Result<(), String> {
    fs::rename(from, to).map_err(|error| format!("{}: {error}", from.display()))
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {}", said.trim())) }
}

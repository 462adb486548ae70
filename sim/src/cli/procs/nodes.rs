//! The node processes (`quorate serve`), their data directories and the faults applied to both.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::cli::clock::{Stopwatch, sleep};
use crate::cli::procs::clients::millis;
use crate::cli::procs::detached::detached_command;
use crate::cli::procs::net::NamespaceNetwork;
use crate::settings::Settings;

/// The processes by node id, killed on drop.
#[derive(Debug)]
pub(super) struct Nodes {
    running: BTreeMap<u64, Child>,
    /// The processes that were asked to stop with SIGTERM.
    stopping: BTreeMap<u64, Child>,
    /// The nodes whose processes are paused, with the latest end of their pauses.
    paused: BTreeMap<u64, Duration>,
    /// The time of the next start of each node that went down.
    starts: BTreeMap<u64, Duration>,
    binary: PathBuf,
    folder: PathBuf,
    /// The arguments common to all nodes.
    words: Vec<String>,
    /// The bootstrap peers as `ID=ADDRESS,…`.
    bootstrap_peers: String,
    voters: u64,
    /// The number of directories that were moved away.
    lost_directories: u32,
}

/// The time limit of a graceful stop.
const STOP_MAX: Duration = Duration::from_secs(10);

impl Nodes {
    /// Returns the nodes before any process runs.
    pub(super) fn new(
        settings: &Settings,
        net: &NamespaceNetwork,
        binary: &Path,
        folder: &Path,
    ) -> Nodes {
        let config = &settings.config;
        let mut words: Vec<String> =
            ["--plaintext", "--segment-size", "16MiB", "--spare-segments", "1"]
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
        let peer = |id| format!("{id}={}", net.address(id));
        let bootstrap_peers: Vec<String> = (1..=voters).map(peer).collect();
        Nodes {
            running: BTreeMap::new(),
            stopping: BTreeMap::new(),
            paused: BTreeMap::new(),
            starts: BTreeMap::new(),
            binary: binary.to_owned(),
            folder: folder.to_owned(),
            words,
            bootstrap_peers: bootstrap_peers.join(","),
            voters,
            lost_directories: 0,
        }
    }

    fn directory(&self, id: u64) -> PathBuf {
        self.folder.join(format!("n{id}"))
    }

    /// Starts or restarts a node; does nothing if it runs.
    pub(super) fn start(&mut self, id: u64, net: &NamespaceNetwork) -> Result<(), String> {
        if self.stopping.contains_key(&id) {
            self.resume(id)?;
        }
        self.await_stop(id);
        if self.running.contains_key(&id) {
            return Ok(());
        }
        let within = net.exec_prefix(id);
        let mut command = detached_command(&within[0]);
        command.args(&within[1..]).arg(&self.binary).arg("serve").args(["--id", &id.to_string()]);
        command.arg("--data-dir").arg(self.directory(id)).args(&self.words);
        let flag = if id <= self.voters { "--members" } else { "--join" };
        command.args([flag, &self.bootstrap_peers, "--listen", &net.listen_address(id)]);
        let log = self.folder.join(format!("n{id}.log"));
        let message = |error| format!("{}: {error}", log.display());
        let out = File::options().create(true).append(true).open(&log).map_err(message)?;
        let err = out.try_clone().map_err(message)?;
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let child = command.spawn().map_err(|error| format!("n{id}: {error}"))?;
        self.running.insert(id, child);
        self.paused.remove(&id);
        Ok(())
    }

    /// Returns true if the process of the node runs and was not asked to stop.
    pub(super) fn runs(&self, id: u64) -> bool {
        self.running.contains_key(&id)
    }

    /// Returns the processes that exited on their own, with their exit status.
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

    /// Kills a node with SIGKILL.
    pub(super) fn kill(&mut self, id: u64) {
        if let Some(mut child) = self.running.remove(&id) {
            kill_and_wait(&mut child);
        }
    }

    /// Asks a node to stop gracefully, with SIGTERM.
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
            sleep(Duration::from_millis(10));
        }
        kill_and_wait(&mut child);
    }

    /// Pauses the process of a node, if it runs, at least until `until`.
    pub(super) fn pause(&mut self, id: u64, until: Duration) -> Result<(), String> {
        let end = self.paused.entry(id).or_default();
        *end = until.max(*end);
        self.signal(id, "STOP")
    }

    /// Sets the time before which a node that went down is not started again.
    pub(super) fn postpone_start(&mut self, id: u64, at: Duration) {
        self.starts.insert(id, at);
    }

    /// Returns true if the node stays down after `now`.
    pub(super) fn stays_down(&self, id: u64, now: Duration) -> bool {
        self.starts.get(&id).is_some_and(|at| now < *at)
    }

    /// Returns true if a pause of the node lasts beyond `now`.
    pub(super) fn stays_paused(&self, id: u64, now: Duration) -> bool {
        self.paused.get(&id).is_some_and(|until| now < *until)
    }

    /// Resumes the process of a node, if it runs.
    pub(super) fn resume(&mut self, id: u64) -> Result<(), String> {
        self.paused.remove(&id);
        self.signal(id, "CONT")
    }

    /// Sends `STOP`, `CONT` or `TERM`, if the node runs or is stopping.
    fn signal(&self, id: u64, signal: &str) -> Result<(), String> {
        let child = self.running.get(&id).or_else(|| self.stopping.get(&id));
        let Some(child) = child else { return Ok(()) };
        run(detached_command("kill").arg(format!("-{signal}")).arg(child.id().to_string()))
    }

    /// Wipes the disk of a stopped node: moves its data directory away, and deletes the copy that
    /// [`Nodes::save_directory`] made of it.
    pub(super) fn lose_disk(&mut self, id: u64) -> Result<(), String> {
        // There may be no copy.
        let _ = fs::remove_dir_all(self.copy(id));
        self.lose_directory(id)
    }

    /// Moves the data directory of a stopped node away.
    fn lose_directory(&mut self, id: u64) -> Result<(), String> {
        self.lost_directories += 1;
        let away = self.folder.join(format!("n{id}.lost{}", self.lost_directories));
        rename(&self.directory(id), &away)
    }

    /// The copy of the data directory of a node.
    fn copy(&self, id: u64) -> PathBuf {
        self.folder.join(format!("n{id}.image"))
    }

    /// Copies the data directory of a node while its process is paused. In the simulator each
    /// rollback has its own copy; here a node has one copy, which a later one replaces.
    pub(super) fn save_directory(&mut self, id: u64) -> Result<(), String> {
        let image = self.copy(id);
        // There may be no earlier copy.
        let _ = fs::remove_dir_all(&image);
        let is_paused = self.paused.contains_key(&id);
        self.signal(id, "STOP")?;
        let copied = run(detached_command("cp").arg("-a").arg(self.directory(id)).arg(&image));
        if !is_paused {
            self.signal(id, "CONT")?;
        }
        copied
    }

    /// Kills a node, and replaces its data directory with the copy. Does nothing and returns false
    /// if the copy no longer exists, because the node was wiped or another rollback used it.
    pub(super) fn roll_back(&mut self, id: u64) -> Result<bool, String> {
        let copy = self.copy(id);
        if !copy.exists() {
            return Ok(false);
        }
        self.kill(id);
        self.lose_directory(id)?;
        rename(&copy, &self.directory(id))?;
        Ok(true)
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.running.values_mut().chain(self.stopping.values_mut()).for_each(kill_and_wait);
    }
}

/// Kills a child process and reaps it.
fn kill_and_wait(child: &mut Child) {
    // The process may have exited already.
    let _ = child.kill();
    let _ = child.wait();
}

fn rename(from: &Path, to: &Path) -> Result<(), String> {
    fs::rename(from, to).map_err(|error| format!("{}: {error}", from.display()))
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {}", errors.trim())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without_processes(folder: &Path) -> Nodes {
        Nodes {
            running: BTreeMap::new(),
            stopping: BTreeMap::new(),
            paused: BTreeMap::new(),
            starts: BTreeMap::new(),
            binary: PathBuf::new(),
            folder: folder.to_owned(),
            words: Vec::new(),
            bootstrap_peers: String::new(),
            voters: 1,
            lost_directories: 0,
        }
    }

    #[test]
    fn a_node_stays_paused_until_its_last_pause_ends() {
        let mut nodes = without_processes(Path::new(""));
        let [first, second, third] = [3, 9, 6].map(Duration::from_secs);
        for until in [first, second, third] {
            assert_eq!(nodes.pause(1, until), Ok(()));
        }
        assert!(nodes.stays_paused(1, first) && nodes.stays_paused(1, third));
        assert!(!nodes.stays_paused(1, second) && !nodes.stays_paused(2, first));
        assert_eq!(nodes.resume(1), Ok(()));
        assert!(!nodes.stays_paused(1, first));
    }

    #[test]
    fn a_node_stays_down_until_its_last_start_is_due() {
        let mut nodes = without_processes(Path::new(""));
        let [first, second] = [10, 25].map(Duration::from_secs);
        nodes.postpone_start(1, first);
        nodes.postpone_start(1, second);
        assert!(nodes.stays_down(1, first) && !nodes.stays_down(1, second));
    }

    #[test]
    fn a_paused_process_that_is_asked_to_stop_ends_after_its_pause() {
        let mut nodes = without_processes(Path::new(""));
        let child = detached_command("sleep").arg("60").spawn().expect("the command exists");
        nodes.running.insert(1, child);
        assert_eq!(nodes.pause(1, Duration::MAX), Ok(()));
        assert_eq!(nodes.stop(1), Ok(()));
        assert_eq!(nodes.resume(1), Ok(()));
        let watch = Stopwatch::start();
        nodes.await_stop(1);
        assert!(watch.elapsed() < STOP_MAX);
    }

    #[test]
    fn a_rollback_uses_the_last_copy_once_and_none_after_a_wipe() {
        let root = tempfile::tempdir().expect("a directory");
        let mut nodes = without_processes(root.path());
        let log = root.path().join("n1").join("log");
        let write = |text: &str| fs::write(&log, text).expect("the disk has space");
        let read = || fs::read_to_string(&log).expect("the directory is there");
        fs::create_dir(root.path().join("n1")).expect("the disk has space");
        for text in ["first", "second"] {
            write(text);
            assert_eq!(nodes.save_directory(1), Ok(()));
        }
        write("third");
        assert_eq!((nodes.roll_back(1), read().as_str()), (Ok(true), "second"));
        write("fourth");
        assert_eq!((nodes.roll_back(1), read().as_str()), (Ok(false), "fourth"));
        assert_eq!(nodes.save_directory(1), Ok(()));
        assert_eq!(nodes.lose_disk(1), Ok(()));
        assert_eq!(nodes.roll_back(1), Ok(false), "the wipe deleted the copy");
    }
}

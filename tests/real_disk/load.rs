//! A process that writes to a store as fast as it can, and reports what is durable.

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use quorate::types::{Index, Term};

use super::store::{Store, config};

const DIRECTORY: &str = "QUORATE_LOAD";
const WRITES: &str = "QUORATE_LOAD_WRITES";

/// The maximum number of writes that wait for the disk.
const OUTSTANDING: usize = 4;
/// The longest time without a report before the test fails.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// The reports of a load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reported {
    /// The last reported durable term, last index and snapshot.
    pub(crate) term: Term,
    pub(crate) last: Index,
    pub(crate) snapshot: Index,
    /// The number of reports of durable entries.
    pub(crate) times: usize,
    /// The reported failure; none if the load did not fail.
    pub(crate) failure: Option<String>,
}

/// A running load, which is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Load {
    child: Child,
    lines: Receiver<String>,
    pub(crate) reported: Reported,
}

impl Load {
    /// Starts a load of at most `writes` writes on the store in `directory`, with additional
    /// environment variables.
    pub(crate) fn start(directory: &Path, writes: usize, variables: &[(&str, String)]) -> Load {
        let this = std::env::current_exe().expect("the test binary has a path");
        let mut command = Command::new(this);
        command.args(["--exact", "real_disk::load::load", "--ignored", "--nocapture"]);
        command.env(DIRECTORY, directory).env(WRITES, writes.to_string());
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the test binary can be started");
        let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Load { child, lines, reported: Reported::default() }
    }

    /// Waits for `times` reports; returns false if the load ended earlier.
    pub(crate) fn wait_for_reports(&mut self, times: usize) -> bool {
        use std::sync::mpsc::RecvTimeoutError::{Disconnected, Timeout};
        while self.reported.times < times {
            match self.lines.recv_timeout(SILENCE_MAX) {
                Ok(line) => self.reported.parse(&line),
                Err(Disconnected) => return false,
                Err(Timeout) => panic!("the load has stopped reporting: {:?}", self.reported),
            }
        }
        true
    }

    /// Kills the load if it still runs, and returns its reports.
    pub(crate) fn end(mut self) -> Reported {
        self.stop();
        self.wait_for_reports(usize::MAX);
        std::mem::take(&mut self.reported)
    }

    fn stop(&mut self) {
        // A load that has ended already cannot be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Reported {
    fn parse(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("durable") => {
                let mut number = || words.next()?.parse().ok();
                // The last line may be truncated when the load is killed.
                let (term, last, snapshot) = (number(), number(), number());
                let (Some(term), Some(last), Some(snapshot)) = (term, last, snapshot) else {
                    return;
                };
                if words.next() != Some(".") {
                    return;
                }
                assert!(self.failure.is_none(), "nothing is durable after a failure: {line}");
                (self.term, self.last) = (Term(term), Index(last));
                self.snapshot = Index(snapshot);
                self.times += 1;
            }
            Some("failed") => self.failure = Some(line.to_owned()),
            _ => {}
        }
    }
}

/// Checks that the store in `directory` contains at least what was reported as durable.
pub(crate) fn check(directory: &Path, reported: &Reported) {
    let store = Store::open(directory, &config());
    let store = store.unwrap_or_else(|error| panic!("cannot recover after {reported:?}: {error}"));
    assert!(store.durable >= reported.last, "only {} is durable of {reported:?}", store.durable);
    assert!(
        store.snapshot >= reported.snapshot,
        "only snapshot {} is current of {reported:?}",
        store.snapshot
    );
    assert!(store.term() >= reported.term, "only term {} is durable of {reported:?}", store.term());
}

fn report_line(line: &str) {
    let line = format!("{line}\n");
    std::io::stdout().write_all(line.as_bytes()).expect("stdout is open");
}

fn run(directory: &Path, writes: usize) -> Result<(), quorate::storage::OpenError> {
    let mut store = Store::open(directory, &config())?;
    store.begin_term()?;
    let (mut started, mut durable, mut term_is_durable) = (0, store.durable, false);
    while started < writes || store.outstanding() > 0 {
        while started < writes && store.outstanding() < OUTSTANDING {
            store.append()?;
            started += 1;
        }
        store.take_snapshot()?;
        store.step()?;
        // The first durable write contains the term.
        term_is_durable |= store.outstanding() < OUTSTANDING;
        if store.durable > durable && term_is_durable {
            durable = store.durable;
            let (term, snapshot) = (store.term().0, store.snapshot.0);
            report_line(&format!("durable {term} {} {snapshot} .", durable.0));
        }
    }
    Ok(())
}

/// The process that the tests start; does nothing as a test.
#[test]
#[ignore = "started by the other tests as a process of its own"]
fn load() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let writes = std::env::var(WRITES).ok().and_then(|writes| writes.parse().ok());
    if let Err(error) = run(&directory, writes.expect("a number of writes")) {
        report_line(&format!("failed {error}"));
    }
}

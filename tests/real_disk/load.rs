//! A process that writes to a store as fast as it can, and says what is durable.

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use quorate::types::{Index, Term};

use super::store::{Store, config};

const DIRECTORY: &str = "QUORATE_LOAD";
const WRITES: &str = "QUORATE_LOAD_WRITES";

/// How many writes wait for the disk at once.
const OUTSTANDING: usize = 4;
/// How long a load may be silent before the test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a load has said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// Durable when it said so: the term, the last index, and the snapshot in force.
    pub(crate) term: Term,
    pub(crate) last: Index,
    pub(crate) snapshot: Index,
    /// How many times it said that something is durable.
    pub(crate) times: usize,
    /// Why it stopped, if it said so.
    pub(crate) failure: Option<String>,
}

/// A load under way; ends with its owner.
#[derive(Debug)]
pub(crate) struct Load {
    child: Child,
    lines: Receiver<String>,
    pub(crate) said: Said,
}

impl Load {
    /// Starts a load of at most `writes` writes on the store in `directory`, with more variables
    /// in its environment.
    pub(crate) fn start(directory: &Path, writes: usize, variables: &[(&str, String)]) -> Load {
        let this = std::env::current_exe().expect("a test is a file");
        let mut command = Command::new(this);
        command.args(["--exact", "real_disk::load::load", "--ignored", "--nocapture"]);
        command.env(DIRECTORY, directory).env(WRITES, writes.to_string());
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("this very file can be run");
        let output = BufReader::new(child.stdout.take().expect("it was asked to be piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Load { child, lines, said: Said::default() }
    }

    /// Listens until the load has said something `times` times, or has ended: then false.
    pub(crate) fn listen(&mut self, times: usize) -> bool {
        use std::sync::mpsc::RecvTimeoutError::{Disconnected, Timeout};
        while self.said.times < times {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.said.note(&line),
                Err(Disconnected) => return false,
                Err(Timeout) => panic!("the load has stopped saying anything: {:?}", self.said),
            }
        }
        true
    }

    /// Kills the load, if it still runs, and gives all that it has said.
    pub(crate) fn end(mut self) -> Said {
        self.stop();
        self.listen(usize::MAX);
        std::mem::take(&mut self.said)
    }

    fn stop(&mut self) {
        // One that has ended by itself is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Said {
    fn note(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("durable") => {
                let mut number = || words.next()?.parse().ok();
                // A line may be cut short where the load was killed.
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

/// What the store in `directory` has now is at least what was said to be durable.
pub(crate) fn check(directory: &Path, said: &Said) {
    let store = Store::open(directory, &config());
    let store = store.unwrap_or_else(|error| panic!("it recovers after {said:?}: {error}"));
    assert!(store.durable >= said.last, "{} is durable of {said:?}", store.durable);
    assert!(store.snapshot >= said.snapshot, "{} is in force of {said:?}", store.snapshot);
    assert!(store.term() >= said.term, "{} is durable of {said:?}", store.term());
}

fn say(line: &str) {
    let line = format!("{line}\n");
    std::io::stdout().write_all(line.as_bytes()).expect("somebody listens");
}

fn run(directory: &Path, writes: usize) -> Result<(), quorate::storage::OpenError> {
    let mut store = Store::open(directory, &config())?;
    store.begin_term()?;
    let (mut begun, mut durable, mut term_is_durable) = (0, store.durable, false);
    while begun < writes || store.outstanding() > 0 {
        while begun < writes && store.outstanding() < OUTSTANDING {
            store.append()?;
            begun += 1;
        }
        store.take_snapshot()?;
        store.step()?;
        // The first write to be durable was the term.
        term_is_durable |= store.outstanding() < OUTSTANDING;
        if store.durable > durable && term_is_durable {
            durable = store.durable;
            let (term, snapshot) = (store.term().0, store.snapshot.0);
            say(&format!("durable {term} {} {snapshot} .", durable.0));
        }
    }
    Ok(())
}

/// Not a test: the process that the tests start. By itself it has nothing to do.
#[test]
#[ignore = "started by the other tests as a process of its own"]
fn load() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let writes = std::env::var(WRITES).ok().and_then(|writes| writes.parse().ok());
    if let Err(error) = run(&directory, writes.expect("a number of writes")) {
        say(&format!("failed {error}"));
    }
}

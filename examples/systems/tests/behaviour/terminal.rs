//! The prompt of the chat on a terminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::pty::openpty;

use crate::processes::{eventually, pause};
use crate::support::Cluster;

const CHAT: &str = env!("CARGO_BIN_EXE_chat");
/// Several times the interval at which a prompt polls for messages.
const POLLED: Duration = Duration::from_secs(2);
/// Ctrl-D, which ends the prompt.
const CTRL_D: &str = "\x04";
/// Ctrl-R, which searches the history.
const CTRL_R: &str = "\x12";

/// A process at a terminal, which is killed when this is dropped.
struct Terminal {
    child: Child,
    keys: File,
    page: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Starts the command at a terminal; its standard error is discarded.
    fn start(command: &mut Command) -> Terminal {
        let ends = openpty(None, None).expect("a pseudo-terminal can be opened");
        let output = ends.slave.try_clone().expect("it is open");
        command.env("TERM", "xterm").stdin(ends.slave).stdout(output).stderr(Stdio::null());
        let child = command.spawn().expect("the binary starts");
        // The command has copies of the terminal, which keep it open.
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let keys = File::from(ends.master);
        let mut output = keys.try_clone().expect("it is open");
        let page = Arc::<Mutex<Vec<u8>>>::default();
        let read = Arc::clone(&page);
        thread::spawn(move || {
            let mut buffer = [0; 1024];
            // At the end of the process the read fails.
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                read.lock().expect("no panic").extend_from_slice(&buffer[..count]);
            }
        });
        Terminal { child, keys, page }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the process reads its input");
    }

    /// Returns how often the text was printed.
    fn count(&self, text: &str) -> usize {
        String::from_utf8_lossy(&self.page.lock().expect("no panic")).matches(text).count()
    }

    fn wait_for(&self, text: &str, count: usize) {
        eventually(text, || self.count(text) >= count);
    }

    /// Waits until the process has ended, which must be a success.
    fn wait_for_end(&mut self) {
        let mut status = None;
        eventually("the prompt ends", || {
            status = self.child.try_wait().expect("it is ours");
            status.is_some()
        });
        assert!(status.is_some_and(|status| status.success()), "{status:?}");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let page = self.page.lock().expect("no panic");
            eprintln!("--- the terminal\n{}", String::from_utf8_lossy(&page));
        }
    }
}

/// Starts three nodes and the prompt of bob, with lines in its history.
fn prompt() -> (Cluster, Terminal) {
    let cluster = Cluster::start(CHAT, 3);
    for words in [&["create", "ann"], &["create", "bob"], &["login", "ann"], &["login", "bob"]] {
        cluster.run(words).ok();
    }
    let mut command = cluster.command();
    command.args(["--nodes", &cluster.addresses(&[1, 2, 3]), "--as", "bob", "prompt"]);
    let mut terminal = Terminal::start(&mut command);
    terminal.wait_for("chat> ", 1);
    // The editor gets both lines in one read.
    terminal.press("send ann hello\rdump\r");
    terminal.wait_for("\r\n1\r\n", 1);
    terminal.wait_for("bob: logged in", 1);
    (cluster, terminal)
}

/// Sends two messages while bob searches the history.
fn send_during_search(cluster: &Cluster, terminal: &mut Terminal) {
    terminal.press(CTRL_R);
    terminal.wait_for("(reverse-i-search)", 1);
    for text in ["one", "two"] {
        cluster.run(&["--as", "ann", "send", "bob", text]).ok();
    }
    pause(POLLED);
}

fn assert_shown_once(cluster: &Cluster, terminal: &Terminal) {
    for line in ["2 ann to bob: one", "3 ann to bob: two"] {
        terminal.wait_for(line, 1);
        assert_eq!(terminal.count(line), 1, "{line}");
    }
    assert_eq!(cluster.run(&["--as", "bob", "receive"]).ok(), "", "a message was not acknowledged");
}

#[test]
fn a_command_that_a_search_finds_does_not_wait_for_messages_in_the_queue() {
    let (cluster, mut terminal) = prompt();
    send_during_search(&cluster, &mut terminal);
    terminal.press("send\r");
    terminal.wait_for("3 ann to bob: two", 1);
    terminal.press("dump\r");
    terminal.wait_for("bob: logged in", 2);
    terminal.press("quit\r");
    terminal.wait_for_end();
    assert_shown_once(&cluster, &terminal);
}

#[test]
fn messages_in_the_queue_of_a_prompt_that_ends_are_shown() {
    let (cluster, mut terminal) = prompt();
    send_during_search(&cluster, &mut terminal);
    assert_eq!(terminal.count("ann to bob"), 0, "the search hides messages");
    terminal.press(CTRL_D);
    terminal.wait_for_end();
    assert_shown_once(&cluster, &terminal);
}

#[test]
fn messages_are_shown_once_while_the_user_types() {
    let (cluster, mut terminal) = prompt();
    terminal.press("his");
    for text in ["one", "two"] {
        cluster.run(&["--as", "ann", "send", "bob", text]).ok();
    }
    terminal.wait_for("3 ann to bob: two", 1);
    // The rest of `history`. The command waits for the acknowledgement of both messages, so it
    // prints both.
    terminal.press("tory\r");
    terminal.wait_for("3 ann to bob: two", 2);
    assert_eq!(terminal.count("2 ann to bob: one"), 2);
    terminal.press("quit\r");
    terminal.wait_for_end();
}

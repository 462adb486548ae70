//! Chaos tests of the courier: some messages are acknowledged by a quorum and some by the leader
//! only. No message is delivered twice, or before an earlier one from the same sender.

use std::collections::{BTreeMap, BTreeSet};

use quorate_sim::observe::OpId;
use quorate_sim::values::choice::Draw;
use quorate_sim::workload::Workload;

use crate::common::codec;
use crate::common::messaging::chaos;
use crate::common::messaging::machine::MessageStore;
use crate::common::messaging::message::{Command, Reply};

/// The messaging clients, with a model of all sent and delivered messages.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    messaging: chaos::Clients,
    /// The texts of all sent messages; each is the unique number of its operation.
    sent: BTreeSet<String>,
    /// The number of the last message that a receiver has acknowledged, by receiver and sender.
    taken: BTreeMap<(String, String), u64>,
}

impl Workload for Clients {
    type Machine = MessageStore;

    fn machine(&self) -> MessageStore {
        self.messaging.machine()
    }

    fn command(&self, op: OpId, draw: &mut Draw<'_>) -> Vec<u8> {
        self.messaging.command(op, draw)
    }

    fn command_bytes_max(&self) -> usize {
        self.messaging.command_bytes_max()
    }

    fn query(&self, op: OpId, draw: &mut Draw<'_>) -> Vec<u8> {
        self.messaging.query(op, draw)
    }

    fn describe_command(&self, command: &[u8]) -> String {
        self.messaging.describe_command(command)
    }

    /// Checks that no message is sent twice, and that the messages of each sender are acknowledged
    /// in order.
    fn check_reply(&mut self, command: &[u8], reply: &[u8]) -> Result<(), String> {
        match (codec::decode(command), codec::decode(reply)) {
            (Some(Command::Send { text, .. }), Some(Reply::Sent(_))) => {
                if self.sent.contains(&text) {
                    return Err(format!("message {text} was sent twice"));
                }
                self.sent.insert(text);
            }
            (Some(Command::Acknowledge { session, upto }), Some(Reply::Acknowledged(_))) => {
                self.take(&session.user, upto)?;
            }
            _ => {}
        }
        self.messaging.check_reply(command, reply)
    }

    fn check_answer(&self, query: &[u8], answer: &[u8]) -> Result<(), String> {
        self.messaging.check_answer(query, answer)
    }

    fn check_state(&self, machine: &MessageStore) -> Result<(), String> {
        self.messaging.check_state(machine)
    }
}

impl Clients {
    fn take(&mut self, user: &str, upto: u64) -> Result<(), String> {
        for (number, from, _) in
            self.messaging.waiting(user).take_while(|(number, ..)| *number <= upto)
        {
            let pair = (user.to_owned(), from.to_owned());
            let before = self.taken.insert(pair, number).unwrap_or(0);
            if number <= before {
                return Err(format!("{user} received {number} of {from} after {before}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use quorate::machine::StateMachine;
    use quorate::types::Index;
    use quorate_sim::observe::coverage::MARKS;
    use quorate_sim::run::{RunOptions, run};
    use quorate_sim::settings::profile::Profile;
    use quorate_sim::workload::AnyWorkload;

    use super::*;
    use crate::common::messaging::message::Session;

    /// Runs these seeds of a profile, and returns how often each mark was reached. The nodes must
    /// commit and accept requests, at least as many as there are runs.
    fn chaos_runs(profile: &str, seeds: std::ops::Range<u64>, marks: &[&str]) -> Vec<u32> {
        let profile = Profile::by_name(profile).expect("the name exists");
        let clients = Clients::default();
        let accepted = clients.messaging.accepted();
        let workload = AnyWorkload::new(clients);
        let options = RunOptions { profile, workload, ..RunOptions::default() };
        let mut reached = vec![0; marks.len()];
        let runs = seeds.end - seeds.start;
        let mut committed = 0;
        for seed in seeds {
            let outcome = run(seed, &options);
            assert!(outcome.failure.is_none(), "seed {seed}: {:?}", outcome.failure);
            for (count, name) in reached.iter_mut().zip(marks) {
                let mark = MARKS.iter().position(|mark| mark.name == *name);
                *count += outcome.marks[mark.expect("the name exists")];
            }
            committed += outcome.tally.commands_committed;
        }
        assert!(committed >= runs, "{committed} commands were committed in {runs} runs");
        accepted.assert_min(runs);
        reached
    }

    #[test]
    fn each_message_is_delivered_once_and_in_order_with_either_acknowledgement() {
        let reached = chaos_runs("default", 10..20, &["outcome/may-be-lost"]);
        assert!(reached[0] > 0, "no message was acknowledged by the leader only");
    }

    #[test]
    fn the_last_survivor_loses_no_message() {
        chaos_runs("survivor", 0..6, &[]);
    }

    #[test]
    fn a_node_with_a_diverged_state_machine_is_quarantined_and_rebuilt() {
        let reached =
            chaos_runs("validation", 0..5, &["validation/quarantined", "validation/rebuilt"]);
        assert!(reached.iter().all(|count| *count > 0), "{reached:?}");
    }

    #[test]
    fn a_message_that_is_sent_twice_is_detected() {
        let mut clients = Clients::default();
        let mut messaging = clients.machine();
        let session = Session { user: "user0".to_owned(), token: 1 };
        let send = |text: &str| Command::Send {
            session: session.clone(),
            to: session.user.clone(),
            text: text.to_owned(),
        };
        let create = Command::Create { user: session.user.clone(), id: 1 };
        let mut check = |command: &Command| {
            let command = codec::encode(command);
            let reply = messaging.apply(Index(1), &command);
            clients.check_reply(&command, &reply)
        };
        for command in [create, Command::Login(session.clone()), send("7"), send("8")] {
            assert_eq!(check(&command), Ok(()));
        }
        assert_eq!(check(&send("7")), Err("message 7 was sent twice".to_owned()));
    }
}

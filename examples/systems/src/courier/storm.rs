//! The courier in the simulator's storms: some messages are sent for sure and some as may be lost,
//! and whatever becomes of one, it is not delivered twice, nor before an earlier one of its sender.

use std::collections::{BTreeMap, BTreeSet};

use quorate_sim::choice::Draw;
use quorate_sim::observe::OpId;
use quorate_sim::workload::Workload;

use crate::common::codec;
use crate::common::talk::machine::Talk;
use crate::common::talk::message::{Command, Reply};
use crate::common::talk::storm;

/// Clients of a talk; with all that was ever sent and delivered, if they check.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    talk: storm::Clients,
    /// The texts that were sent: each has the number of its operation, and no other one has it.
    sent: BTreeSet<String>,
    /// The number of the last message that each receiver took of each sender.
    taken: BTreeMap<(String, String), u64>,
}

impl Workload for Clients {
    type Machine = Talk;

    fn machine(&self) -> Talk {
        self.talk.machine()
    }

    fn command(&self, op: OpId, draw: &mut Draw<'_>) -> Vec<u8> {
        self.talk.command(op, draw)
    }

    fn command_bytes_max(&self) -> usize {
        self.talk.command_bytes_max()
    }

    fn query(&self, op: OpId, draw: &mut Draw<'_>) -> Vec<u8> {
        self.talk.query(op, draw)
    }

    fn words(&self, command: &[u8]) -> String {
        self.talk.words(command)
    }

    /// Nothing is sent twice, and nothing is taken out of its sender's order.
    fn check_reply(&mut self, command: &[u8], reply: &[u8]) -> Result<(), String> {
        match (codec::decode(command), codec::decode(reply)) {
            (Some(Command::Send { text, .. }), Some(Reply::Sent(_))) => {
                if self.sent.contains(&text) {
                    return Err(format!("message {text} is sent a second time"));
                }
                self.sent.insert(text);
            }
            (Some(Command::Acknowledge { session, upto }), Some(Reply::Acknowledged(_))) => {
                self.take(&session.user, upto)?;
            }
            _ => {}
        }
        self.talk.check_reply(command, reply)
    }

    fn check_answer(&self, query: &[u8], answer: &[u8]) -> Result<(), String> {
        self.talk.check_answer(query, answer)
    }

    fn check_state(&self, machine: &Talk) -> Result<(), String> {
        self.talk.check_state(machine)
    }
}

impl Clients {
    fn take(&mut self, user: &str, upto: u64) -> Result<(), String> {
        for (number, from, _) in self.talk.waiting(user).take_while(|(number, ..)| *number <= upto)
        {
            let wire = (user.to_owned(), from.to_owned());
            let before = self.taken.insert(wire, number).unwrap_or(0);
            if number <= before {
                return Err(format!("{user} takes {number} of {from} after {before}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use quorate::machine::StateMachine;
    use quorate::types::Index;
    use quorate_sim::coverage::MARKS;
    use quorate_sim::profile::Profile;
    use quorate_sim::run::{RunOptions, run};
    use quorate_sim::workload::AnyWorkload;

    use super::*;
    use crate::common::talk::message::Session;

    /// Runs these seeds of a profile; says how often each of the marks was reached.
    fn storms(profile: &str, seeds: std::ops::Range<u64>, marks: &[&str]) -> Vec<u32> {
        let profile = Profile::by_name(profile).expect("it is listed");
        let workload = AnyWorkload::new(Clients::default());
        let options = RunOptions { profile, workload, ..RunOptions::default() };
        let mut reached = vec![0; marks.len()];
        for seed in seeds {
            let outcome = run(seed, &options);
            assert!(outcome.failure.is_none(), "seed {seed}: {:?}", outcome.failure);
            for (count, name) in reached.iter_mut().zip(marks) {
                let mark = MARKS.iter().position(|mark| mark.name == *name);
                *count += outcome.marks[mark.expect("it is listed")];
            }
        }
        reached
    }

    #[test]
    fn each_message_is_delivered_once_and_in_order_be_it_sent_for_sure_or_not() {
        let reached = storms("default", 0..20, &["outcome/may-be-lost"]);
        assert!(reached[0] > 0, "nothing was sent as may be lost");
    }

    #[test]
    fn the_last_survivor_loses_nothing() {
        storms("survivor", 0..10, &[]);
    }

    #[test]
    fn a_node_whose_state_machine_errs_is_set_aside_and_rebuilt() {
        let reached =
            storms("validation", 0..10, &["validation/quarantined", "validation/rebuilt"]);
        assert!(reached.iter().all(|count| *count > 0), "{reached:?}");
    }

    #[test]
    fn a_message_that_is_delivered_twice_is_noticed() {
        let mut clients = Clients::default();
        let mut talk = clients.machine();
        let session = Session { user: "user0".to_owned(), token: 1 };
        let send = |text: &str| Command::Send {
            session: session.clone(),
            to: session.user.clone(),
            text: text.to_owned(),
        };
        let create = Command::Create { user: session.user.clone(), id: 1 };
        let mut check = |command: &Command| {
            let command = codec::encode(command);
            let reply = talk.apply(Index(1), &command);
            clients.check_reply(&command, &reply)
        };
        for command in [create, Command::Login(session.clone()), send("7"), send("8")] {
            assert_eq!(check(&command), Ok(()));
        }
        assert_eq!(check(&send("7")), Err("message 7 is sent a second time".to_owned()));
    }
}

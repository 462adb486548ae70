//! Chaos tests of the chat: the faults of the default profile, and crashes with last-survivor
//! takeover: a node continues alone once the others are silent (docs/SURVIVOR.md).

pub use crate::common::messaging::chaos::Clients;

#[cfg(test)]
mod tests {
    use quorate_sim::chaos;
    use quorate_sim::run::{RunOptions, run};
    use quorate_sim::settings::profile::Profile;
    use quorate_sim::workload::AnyWorkload;

    use super::*;

    #[test]
    fn messages_are_delivered_once_and_in_order_in_every_chaos_run() {
        let clients = Clients::default();
        let accepted = clients.accepted();
        let tally = chaos::run(clients, 10..20).unwrap_or_else(|failure| panic!("{failure}"));
        assert!(tally.commands_committed > 0, "no command was committed");
        accepted.assert_min(20);
    }

    #[test]
    fn the_last_survivor_loses_no_message() {
        let profile = Profile::by_name("survivor").expect("the profile exists");
        let clients = Clients::default();
        let accepted = clients.accepted();
        let workload = AnyWorkload::new(clients);
        let options = RunOptions { profile, workload, ..RunOptions::default() };
        let mut committed = 0;
        for seed in 0..10 {
            let outcome = run(seed, &options);
            assert!(outcome.failure.is_none(), "seed {seed}: {:?}", outcome.failure);
            committed += outcome.tally.commands_committed;
        }
        assert!(committed > 0, "no command was committed");
        accepted.assert_min(10);
    }
}

//! The chat in the simulator's storms: of everything, and of crashes with a last survivor.

pub use crate::common::talk::storm::Clients;

#[cfg(test)]
mod tests {
    use quorate_sim::profile::Profile;
    use quorate_sim::run::{RunOptions, run};
    use quorate_sim::storms::storms;
    use quorate_sim::workload::AnyWorkload;

    use super::*;

    #[test]
    fn messages_are_delivered_once_and_in_order_in_every_storm() {
        let tally = storms(Clients::default(), 0..20).unwrap_or_else(|fallen| panic!("{fallen}"));
        assert!(tally.commands_committed > 0, "nothing was asked");
    }

    #[test]
    fn where_silence_is_death_the_last_survivor_loses_nothing() {
        let profile = Profile::by_name("survivor").expect("it is listed");
        let workload = AnyWorkload::new(Clients::default());
        let options = RunOptions { profile, workload, ..RunOptions::default() };
        let mut committed = 0;
        for seed in 0..10 {
            let outcome = run(seed, &options);
            assert!(outcome.failure.is_none(), "seed {seed}: {:?}", outcome.failure);
            committed += outcome.tally.commands_committed;
        }
        assert!(committed > 0, "nothing was asked");
    }
}

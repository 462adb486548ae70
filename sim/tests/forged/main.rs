//! Forged traces for every check: a correct prefix and one wrong event, at which the check must
//! fire and not before. On honest traces no check may fire.

mod campaigns;
mod client;
mod damage;
mod due;
mod echo;
mod effects;
mod election;
mod honest;
mod identity;
mod leader;
mod log;
mod membership;
mod pace;
mod received;
mod recoveries;
mod rest;
mod stage;
mod state;
#[path = "../common/status.rs"]
mod status;
mod suspects;
mod uncertain;
mod upkeep;

use quorate_sim::check::CHECKS;

use crate::stage::Stage;

/// A trace that violates one check at its last event.
pub(crate) struct Forgery {
    /// The id of the check.
    check: &'static str,
    /// The name of the test.
    test: &'static str,
    /// The finding of the check.
    finding: &'static str,
    /// Plays the trace on a stage.
    play: fn(&mut Stage),
    /// Creates the stage for the trace.
    on: fn() -> Stage,
}

impl Forgery {
    /// Plays the trace. The check must fire at the last event, with exactly this finding.
    pub(crate) fn run(&self) {
        let mut stage = (self.on)();
        assert_eq!(stage.violation(), None, "the cluster starts without a violation");
        (self.play)(&mut stage);
        let violation = stage.violation().unwrap_or_else(|| panic!("no check fired"));
        assert_eq!(
            (violation.id, violation.finding.as_str()),
            (self.check, self.finding),
            "the wrong check fired, or the right one with a different finding"
        );
    }
}

/// Defines a test for each forgery, and a list of all forgeries.
macro_rules! forgeries {
    ($($check:ident $test:ident $(on $on:ident)? $finding:literal $play:expr)*) => {
        pub(crate) const FORGERIES: &[$crate::Forgery] = &[$($crate::Forgery {
            check: stringify!($check),
            test: concat!(module_path!(), "::", stringify!($test)),
            finding: $finding,
            play: $play,
            on: $crate::first_of!($($on,)? $crate::stage::Stage::new),
        }),*];
        $(
            #[test]
            fn $test() {
                let name = concat!("::", stringify!($test));
                let forgery = FORGERIES.iter().find(|forgery| forgery.test.ends_with(name));
                forgery.expect("each test is listed").run();
            }
        )*
    };
}

/// Expands to the first of some expressions.
macro_rules! first_of {
    ($first:expr $(, $rest:expr)*) => {
        $first
    };
}

pub(crate) use {first_of, forgeries};

#[test]
fn every_check_has_a_forgery() {
    let lists = [
        election::FORGERIES,
        campaigns::FORGERIES,
        log::FORGERIES,
        membership::FORGERIES,
        identity::FORGERIES,
        client::FORGERIES,
        rest::FORGERIES,
        due::FORGERIES,
        state::FORGERIES,
        damage::FORGERIES,
        suspects::FORGERIES,
        uncertain::FORGERIES,
        leader::FORGERIES,
        upkeep::FORGERIES,
        received::FORGERIES,
        effects::FORGERIES,
        pace::FORGERIES,
        recoveries::FORGERIES,
    ];
    println!("{:<5} {:<22} forged in", "check", "name");
    // The world checks progress by itself, so no event stream can violate it.
    for check in CHECKS.iter().filter(|check| check.name != "progress") {
        let forged = lists.iter().copied().flatten();
        let forged: Vec<_> = forged.filter(|forgery| forgery.check == check.id).collect();
        assert!(!forged.is_empty(), "{} {} has no forgery", check.id, check.name);
        for forgery in forged {
            println!("{:<5} {:<22} {}", check.id, check.name, forgery.test);
        }
    }
}

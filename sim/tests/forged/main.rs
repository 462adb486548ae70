//! Every check is shown a forged trace, an honest one up to its last event, and must fire at that
//! event and not before; and an honest trace, at which none may fire.

mod client;
mod due;
mod echo;
mod election;
mod honest;
mod identity;
mod log;
mod membership;
mod rest;
mod stage;
mod state;
#[path = "../common/status.rs"]
mod status;
mod suspects;

use quorate_sim::check::CHECKS;

use crate::stage::Stage;

/// A trace that breaks one check at its last event.
pub(crate) struct Forgery {
    /// The number of the check.
    number: &'static str,
    /// The name of the test.
    test: &'static str,
    /// What the check says.
    saw: &'static str,
    /// Plays the trace.
    play: fn(&mut Stage),
    /// The cluster it is played on.
    on: fn() -> Stage,
}

impl Forgery {
    /// Plays the trace: the check must fire at the last event, with these words.
    pub(crate) fn run(&self) {
        let mut stage = (self.on)();
        assert_eq!(stage.violation(), None, "the cluster starts without a violation");
        (self.play)(&mut stage);
        let violation = stage.violation().unwrap_or_else(|| panic!("nothing fired"));
        assert_eq!(
            (violation.number, violation.saw.as_str()),
            (self.number, self.saw),
            "the wrong check fired, or with other words"
        );
    }
}

/// Makes a test of each forgery, and a list of them.
macro_rules! forgeries {
    ($($number:ident $test:ident $(on $on:ident)? $saw:literal $play:expr)*) => {
        pub(crate) const FORGERIES: &[$crate::Forgery] = &[$($crate::Forgery {
            number: stringify!($number),
            test: concat!(module_path!(), "::", stringify!($test)),
            saw: $saw,
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

/// The first of some expressions.
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
        log::FORGERIES,
        membership::FORGERIES,
        identity::FORGERIES,
        client::FORGERIES,
        rest::FORGERIES,
        due::FORGERIES,
        state::FORGERIES,
        suspects::FORGERIES,
    ];
    println!("{:<5} {:<22} forged in", "check", "name");
    // Progress is what the world waits for by itself, not what a stream shows.
    for check in CHECKS.iter().filter(|check| check.name != "progress") {
        let forged = lists.iter().copied().flatten();
        let forged: Vec<_> = forged.filter(|forgery| forgery.number == check.number).collect();
        assert!(!forged.is_empty(), "{} {} has no forgery", check.number, check.name);
        for forgery in forged {
            println!("{:<5} {:<22} {}", check.number, check.name, forgery.test);
        }
    }
}

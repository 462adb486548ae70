//! Numbers and failures as people read them.

use std::time::Duration;

use crate::cli::args::Family;
use crate::outcome::Failure;
use crate::profile::Profile;
use crate::rung::Rung;

/// What a failure says, in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// `safety`, `liveness`, `panic`, `nondeterminism` or `stalled`.
    pub(crate) kind: &'static str,
    /// The check by number and name, `S1 election-safety`; the kind again where no check fired.
    pub(crate) check: String,
    /// What was seen.
    pub(crate) saw: String,
    /// When in simulated time, if known: `1.204310`.
    pub(crate) at: Option<String>,
    /// Where the sources say so, if known: `sim/src/check/election.rs:41`.
    pub(crate) place: Option<String>,
}

impl Finding {
    /// Takes a failure apart.
    pub(crate) fn of(failure: &Failure) -> Finding {
        match failure {
            Failure::Safety(violation) | Failure::Liveness(violation) => Finding {
                kind: if matches!(failure, Failure::Safety(_)) { "safety" } else { "liveness" },
                check: format!("{} {}", violation.number, violation.check),
                saw: violation.saw.clone(),
                at: Some(violation.at.to_string()),
                place: Some(violation.place.clone()),
            },
            Failure::Panic(saw) => Finding::unchecked("panic", saw),
            Failure::Nondeterminism(saw) => Finding::unchecked("nondeterminism", saw),
            Failure::Stalled(saw) => Finding::unchecked("stalled", saw),
        }
    }

    fn unchecked(kind: &'static str, saw: &str) -> Finding {
        let place = place(saw).map(str::to_owned);
        Finding { kind, check: kind.to_owned(), saw: saw.to_owned(), at: None, place }
    }
}

/// The place in the sources that a panic's text ends with: `… at src/raft/leader.rs:41`.
fn place(saw: &str) -> Option<&str> {
    let place = saw.rsplit_once(" at ")?.1;
    let (file, line) = place.rsplit_once(':')?;
    (file.ends_with(".rs") && line.bytes().all(|byte| byte.is_ascii_digit())).then_some(place)
}

/// The command line that runs a seed again.
pub(crate) fn replay_line(program: &str, seed: u64, family: Family) -> String {
    let mut line = format!("{program} --seed {seed}");
    if family.profile != <&Profile>::default() {
        line.push_str(&format!(" --profile {}", family.profile.name));
    }
    if family.rung != Rung::default() {
        line.push_str(&format!(" --rung {}", family.rung.name()));
    }
    line
}

/// A whole number with commas between thousands: `1,204,310`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `count` things by name: `1 seed`, `2,000 seeds`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// A span in the unit that suits it: `0.350 s`, `48.2 s`, `5.0 min`, `16.7 h`.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    match seconds {
        0.0..10.0 => format!("{seconds:.3} s"),
        10.0..120.0 => format!("{seconds:.1} s"),
        120.0..7200.0 => format!("{:.1} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

/// How many per second of `span`, in whole numbers; 0 if no time has passed.
pub(crate) fn rate(count: u64, span: Duration) -> u64 {
    let nanos = span.as_nanos();
    let per_second = u128::from(count) * 1_000_000_000;
    per_second.checked_div(nanos).and_then(|rate| u64::try_from(rate).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Violation;
    use crate::time::SimTime;

    #[test]
    fn numbers_are_grouped() {
        let cases = [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")];
        for (number, text) in cases {
            assert_eq!(grouped(number), text);
        }
        assert_eq!((counted(1, "seed"), counted(2, "seed")), ("1 seed".into(), "2 seeds".into()));
    }

    #[test]
    fn spans_pick_their_unit() {
        let cases = [(350, "0.350 s"), (48_200, "48.2 s"), (300_000, "5.0 min")];
        for (millis, text) in cases {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
        assert_eq!(span(Duration::from_secs(60_120)), "16.7 h");
        assert_eq!(rate(10, Duration::from_millis(500)), 20);
        assert_eq!(rate(10, Duration::ZERO), 0);
    }

    #[test]
    fn findings_name_the_check() {
        let violation = Violation {
            number: "S1",
            check: "election-safety",
            saw: "two leaders".to_owned(),
            at: SimTime(1_500_000),
            place: "check.rs:7".to_owned(),
        };
        let finding = Finding::of(&Failure::Safety(violation));
        assert_eq!((finding.kind, finding.check.as_str()), ("safety", "S1 election-safety"));
        assert_eq!(finding.at.as_deref(), Some("0.001500"));
        let finding = Finding::of(&Failure::Panic("a".to_owned()));
        assert_eq!((finding.check.as_str(), finding.saw.as_str()), ("panic", "a"));
    }

    #[test]
    fn a_finding_has_a_place_where_it_is_known() {
        let place = |saw: &str| Finding::of(&Failure::Panic(saw.to_owned())).place;
        let known = place("no quorum at src/raft/mod.rs:41");
        assert_eq!(known.as_deref(), Some("src/raft/mod.rs:41"));
        assert_eq!(place("two leaders at 5:00"), None);
        assert_eq!(place("no place"), None);
    }

    #[test]
    fn the_replay_line_names_any_other_profile() {
        let calm = Profile::by_name("calm").expect("it exists");
        let usual = Family::default();
        assert_eq!(replay_line("cargo sim", 7, usual), "cargo sim --seed 7");
        let other = Family { profile: calm, rung: Rung::Swarm };
        let line = replay_line("cargo storm", 7, other);
        assert_eq!(line, "cargo storm --seed 7 --profile calm --rung swarm");
    }
}

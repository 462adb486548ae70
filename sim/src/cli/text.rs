//! Text for people: failures, replay lines, numbers and durations.

use std::time::Duration;

use indicatif::HumanCount;

use crate::cli::run_arguments::SeedOptions;
use crate::observe::outcome::Failure;
use crate::settings::profile::Profile;
use crate::settings::strategy::Strategy;

/// A failure, split into the parts that reports show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// `safety`, `liveness`, `panic`, `simulator`, `nondeterminism` or `stalled`.
    pub(crate) kind: &'static str,
    /// The check by id and name, `S1 election-safety`; the kind again where no check fired.
    pub(crate) check: String,
    /// The observed violation, or the panic message.
    pub(crate) detail: String,
    /// The simulated time of the violation in seconds, `1.204310`; `None` for other failures.
    pub(crate) at: Option<String>,
    /// The source location of the check or the panic, `sim/src/check/election.rs:41`, if known.
    pub(crate) location: Option<String>,
}

impl Finding {
    /// Returns the parts of a failure.
    pub(crate) fn of(failure: &Failure) -> Finding {
        match failure {
            Failure::Safety(violation) | Failure::Liveness(violation) => Finding {
                kind: if matches!(failure, Failure::Safety(_)) { "safety" } else { "liveness" },
                check: format!("{} {}", violation.id, violation.check),
                detail: violation.finding.clone(),
                at: Some(violation.at.to_string()),
                location: Some(violation.place.clone()),
            },
            Failure::Panic(text) => Finding::unchecked("panic", text),
            Failure::Simulator(text) => Finding::unchecked("simulator", text),
            Failure::Nondeterminism(text) => Finding::unchecked("nondeterminism", text),
            Failure::Stalled(text) => Finding::unchecked("stalled", text),
        }
    }

    fn unchecked(kind: &'static str, text: &str) -> Finding {
        let location = location_in(text).map(str::to_owned);
        Finding { kind, check: kind.to_owned(), detail: text.to_owned(), at: None, location }
    }

    /// Returns the kind of the failure in words: `safety check S1 election-safety failed`.
    pub(crate) fn title(&self) -> String {
        match self.kind {
            "panic" => "panic".to_owned(),
            "simulator" => "the simulator itself panicked".to_owned(),
            "nondeterminism" => "two runs of the seed differ".to_owned(),
            "stalled" => "simulated time does not advance".to_owned(),
            kind => format!("{kind} check {} failed", self.check),
        }
    }
}

/// Returns the source location at the end of a panic message: `… at src/raft/leader.rs:41`.
fn location_in(text: &str) -> Option<&str> {
    let location = text.rsplit_once(" at ")?.1;
    let (file, line) = location.rsplit_once(':')?;
    (file.ends_with(".rs") && line.bytes().all(|byte| byte.is_ascii_digit())).then_some(location)
}

/// Returns the command line that replays a seed; default options are left out.
pub(crate) fn replay_line(program: &str, seed: u64, seed_options: SeedOptions) -> String {
    let mut line = format!("{program} --seed {seed}");
    if seed_options.profile != <&Profile>::default() {
        line.push_str(&format!(" --profile {}", seed_options.profile.name));
    }
    if seed_options.strategy != Strategy::default() {
        line.push_str(&format!(" --strategy {}", seed_options.strategy.name()));
    }
    line
}

/// Formats a number with commas between thousands: `1,204,310`.
pub(crate) fn grouped(number: u64) -> String {
    HumanCount(number).to_string()
}

/// Formats a count with its noun: `1 seed`, `2,000 seeds`.
pub(crate) fn quantity(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// Formats a duration in a readable unit: `0.350 s`, `48.2 s`, `5.0 min`, `16.7 h`.
pub(crate) fn duration(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    match seconds {
        0.0..10.0 => format!("{seconds:.3} s"),
        10.0..120.0 => format!("{seconds:.1} s"),
        120.0..7200.0 => format!("{:.1} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

/// Returns `count` per second of `span`, rounded down; 0 if the span is zero.
pub(crate) fn rate(count: u64, span: Duration) -> u64 {
    let nanos = span.as_nanos();
    let per_second = u128::from(count) * 1_000_000_000;
    per_second.checked_div(nanos).and_then(|rate| u64::try_from(rate).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Violation;
    use crate::values::time::SimTime;

    #[test]
    fn numbers_are_grouped() {
        let cases = [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")];
        for (number, text) in cases {
            assert_eq!(grouped(number), text);
        }
        assert_eq!((quantity(1, "seed"), quantity(2, "seed")), ("1 seed".into(), "2 seeds".into()));
    }

    #[test]
    fn durations_have_a_readable_unit() {
        let cases = [(350, "0.350 s"), (48_200, "48.2 s"), (300_000, "5.0 min")];
        for (millis, text) in cases {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
        assert_eq!(duration(Duration::from_secs(60_120)), "16.7 h");
        assert_eq!(rate(10, Duration::from_millis(500)), 20);
        assert_eq!(rate(10, Duration::ZERO), 0);
    }

    #[test]
    fn a_finding_names_the_check() {
        let violation = Violation {
            id: "S1",
            check: "election-safety",
            finding: "two leaders".to_owned(),
            at: SimTime(1_500_000),
            place: "check.rs:7".to_owned(),
        };
        let finding = Finding::of(&Failure::Safety(violation));
        assert_eq!((finding.kind, finding.check.as_str()), ("safety", "S1 election-safety"));
        assert_eq!(finding.at.as_deref(), Some("0.001500"));
        let finding = Finding::of(&Failure::Panic("a".to_owned()));
        assert_eq!((finding.check.as_str(), finding.detail.as_str()), ("panic", "a"));
    }

    #[test]
    fn a_panic_has_the_source_location_of_its_message() {
        let location = |text: &str| Finding::of(&Failure::Panic(text.to_owned())).location;
        let known = location("no quorum at src/raft/mod.rs:41");
        assert_eq!(known.as_deref(), Some("src/raft/mod.rs:41"));
        assert_eq!(location("two leaders at 5:00"), None);
        assert_eq!(location("no location"), None);
    }

    #[test]
    fn the_replay_line_names_options_that_are_not_default() {
        let no_faults = Profile::by_name("no-faults").expect("the profile exists");
        let default = SeedOptions::default();
        assert_eq!(replay_line("cargo sim", 7, default), "cargo sim --seed 7");
        let other = SeedOptions { profile: no_faults, strategy: Strategy::Swarm };
        let line = replay_line("cargo chaos", 7, other);
        assert_eq!(line, "cargo chaos --seed 7 --profile no-faults --strategy swarm");
    }
}

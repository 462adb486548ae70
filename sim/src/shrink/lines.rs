//! Simpler forms of scenario lines. These functions do not know the meaning of a line: every result
//! is parsed again, and invalid scenarios are discarded.

use std::time::Duration;

use quorate::types::parse_duration;

use crate::scenario::ROWS;
use crate::values::words::{Exact, Words, nodes_in, number_of};

/// The settings of durations that rescaling removes, so that their defaults apply.
const TIMES: [&str; 11] = [
    "heartbeat",
    "election timeout",
    "commit delay",
    "validation period",
    "latency",
    "flush",
    "report delay",
    "batch time",
    "gather",
    "think time",
    "request timeout",
];

/// The settings of the algorithm, and the settings of random faults.
const SETTING_GROUPS: [&[&str]; 2] = [
    &[
        "learners",
        "spares",
        "bootstrap",
        "priorities",
        "pre-vote",
        "check-quorum",
        "stickiness",
        "casting-vote",
        "suspension",
        "survivor",
        "lease",
        "clock error",
        "drift max",
        "clocks stop",
        "machine checkpoint",
    ],
    &["loss", "duplicates", "delays", "lag", "torn steps", "faults"],
];

/// The beginning of a line with a request and its expected answer. The line ends with the time.
const EXPECTED: &str = "expect ";

/// The words that describe the word after them, and are removed together with it.
const PAIRED_WORDS: [&str; 4] = ["from", "to", "for", "delay"];

/// Whether a line belongs to the plan. A request with an expected answer does, and a scenario that
/// is shrunk has no other expectations.
pub(super) fn is_planned(line: &str) -> bool {
    ["at ", "from ", "to ", "when ", "whenever ", EXPECTED].iter().any(|it| line.starts_with(it))
}

/// Whether a line sets this setting, and not one with a longer name.
pub(super) fn sets(line: &str, setting: &str) -> bool {
    let named = |name: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' '));
    let longer = ROWS.iter().filter(|row| row.name.len() > setting.len());
    named(setting) && !longer.clone().any(|row| named(row.name))
}

/// The lines of the plan, the seed, the number of voters and the fault phase, with the first `kept`
/// groups of settings: those of the algorithm, and those of random faults.
pub(super) fn without_settings(lines: &[String], kept: usize) -> Vec<String> {
    let always = ["seed", "nodes", "fault phase"];
    let settings = always.iter().chain(SETTING_GROUPS[..kept].iter().copied().flatten());
    let settings: Vec<&str> = settings.copied().collect();
    let stays =
        |line: &&String| is_planned(line) || settings.iter().any(|setting| sets(line, setting));
    lines.iter().filter(stays).cloned().collect()
}

/// The time and the seed of a line that reseeds the run.
fn parse_reseed(line: &str) -> Option<(Duration, &str)> {
    let (micros, seed) = line.strip_prefix("choose Reseed/0.0/0/")?.split_once(" = ")?;
    Some((Duration::from_micros(micros.parse().ok()?), seed))
}

/// A reseed line moved to another time, rounded up to the next microsecond.
fn move_reseed(line: &str, time: impl Fn(Duration) -> Duration) -> Option<String> {
    let (at, seed) = parse_reseed(line)?;
    let micros = time(at).as_nanos().div_ceil(1_000);
    Some(format!("choose Reseed/0.0/0/{micros} = {seed}"))
}

/// The time before which a line has no effect.
pub(super) fn start_time(line: &str) -> Duration {
    if let Some((at, _)) = parse_reseed(line) {
        return at;
    }
    let expected = line.rsplit_once(" at ").filter(|_| line.starts_with(EXPECTED));
    if let Some((_, at)) = expected {
        return parse_duration(at).unwrap_or_default();
    }
    let mut words = Words::of(line, 1);
    let timed = words.accept("at") || words.accept("from");
    let time = timed.then(|| words.duration().ok()).flatten();
    time.unwrap_or_default()
}

/// The lines with the plan sorted by start time.
pub(super) fn in_order(lines: &[String]) -> Vec<String> {
    let mut lines = lines.to_vec();
    lines.sort_by_key(|line| is_planned(line).then(|| start_time(line)));
    lines
}

/// The lines with another seed.
pub(super) fn reseeded(lines: &[String], seed: u64) -> Vec<String> {
    let rest = lines.iter().filter(|line| !sets(line, "seed")).cloned();
    std::iter::once(format!("seed {seed}")).chain(rest).collect()
}

/// The lines without duration settings, and with the plan scaled by the ratio of the two timeouts.
pub(super) fn rescaled(lines: &[String], from: Duration, to: Duration) -> Vec<String> {
    let scale = |time: Duration| {
        let nanos = time.as_nanos() * to.as_nanos() / from.as_nanos().max(1);
        // Whole milliseconds are easier to read; shorter times stay exact.
        let millis = Duration::from_millis((nanos / 1_000_000) as u64);
        if millis.is_zero() { Duration::from_nanos(nanos as u64) } else { millis }
    };
    let kept = lines.iter().filter(|line| !TIMES.iter().any(|time| sets(line, time)));
    let keeps_pace = |line: &str| {
        is_planned(line)
            || ["fault phase", "survivor", "suspension"].iter().any(|it| sets(line, it))
    };
    kept.map(|line| match keeps_pace(line) {
        true => {
            map_words(line, |word| parse_duration(word).map(|time| Exact(scale(time)).to_string()))
        }
        false => move_reseed(line, scale).unwrap_or_else(|| line.clone()),
    })
    .collect()
}

/// The lines with gaps in the plan shortened to `idle`; everything after a longer gap, including
/// the end of the fault phase, moves earlier by the difference.
pub(super) fn with_idle_time_max(lines: &[String], idle: Duration) -> Vec<String> {
    let mut begun: Vec<Duration> =
        lines.iter().filter(|line| is_planned(line)).map(|line| start_time(line)).collect();
    begun.sort_unstable();
    // The amount by which everything from each time on moves earlier.
    let mut saved = vec![(Duration::ZERO, Duration::ZERO)];
    for time in begun {
        let (last, so_far) = *saved.last().expect("the list starts with one element");
        saved.push((time, so_far + (time - last).saturating_sub(idle)));
    }
    let earlier = |time: Duration| {
        let reached = saved.iter().rev().find(|(from, _)| *from <= time);
        time - reached.map_or(Duration::ZERO, |(_, saved)| *saved)
    };
    lines.iter().map(|line| move_times(line, earlier)).collect()
}

/// The line with its times moved and its durations unchanged.
fn move_times(line: &str, time: impl Fn(Duration) -> Duration) -> String {
    if let Some(line) = move_reseed(line, &time) {
        return line;
    }
    let mut words = words(line);
    // Times come before the trigger: after it, `to` is followed by a node or an address. Without a
    // trigger, a time is the second word, or anywhere in a request with an expected answer.
    let end_without_trigger = if line.starts_with(EXPECTED) { words.len() } else { 2 };
    let trigger = words.iter().position(|word| word.starts_with("when"));
    let times_end = trigger.unwrap_or(end_without_trigger);
    let is_fault_phase = sets(line, "fault phase");
    for at in 1..words.len() {
        let is_time =
            is_fault_phase || at <= times_end && ["at", "from", "to"].contains(&&*words[at - 1]);
        if let Some(old) =
            parse_duration(&words[at]).filter(|_| is_time && (is_fault_phase || is_planned(line)))
        {
            words[at] = Exact(time(old)).to_string();
        }
    }
    joined(words.iter().map(String::as_str))
}

/// All lines that are simpler than this one by one step, the largest step first.
pub(super) fn simpler(line: &str) -> Vec<String> {
    let words = words(line);
    let without = |from: usize, to: usize| {
        let kept = words.iter().enumerate().filter(|(at, _)| !(from..to).contains(at));
        joined(kept.map(|(_, word)| word.as_str()))
    };
    let mut lines = Vec::new();
    for (at, word) in words.iter().enumerate() {
        lines.extend(PAIRED_WORDS.contains(&word.as_str()).then(|| without(at, at + 2)));
    }
    for (at, word) in words.iter().enumerate().skip(1) {
        lines.extend((word != ",").then(|| without(at, at + 1)));
    }
    for (at, word) in words.iter().enumerate() {
        for form in round_forms(word) {
            let mut words = words.clone();
            words[at] = form;
            lines.push(joined(words.iter().map(String::as_str)));
        }
    }
    if words.iter().any(|word| word == "whenever") {
        let once = words.iter().filter(|word| !word.starts_with("times="));
        let once = joined(once.map(String::as_str));
        lines.insert(0, once.replacen("whenever", "when", 1));
    }
    lines
}

/// The lines of a cluster without node `gone`: the later nodes are renumbered, and operations that
/// name it are removed.
pub(super) fn without_node(lines: &[String], gone: u64) -> Vec<String> {
    let names_it = |line: &String| {
        is_planned(line) && words(line).iter().flat_map(|word| nodes_in(word)).any(|n| n.0 == gone)
    };
    let moved = |line: &String| match is_planned(line) {
        true => map_words(line, |word| Some(renumbered(word, gone))),
        false => line.clone(),
    };
    lines.iter().filter(|line| !names_it(line)).map(moved).collect()
}

/// The word with the number of each node after `gone` lowered by one.
fn renumbered(word: &str, gone: u64) -> String {
    let (named, address) = match word.split_once('@') {
        Some((named, address)) => (named, format!("@{address}")),
        None => (word, String::new()),
    };
    let parts = named.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
    let parts = parts.map(|part| {
        let end = part.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(part.len());
        match crate::values::words::node(&part[..end]) {
            Some(node) if node.0 > gone => format!("n{}{}", node.0 - 1, &part[end..]),
            _ => part.to_owned(),
        }
    });
    parts.chain([address]).collect()
}

/// Rounder forms of a word that is a duration, a range of durations or a named number.
fn round_forms(word: &str) -> Vec<String> {
    if let Some((name, number)) = word.split_once('=') {
        let Some(number) = number_of(number).filter(|number| *number > 1) else {
            return Vec::new();
        };
        let smaller = [1, number / 2, number - 1];
        return smaller.iter().map(|less| format!("{name}={less}")).collect();
    }
    let Some(times) = word.split("..").map(parse_duration).collect::<Option<Vec<_>>>() else {
        return Vec::new();
    };
    let exact: Vec<String> = times.iter().map(|time| Exact(*time).to_string()).collect();
    let mut forms = Vec::new();
    for digits in 1..=2 {
        for up in [false, true] {
            let round = |time: &Duration| Exact(rounded(*time, digits, up)).to_string();
            let form: Vec<String> = times.iter().map(round).collect();
            if form.concat().len() < exact.concat().len() {
                forms.push(form.join(".."));
            }
        }
    }
    forms
}

/// The duration rounded down or up to this many significant digits.
fn rounded(time: Duration, digits: u32, up: bool) -> Duration {
    let nanos = time.as_nanos() as u64;
    let unit = 10u64.pow(nanos.checked_ilog10().unwrap_or(0).saturating_sub(digits - 1));
    let whole = if up { nanos.div_ceil(unit) } else { nanos / unit };
    Duration::from_nanos(whole.saturating_mul(unit))
}

fn words(line: &str) -> Vec<String> {
    let mut rest = Words::of(line, 1);
    std::iter::from_fn(|| rest.word("a word").ok().map(str::to_owned)).collect()
}

fn joined<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let mut line = String::new();
    for word in words {
        line.push_str(if line.is_empty() || word == "," { "" } else { " " });
        line.push_str(word);
    }
    line
}

/// The line with each word replaced by the result of `change`, if there is one.
fn map_words(line: &str, change: impl Fn(&str) -> Option<String>) -> String {
    let words: Vec<String> =
        words(line).into_iter().map(|word| change(&word).unwrap_or(word)).collect();
    joined(words.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use crate::run::{Case, RunOptions};
    use crate::scenario::Scenario;

    use super::*;

    fn strings(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn a_line_becomes_simpler_in_single_steps() {
        let line =
            "from 1.2s whenever n3 goes down times=3 delay 1.234ms, crash it keep=part for 90ms";
        let forms = simpler(line);
        for form in [
            "from 1.2s when n3 goes down delay 1.234ms, crash it keep=part for 90ms",
            "whenever n3 goes down times=3 delay 1.234ms, crash it keep=part for 90ms",
            "from 1.2s whenever n3 goes down times=3 delay 1.234ms, crash it keep=part",
            "from 1.2s whenever n3 goes down times=3 delay 1.234ms, crash it for 90ms",
            "from 1.2s whenever n3 goes down times=3 delay 1ms, crash it keep=part for 90ms",
            "from 1s whenever n3 goes down times=3 delay 1.234ms, crash it keep=part for 90ms",
        ] {
            assert!(forms.contains(&form.to_owned()), "{form}: {forms:#?}");
        }
        assert!(simpler("latency 1.333ms..2.1ms").contains(&"latency 1ms..2ms".to_owned()));
        assert!(!simpler("latency 1ms").contains(&"latency 1ms".to_owned()));
    }

    #[test]
    fn a_reseed_moves_with_the_plan() {
        let lines =
            strings(&["fault phase 2s", "choose Reseed/0.0/0/1000000 = 7", "at 1s crash n1"]);
        let second = Duration::from_secs(1);
        assert_eq!((start_time(&lines[1]), start_time(&lines[2])), (second, second));
        let halved = rescaled(&lines, second, second / 2);
        assert_eq!(
            halved,
            ["fault phase 1s", "choose Reseed/0.0/0/500000 = 7", "at 500ms crash n1"]
        );
        let shortened = with_idle_time_max(&lines, second / 10);
        assert_eq!(shortened[1..], ["choose Reseed/0.0/0/100000 = 7", "at 100ms crash n1"]);
    }

    #[test]
    fn the_plan_is_sorted_after_the_settings() {
        let lines = ["at 2s crash n1", "nodes 3", "at 90ms heal", "when n2 leads, crash it"];
        let ordered = in_order(&strings(&lines));
        assert_eq!(ordered, ["nodes 3", "when n2 leads, crash it", "at 90ms heal", lines[0]]);
    }

    #[test]
    fn every_simpler_form_is_invalid_or_reads_back() {
        let options = RunOptions::default();
        let mut read = 0;
        for seed in 0..8 {
            let case = Case::draw(seed, &options);
            for line in Scenario::of(case, Vec::new(), &options.workload).lines() {
                for form in simpler(&line) {
                    // Eleven nodes, so that every node in a drawn plan exists.
                    let text = format!("{form}\nspares 4\nlearners 4\n");
                    let Ok(scenario) = Scenario::read(&text, &options.workload) else { continue };
                    let again = Scenario::read(&scenario.to_string(), &options.workload);
                    assert_eq!(again.as_ref(), Ok(&scenario), "{form}");
                    read += 1;
                }
            }
        }
        assert!(read > 500, "only {read} of all forms are valid");
    }

    #[test]
    fn a_request_with_an_expected_answer_moves_with_the_plan() {
        let lines = strings(&[
            "fault phase 9s",
            "at 2s crash n1",
            "expect get key=value via n3 at 4s",
            "expect no answer to put key=value via n2 at 5s",
        ]);
        let (from, to) = (Duration::from_millis(600), Duration::from_millis(300));
        assert_eq!(
            rescaled(&lines, from, to)[2..],
            [
                "expect get key=value via n3 at 2s",
                "expect no answer to put key=value via n2 at 2.5s"
            ]
        );
        assert_eq!(
            with_idle_time_max(&lines, Duration::from_millis(500))[1..],
            [
                "at 500ms crash n1",
                "expect get key=value via n3 at 1s",
                "expect no answer to put key=value via n2 at 1.5s"
            ]
        );
        assert_eq!(
            without_node(&lines, 2),
            ["fault phase 9s", "at 2s crash n1", "expect get key=value via n2 at 4s"]
        );
    }

    #[test]
    fn nodes_after_a_removed_node_are_renumbered() {
        let lines = strings(&[
            "nodes 5",
            "at 1s crash n3",
            "at 1s split n1 n4",
            "at 1s only n1-n5 n2-n4",
            "at 1s change leader +n4 n5!200 n4@n9",
        ]);
        assert_eq!(
            without_node(&lines, 3),
            [
                "nodes 5",
                "at 1s split n1 n3",
                "at 1s only n1-n4 n2-n3",
                "at 1s change leader +n3 n4!200 n3@n9"
            ]
        );
    }

    #[test]
    fn the_plan_scales_with_the_timeouts() {
        let lines = strings(&[
            "seed 3",
            "election timeout 300ms..600ms",
            "survivor after 4s",
            "at 1s block outbound n1 for 90ms",
        ]);
        let (from, to) = (Duration::from_millis(600), Duration::from_millis(300));
        let faster = ["seed 3", "survivor after 2s", "at 500ms block outbound n1 for 45ms"];
        assert_eq!(rescaled(&lines, from, to), faster);
        assert_eq!(reseeded(&lines, 4)[..2], ["seed 4", "election timeout 300ms..600ms"]);
    }

    #[test]
    fn only_the_chosen_groups_of_settings_are_kept() {
        let lines = strings(&["nodes 3", "pre-vote off", "flush bytes 4096", "loss 3 in 1000"]);
        assert_eq!(without_settings(&lines, 0), ["nodes 3"]);
        assert_eq!(without_settings(&lines, 1), ["nodes 3", "pre-vote off"]);
        assert_eq!(without_settings(&lines, 2), ["nodes 3", "pre-vote off", "loss 3 in 1000"]);
        assert!(!sets("flush bytes 4096", "flush") && sets("flush 1ms", "flush"));
    }

    #[test]
    fn idle_time_in_the_plan_is_shortened() {
        let lines = strings(&[
            "nodes 3",
            "fault phase 9s",
            "at 2s block outbound n1 for 3s",
            "from 2.1s to 4s when n3 goes down delay 1s, transfer n1 to n2",
            "at 7s crash n2",
        ]);
        let expected = [
            "nodes 3",
            "fault phase 3.1s",
            "at 500ms block outbound n1 for 3s",
            "from 600ms to 2.5s when n3 goes down delay 1s, transfer n1 to n2",
            "at 1.1s crash n2",
        ];
        assert_eq!(with_idle_time_max(&lines, Duration::from_millis(500)), expected);
        assert_eq!(with_idle_time_max(&strings(&expected), Duration::from_millis(500)), expected);
    }

    #[test]
    fn durations_are_rounded_down_and_up() {
        let time = Duration::from_micros(1_851_234);
        assert_eq!(rounded(time, 1, false), Duration::from_secs(1));
        assert_eq!(rounded(time, 2, true), Duration::from_millis(1_900));
        assert_eq!(rounded(Duration::ZERO, 1, true), Duration::ZERO);
        let longest = Duration::from_nanos(u64::MAX);
        assert_eq!(rounded(longest, 1, true), longest);
    }
}

//! The first event of a run that a planted bug changed, and whether an explanation names it.

use crate::cli::difference::first_difference;

/// The first event of a run with a bug that differs from the run of the same seed without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FirstEffect {
    /// The simulated time of the event in seconds, as recordings print it.
    pub(crate) at: String,
    /// The node of the event; for a client's event, the last node with an event at that time; for a
    /// failure, the node that its finding names first. `None` if there is none.
    pub(crate) node: Option<String>,
}

impl FirstEffect {
    /// Compares two recorded runs, each as the lines that `cargo sim record` writes. `None` if they
    /// are equal.
    pub(crate) fn of(with_bug: &[String], without_bug: &[String]) -> Option<FirstEffect> {
        let place = first_difference(with_bug, without_bug)?;
        // If the bug only ends the run, the run has no event at that place.
        let (last, earlier) = with_bug[..with_bug.len().min(place + 1)].split_last()?;
        let (at, node) = time_and_node(last);
        let at_that_time = earlier.iter().rev().map(|line| time_and_node(line));
        let mut nodes = at_that_time.take_while(|(time, _)| *time == at).map(|(_, node)| node);
        let node = named_in_failure(last).or(node).or_else(|| nodes.find_map(|node| node));
        Some(FirstEffect { at: at.to_owned(), node: node.map(str::to_owned) })
    }

    /// Whether the cause of the explanation names the node of the effect.
    pub(crate) fn is_node_named(&self, explanation: &str) -> bool {
        let cause = explanation.lines().rev().find_map(|line| line.strip_prefix("cause: "));
        let mut words = cause.unwrap_or_default().split(|letter: char| !letter.is_alphanumeric());
        self.node.as_deref().is_some_and(|node| words.any(|word| word == node))
    }

    /// Whether one of the events of the explanation is at the time of the effect.
    pub(crate) fn is_time_named(&self, explanation: &str) -> bool {
        let times = explanation.lines().filter_map(|line| line.trim_start().split_once(" s  #"));
        times.map(|(time, _)| time).any(|time| time == self.at)
    }
}

/// Returns the time of a recorded event, and its node. A line has the number of the event, its
/// time, the status or only the name of its node, and its text; two spaces separate the columns.
fn time_and_node(line: &str) -> (&str, Option<&str>) {
    let time = line.split_whitespace().nth(1).unwrap_or_default();
    let rest = line.split_once(time).map_or("", |(_, rest)| rest);
    let subject = rest.strip_prefix("  ").filter(|subject| !subject.starts_with(' '));
    (time, subject.and_then(|subject| subject.split_whitespace().next()))
}

/// The node that the finding of a failure names first, if the line is a failure. The status in such
/// a line belongs to the node of the event before, which need not be the node that failed.
fn named_in_failure(line: &str) -> Option<&str> {
    let (_, finding) = line.split_once("  FAILED: ")?;
    finding.split(|letter: char| !letter.is_ascii_alphanumeric()).find(|word| {
        let number = word.strip_prefix('n').unwrap_or_default();
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    const RUN: &str = "\
#1        0.000000  n1  follower       t0   0/0/0/0                  starts
#2        0.087901  n3  follower       t1   0/0/0/0                  takes packet 7
#3        0.087901                                         the client receives a rejection
#4        0.088030  n2                                     crashes";

    #[test]
    fn the_first_effect_is_the_first_event_that_differs() {
        let run = lines(RUN);
        assert_eq!(FirstEffect::of(&run, &run), None);
        let of = |change: &str, place: usize| {
            let mut other = run.clone();
            other[place] = change.to_owned();
            FirstEffect::of(&run, &other).map(|effect| (effect.at, effect.node))
        };
        let effect = |at: &str, node: &str| Some((at.to_owned(), Some(node.to_owned())));
        assert_eq!(of("other", 1), effect("0.087901", "n3"));
        assert_eq!(of("other", 2), effect("0.087901", "n3"), "the node that answers the client");
        assert_eq!(of("other", 3), effect("0.088030", "n2"));
        let ended = FirstEffect::of(&run[..2], &run).expect("one run is shorter");
        assert_eq!(ended.at, "0.087901", "the last event before the bug ends the run");
        let failed = "#3        0.088030  n2  follower       t1   0/0/0/0    FAILED: S53 \
                      snapshot at 0.088030 s: n3 takes a snapshot up to 4@t1, and n1 does not";
        let failing = [&run[..2], &[failed.to_owned()]].concat();
        let failure = FirstEffect::of(&failing, &run).expect("the bug fails the run");
        assert_eq!(failure.node.as_deref(), Some("n3"));
        let client = lines("#1        0.000000                                         the end");
        let alone = FirstEffect::of(&client, &run).expect("they differ");
        assert_eq!(alone.node, None);
    }

    #[test]
    fn an_explanation_names_the_effect_by_node_and_by_time() {
        let explanation = "\
S4 vote-before-grant at 0.088030 s: n3 sends its vote

  0.087901 s  #148    n1 sends n3 its RequestVote in term t1

cause: n3 sends its vote for n13 before it is durable
";
        let effect =
            |at: &str, node: &str| FirstEffect { at: at.to_owned(), node: Some(node.to_owned()) };
        assert!(effect("0.087901", "n3").is_node_named(explanation));
        assert!(!effect("0.087901", "n1").is_node_named(explanation), "only an event names it");
        assert!(effect("0.087901", "n3").is_time_named(explanation));
        assert!(!effect("0.0879", "n3").is_time_named(explanation));
        let unknown = FirstEffect { at: "0.087901".to_owned(), node: None };
        assert!(!unknown.is_node_named(explanation));
    }
}

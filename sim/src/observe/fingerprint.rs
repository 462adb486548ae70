//! Fingerprints of failures: the violated check, and the shape of the evidence.

use std::fmt;

use crate::observe::outcome::Failure;
use crate::values::digest::of_bytes;

/// The kind of a failure, without its numbers. Runs that fail in the same way have the same
/// fingerprint, in every build of the same sources.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint {
    /// The id of the check, for example `S1`, or `panic`, `simulator`, `stall`, `nondeterminism` or
    /// `failure`.
    kind: &'static str,
    /// The evidence, without the parts that differ from run to run.
    shape: String,
}

/// The maximum number of words of a sentence that make up its shape.
const WORDS_MAX: usize = 16;

impl Fingerprint {
    /// Returns the fingerprint of a failure. The fingerprint of a panic includes its source
    /// position, if it is known.
    #[must_use]
    pub fn of(failure: &Failure) -> Fingerprint {
        match failure {
            Failure::Safety(violation) | Failure::Liveness(violation) => {
                Fingerprint { kind: violation.id, shape: shape(&violation.finding) }
            }
            Failure::Panic(text) => Fingerprint { kind: "panic", shape: shape_of_panic(text) },
            Failure::Simulator(text) => {
                Fingerprint { kind: "simulator", shape: shape_of_panic(text) }
            }
            // The differing or repeated events do not show the cause.
            Failure::Nondeterminism(_) => {
                Fingerprint { kind: "nondeterminism", shape: String::new() }
            }
            Failure::Stalled(_) => Fingerprint { kind: "stall", shape: String::new() },
        }
    }

    /// Returns the fingerprint of a failure in one sentence, such as `n2 panicked: no quorum`: of
    /// the part before the first colon, and of the evidence after it.
    #[must_use]
    pub fn of_sentence(sentence: &str) -> Fingerprint {
        let (subject, evidence) = sentence.split_once(": ").unwrap_or((sentence, ""));
        let shape = format!("{}: {}", shape(subject), shape_of_panic(evidence));
        Fingerprint { kind: "failure", shape }
    }
}

impl fmt::Display for Fingerprint {
    /// Prints a short name that is usable in file names: `S1-3f21`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:04x}", self.kind, of_bytes(self.shape.as_bytes()) >> 48)
    }
}

/// Returns the first [`WORDS_MAX`] words of the first clause of a sentence, without the text in
/// brackets. One `#` replaces each sequence of words that contain digits.
fn shape(sentence: &str) -> String {
    let mut depth = 0usize;
    let mut plain = String::new();
    for letter in sentence.chars() {
        match letter {
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => depth = depth.saturating_sub(1),
            ',' | ';' | ':' if depth == 0 => break,
            _ if depth == 0 => plain.push(letter),
            _ => {}
        }
    }
    let mut words: Vec<&str> = Vec::new();
    for word in plain.split_whitespace() {
        let word = if word.contains(|c: char| c.is_ascii_digit()) { "#" } else { word };
        if word != "#" || words.last() != Some(&"#") {
            words.push(word);
        }
    }
    words.truncate(WORDS_MAX);
    words.join(" ")
}

/// Returns the shape of a panic's message, and its source position, if the message ends with one:
/// `… at src/raft/leader.rs:41`.
fn shape_of_panic(text: &str) -> String {
    let place = text.rsplit_once(" at ").filter(|(_, place)| place.contains(".rs:"));
    let (message, place) = place.unwrap_or((text, ""));
    format!("{} {place}", shape(message))
}

#[cfg(test)]
mod tests {
    use crate::observe::Violation;
    use crate::values::time::SimTime;

    use super::*;

    fn safety(id: &'static str, saw: &str) -> Fingerprint {
        let (saw, place) = (saw.to_owned(), String::new());
        let violation = Violation { id, check: "", finding: saw, at: SimTime(0), place };
        Fingerprint::of(&Failure::Safety(violation))
    }

    #[test]
    fn fingerprints_depend_on_words_and_not_on_numbers() {
        let one = safety("S1", "n2 leads t7 from 4@t2, and n4 does");
        assert_eq!(one, safety("S1", "n12 leads t1 from 40@t3, but {n4 n5} do"));
        assert_ne!(one, safety("S1", "n2 speaks as the leader of t7"));
        assert_ne!(one, safety("S2", "n2 leads t7 from 4@t2, and n4 does"));
        assert_eq!(safety("S1", "at n1 n2 n3"), safety("S1", "at n1"));
    }

    #[test]
    fn a_panic_is_identified_by_message_and_place() {
        let panic = |saw: &str| Fingerprint::of(&Failure::Panic(saw.to_owned()));
        let one = panic("no quorum of 5 at src/raft/leader.rs:41");
        assert_eq!(one, panic("no quorum of 3 at src/raft/leader.rs:41"));
        assert_ne!(one, panic("no quorum of 5 at src/raft/leader.rs:42"));
        assert_ne!(one, panic("no leader of 5 at src/raft/leader.rs:41"));
        let unequal = "assertion failed; left: 3; right: 4 at src/log/mod.rs:7";
        assert_eq!(panic(unequal), panic(&unequal.replace('3', "a b")));
    }

    #[test]
    fn a_sentence_is_identified_by_its_subject_and_its_evidence() {
        let one = Fingerprint::of_sentence("n2 panicked: no quorum of 5");
        assert_eq!(one, Fingerprint::of_sentence("n1 panicked: no quorum of 3"));
        for other in ["n2 panicked: no leader", "check: no quorum of 5", "n2 panicked"] {
            assert_ne!(one, Fingerprint::of_sentence(other), "{other}");
        }
    }

    #[test]
    fn a_fingerprint_is_short() {
        let name = safety("S1", "n2 leads t7").to_string();
        assert!(name.starts_with("S1-") && name.len() == 7, "{name}");
    }
}

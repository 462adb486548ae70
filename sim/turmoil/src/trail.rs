//! The events of a run, to find where two runs of the same seed differ.

use std::time::Duration;

/// An event of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrailEvent {
    /// The simulated time.
    at: Duration,
    /// The digest of the event.
    digest: u64,
    /// The description of the event for people; it begins with the host.
    text: String,
}

impl TrailEvent {
    /// Returns the event with this digest, of a host, of a kind, and with its data.
    pub(crate) fn new(
        at: Duration,
        digest: u64,
        (host, kind, data): (&str, &str, &[u8]),
    ) -> TrailEvent {
        let text = match kind {
            "line" => format!("{host}: {}", String::from_utf8_lossy(data)),
            "connect" => format!("{host} connects to {}", String::from_utf8_lossy(data)),
            _ => format!("{host} writes {} bytes to a connection", data.len()),
        };
        TrailEvent { at, digest, text }
    }
}

/// Returns where two runs of the same seed differ first, and a sentence that says how.
pub(crate) fn difference(one: &[TrailEvent], other: &[TrailEvent]) -> Option<(Duration, String)> {
    let place = (0..one.len().max(other.len())).find(|place| {
        let digest = |trail: &[TrailEvent]| trail.get(*place).map(|event| event.digest);
        digest(one) != digest(other)
    })?;
    let text = |trail: &[TrailEvent]| match trail.get(place) {
        Some(TrailEvent { at, text, .. }) => format!("`{text}` at {:.3}s", at.as_secs_f64()),
        None => "the end of the run".to_owned(),
    };
    let time = |trail: &[TrailEvent]| trail.get(place).map(|event| event.at);
    let at = time(one).into_iter().chain(time(other)).min().unwrap_or_default();
    let number = place + 1;
    let sentence = format!(
        "two runs of this seed differ: event {number} is {} in the one, and {} in the other. The \
         service probably uses something that the seed does not determine: a wall clock, the order \
         of a `HashMap`, a thread, state that outlives a run, such as a static, or a random number \
         that is not of `World::random_below`",
        text(one),
        text(other)
    );
    Some((at, sentence))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trail(texts: &[&str]) -> Vec<TrailEvent> {
        let event = |(at, text): (u64, &&str)| {
            let digest = text.bytes().map(u64::from).sum();
            TrailEvent::new(Duration::from_secs(at), digest, ("n1", "line", text.as_bytes()))
        };
        (1..).zip(texts).map(event).collect()
    }

    #[test]
    fn the_first_event_that_differs_is_named() {
        let one = trail(&["a", "b", "c"]);
        assert_eq!(difference(&one, &one), None);
        let (at, sentence) = difference(&one, &trail(&["a", "x", "y"])).expect("they differ");
        assert_eq!(at, Duration::from_secs(2));
        assert!(sentence.contains("event 2 is `n1: b` at 2.000s in the one"), "{sentence}");
        assert!(sentence.contains("and `n1: x` at 2.000s in the other"), "{sentence}");
        let (at, sentence) = difference(&one, &trail(&["a", "b"])).expect("they differ");
        assert_eq!(at, Duration::from_secs(3));
        assert!(sentence.contains("and the end of the run in the other"), "{sentence}");
    }
}

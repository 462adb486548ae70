//! What every kind of planned operation provides, and the arguments that several kinds share.

use std::fmt;
use std::time::Duration;

use crate::faults::selector::NodeSelector;
use crate::words::{Exact, SyntaxError, Words};

/// The duration of a fault without an end of its own: longer than any run. The stabilization phase
/// treats such a fault like every other one.
pub const UNTIL_STABILIZATION: Duration = Duration::from_secs(1_000_000_000);

/// The syntax of one verb, its summary, and its parser.
#[derive(Clone, Copy, Debug)]
pub struct Syntax<V> {
    /// The words that name the verb: `crash`, `slow disk`.
    pub verb: &'static str,
    /// The arguments after the verb: `NODE [keep=part|all] [for DURATION]`.
    pub arguments: &'static str,
    /// One or two sentences for the reference: the effect of the verb.
    pub summary: &'static str,
    /// Parses the arguments.
    pub(super) read: fn(&mut Words<'_>) -> Result<V, SyntaxError>,
}

/// A kind of planned operation. It prints as the words after the time or trigger of a scenario line,
/// which its parser reads.
pub(crate) trait Planned: fmt::Display {
    /// Returns the verbs of the kind.
    fn syntax<V: From<Self>>() -> Vec<Syntax<V>>
    where
        Self: Sized;

    /// Returns the extent of the operation.
    fn extent(&self) -> Extent;
}

/// The nodes that an operation names, how long it lasts, and where it exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The nodes that the operation affects, as far as it names them.
    pub(crate) nodes: Vec<NodeSelector>,
    /// How long the effect lasts; `None` if it has no duration.
    pub(crate) duration: Option<Duration>,
    /// The reason why the operation does not exist on real processes, if it does not.
    pub(crate) on_processes: Result<(), &'static str>,
}

impl Extent {
    /// Returns the extent of an operation on one node that also exists on real processes.
    pub(super) fn of(node: NodeSelector, duration: Option<Duration>) -> Extent {
        Extent { nodes: vec![node], duration, on_processes: Ok(()) }
    }

    /// Returns the extent with this reason why the operation does not exist on real processes.
    pub(super) fn only_simulated(self, reason: &'static str) -> Extent {
        Extent { on_processes: Err(reason), ..self }
    }
}

/// Returns the item of a table that the next words name; `expected` is the kind of the items.
pub(crate) fn named<T: Copy>(
    words: &mut Words<'_>,
    expected: &str,
    table: &[(T, &str)],
) -> Result<T, SyntaxError> {
    let names: Vec<&str> = table.iter().map(|(_, name)| *name).collect();
    Ok(table[words.name(expected, &names)?].0)
}

/// Parses the duration of a fault; without `for` it has no end of its own.
pub(super) fn for_duration(words: &mut Words<'_>) -> Result<Duration, SyntaxError> {
    if words.accept("for") { words.duration() } else { Ok(UNTIL_STABILIZATION) }
}

/// Parses `by` and the duration after it.
pub(super) fn by(words: &mut Words<'_>) -> Result<Duration, SyntaxError> {
    words.need("by")?;
    words.duration()
}

/// Parses a period, which is never zero because the operation would then never end.
pub(super) fn every(words: &mut Words<'_>) -> Result<Duration, SyntaxError> {
    words.need("every")?;
    let period = words.duration()?;
    if period.is_zero() {
        return Err(words.error("the period is 0s: write a longer duration"));
    }
    Ok(period)
}

/// Parses a count from 1 to 10,000; the default is 1.
pub(super) fn count(words: &mut Words<'_>) -> Result<u32, SyntaxError> {
    const MOST: u32 = 10_000;
    let count = words.given("count")?.unwrap_or(1);
    match count {
        1..=MOST => Ok(count),
        _ => Err(words.error(format!("count= is from 1 to {MOST}: write several lines for more"))),
    }
}

/// Parses the words up to `for` or the end of the line; at least one is needed.
pub(super) fn several<T>(
    words: &mut Words<'_>,
    expected: &str,
    one: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, SyntaxError> {
    let mut all = vec![words.read(expected, &one)?];
    while words.peek().is_some_and(|word| word != "for") {
        all.push(words.read(expected, &one)?);
    }
    Ok(all)
}

/// A duration that prints as ` for 90ms`, or as nothing if it has no end of its own.
pub(super) struct For(pub(super) Duration);

impl fmt::Display for For {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < UNTIL_STABILIZATION { write!(f, " for {}", Exact(self.0)) } else { Ok(()) }
    }
}

/// A named number, its value and its default; it prints as ` name=value`, or as nothing if the
/// value is the default.
pub(super) struct NamedNumber(pub(super) &'static str, pub(super) u32, pub(super) u32);

impl fmt::Display for NamedNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NamedNumber(name, number, default) = self;
        if number == default { Ok(()) } else { write!(f, " {name}={number}") }
    }
}

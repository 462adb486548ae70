//! The arguments of verbs: how each is written in a scenario line.

use std::fmt;
use std::time::Duration;

use crate::faults::selector::NodeSelector;
use crate::values::words::{Exact, SyntaxError, Words};

/// The duration of a fault without an end of its own: longer than any run. The stabilization phase
/// treats such a fault like every other one.
pub const UNTIL_STABILIZATION: Duration = Duration::from_secs(1_000_000_000);

/// An argument of a verb.
pub(crate) trait Argument {
    /// The value of the argument.
    type Value;
    /// The argument in the reference: `NODE`, `[for DURATION]`.
    const USAGE: &'static str;

    /// Parses the argument from the next words of the line.
    fn read(words: &mut Words<'_>) -> Result<Self::Value, SyntaxError>;

    /// Writes a space and the argument, or nothing if the value is the default.
    fn write(value: &Self::Value, f: &mut fmt::Formatter<'_>) -> fmt::Result;

    /// Returns the nodes that the operation affects, as far as the argument names them.
    fn nodes(_: &Self::Value) -> Vec<NodeSelector> {
        Vec::new()
    }

    /// Returns how long the operation lasts, if the argument says so.
    fn duration(_: &Self::Value) -> Option<Duration> {
        None
    }
}

/// A node: `n1`, `leader`, `it` or `other`.
pub(super) struct Node;

impl Argument for Node {
    type Value = NodeSelector;
    const USAGE: &'static str = "NODE";

    fn read(words: &mut Words<'_>) -> Result<NodeSelector, SyntaxError> {
        NodeSelector::read(words)
    }

    fn write(node: &NodeSelector, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " {node}")
    }

    fn nodes(node: &NodeSelector) -> Vec<NodeSelector> {
        vec![*node]
    }
}

/// The time for which a fault lasts, or a node stays down; without this argument the fault has no
/// end of its own.
pub(super) struct For;

impl Argument for For {
    type Value = Duration;
    const USAGE: &'static str = "[for DURATION]";

    fn read(words: &mut Words<'_>) -> Result<Duration, SyntaxError> {
        if words.accept("for") { words.duration() } else { Ok(UNTIL_STABILIZATION) }
    }

    fn write(duration: &Duration, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *duration < UNTIL_STABILIZATION {
            write!(f, " for {}", Exact(*duration))
        } else {
            Ok(())
        }
    }

    fn duration(duration: &Duration) -> Option<Duration> {
        Some(*duration)
    }
}

/// A duration: a part of other arguments.
pub(super) struct Span;

impl Argument for Span {
    type Value = Duration;
    const USAGE: &'static str = "DURATION";

    fn read(words: &mut Words<'_>) -> Result<Duration, SyntaxError> {
        words.duration()
    }

    fn write(duration: &Duration, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " {}", Exact(*duration))
    }
}

/// Defines arguments that are a word and another argument.
macro_rules! after_word {
    ($($(#[$about:meta])* $argument:ident $word:literal $rest:ident $usage:literal;)*) => {$(
        $(#[$about])*
        pub(super) struct $argument;

        impl $crate::faults::argument::Argument for $argument {
            type Value = <$rest as $crate::faults::argument::Argument>::Value;
            const USAGE: &'static str = $usage;

            fn read(
                words: &mut $crate::values::words::Words<'_>,
            ) -> Result<Self::Value, $crate::values::words::SyntaxError> {
                words.need($word)?;
                $rest::read(words)
            }

            fn write(
                value: &Self::Value,
                f: &mut std::fmt::Formatter<'_>,
            ) -> std::fmt::Result {
                f.write_str(concat!(" ", $word))?;
                $rest::write(value, f)
            }

            fn nodes(value: &Self::Value) -> Vec<$crate::faults::selector::NodeSelector> {
                $rest::nodes(value)
            }
        }
    )*};
}
pub(super) use after_word;

after_word! {
    /// The duration by which a fault changes a time.
    By "by" Span "by DURATION";
    /// The node that a stranded node is still connected with.
    Ally "with" Node "with NODE";
    /// The node at the end of a link.
    Receiver "->" Node "-> NODE";
}

/// A period; it is never zero, because an operation with a period of zero would never end.
pub(super) struct Every;

impl Argument for Every {
    type Value = Duration;
    const USAGE: &'static str = "every DURATION";

    fn read(words: &mut Words<'_>) -> Result<Duration, SyntaxError> {
        words.need("every")?;
        let period = words.duration()?;
        if period < Duration::from_micros(10) {
            return Err(words.error("the period is shorter than 10us: write a longer duration"));
        }
        Ok(period)
    }

    fn write(period: &Duration, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " every {}", Exact(*period))
    }
}

/// Defines arguments that are numbers with a name, and their defaults.
macro_rules! numbers {
    ($($(#[$about:meta])* $argument:ident $name:literal $usage:literal $default:literal;)*) => {$(
        $(#[$about])*
        pub(super) struct $argument;

        impl Argument for $argument {
            type Value = u32;
            const USAGE: &'static str = $usage;

            fn read(words: &mut Words<'_>) -> Result<u32, SyntaxError> {
                Ok(words.given($name)?.unwrap_or($default))
            }

            fn write(number: &u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *number {
                    $default => Ok(()),
                    number => write!(f, concat!(" ", $name, "={}"), number),
                }
            }
        }
    )*};
}

numbers! {
    /// The number of calls before the affected one.
    After "after" "[after=N]" 0;
    /// The number of sectors that the failed call writes or flushes before it fails.
    Sectors "sectors" "[sectors=N]" 0;
    /// The number of bytes that a full disk still accepts.
    Free "free" "[free=BYTES]" 0;
}

/// A number of messages or commands, from 1 to 10,000.
pub(super) struct Count;

impl Argument for Count {
    type Value = u32;
    const USAGE: &'static str = "[count=N]";

    fn read(words: &mut Words<'_>) -> Result<u32, SyntaxError> {
        const MOST: u32 = 10_000;
        let count = words.given("count")?.unwrap_or(1);
        match count {
            1..=MOST => Ok(count),
            _ => {
                let text = format!("count= is from 1 to {MOST}: write several lines for more");
                Err(words.error(text))
            }
        }
    }

    fn write(count: &u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *count == 1 { Ok(()) } else { write!(f, " count={count}") }
    }
}

/// Defines enums whose values have scenario words, as arguments that are one of these words.
macro_rules! named {
    ($(#[$about:meta])* $kind:ident $usage:literal $expected:literal {
        $($(#[$meaning:meta])* $name:ident $word:literal,)+
    }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $kind { $($(#[$meaning])* $name),+ }

        impl $kind {
            /// Every value with its scenario words, in the order of declaration.
            pub const ALL: &[($kind, &'static str)] = &[$(($kind::$name, $word)),+];

            /// Returns the scenario words of the value.
            #[must_use]
            pub const fn name(self) -> &'static str {
                $kind::ALL[self as usize].1
            }
        }

        impl $crate::faults::argument::Argument for $kind {
            type Value = $kind;
            const USAGE: &'static str = $usage;

            fn read(
                words: &mut $crate::values::words::Words<'_>,
            ) -> Result<$kind, $crate::values::words::SyntaxError> {
                let names: Vec<&str> = $kind::ALL.iter().map(|(_, name)| *name).collect();
                Ok($kind::ALL[words.name($expected, &names)?].0)
            }

            fn write(value: &$kind, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, " {}", value.name())
            }
        }
    };
}
pub(crate) use named;

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

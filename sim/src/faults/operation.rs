//! Defines the kinds of planned operations: their data, their syntax and their text.

use std::fmt;
use std::time::Duration;

use crate::faults::argument::Argument;
use crate::faults::real_processes::OnProcesses;
use crate::faults::selector::NodeSelector;
use crate::values::words::{SyntaxError, Words};

/// The syntax of one verb, its summary, and its parser.
#[derive(Clone, Debug)]
pub struct Syntax<V> {
    /// The words that name the verb: `crash`, `slow disk`.
    pub verb: &'static str,
    /// The arguments after the verb: `NODE [keep=part|all] [for DURATION]`.
    pub arguments: String,
    /// One or two sentences for the reference: the effect of the verb.
    pub summary: &'static str,
    /// Parses the arguments after the verb.
    pub(super) read: fn(&mut Words<'_>) -> Result<V, SyntaxError>,
}

impl<V> Syntax<V> {
    pub(super) fn new(
        verb: &'static str,
        arguments: impl Into<String>,
        summary: &'static str,
        read: fn(&mut Words<'_>) -> Result<V, SyntaxError>,
    ) -> Syntax<V> {
        Syntax { verb, arguments: arguments.into(), summary, read }
    }
}

/// A kind of planned operation. It prints as the words after the time or trigger of a scenario
/// line, which its parser reads.
pub(crate) trait Planned: fmt::Display {
    /// Returns the verbs of the kind.
    fn syntax<V: From<Self>>() -> Vec<Syntax<V>>
    where
        Self: Sized;

    /// Returns the nodes that the operation names, and how long it lasts.
    fn extent(&self) -> Extent;

    /// Returns how the operation is executed on real processes, or why it does not exist there.
    fn on_processes(&self) -> OnProcesses<'_>;
}

/// The nodes that an operation names, and how long it lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The nodes that the operation affects, as far as it names them.
    pub(crate) nodes: Vec<NodeSelector>,
    /// How long the effect lasts; `None` if it has no duration.
    pub(crate) duration: Option<Duration>,
}

impl Extent {
    /// Adds what an argument says about the extent.
    pub(super) fn add<A: Argument>(&mut self, value: &A::Value) {
        self.nodes.extend(A::nodes(value));
        self.duration = A::duration(value).or(self.duration);
    }
}

/// Defines a kind of operation: its type with its verbs and their arguments, and the function that
/// says how the operation is executed on real processes, or why it does not exist there. The doc
/// comment of a verb is also its summary in the reference. The fields of a verb's tuple are the
/// values of its arguments.
macro_rules! operation {
    (
        $(#[doc = $about:literal])+
        struct $kind:ident $verb:literal {
            $($(#[$meaning:meta])+ $field:ident: $value:ty as $argument:ident),+ $(,)?
        }
        on_processes $on_processes:expr;
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $kind {
            $($(#[$meaning])+ pub $field: $value),+
        }

        operation!(@impl $kind, $on_processes,
            [$($about)+] $verb [$kind { $($field),+ }] ($($field: $value as $argument),+)
        );
    };
    (
        $(#[$about:meta])+
        enum $kind:ident {
            $(
                $(#[doc = $summary:literal])+
                $name:ident $verb:literal ($($field:ident: $value:ty as $argument:ident),+)
            )+
        }
        on_processes $on_processes:expr;
    ) => {
        $(#[$about])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $kind {
            $($(#[doc = $summary])+ $name($($value),+)),+
        }

        operation!(@impl $kind, $on_processes, $(
            [$($summary)+] $verb [$kind::$name($($field),+)] ($($field: $value as $argument),+)
        )+);
    };
    (@impl $kind:ident, $on_processes:expr, $(
        [$($summary:literal)+] $verb:literal [$($shape:tt)+]
        ($($field:ident: $value:ty as $argument:ident),+)
    )+) => {
        impl Planned for $kind {
            fn syntax<V: From<$kind>>() -> Vec<Syntax<V>> {
                vec![$(Syntax::new(
                    $verb,
                    [$($argument::USAGE),+].join(" "),
                    concat!($($summary),+).trim_ascii(),
                    |words| {
                        $(let $field = $argument::read(words)?;)+
                        Ok($($shape)+.into())
                    },
                )),+]
            }

            fn extent(&self) -> Extent {
                let mut extent = Extent { nodes: Vec::new(), duration: None };
                match self {
                    $($($shape)+ => {
                        $(extent.add::<$argument>($field);)+
                    })+
                }
                extent
            }

            fn on_processes(&self) -> OnProcesses<'_> {
                let on_processes: fn(&$kind) -> OnProcesses<'_> = $on_processes;
                on_processes(self)
            }
        }

        impl std::fmt::Display for $kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $($($shape)+ => {
                        f.write_str($verb)?;
                        $($argument::write($field, f)?;)+
                    })+
                }
                Ok(())
            }
        }
    };
}
pub(super) use operation;

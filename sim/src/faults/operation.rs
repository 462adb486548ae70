//! Defines the kinds of planned operations: their data, their syntax, their text, their draw and
//! their effect.

use std::fmt;
use std::time::Duration;

use crate::faults::argument::Argument;
use crate::faults::selector::NodeSelector;
use crate::faults::strike::Strike;
use crate::values::words::{SyntaxError, Words};

/// The syntax of one verb, its summary, and its parser.
#[derive(Clone, Debug)]
pub struct Syntax<V> {
    /// The words that name the verb: `crash`, `slow disk`.
    pub verb: &'static str,
    /// The arguments after the verb: `NODE [keep=part|all] [for DURATION]`.
    pub arguments: String,
    /// The effect of the verb, in sentences for the reference.
    pub summary: &'static str,
    /// Parses the arguments after the verb.
    pub(super) read: fn(&mut Words<'_>) -> Result<V, SyntaxError>,
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

    /// Returns the effect of the operation.
    fn strike(&self) -> Strike<'_>;

    /// Returns an error with the reason if the operation cannot be carried out on real processes,
    /// although other operations with its kind of strike can.
    fn on_processes(&self) -> Result<(), &'static str> {
        Ok(())
    }
}

/// The nodes that an operation names, and how long it lasts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The nodes that the operation affects, as far as it names them.
    pub(crate) nodes: Vec<NodeSelector>,
    /// How long the effect lasts; `None` if it has no duration.
    pub(crate) duration: Option<Duration>,
}

impl Extent {
    /// Adds the nodes and the duration of an argument.
    pub(super) fn add<A: Argument>(&mut self, value: &A::Value) {
        self.nodes.extend(A::nodes(value));
        self.duration = A::duration(value).or(self.duration);
    }
}

/// Defines a kind of operation: its type with its verbs and their arguments, and closures. `draw`
/// draws an operation on a node that lasts about the given duration; `strike` returns its effect;
/// `on_processes` returns the reason if an operation cannot be carried out on real processes,
/// although other operations with its kind of strike can. The doc comment of a verb is also its
/// summary in the reference. The fields of a verb's tuple are the values of its arguments.
macro_rules! operation {
    (
        $(#[doc = $about:literal])+
        struct $kind:ident $verb:literal {
            $($(#[$meaning:meta])+ $field:ident: $value:ty as $argument:ident),+ $(,)?
        }
        $($closures:tt)+
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $kind {
            $($(#[$meaning])+ pub $field: $value),+
        }

        operation!(@impl $kind {
            [$($about)+] $verb [$kind { $($field),+ }] ($($field as $argument),+)
        } $($closures)+);
    };
    (
        $(#[$about:meta])+
        enum $kind:ident {
            $(
                $(#[doc = $summary:literal])+
                $name:ident $verb:literal ($($field:ident: $value:ty as $argument:ident),+)
            )+
        }
        $($closures:tt)+
    ) => {
        $(#[$about])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $kind {
            $($(#[doc = $summary])+ $name($($value),+)),+
        }

        operation!(@impl $kind {$(
            [$($summary)+] $verb [$kind::$name($($field),+)] ($($field as $argument),+)
        )+} $($closures)+);
    };
    (@impl $kind:ident {$(
        [$($summary:literal)+] $verb:literal [$($shape:tt)+]
        ($($field:ident as $argument:ident),+)
    )+} $(draw $draw:expr;)? strike $strike:expr; $(on_processes $on_processes:expr;)?) => {
        const _: () = {
            use std::fmt;

            use crate::faults::argument::Argument;
            use crate::faults::operation::{Extent, Planned, Syntax};

            impl Planned for $kind {
                fn syntax<V: From<$kind>>() -> Vec<Syntax<V>> {
                    vec![$(Syntax {
                        verb: $verb,
                        arguments: [$($argument::USAGE),+].join(" "),
                        summary: concat!($($summary),+).trim_ascii(),
                        read: |words| {
                            $(let $field = $argument::read(words)?;)+
                            Ok($($shape)+.into())
                        },
                    }),+]
                }

                fn extent(&self) -> Extent {
                    let mut extent = Extent::default();
                    match self {
                        $($($shape)+ => {
                            $(extent.add::<$argument>($field);)+
                        })+
                    }
                    extent
                }

                fn strike(&self) -> Strike<'_> {
                    let strike: fn(&$kind) -> Strike<'_> = $strike;
                    strike(self)
                }

                $(fn on_processes(&self) -> Result<(), &'static str> {
                    let on_processes: fn(&$kind) -> Result<(), &'static str> = $on_processes;
                    on_processes(self)
                })?
            }

            impl fmt::Display for $kind {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    match self {
                        $($($shape)+ => {
                            f.write_str($verb)?;
                            $($argument::write($field, f)?;)+
                        })+
                    }
                    Ok(())
                }
            }

            $(impl $kind {
                /// Draws an operation on the node that lasts about this duration.
                pub(super) fn draw(
                    draw: &mut crate::faults::fault_draw::FaultDraw<'_>,
                    node: NodeSelector,
                    duration: std::time::Duration,
                ) -> $kind {
                    let of: crate::faults::fault_draw::Drawn<$kind> = $draw;
                    of(draw, node, duration)
                }
            })?
        };
    };
}
pub(super) use operation;

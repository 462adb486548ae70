//! A node's clock runs fast or slow, or steps forward.

use std::fmt;
use std::time::Duration;

use crate::faults::argument::{Argument, By, For, Node};
use crate::faults::operation::operation;
use crate::faults::selector::NodeSelector;
use crate::faults::strike::{Lasting, Simulated, Strike};
use crate::values::words::{SyntaxError, Words};

operation! {
    /// The node's clock runs fast (`+`) or slow (`-`) by N parts per million.
    struct ClockDrift "clock drift" {
        /// The node whose clock drifts.
        node: NodeSelector as Node,
        /// The rate error in parts per million; negative if the clock is slow.
        ppm: i32 as RateError,
        /// How long the clock drifts.
        duration: Duration as For,
    }
    draw |draw, node, duration| {
        let steps = i64::from(ClockDrift::PPM_MAX);
        let most = i64::from(draw.scale.drift_ppm_max);
        let ppm = (draw.below(steps as u64 + 1) as i64 * most / steps) as i32;
        let ppm = if draw.chance(500) { -ppm } else { ppm };
        ClockDrift { node, ppm, duration: duration * 4 }
    };
    strike |it| Strike::Simulated(it.node, Simulated::Lasting(Lasting::ClockDrift(it.ppm)));
}

operation! {
    /// The node's clock steps forward by the duration.
    struct ClockStep "clock step" {
        /// The node whose clock steps.
        node: NodeSelector as Node,
        /// The time by which it steps.
        by: Duration as By,
    }
    draw |_, node, by| ClockStep { node, by };
    strike |it| Strike::Simulated(it.node, Simulated::ClockStep(it.by));
}

impl ClockDrift {
    /// The largest rate error, in parts per million.
    pub const PPM_MAX: u32 = 50_000;
}

/// The rate error of a clock in parts per million.
pub(super) struct RateError;

impl Argument for RateError {
    type Value = i32;
    const USAGE: &'static str = "+Nppm|-Nppm";

    fn read(words: &mut Words<'_>) -> Result<i32, SyntaxError> {
        let read = |word: &str| {
            let signed = word.strip_suffix("ppm").filter(|word| word.starts_with(['+', '-']))?;
            let in_range = |ppm: &i32| ppm.unsigned_abs() <= ClockDrift::PPM_MAX;
            signed.parse().ok().filter(in_range)
        };
        let most = ClockDrift::PPM_MAX;
        let expected = format!("a drift of up to {most}ppm, like +300ppm or -300ppm");
        words.read(&expected, read)
    }

    fn write(ppm: &i32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " {ppm:+}ppm")
    }
}

//! A node's clock runs fast or slow, or steps forward.

use std::fmt;
use std::time::Duration;

use crate::faults::fault_draw::FaultDraw;
use crate::faults::planned::{Extent, For, Planned, Syntax, by, for_duration};
use crate::faults::processes::CLOCK;
use crate::faults::selector::NodeSelector;
use crate::words::{Exact, SyntaxError, Words};

/// The node's clock runs fast, or slow if the rate error is negative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockDrift {
    /// The node whose clock drifts.
    pub node: NodeSelector,
    /// The rate error in parts per million.
    pub ppm: i32,
    /// How long the clock drifts.
    pub duration: Duration,
}

/// The node's clock steps forward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockStep {
    /// The node whose clock steps.
    pub node: NodeSelector,
    /// The time by which it steps.
    pub by: Duration,
}

impl ClockDrift {
    /// The largest rate error that is drawn, in parts per million.
    pub const PPM_MAX: u32 = 50_000;

    pub(super) fn draw(
        draw: &mut FaultDraw<'_>,
        node: NodeSelector,
        duration: Duration,
    ) -> ClockDrift {
        let steps = i64::from(ClockDrift::PPM_MAX);
        let most = i64::from(draw.scale.drift_ppm_max);
        let ppm = (draw.below(steps as u64 + 1) as i64 * most / steps) as i32;
        let ppm = if draw.chance(500) { -ppm } else { ppm };
        ClockDrift { node, ppm, duration: duration * 4 }
    }
}

impl Planned for ClockDrift {
    fn syntax<V: From<ClockDrift>>() -> Vec<Syntax<V>> {
        vec![Syntax {
            verb: "clock drift",
            arguments: "NODE +N|-N ppm [for DURATION]",
            summary: "The node's clock runs fast (`+`) or slow (`-`) by N parts per million.",
            read: |w| {
                let (node, ppm) = (NodeSelector::read(w)?, ppm(w)?);
                Ok(ClockDrift { node, ppm, duration: for_duration(w)? }.into())
            },
        }]
    }

    fn extent(&self) -> Extent {
        Extent::of(self.node, Some(self.duration)).only_simulated(CLOCK)
    }
}

impl fmt::Display for ClockDrift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "clock drift {} {:+}ppm{}", self.node, self.ppm, For(self.duration))
    }
}

fn ppm(words: &mut Words<'_>) -> Result<i32, SyntaxError> {
    let read = |word: &str| {
        let signed = word.strip_suffix("ppm").filter(|word| word.starts_with(['+', '-']))?;
        // The bound excludes clocks that run backwards or twice as fast.
        signed.parse().ok().filter(|ppm| (-500_000..=500_000).contains(ppm))
    };
    words.read("a drift of up to 500000 millionths, like +300ppm or -300ppm", read)
}

impl ClockStep {
    pub(super) fn draw(_: &mut FaultDraw<'_>, node: NodeSelector, by: Duration) -> ClockStep {
        ClockStep { node, by }
    }
}

impl Planned for ClockStep {
    fn syntax<V: From<ClockStep>>() -> Vec<Syntax<V>> {
        vec![Syntax {
            verb: "clock step",
            arguments: "NODE by DURATION",
            summary: "The node's clock steps forward by the duration.",
            read: |w| Ok(ClockStep { node: NodeSelector::read(w)?, by: by(w)? }.into()),
        }]
    }

    fn extent(&self) -> Extent {
        Extent::of(self.node, None).only_simulated(CLOCK)
    }
}

impl fmt::Display for ClockStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "clock step {} by {}", self.node, Exact(self.by))
    }
}

//! The choices that the page offers: profiles, strategies, examples, and faults to drag.

use quorate_sim::faults::Verb;
use quorate_sim::settings::profile::Profile;
use quorate_sim::settings::strategy::Strategy;
use serde::Serialize;

/// Everything that the page offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Catalog {
    /// The profiles that a seed can draw from.
    pub profiles: Vec<Choice>,
    /// The search strategies, with their summaries.
    pub strategies: Vec<Choice>,
    /// The name of the default strategy.
    pub strategy: &'static str,
    /// The scenarios of `sim/scenarios`, by name.
    pub examples: Vec<Choice>,
    /// The faults that can be dragged onto the time line: the label, and the words of a scenario's
    /// line after its time.
    pub faults: Vec<Choice>,
    /// The verbs of a scenario's lines with their arguments, and their effects.
    pub verbs: Vec<Choice>,
}

/// One entry of a list of the page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// The name that the page shows.
    pub name: String,
    /// Its description, or the text that it stands for.
    pub text: String,
}

/// The faults to drag. `NODE` becomes the node on whose lane the fault is dropped, `PEER` the next
/// one, and `NODES` a minority that begins with it.
const FAULTS: [(&str, &str); 15] = [
    ("crash", "crash NODE for 500ms"),
    ("pause", "pause NODE for 500ms"),
    ("partition", "split NODES for 1s"),
    ("isolate", "isolate NODE for 1s"),
    ("deaf", "block inbound NODE for 1s"),
    ("mute", "block outbound NODE for 1s"),
    ("cut link", "cut NODE -> PEER for 1s"),
    ("delay", "clog NODE for 300ms"),
    ("slow disk", "slow disk NODE by 50ms for 2s"),
    ("failed flush", "fail flush NODE"),
    ("full disk", "fill disk NODE for 2s"),
    ("clock step", "clock step NODE by 1s"),
    ("load spike", "load spike NODE count=20"),
    ("campaign", "campaign NODE"),
    ("write", "put colour=red via NODE"),
];

macro_rules! examples {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../scenarios/", $name, ".scenario")))),+]
    };
}

/// The scenarios of `sim/scenarios`; the page opens with the first one.
const EXAMPLES: [(&str, &str); 15] = examples![
    "isolated_leader",
    "split_brain",
    "old_read",
    "leader_chaser",
    "old_term",
    "crash_on_vote",
    "one_way",
    "poor_network",
    "bad_disks",
    "damaged_entries",
    "slow_leader_disk",
    "snapshots",
    "slow_restore",
    "replace_node",
    "lost_bootstrap_disks",
];

impl Catalog {
    /// Lists the profiles, strategies, examples, faults and verbs of this build.
    #[must_use]
    pub fn new() -> Catalog {
        let choice =
            |name: &str, text: &str| Choice { name: name.to_owned(), text: text.to_owned() };
        let profiles = Profile::all().iter().map(|it| choice(it.name, it.summary));
        let strategies = Strategy::ALL.iter().map(|it| choice(it.name(), it.summary()));
        let verbs = Verb::syntax()
            .into_iter()
            .map(|syntax| choice(&format!("{} {}", syntax.verb, syntax.arguments), syntax.summary));
        Catalog {
            profiles: profiles.collect(),
            strategies: strategies.collect(),
            strategy: Strategy::default().name(),
            examples: EXAMPLES.iter().map(|(name, text)| choice(name, text)).collect(),
            faults: FAULTS.iter().map(|(name, text)| choice(name, text)).collect(),
            verbs: verbs.collect(),
        }
    }
}

impl Default for Catalog {
    fn default() -> Catalog {
        Catalog::new()
    }
}

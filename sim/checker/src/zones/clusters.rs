//! Clusters: each value of a register with its write and its reads, in chains of compare-and-set
//! operations or appends. Decides whether the chains can be ordered.

use crate::zones::call::{BEFORE, NEVER, Time};

/// The index of a cluster in a list of clusters.
pub(crate) type ClusterId = u32;

/// The id that stands for no cluster.
pub(crate) const NONE: ClusterId = ClusterId::MAX;

/// One value: the operation that wrote it, and the operations that read it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cluster {
    pub(crate) written: WriteOrigin,
    /// The invocation of the write; [`BEFORE`] for the initial value.
    pub(crate) write_invoked: Time,
    /// The response of the write; [`NEVER`] if its outcome is unknown.
    pub(crate) write_returned: Time,
    /// The last invocation of a read; [`BEFORE`] if there is none.
    pub(crate) read_invoked_max: Time,
    /// The first response of a read; [`NEVER`] if there is none.
    pub(crate) read_returned_min: Time,
    /// The cluster of the value that the writer found.
    pub(crate) parent: ClusterId,
    /// The cluster of the value that replaced this one.
    pub(crate) child: ClusterId,
    /// Whether an operation that certainly took effect found this value.
    pub(crate) is_found: bool,
    /// Whether other operations wrote the same value; they have clusters of their own.
    pub(crate) is_repeated: bool,
}

/// The origin of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteOrigin {
    /// No operation wrote the value.
    Never,
    /// A write wrote the value, it is the initial value, or it was appended at a place that no read
    /// shows.
    Once,
    /// A compare-and-set or an append derived the value from its parent.
    Derived,
}

impl Cluster {
    /// A value without any operation.
    pub(crate) const UNKNOWN: Cluster = Cluster {
        written: WriteOrigin::Never,
        write_invoked: BEFORE,
        write_returned: NEVER,
        read_invoked_max: BEFORE,
        read_returned_min: NEVER,
        parent: NONE,
        child: NONE,
        is_found: false,
        is_repeated: false,
    };

    /// The cluster of the initial value.
    pub(crate) const FIRST: Cluster =
        Cluster { written: WriteOrigin::Once, write_returned: BEFORE, ..Cluster::UNKNOWN };

    /// Returns true if some operation certainly observed this value.
    pub(crate) fn is_observed(&self) -> bool {
        self.read_returned_min != NEVER || self.is_found
    }

    /// Returns true if the writer certainly took effect.
    pub(crate) fn is_certain(&self) -> bool {
        self.write_returned != NEVER || self.is_observed()
    }

    pub(crate) fn read(&mut self, invoked: Time, returned: Time) {
        self.read_invoked_max = self.read_invoked_max.max(invoked);
        self.read_returned_min = self.read_returned_min.min(returned);
    }
}

/// The zone of a chain of values. In any order, the whole chain comes before or after another
/// chain. It cannot come before if an operation of the other chain returned before one of its own
/// was invoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Zone {
    /// The first response of its operations.
    pub(crate) first_return: Time,
    /// The last invocation of its operations.
    pub(crate) last_invoke: Time,
}

impl Zone {
    /// Returns true if one of its operations returned before another was invoked: a forward zone
    /// (Gibbons & Korach 1997).
    fn is_forward(&self) -> bool {
        self.first_return < self.last_invoke
    }

    /// Returns true if an operation of this zone returned before one of `other` was invoked.
    fn precedes(&self, other: &Zone) -> bool {
        self.first_return < other.last_invoke
    }
}

/// The reason why clusters have no order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ZoneConflict {
    /// In the chain of this cluster, an operation that must come first was invoked at `invoked`,
    /// after one that must come later had returned at `returned`.
    WithinChain { invoked: Time, returned: Time },
    /// Each of the two chains has an operation that returned before one of the other was invoked.
    /// The first chain has a forward zone.
    BetweenChains(Zone, Zone),
}

/// Returns why `clusters` have no order, or `None` if they have one. Each chain must begin with a
/// cluster that is [`WriteOrigin::Once`].
///
/// Comparing pairs of chains suffices. In a cycle of "must come before", every chain has an
/// operation that returned before one of the next chain was invoked. Take the chain with the latest
/// last invocation: all others of the cycle must come before it, and the next one must also come
/// after it.
pub(crate) fn zone_conflict(clusters: &[Cluster]) -> Option<ZoneConflict> {
    let mut forward: Vec<Zone> = Vec::new();
    let mut backward: Vec<Zone> = Vec::new();
    for cluster in clusters {
        if cluster.written == WriteOrigin::Derived || !cluster.is_certain() {
            continue;
        }
        let zone = match chain(clusters, cluster) {
            Ok(zone) => zone,
            Err(zone_conflict) => return Some(zone_conflict),
        };
        match zone.is_forward() {
            true => forward.push(zone),
            false => backward.push(zone),
        }
    }
    if !forward.is_sorted_by_key(|zone| zone.first_return) {
        forward.sort_unstable_by_key(|zone| zone.first_return);
    }
    let overlap = forward.windows(2).find(|pair| pair[1].precedes(&pair[0]));
    if let Some(pair) = overlap {
        return Some(ZoneConflict::BetweenChains(pair[0], pair[1]));
    }
    inside_of_one(&forward, &backward)
}

/// Returns the zone of the chain that begins with `first`, or the conflict within the chain.
#[inline]
fn chain(clusters: &[Cluster], first: &Cluster) -> Result<Zone, ZoneConflict> {
    let mut zone = Zone { first_return: NEVER, last_invoke: BEFORE };
    let mut cluster = first;
    loop {
        if cluster.write_returned < zone.last_invoke {
            let (invoked, returned) = (zone.last_invoke, cluster.write_returned);
            return Err(ZoneConflict::WithinChain { invoked, returned });
        }
        zone.last_invoke = zone.last_invoke.max(cluster.write_invoked);
        if cluster.read_returned_min < zone.last_invoke {
            let (invoked, returned) = (zone.last_invoke, cluster.read_returned_min);
            return Err(ZoneConflict::WithinChain { invoked, returned });
        }
        zone.last_invoke = zone.last_invoke.max(cluster.read_invoked_max);
        let first_return = cluster.write_returned.min(cluster.read_returned_min);
        zone.first_return = zone.first_return.min(first_return);
        match cluster.child {
            NONE => return Ok(zone),
            child => cluster = &clusters[child as usize],
        }
    }
}

/// Finds a zone of `backward` inside one of `forward`, which are sorted and do not overlap.
fn inside_of_one(forward: &[Zone], backward: &[Zone]) -> Option<ZoneConflict> {
    let mut next = 0;
    for zone in backward {
        // The last forward zone that precedes this one. Clusters come nearly in order of time, so
        // it is near the previous one.
        while next < forward.len() && forward[next].precedes(zone) {
            next += 1;
        }
        while next > 0 && !forward[next - 1].precedes(zone) {
            next -= 1;
        }
        if next > 0 && zone.precedes(&forward[next - 1]) {
            return Some(ZoneConflict::BetweenChains(forward[next - 1], *zone));
        }
    }
    None
}

//! Values of a register, each with the operation that wrote it and those that read it, in chains:
//! whether they can be put in an order.

use crate::zones::call::{BEFORE, NEVER, Time};

/// The number of a cluster.
pub(crate) type ClusterId = u32;

/// No cluster.
pub(crate) const NONE: ClusterId = ClusterId::MAX;

/// One value: the operation that wrote it, and those that read it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cluster {
    pub(crate) written: Written,
    /// When its writer began; [`BEFORE`] for the first value.
    pub(crate) write_invoked: Time,
    /// When its writer returned; [`NEVER`] if that is unknown.
    pub(crate) write_returned: Time,
    /// The last invocation of a read; [`BEFORE`] if there is none.
    pub(crate) read_invoked_max: Time,
    /// The first return of a read; [`NEVER`] if there is none.
    pub(crate) read_returned_min: Time,
    /// The value that its writer found.
    pub(crate) parent: ClusterId,
    /// The value that was made from it.
    pub(crate) child: ClusterId,
    /// Whether an operation that certainly took effect found this value.
    pub(crate) is_found: bool,
    /// Whether other operations wrote it too; they have clusters of their own.
    pub(crate) is_repeated: bool,
}

/// How a value came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// By nobody.
    Never,
    /// Once: by a write, or at first.
    Once,
    /// Out of the value before it.
    Made,
}

impl Cluster {
    /// A value of which nothing is known.
    pub(crate) const UNKNOWN: Cluster = Cluster {
        written: Written::Never,
        write_invoked: BEFORE,
        write_returned: NEVER,
        read_invoked_max: BEFORE,
        read_returned_min: NEVER,
        parent: NONE,
        child: NONE,
        is_found: false,
        is_repeated: false,
    };

    /// The value that a register has at first.
    pub(crate) const FIRST: Cluster =
        Cluster { written: Written::Once, write_returned: BEFORE, ..Cluster::UNKNOWN };

    /// Whether some operation certainly saw this value.
    pub(crate) fn is_observed(&self) -> bool {
        self.read_returned_min != NEVER || self.is_found
    }

    /// Whether its writer certainly took effect.
    pub(crate) fn is_certain(&self) -> bool {
        self.write_returned != NEVER || self.is_observed()
    }

    pub(crate) fn read(&mut self, invoked: Time, returned: Time) {
        self.read_invoked_max = self.read_invoked_max.max(invoked);
        self.read_returned_min = self.read_returned_min.min(returned);
    }
}

/// The time that a chain of values spans. In any order, all of it comes before another chain or
/// after it: before it, unless an operation of the other returned before one of its own began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Zone {
    /// The first return of its operations.
    pub(crate) first_return: Time,
    /// The last invocation of its operations.
    pub(crate) last_invoke: Time,
}

impl Zone {
    /// Whether one of its operations returned before another began (Gibbons & Korach 1997).
    fn is_forward(&self) -> bool {
        self.first_return < self.last_invoke
    }

    /// Whether something of this zone returned before something of the other began.
    fn precedes(&self, other: &Zone) -> bool {
        self.first_return < other.last_invoke
    }
}

/// Why clusters have no order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clash {
    /// In the chain of this cluster, what must come first was invoked at `invoked`, after what
    /// must come later had returned at `returned`.
    Inside { invoked: Time, returned: Time },
    /// Either chain has an operation that returned before one of the other began. The first of
    /// them is a forward zone.
    Apart(Zone, Zone),
}

/// Why `clusters` have no order; nothing if they have one. Each chain must have a first cluster
/// that is [`Written::Once`].
///
/// That looking at two chains at a time is enough: let every chain in a circle of "must come
/// before" end with an operation that returned before one of the next began, and take the chain
/// whose last invocation is the latest. All others of the circle must come before it, and the next
/// one also after it.
pub(crate) fn clash(clusters: &[Cluster]) -> Option<Clash> {
    let mut forward: Vec<Zone> = Vec::new();
    let mut backward: Vec<Zone> = Vec::new();
    for cluster in clusters {
        if cluster.written == Written::Made || !cluster.is_certain() {
            continue;
        }
        let zone = match chain(clusters, cluster) {
            Ok(zone) => zone,
            Err(clash) => return Some(clash),
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
        return Some(Clash::Apart(pair[0], pair[1]));
    }
    inside_of_one(&forward, &backward)
}

/// The zone of the chain that begins with `first`; an error if the chain itself has no order.
#[inline]
fn chain(clusters: &[Cluster], first: &Cluster) -> Result<Zone, Clash> {
    let mut zone = Zone { first_return: NEVER, last_invoke: BEFORE };
    let mut cluster = first;
    loop {
        if cluster.write_returned < zone.last_invoke {
            let (invoked, returned) = (zone.last_invoke, cluster.write_returned);
            return Err(Clash::Inside { invoked, returned });
        }
        zone.last_invoke = zone.last_invoke.max(cluster.write_invoked);
        if cluster.read_returned_min < zone.last_invoke {
            let (invoked, returned) = (zone.last_invoke, cluster.read_returned_min);
            return Err(Clash::Inside { invoked, returned });
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

/// A zone of `backward` that lies inside one of `forward`, which are sorted and do not overlap.
fn inside_of_one(forward: &[Zone], backward: &[Zone]) -> Option<Clash> {
    let mut next = 0;
    for zone in backward {
        // The last forward zone that precedes this one. Clusters come nearly in order of time, so
        // it is never far from the one before.
        while next < forward.len() && forward[next].precedes(zone) {
            next += 1;
        }
        while next > 0 && !forward[next - 1].precedes(zone) {
            next -= 1;
        }
        if next > 0 && zone.precedes(&forward[next - 1]) {
            return Some(Clash::Apart(forward[next - 1], *zone));
        }
    }
    None
}

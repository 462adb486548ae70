//! Progress: from a state in which nothing fails any more, every order of elections ends with all
//! logs repaired and a new entry committed everywhere.
//!
//! All nodes run, and every message arrives. Only the order of elections is left to chance: of the
//! nodes that may campaign, any can be the next. A leader that cannot decide about a damaged entry
//! steps down, and does not campaign again before the others had a chance.

use crate::repair::checks::check;
use crate::repair::omissions::Omission;
use crate::repair::state::Cluster;

/// The descriptions of a cluster that halts, and violates nothing, end with one of these.
pub(crate) const HALTS: [&str; 2] = [NONE_ELECTABLE, NOT_REPAIRED];
const NONE_ELECTABLE: &str = "no other node can be elected";
const NOT_REPAIRED: &str = "but the cluster is not repaired";

/// Elects nodes in every order until the cluster is repaired. Returns the maximum number of leaders
/// that had to step down, or a description of how it fails.
pub(crate) fn heal(cluster: &Cluster) -> Result<u32, String> {
    let mut cluster = *cluster;
    let top = cluster.places().map(|place| cluster.nodes[place].term).max().unwrap_or(0);
    cluster.places().for_each(|place| cluster.follow(place, top));
    let mut places = cluster.places();
    match places.find(|place| cluster.nodes[*place].leader().is_some()) {
        Some(leader) => lead(&cluster, leader, 0, 0),
        None => elect_any(&cluster, 0, 0),
    }
}

/// Lets a leader repair the cluster. `held` are the nodes that stepped down, as bits.
fn lead(cluster: &Cluster, leader: usize, held: u8, depth: u32) -> Result<u32, String> {
    let mut next = *cluster;
    if next.omits(Omission::SendsBeforeRepair) {
        next.propose(leader);
    }
    let is_repaired = repair_own_log(&mut next, leader);
    if is_repaired {
        settle(&mut next, leader);
    }
    let failed = |how: String| format!("n{} leads; {how}", leader + 1);
    check(&mut next).map_err(failed)?;
    if is_repaired {
        let stuck = || failed(NOT_REPAIRED.to_owned());
        return if is_healed(&next, leader) { Ok(depth) } else { Err(stuck()) };
    }
    if next.omits(Omission::WaitsForEver) {
        return Err(failed("it cannot decide about a damaged entry, and waits".to_owned()));
    }
    let term = next.nodes[leader].term + 1;
    next.follow(leader, term);
    let held = if next.omits(Omission::CampaignsAgain) { 0 } else { held | 1 << leader };
    let rest = elect_any(&next, held, depth + 1);
    rest.map_err(|rest| failed(format!("it cannot decide, and steps down; {rest}")))
}

/// Tries every node that may campaign now: intact nodes before damaged ones (R7).
fn elect_any(cluster: &Cluster, held: u8, depth: u32) -> Result<u32, String> {
    if depth > cluster.count as u32 {
        return Err("and so on".to_owned());
    }
    let voters = |place: usize| {
        let voters = cluster.places().filter(|voter| cluster.would_vote(*voter, place));
        voters.fold(0_u8, |set, voter| set | 1 << voter)
    };
    let electable = |place: &usize| held >> place & 1 == 0 && cluster.is_quorum(voters(*place));
    let is_clean = |place: &usize| cluster.nodes[*place].unresolved().is_none();
    let any_clean = cluster.places().filter(electable).any(|place| is_clean(&place));
    let is_early = |place: &usize| {
        !any_clean || is_clean(place) || cluster.omits(Omission::DamagedCampaignsEarly)
    };
    let candidates: Vec<_> = cluster.places().filter(electable).filter(is_early).collect();
    let mut most = None;
    for place in candidates {
        let mut next = *cluster;
        next.elect(place, voters(place));
        let led = lead(&next, place, held, depth)?;
        if led > depth && any_clean {
            return Err(format!(
                "n{} leads without making progress, although an intact node could",
                place + 1
            ));
        }
        most = most.max(Some(led));
    }
    most.ok_or_else(|| NONE_ELECTABLE.to_owned())
}

/// Asks all nodes for the leader's damaged entries. Returns false if one cannot be decided, or if
/// the end of the log is uncertain after a truncation.
fn repair_own_log(cluster: &mut Cluster, leader: usize) -> bool {
    while cluster.nodes[leader].unresolved().is_some() {
        let before = cluster.nodes[leader].log;
        for other in cluster.places() {
            if cluster.nodes[leader].log == before {
                cluster.ask(leader, other);
            }
        }
        if cluster.nodes[leader].log == before {
            return false;
        }
    }
    cluster.nodes[leader].leader().is_some()
}

/// Lets the leader append an entry, and every node repair its log and store the leader's.
fn settle(cluster: &mut Cluster, leader: usize) {
    cluster.propose(leader);
    for _ in 0..2 {
        for place in cluster.places() {
            for from in cluster.places() {
                cluster.install(from, place);
            }
            for index in (1..=cluster.nodes[place].log.last()).rev() {
                for from in cluster.places() {
                    cluster.repair(place, index, from);
                }
            }
        }
        for place in cluster.places() {
            cluster.request_log_end(leader, place);
        }
        cluster.flush(leader);
        for place in cluster.places() {
            cluster.append(leader, place, cluster.nodes[leader].log.last());
        }
        for place in cluster.places() {
            cluster.answer_uncertain(leader, place);
        }
        cluster.commit(leader);
    }
}

fn is_healed(cluster: &Cluster, leader: usize) -> bool {
    let leader = &cluster.nodes[leader];
    let last = leader.log.last();
    cluster.places().map(|place| &cluster.nodes[place]).all(|node| {
        let has_same = |index: u8| {
            let id = leader.log.content(index).expect("the log has no gaps");
            index <= leader.snapshot || node.serves(index, id)
        };
        node.is_certain && node.commit == last && (1..=last).all(has_same)
    })
}

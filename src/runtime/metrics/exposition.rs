//! What a node has counted, family by family, for an encoder of the OpenMetrics format.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::runtime::metrics::counts::{Counts, LADDER, LANES};
use crate::runtime::metrics::labels::Sort;
use crate::runtime::metrics::network::{CALLERS, NetworkCounts, PEER_LANES, PeerCounts};
use crate::runtime::metrics::told::{Metrics, Timed};
use crate::runtime::metrics::value::{Counter, Gauge};
use crate::types::{NodeId, RoleName, Standing};

type Labels<const N: usize> = [(&'static str, String); N];

const NO_LABELS: Labels<0> = [];

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mut families = Families(&mut encoder);
        let counts = &*self.0;
        families.state(counts)?;
        families.events(counts)?;
        families.requests(counts)?;
        families.disk(counts)?;
        families.times(self)?;
        families.network(&counts.network)?;
        families.peers(counts)
    }
}

/// Where families of figures go.
struct Families<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl Families<'_, '_> {
    fn state(&mut self, counts: &Counts) -> fmt::Result {
        let state = &counts.state;
        let labels = [
            ("node", counts.node.0.to_string()),
            ("cluster", counts.cluster.to_string()),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ];
        self.gauges("node_info", "Which node this is", None, [(labels, 1)])?;
        let now = state.role.get();
        let roles = <RoleName as Sort>::NAMES;
        self.gauges("role", "1 for the role that the node has", None, one_of("role", roles, now))?;
        self.gauge("term", "The term", state.term.get())?;
        self.gauge("leader", "The leader that the node follows, 0 for none", state.leader.get())?;
        let ladder = LADDER.into_iter().zip(&state.log);
        let ladder = ladder.map(|(point, gauge)| ([("point", point.to_owned())], gauge.get()));
        self.gauges("log_index", "How far the log is, by what is known of it", None, ladder)?;
        let (help, tail) = ("Entries kept in memory", state.tail_bytes.get());
        self.gauges("log_tail", help, Some(&Unit::Bytes), [(NO_LABELS, tail)])?;
        let (help, bytes) = ("Entries that a leader has not applied", state.unapplied_bytes.get());
        self.gauges("log_unapplied", help, Some(&Unit::Bytes), [(NO_LABELS, bytes)])?;
        let help = "Messages that wait until the disk has what they promise";
        self.gauge("outbox_messages", help, state.outbox.get())?;
        self.gauge("reads_waiting", "Reads that wait", state.reads_waiting.get())?;
        let help = "Requests that have no outcome yet";
        self.gauge("requests_waiting", help, state.requests_waiting.get())?;
        let help = "1 if the disk takes no more entries";
        self.gauge("disk_full", help, state.disk_full.get())?;
        let standings = <Standing as Sort>::NAMES;
        let standing = one_of("standing", standings, state.standing.get());
        self.gauges("standing", "1 for what is known of the state machine", None, standing)?;
        let members = [("voter", state.voters.get()), ("learner", state.learners.get())];
        let members = members.map(|(kind, count)| ([("kind", kind.to_owned())], count));
        self.gauges("members", "Who counts, as the node knows it", None, members)?;
        self.gauge("stopped", "1 once the node has stopped for good", state.stopped.get())
    }

    fn events(&mut self, counts: &Counts) -> fmt::Result {
        let events = &counts.events;
        let help = "How often a leader became known that was not before";
        self.counter("leader_changes", help, events.leader_changes.get())?;
        let elections = events.roles.counts().filter_map(|(role, count)| match role {
            "pre_candidate" => Some(([("kind", "pre_vote".to_owned())], count)),
            "candidate" => Some(([("kind", "vote".to_owned())], count)),
            _ => None,
        });
        self.counters("elections", "Elections that the node began", None, elections)?;
        let refusals = by("reason", events.refusals.counts());
        let help = "Messages of peers that the node dropped or declined";
        self.counters("refusals", help, None, refusals)?;
        let verdicts = by("verdict", events.verdicts.counts());
        let help = "What comparing results with other nodes came to";
        self.counters("verdicts", help, None, verdicts)?;
        let help = "Snapshots taken, received and installed, and parts of them on the way";
        self.counters("snapshots", help, None, by("step", events.snapshots.counts()))
    }

    fn requests(&mut self, counts: &Counts) -> fmt::Result {
        let requests = &counts.requests;
        let proposals = by("outcome", requests.proposals.counts());
        let help = "Proposals that have ended";
        self.counters("proposals", help, None, proposals)?;
        let reads = requests.reads.counts().map(|(name, count)| {
            let (level, outcome) = name.split_once(' ').unwrap_or((name, ""));
            ([("level", level.to_owned()), ("outcome", outcome.to_owned())], count)
        });
        self.counters("reads", "Reads that have ended", None, reads)?;
        let rejections = by("reason", requests.rejections.counts());
        self.counters("rejections", "Why requests were rejected", None, rejections)
    }

    fn disk(&mut self, counts: &Counts) -> fmt::Result {
        let disk = &counts.disk;
        let depths = LANES.into_iter().zip(&disk.depths);
        let depths = depths.map(|(lane, gauge)| ([("lane", lane.to_owned())], gauge.get()));
        let help = "What the threads beside the node have still to do";
        self.gauges("lane_depth", help, None, depths)?;
        let operations = by("operation", disk.operations.counts());
        self.counters("disk_operations", "Disk operations done", None, operations)?;
        let errors = by("error", disk.errors.counts());
        self.counters("disk_errors", "Disk operations that failed", None, errors)?;
        let written = [(NO_LABELS, disk.written_bytes.get())];
        self.counters("disk_written", "Written to files", Some(&Unit::Bytes), written)
    }

    fn times(&mut self, metrics: &Metrics) -> fmt::Result {
        let times = [
            ("proposal", "Proposals done, from being asked for", Timed::Proposal),
            ("read", "Reads answered, from being asked for", Timed::Read),
            ("flush", "Syncs of the log, from being asked for", Timed::Flush),
            ("disk_operation", "Disk operations by themselves", Timed::Disk),
            ("apply", "Batches applied, from being handed over", Timed::Apply),
        ];
        for (name, help, timed) in times {
            let name = format!("quorate_{name}");
            let latencies = metrics.latencies(timed);
            let buckets = latencies.buckets.iter().map(|bucket| {
                let bound = bucket.up_to.map_or(f64::INFINITY, |bound| bound.as_secs_f64());
                (bound, bucket.count)
            });
            let buckets: Vec<(f64, u64)> = buckets.collect();
            let count = buckets.iter().map(|(_, count)| count).sum();
            let unit = Some(&Unit::Seconds);
            let mut encoder = self.0.encode_descriptor(&name, help, unit, MetricType::Histogram)?;
            let sum = latencies.sum.as_secs_f64();
            encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }

    fn network(&mut self, network: &NetworkCounts) -> fmt::Result {
        let bytes = Some(&Unit::Bytes);
        self.counters("sent_packets", "To peers", None, by("kind", network.sent.counts()))?;
        self.counters("sent", "To peers", bytes, by("kind", network.sent_bytes.counts()))?;
        let received = by("kind", network.received.counts());
        self.counters("received_packets", "From peers", None, received)?;
        let received = by("kind", network.received_bytes.counts());
        self.counters("received", "From peers", bytes, received)?;
        let taken = CALLERS.into_iter().zip(network.calls_taken.iter().map(Counter::get));
        let help = "Connections of others that were greeted";
        self.counters("connections_accepted", help, None, by("caller", taken))?;
        let refusals = network.refusals.counts().into_iter();
        let refusals = by("reason", refusals.map(|(reason, count)| (reason.name(), count)));
        let help = "Connections refused or closed for the other side's fault";
        self.counters("connection_refusals", help, None, refusals)?;
        let help = "Connections of others that are open";
        let open = CALLERS.into_iter().zip(network.calls_open.iter().map(Gauge::get));
        self.gauges("connections_open", help, None, by("caller", open))?;
        let waiting = network.waiting().into_iter();
        let waiting = waiting.map(|(queue, count)| ([("queue", queue.to_owned())], count as u64));
        self.gauges("queue_depth", "What waits for the node", None, waiting)
    }

    fn peers(&mut self, counts: &Counts) -> fmt::Result {
        let peers = counts.network.peers();
        let followed = || peers.iter().filter(|(_, peer)| peer.followed.get() != 0);
        let of = |id: &NodeId| [("peer", id.0.to_string())];
        let matched = followed().map(|(id, peer)| (of(id), peer.matched.get()));
        let help = "Up to where the peer's log is known to equal this leader's";
        self.gauges("peer_matched_index", help, None, matched)?;
        let [.., last] = &counts.state.log;
        let last = last.get();
        let lag = |peer: &PeerCounts| last.saturating_sub(peer.matched.get());
        let lag = followed().map(|(id, peer)| (of(id), lag(peer)));
        self.gauges("peer_lag_entries", "What the peer lacks of this leader's log", None, lag)?;
        let inflight = followed().map(|(id, peer)| (of(id), peer.inflight_bytes.get()));
        let help = "Entries on their way to the peer";
        self.gauges("peer_inflight", help, Some(&Unit::Bytes), inflight)?;
        let suspected = followed().map(|(id, peer)| (of(id), peer.suspected.get()));
        let help = "1 if the leader has not heard the peer for an election timeout";
        self.gauges("peer_suspected", help, None, suspected)?;

        let now = counts.milliseconds();
        let heard = peers.iter().filter(|(_, peer)| peer.heard.get() > 0).map(|(id, peer)| {
            let silence = Duration::from_millis(now.saturating_sub(peer.heard.get()));
            (of(id), Figure::Seconds(silence.as_secs_f64()))
        });
        let (help, unit) = ("Since a word of the peer", Some(&Unit::Seconds));
        self.figures("peer_silence", help, unit, MetricType::Gauge, heard)?;
        let lanes = peers.iter().flat_map(|(id, peer)| {
            PEER_LANES.into_iter().zip(&peer.connected).map(|(lane, gauge)| (*id, lane, gauge))
        });
        let connected = lanes.map(|(id, lane, gauge)| {
            ([("peer", id.0.to_string()), ("lane", lane.to_owned())], gauge.get())
        });
        self.gauges("peer_connected", "1 if connected to the peer", None, connected)?;
        let waiting = peers.iter().flat_map(|(id, peer)| {
            peer.waiting().into_iter().map(|(lane, waiting)| {
                ([("peer", id.0.to_string()), ("lane", lane.to_owned())], waiting as u64)
            })
        });
        self.gauges("peer_queue_depth", "Packets that wait for the peer", None, waiting)?;
        let failures = peers.iter().map(|(id, peer)| (of(id), peer.failures.get()));
        let help = "Connections to the peer that did not come about, or broke";
        self.counters("peer_failures", help, None, failures)?;
        let losses = peers.iter().flat_map(|(id, peer)| {
            peer.losses.counts().map(|(reason, count)| {
                ([("peer", id.0.to_string()), ("reason", reason.to_owned())], count)
            })
        });
        self.counters("peer_dropped_packets", "Packets that never left", None, losses)
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.gauges(name, help, None, [(NO_LABELS, value)])
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.counters(name, help, None, [(NO_LABELS, value)])
    }

    fn gauges<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        figures: impl IntoIterator<Item = (Labels<N>, u64)>,
    ) -> fmt::Result {
        let figures = figures.into_iter().map(|(labels, value)| (labels, Figure::Gauge(value)));
        self.figures(name, help, unit, MetricType::Gauge, figures)
    }

    fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        figures: impl IntoIterator<Item = (Labels<N>, u64)>,
    ) -> fmt::Result {
        let figures = figures.into_iter().map(|(labels, value)| (labels, Figure::Counter(value)));
        self.figures(name, help, unit, MetricType::Counter, figures)
    }

    fn figures<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        sort: MetricType,
        figures: impl Iterator<Item = (Labels<N>, Figure)>,
    ) -> fmt::Result {
        let name = format!("quorate_{name}");
        let mut family = self.0.encode_descriptor(&name, help, unit, sort)?;
        for (labels, figure) in figures {
            if N == 0 {
                figure.encode(&mut family)?;
            } else {
                figure.encode(&mut family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

/// One figure of a family.
enum Figure {
    Gauge(u64),
    Counter(u64),
    Seconds(f64),
}

impl Figure {
    fn encode(&self, encoder: &mut MetricEncoder) -> fmt::Result {
        match self {
            Figure::Gauge(value) => encoder.encode_gauge(value),
            Figure::Counter(value) => encoder.encode_counter::<NoLabelSet, _, u64>(value, None),
            Figure::Seconds(value) => encoder.encode_gauge(value),
        }
    }
}

fn by(
    label: &'static str,
    counts: impl Iterator<Item = (&'static str, u64)>,
) -> impl Iterator<Item = (Labels<1>, u64)> {
    counts.map(move |(name, count)| ([(label, name.to_owned())], count))
}

/// 1 for the name that holds now, 0 for all others.
fn one_of(
    label: &'static str,
    names: &'static [&'static str],
    now: u64,
) -> impl Iterator<Item = (Labels<1>, u64)> {
    names
        .iter()
        .zip(0..)
        .map(move |(name, number)| ([(label, (*name).to_owned())], u64::from(number == now)))
}

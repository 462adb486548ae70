//! Encodes the metrics of a node in the OpenMetrics format, family by family.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::runtime::metrics::api::{LatencyMetric, Metrics};
use crate::runtime::metrics::counts::{Counts, LANES, LOG_POINTS};
use crate::runtime::metrics::labels::Label;
use crate::runtime::metrics::network::{CALLERS, NetworkCounts, PEER_LANES, PeerCounts};
use crate::runtime::metrics::value::{Counter, Gauge};
use crate::types::{NodeId, RoleName, StateVerification};

type Labels<const N: usize> = [(&'static str, String); N];

const NO_LABELS: Labels<0> = [];

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mut families = Families(&mut encoder);
        let counts = &*self.0;
        families.state(counts)?;
        families.usage(counts)?;
        families.events(counts)?;
        families.requests(counts)?;
        families.disk(counts)?;
        families.times(self)?;
        families.network(&counts.network)?;
        families.peers(counts)
    }
}

/// Writes metric families to the encoder.
struct Families<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl Families<'_, '_> {
    fn state(&mut self, counts: &Counts) -> fmt::Result {
        let state = &counts.state;
        let labels = [
            ("node", counts.node.0.to_string()),
            ("cluster", counts.cluster.to_string()),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ];
        let help = "The id of the node and its cluster, and the version of quorate";
        self.gauges("node_info", help, None, [(labels, 1)])?;
        let role = one_of("role", <RoleName as Label>::NAMES, state.role.get());
        self.gauges("role", "1 for the current role of the node", None, role)?;
        self.gauge("term", "The current term", &state.term)?;
        let help = "The id of the leader that the node follows, 0 for none";
        self.gauge("leader", help, &state.leader)?;
        let points = LOG_POINTS.into_iter().zip(&state.log);
        let points = points.map(|(point, gauge)| ([("point", point.to_owned())], gauge.get()));
        self.gauges("log_index", "The log index of each point, such as applied", None, points)?;
        self.bytes("log_tail", "Bytes of entries that are kept in memory", &state.tail_bytes)?;
        let help = "Bytes of entries that the leader has not applied, or that its disk lacks";
        self.bytes("log_unapplied", help, &state.unapplied_bytes)?;
        let help = "Messages that wait for a disk write before they are sent";
        self.gauge("outbox_messages", help, &state.outbox)?;
        let help = "Reads that wait for their read index or for entries to be applied";
        self.gauge("reads_waiting", help, &state.reads_waiting)?;
        let help = "Requests without an outcome yet";
        self.gauge("requests_pending", help, &state.requests_pending)?;
        let help = "1 if the disk is full and accepts no more entries";
        self.gauge("disk_full", help, &state.disk_full)?;
        let help = "Entries of the log that the disk lost and the node asks its peers for";
        self.gauge("damaged_entries", help, &state.damaged_entries)?;
        let help = "1 if the log may lack acknowledged entries, until a leader has checked it";
        self.gauge("log_uncertain", help, &state.log_uncertain)?;
        let verifications = <StateVerification as Label>::NAMES;
        let verification = one_of("status", verifications, state.verification.get());
        let help = "1 for the current verification status of the state machine";
        self.gauges("state_verification", help, None, verification)?;
        let parts = |[user, library]: &[Gauge; 2]| {
            [("user", user.get()), ("library", library.get())]
                .map(|(part, version)| ([("part", part.to_owned())], version))
        };
        let help = "The version of the rules by which commands are applied";
        self.gauges("version", help, None, parts(&state.version))?;
        let help = "The highest version of the rules that the build has";
        self.gauges("version_max", help, None, parts(&state.version_max))?;
        let members = [("voter", state.voters.get()), ("learner", state.learners.get())];
        let members = members.map(|(kind, count)| ([("kind", kind.to_owned())], count));
        self.gauges("members", "The voters and learners of the active membership", None, members)?;
        self.gauge("stopped", "1 once the node has stopped permanently", &state.stopped)
    }

    fn usage(&mut self, counts: &Counts) -> fmt::Result {
        let usage = &counts.state.usage;
        self.gauge("sessions", "Open client sessions", &usage.sessions)?;
        let help = "Requests that the client sessions store";
        self.gauge("session_requests", help, &usage.requests)?;
        let help = "Bytes of replies that the client sessions store";
        self.bytes("session_replies", help, &usage.replies_bytes)?;
        let help = "Bytes of the state that count against its quota";
        self.bytes("state", help, &usage.state_bytes)?;
        self.bytes("state_quota", "The quota of the state, 0 for none", &usage.quota_bytes)?;
        let help = "1 if writes that grow the state are rejected until an operator makes room";
        self.gauge("state_quota_alarm", help, &usage.quota_alarm)
    }

    fn events(&mut self, counts: &Counts) -> fmt::Result {
        let events = &counts.events;
        let help = "Changes of the leader that the node follows";
        self.counter("leader_changes", help, None, &events.leader_changes)?;
        let elections = events.roles.counts().filter_map(|(role, count)| match role {
            "pre_candidate" => Some(([("kind", "pre_vote".to_owned())], count)),
            "candidate" => Some(([("kind", "vote".to_owned())], count)),
            _ => None,
        });
        let help = "Times that the node became a pre-candidate or a candidate";
        self.counters("elections", help, None, elections)?;
        let help = "Changes of the node's role, term or known leader, by cause";
        self.counters("role_changes", help, None, by("cause", events.role_causes.counts()))?;
        let rejected = by("reason", events.rejected_messages.counts());
        let help = "Messages of peers that the node rejected";
        self.counters("rejected_messages", help, None, rejected)?;
        let comparisons = by("result", events.comparisons.counts());
        let help = "Comparisons of the state with other nodes, by result";
        self.counters("state_comparisons", help, None, comparisons)?;
        let help = "Snapshots taken, received, installed and failed, and their parts";
        self.counters("snapshots", help, None, by("step", events.snapshots.counts()))?;
        let help = "Bytes on the disk that were read again to find damage";
        self.counter("scrubbed_bytes", help, None, &events.scrubbed_bytes)?;
        let help = "Passes that read everything durable again to find damage";
        self.counter("scrub_passes", help, None, &events.scrub_passes)?;
        let help = "Damaged copies of the superblock that were found and written again";
        self.counter("superblock_repairs", help, None, &events.superblock_repairs)
    }

    fn requests(&mut self, counts: &Counts) -> fmt::Result {
        let requests = &counts.requests;
        let proposals = by("outcome", requests.proposals.counts());
        let help = "Proposals by their outcome";
        self.counters("proposals", help, None, proposals)?;
        let reads = requests.reads.counts().map(|(name, count)| {
            let (level, outcome) = name.split_once(' ').unwrap_or((name, ""));
            ([("level", level.to_owned()), ("outcome", outcome.to_owned())], count)
        });
        self.counters("reads", "Reads by their level and outcome", None, reads)?;
        let by_service = requests.rejected_by_service.counts();
        let rejected = by("reason", requests.rejected.counts().chain(by_service));
        self.counters("rejected_requests", "Requests that were rejected, by reason", None, rejected)
    }

    fn disk(&mut self, counts: &Counts) -> fmt::Result {
        let disk = &counts.disk;
        let depths = LANES.into_iter().zip(&disk.depths);
        let depths = depths.map(|(lane, gauge)| ([("lane", lane.to_owned())], gauge.get()));
        let help = "Jobs of each lane that are not done yet";
        self.gauges("lane_depth", help, None, depths)?;
        let operations = by("operation", disk.operations.counts());
        self.counters("disk_operations", "Disk operations that were executed", None, operations)?;
        let errors = by("error", disk.errors.counts());
        self.counters("disk_errors", "Disk operations that failed", None, errors)?;
        let (help, bytes) = ("Bytes written to files", Some(&Unit::Bytes));
        self.counter("disk_written", help, bytes, &disk.written_bytes)?;
        let help = "1 while the inputs of the node are recorded";
        self.gauge("recording", help, &disk.recording)?;
        let help = "Bytes written to the recording";
        self.counter("recording_written", help, bytes, &disk.recording_bytes)?;
        let help =
            "Blocks of the recording that were dropped: its disk is slow, or its size is small";
        self.counter("recording_dropped_blocks", help, None, &disk.recording_dropped)
    }

    fn times(&mut self, metrics: &Metrics) -> fmt::Result {
        let times = [
            (
                "proposal",
                "From the request of a proposal until its answer",
                LatencyMetric::Proposal,
            ),
            ("read", "From the request of a read until it is answered", LatencyMetric::Read),
            (
                "flush",
                "From the request of a sync of the log until it is done",
                LatencyMetric::Flush,
            ),
            (
                "disk_operation",
                "The execution of each disk operation",
                LatencyMetric::DiskOperation,
            ),
            ("apply", "From queueing a batch until it is applied", LatencyMetric::Apply),
        ];
        for (name, help, timed) in times {
            let name = format!("quorate_{name}");
            let latencies = metrics.latency(timed);
            let buckets = latencies.buckets.iter().map(|bucket| {
                let bound = bucket.upper_bound.map_or(f64::INFINITY, |bound| bound.as_secs_f64());
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
        let sent = by("kind", network.sent.counts());
        self.counters("sent_packets", "Packets sent to peers", None, sent)?;
        let sent = by("kind", network.sent_bytes.counts());
        self.counters("sent", "Bytes sent to peers", bytes, sent)?;
        let received = by("kind", network.received.counts());
        self.counters("received_packets", "Packets received from peers", None, received)?;
        let received = by("kind", network.received_bytes.counts());
        self.counters("received", "Bytes received from peers", bytes, received)?;
        let accepted = CALLERS.into_iter().zip(network.accepted.iter().map(Counter::get));
        let help = "Inbound connections whose handshake succeeded";
        self.counters("connections_accepted", help, None, by("caller", accepted))?;
        let rejected = network.rejected_connections.counts().into_iter();
        let rejected = by("reason", rejected.map(|(reason, count)| (reason.name(), count)));
        let help = "Connections that were rejected or closed, by reason";
        self.counters("rejected_connections", help, None, rejected)?;
        let help = "Inbound connections that are open";
        let open = CALLERS.into_iter().zip(network.open.iter().map(Gauge::get));
        self.gauges("connections_open", help, None, by("caller", open))?;
        let waiting = network.waiting().into_iter();
        let waiting = waiting.map(|(queue, count)| ([("queue", queue.to_owned())], count as u64));
        self.gauges("queue_depth", "Items that wait for the driver", None, waiting)
    }

    fn peers(&mut self, counts: &Counts) -> fmt::Result {
        let peers = counts.network.peers();
        let with_progress = || peers.iter().filter(|(_, peer)| peer.has_progress.get() != 0);
        let peer_label = |id: &NodeId| [("peer", id.0.to_string())];
        let matched = with_progress().map(|(id, peer)| (peer_label(id), peer.matched.get()));
        let help = "The last index known to be durable on the peer and equal to this leader's log";
        self.gauges("peer_matched_index", help, None, matched)?;
        let [.., last] = &counts.state.log;
        let last = last.get();
        let lag = |peer: &PeerCounts| last.saturating_sub(peer.matched.get());
        let lag = with_progress().map(|(id, peer)| (peer_label(id), lag(peer)));
        let help = "Entries of this leader's log that are not known to be durable on the peer";
        self.gauges("peer_lag_entries", help, None, lag)?;
        let inflight =
            with_progress().map(|(id, peer)| (peer_label(id), peer.inflight_bytes.get()));
        let help = "Bytes of entries in flight to the peer";
        self.gauges("peer_inflight", help, Some(&Unit::Bytes), inflight)?;
        let suspected = with_progress().map(|(id, peer)| (peer_label(id), peer.suspected.get()));
        let help = "1 if this leader has not heard from the peer for the longest election timeout";
        self.gauges("peer_suspected", help, None, suspected)?;

        let now = counts.milliseconds();
        let silence =
            peers.iter().filter(|(_, peer)| peer.last_heard.get() > 0).map(|(id, peer)| {
                let silence = Duration::from_millis(now.saturating_sub(peer.last_heard.get()));
                (peer_label(id), Sample::Seconds(silence.as_secs_f64()))
            });
        let (help, unit) = ("Time since the last frame from the peer", Some(&Unit::Seconds));
        self.samples("peer_silence", help, unit, MetricType::Gauge, silence)?;
        let lanes = peers.iter().flat_map(|(id, peer)| {
            PEER_LANES.into_iter().zip(&peer.connected).map(|(lane, gauge)| (*id, lane, gauge))
        });
        let connected = lanes.map(|(id, lane, gauge)| {
            ([("peer", id.0.to_string()), ("lane", lane.to_owned())], gauge.get())
        });
        let help = "1 if this node is connected to the peer on the lane";
        self.gauges("peer_connected", help, None, connected)?;
        let waiting = peers.iter().flat_map(|(id, peer)| {
            peer.waiting().into_iter().map(|(lane, waiting)| {
                ([("peer", id.0.to_string()), ("lane", lane.to_owned())], waiting as u64)
            })
        });
        self.gauges("peer_queue_depth", "Packets that wait to be sent to the peer", None, waiting)?;
        let failures = peers.iter().map(|(id, peer)| (peer_label(id), peer.failures.get()));
        let help = "Connections to the peer that failed or were lost";
        self.counters("peer_connection_failures", help, None, failures)?;
        let losses = peers.iter().flat_map(|(id, peer)| {
            peer.dropped.counts().map(|(reason, count)| {
                ([("peer", id.0.to_string()), ("reason", reason.to_owned())], count)
            })
        });
        let help = "Packets to the peer that were dropped before they were sent";
        self.counters("peer_dropped_packets", help, None, losses)
    }

    fn gauge(&mut self, name: &str, help: &str, gauge: &Gauge) -> fmt::Result {
        self.gauges(name, help, None, [(NO_LABELS, gauge.get())])
    }

    /// Writes a gauge of bytes.
    fn bytes(&mut self, name: &str, help: &str, gauge: &Gauge) -> fmt::Result {
        self.gauges(name, help, Some(&Unit::Bytes), [(NO_LABELS, gauge.get())])
    }

    fn counter(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        counter: &Counter,
    ) -> fmt::Result {
        self.counters(name, help, unit, [(NO_LABELS, counter.get())])
    }

    fn gauges<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        samples: impl IntoIterator<Item = (Labels<N>, u64)>,
    ) -> fmt::Result {
        let samples = samples.into_iter().map(|(labels, value)| (labels, Sample::Gauge(value)));
        self.samples(name, help, unit, MetricType::Gauge, samples)
    }

    fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        samples: impl IntoIterator<Item = (Labels<N>, u64)>,
    ) -> fmt::Result {
        let samples = samples.into_iter().map(|(labels, value)| (labels, Sample::Counter(value)));
        self.samples(name, help, unit, MetricType::Counter, samples)
    }

    fn samples<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        metric_type: MetricType,
        samples: impl Iterator<Item = (Labels<N>, Sample)>,
    ) -> fmt::Result {
        let name = format!("quorate_{name}");
        let mut family = self.0.encode_descriptor(&name, help, unit, metric_type)?;
        for (labels, sample) in samples {
            if N == 0 {
                sample.encode(&mut family)?;
            } else {
                sample.encode(&mut family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

/// One sample of a metric family.
enum Sample {
    Gauge(u64),
    Counter(u64),
    Seconds(f64),
}

impl Sample {
    fn encode(&self, encoder: &mut MetricEncoder) -> fmt::Result {
        match self {
            Sample::Gauge(value) => encoder.encode_gauge(value),
            Sample::Counter(value) => encoder.encode_counter::<NoLabelSet, _, u64>(value, None),
            Sample::Seconds(value) => encoder.encode_gauge(value),
        }
    }
}

fn by(
    label: &'static str,
    counts: impl Iterator<Item = (&'static str, u64)>,
) -> impl Iterator<Item = (Labels<1>, u64)> {
    counts.map(move |(name, count)| ([(label, name.to_owned())], count))
}

/// Returns 1 for the name with the number `current`, and 0 for all others.
fn one_of(
    label: &'static str,
    names: &'static [&'static str],
    current: u64,
) -> impl Iterator<Item = (Labels<1>, u64)> {
    names
        .iter()
        .zip(0..)
        .map(move |(name, number)| ([(label, (*name).to_owned())], u64::from(number == current)))
}

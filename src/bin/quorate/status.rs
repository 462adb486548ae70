//! `quorate status`: the status of every member of the cluster.

use std::time::Duration;

use clap::Args;
use quorate::quorum::is_quorum;
use quorate::runtime::{ANY_UNNAMED_CLUSTER, Client, ClientError, Report, WriteObstacle};
use quorate::storage::ClusterId;
use quorate::types::{MachineUsage, Member, Membership, NodeId, PeerStatus, StateVerification};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::client::ClientFlags;
use crate::exit::{CommandError, CommandResult, Exit};
use crate::output::print;
use crate::quota;
use crate::role_changes;
use crate::table::Table;
use crate::upgrade;
use crate::values::ServerAddress;

/// The flags of `status`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate status
  quorate status --changes

Columns of each node:
  last       index of the last entry in its log
  durable    index up to which its log is on its own disk
  committed  index up to which it knows that entries are committed
  applied    index up to which its state machine has applied entries
  snapshot   index of its last snapshot
  lag        number of entries of the leader's log that are not known to be on this node's disk
Below them, store is the number of bytes that count against the quota, and sessions is the number of
open client sessions.

Exit code 1: writes fail, or a member does not answer this command or its leader. Writes fail if
there is no leader or its disk is full, if no quorum of voters follows the leader and has space, if
no quorum has the same state, or if the leader has entries to commit and commits none, for example
because the disks of a quorum hang. Writes that grow the store also fail while the alarm of its
quota is on. A warning names each reason. If there are entries to commit, the command asks the
leader again until it has committed one, for at most 5 s.

Each node has an eighth of --timeout to answer.")]
pub(crate) struct StatusFlags {
    #[command(flatten)]
    client: ClientFlags,
    /// Also print the last role changes of every node, with their reasons
    #[arg(long)]
    changes: bool,
}

/// A member, and its report or the error in its place.
struct MemberStatus {
    member: Member,
    kind: &'static str,
    report: Result<Report, String>,
}

/// The status of the cluster and of every member.
struct ClusterStatus {
    cluster: ClusterId,
    membership: Membership,
    rows: Vec<MemberStatus>,
    /// Whether the leader committed nothing for [`COMMIT_PATIENCE`], although its log has entries
    /// to commit.
    is_stalled: bool,
}

/// A leader that has committed nothing for this long is an obstacle to writes, as it is for
/// `/ready`.
const COMMIT_PATIENCE: Duration = Duration::from_secs(5);

/// The interval at which the leader is asked again.
const COMMIT_POLL: Duration = Duration::from_millis(250);

/// The timeout of the command is this many times as long as that of one node's report.
const TIMEOUT_SHARE: u32 = 8;

const TITLES: [&str; 11] = [
    "node",
    "address",
    "role",
    "member",
    "term",
    "last",
    "durable",
    "committed",
    "applied",
    "snapshot",
    "lag",
];

pub(crate) fn run(flags: &StatusFlags, json: bool) -> CommandResult {
    let status =
        flags.client.run(async |client| ClusterStatus::collect(&client, &flags.client).await)?;
    let mut text = if json { status.json().to_string() } else { status.text() };
    if flags.changes && !json {
        text += &role_changes::text_of(status.reports());
    }
    print(&text)?;
    Ok(if status.is_healthy() { Exit::Done } else { Exit::Negative })
}

impl MemberStatus {
    /// Returns the cells of the row except the lag, which is computed from the leader's report.
    fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.member.id.to_string(), self.member.address.to_string()];
        match &self.report {
            Err(_) => {
                cells.extend(["unreachable", self.kind].map(str::to_owned));
                cells.extend(["-"; 6].map(str::to_owned));
            }
            Ok(report) => {
                let status = &report.status;
                cells.extend([status.role.to_string(), self.kind.to_owned()]);
                let indices = [status.durable, status.committed, status.applied, status.snapshot];
                cells.extend([status.term.0, status.last.index.0].map(|number| number.to_string()));
                cells.extend(indices.map(|index| index.to_string()));
            }
        }
        cells
    }
}

impl ClusterStatus {
    /// Requests a report from each node of `--nodes`. Takes the membership from the report with the
    /// latest term or, if several have that term, from the one whose log ends last. Then requests a
    /// report from each of its members.
    async fn collect(client: &Client, flags: &ClientFlags) -> CommandResult<ClusterStatus> {
        let client = client.with_deadline(flags.timeout.0 / TIMEOUT_SHARE);
        let mut latest = None::<Report>;
        let mut failure = None::<ClientError>;
        // The requests run at the same time, so that the timeouts of silent nodes do not add up.
        let ask = |address: &str| {
            let (client, address) = (client.clone(), address.to_owned());
            tokio::spawn(async move { client.report(&address).await })
        };
        let asked: Vec<_> = flags.nodes.iter().map(|ServerAddress(address)| ask(address)).collect();
        for one in asked {
            let place = |report: &Report| (report.status.term, report.status.last);
            match one.await.expect("a request does not panic") {
                // The error of a node that rejects the client is more helpful than that of a node
                // that is not reachable.
                Err(_) if matches!(failure, Some(ClientError::Mismatch { .. })) => {}
                Err(error) => failure = Some(error),
                Ok(report) if latest.as_ref().is_some_and(|one| place(one) >= place(&report)) => {}
                Ok(report) => latest = Some(report),
            }
        }
        let failure = || match failure {
            Some(error) => error.into(),
            None => CommandError::invalid_input("--nodes names no address"),
        };
        let membership = latest.ok_or_else(failure)?.membership;
        let mut rows = Vec::new();
        let members = membership.members().iter();
        let asked: Vec<_> = members.map(|member| (member, ask(member.address.as_str()))).collect();
        for (member, report) in asked {
            let (member, report) =
                (member.clone(), report.await.expect("a request does not panic"));
            let report = report.map_err(|error| error.to_string());
            let kind = if membership.is_voter(member.id) { "voter" } else { "learner" };
            rows.push(MemberStatus { member, kind, report });
        }
        let cluster = client.cluster().unwrap_or(ANY_UNNAMED_CLUSTER);
        let mut status = ClusterStatus { cluster, membership, rows, is_stalled: false };
        status.is_stalled = status.commits_nothing(&client).await;
        Ok(status)
    }

    /// Asks the leader again until it has committed an entry, for at most [`COMMIT_PATIENCE`].
    /// Returns true if it still leads and has committed none.
    async fn commits_nothing(&self, client: &Client) -> bool {
        let Some(leader) = self.leader().filter(|_| self.cluster_obstacles().is_empty()) else {
            return false;
        };
        let Some(member) = self.membership.member(leader.status.id) else { return false };
        let started_at = Instant::now();
        let mut now = leader.clone();
        while is_stalled(leader, &now) {
            if started_at.elapsed() >= COMMIT_PATIENCE {
                return true;
            }
            sleep(COMMIT_POLL).await;
            match client.report(member.address.as_str()).await {
                Ok(report) => now = report,
                Err(_) => return false,
            }
        }
        false
    }

    fn reports(&self) -> impl Iterator<Item = &Report> {
        self.rows.iter().filter_map(|row| row.report.as_ref().ok())
    }

    /// Returns the report of the leader; of several nodes that claim to lead, the one of the latest
    /// term.
    fn leader(&self) -> Option<&Report> {
        let leads = |report: &&Report| report.status.leader == Some(report.status.id);
        self.reports().filter(leads).max_by_key(|report| report.status.term)
    }

    /// Returns the usage of the leader's state machine; without a leader, that of any node that
    /// reported.
    fn usage(&self) -> Option<&MachineUsage> {
        self.leader().or_else(|| self.reports().next()).map(|report| &report.usage)
    }

    fn peer(&self, id: NodeId) -> Option<&PeerStatus> {
        self.leader()?.peers.iter().find(|peer| peer.id == id)
    }

    fn lag(&self, id: NodeId) -> Option<u64> {
        let leader = self.leader()?;
        if leader.status.id == id {
            return Some(leader.status.last.index.0.saturating_sub(leader.status.durable.0));
        }
        Some(leader.status.last.index.0.saturating_sub(self.peer(id)?.matched.0))
    }

    fn text(&self) -> String {
        let mut table = Table::default();
        table.row(TITLES.map(str::to_owned));
        for row in &self.rows {
            let lag = self.lag(row.member.id).map_or("-".to_owned(), |lag| lag.to_string());
            table.row(row.cells().into_iter().chain([lag]));
        }
        let warnings = self.warnings().into_iter().map(|warning| format!("{warning}\n"));
        let memory = self.usage().map(|usage| {
            let quota = usage.quota.map(|quota| format!("store: {}\n", quota::text_of(&quota)));
            let (used, max) = (usage.sessions, usage.bounds.sessions_max);
            let version = usage.version;
            let quota = quota.unwrap_or_default();
            format!("{quota}sessions: {used} of {max}\nversion: {version}\n")
        });
        let (cluster, memory) = (self.cluster, memory.unwrap_or_default());
        format!("cluster {cluster}\n{table}{memory}{}", warnings.collect::<String>())
    }

    /// Returns true if no obstacle to writes is known, and every member answers this command and
    /// its leader.
    fn is_healthy(&self) -> bool {
        let answers = |row: &MemberStatus| row.report.is_ok() && !self.is_silent(row.member.id);
        self.write_obstacles().is_empty() && self.rows.iter().all(answers)
    }

    /// Returns true if the leader has not heard from the member for the longest election timeout.
    fn is_silent(&self, id: NodeId) -> bool {
        self.answers_leader(id) == Some(false)
    }

    /// Returns whether the leader has heard from the member within the longest election timeout;
    /// `None` if that is not known. A leader always answers itself.
    fn answers_leader(&self, id: NodeId) -> Option<bool> {
        let leads = self.leader()?.status.id == id;
        if leads { Some(true) } else { Some(!self.peer(id)?.suspected) }
    }

    /// Returns the reasons for which writes fail: those of the cluster, and the alarm of the quota.
    fn write_obstacles(&self) -> Vec<String> {
        let mut obstacles = self.cluster_obstacles();
        if self.usage().and_then(|usage| usage.quota).is_some_and(|quota| quota.alarm) {
            obstacles.push(
                "writes that grow the store fail: it has reached its quota; delete keys or raise \
                 the quota, then clear the alarm (`quorate quota --help`)"
                    .to_owned(),
            );
        }
        obstacles
    }

    /// Returns the reasons for which no write can succeed, whatever it writes.
    fn cluster_obstacles(&self) -> Vec<String> {
        let Some(leader) = self.leader() else {
            let why = match self.membership.is_empty() {
                true => {
                    ", and no node that answers knows the members: all initial members of a new \
                     cluster must run and reach one another once"
                }
                false => "",
            };
            return vec![format!("there is no leader{why}")];
        };
        let mut obstacles = Vec::new();
        match WriteObstacle::of_report(leader) {
            Some(WriteObstacle::NoQuorumWithSpace) | None => {}
            Some(obstacle) => obstacles.push(format!("writes fail: {obstacle}")),
        }
        if self.is_stalled {
            let obstacle = WriteObstacle::NothingCommitted;
            obstacles.push(format!("writes fail: {obstacle}"));
        }
        // If a voter does not answer this command, the leader's knowledge of it counts, because the
        // leader may reach it all the same.
        let quorum_of = |accepts: &dyn Fn(&Report) -> bool, known: &dyn Fn(&PeerStatus) -> bool| {
            is_quorum(&self.membership, |id| {
                let row = self.rows.iter().find(|row| row.member.id == id);
                match row.and_then(|row| row.report.as_ref().ok()) {
                    Some(report) => accepts(report),
                    None => self.peer(id).is_some_and(|peer| !peer.suspected && known(peer)),
                }
            })
        };
        let quorum = |accepts: &dyn Fn(&Report) -> bool| quorum_of(accepts, &|_| true);
        let follows = |report: &Report| {
            let (own, leading) = (&report.status, &leader.status);
            (own.leader, own.term) == (leading.leader, leading.term)
        };
        if !quorum(&follows) {
            obstacles.push("writes fail: no quorum of the voters follows the leader".to_owned());
        } else if !quorum_of(&|report| follows(report) && !report.status.disk_full, &|peer| {
            !peer.disk_full
        }) {
            obstacles.push("writes fail: no quorum of the voters has free space".to_owned());
        }
        let agrees = |report: &Report| {
            !matches!(
                report.verification,
                StateVerification::Quarantined | StateVerification::NoMajority
            )
        };
        if quorum(&follows) && !quorum(&agrees) {
            obstacles.push("writes fail: no quorum of the voters has the same state".to_owned());
        }
        obstacles
    }

    /// Returns what needs the operator's attention.
    fn warnings(&self) -> Vec<String> {
        let warnings_of = |row: &MemberStatus| {
            let texts = match &row.report {
                Err(error) => vec![error.clone()],
                Ok(report) => warnings_of(report),
            };
            let id = row.member.id;
            texts.into_iter().map(move |text| format!("{id}: {text}"))
        };
        let mut warnings: Vec<String> = self.rows.iter().flat_map(warnings_of).collect();
        let silent = self.rows.iter().filter(|row| self.is_silent(row.member.id));
        warnings.extend(silent.filter(|row| row.report.is_ok()).map(|row| {
            format!(
                "{}: does not answer its leader: see its log output, and check the network",
                row.member.id
            )
        }));
        warnings.extend(self.write_obstacles());
        if !self.membership.is_settled() {
            warnings.push(format!("a membership change is in progress: {}", self.membership));
        }
        warnings
    }

    fn json(&self) -> Value {
        let row = |MemberStatus { member, kind, report }: &MemberStatus| {
            let mut object = json!({
                "node": member.id.0, "address": member.address.as_str(), "vote": kind,
                "lag": self.lag(member.id), "answers_leader": self.answers_leader(member.id),
            });
            match report {
                Err(error) => object["error"] = error.as_str().into(),
                Ok(report) => {
                    let status = &report.status;
                    object["role"] = status.role.to_string().into();
                    object["term"] = status.term.0.into();
                    object["last"] = status.last.index.0.into();
                    object["durable"] = status.durable.0.into();
                    object["committed"] = status.committed.0.into();
                    object["applied"] = status.applied.0.into();
                    object["snapshot"] = status.snapshot.0.into();
                    object["disk_full"] = status.disk_full.into();
                    object["damaged_entries"] = status.damaged_entries.into();
                    object["is_uncertain"] = status.is_uncertain.into();
                    object["verification"] = report.verification.name().into();
                    object["version"] = upgrade::json_of(report.usage.version);
                    object["version_max"] = upgrade::json_of(report.version_max);
                    object["version_required"] =
                        report.version_required.map(upgrade::json_of).into();
                    let changes = report.role_changes.iter().map(role_changes::json_of);
                    object["role_changes"] = changes.collect();
                }
            }
            object
        };
        json!({
            "cluster": self.cluster.to_string(),
            "leader": self.leader().map(|report| report.status.id.0),
            "membership": self.membership.to_string(),
            "settled": self.membership.is_settled(),
            "obstacles": self.write_obstacles(),
            "store": self.usage().and_then(|usage| usage.quota.as_ref()).map(quota::json_of),
            "sessions": self.usage().map(|usage| usage.sessions),
            "sessions_max": self.usage().map(|usage| usage.bounds.sessions_max),
            "version": self.usage().map(|usage| upgrade::json_of(usage.version)),
            "warnings": self.warnings(),
            "nodes": self.rows.iter().map(row).collect::<Vec<_>>(),
        })
    }
}

/// Returns true if the leader still leads, has entries to commit, and has committed none between
/// its two reports.
fn is_stalled(before: &Report, now: &Report) -> bool {
    let (before, now) = (&before.status, &now.status);
    let leads = now.leader == Some(now.id) && now.term == before.term;
    leads && now.committed == before.committed && now.committed < now.last.index
}

/// Returns what needs the operator's attention in the report of one node.
fn warnings_of(report: &Report) -> Vec<String> {
    let (status, mut warnings) = (&report.status, Vec::new());
    if status.disk_full {
        warnings.push("the disk is full".to_owned());
    }
    if status.is_uncertain {
        let text = "uncertain: its log may lack acknowledged entries; waits for a leader";
        warnings.push(text.to_owned());
    }
    if status.damaged_entries > 0 {
        warnings.push(format!("repairing {} damaged entries of the log", status.damaged_entries));
    }
    match report.verification {
        StateVerification::Quarantined => warnings.push(
            "in quarantine: its state is missing or differs from that of a majority; the node \
             rebuilds it from the snapshot of another member"
                .to_owned(),
        ),
        StateVerification::NoMajority => {
            warnings.push("its state differs from that of others".to_owned());
        }
        StateVerification::TooOld => warnings.push(format!(
            "its build is too old: it has the rules up to version {}, and the log has reached {}; \
             restart it with the newer build",
            report.version_max,
            report.version_required.unwrap_or_default()
        )),
        StateVerification::Unverified | StateVerification::Consistent => {}
    }
    warnings
}

#[cfg(test)]
mod tests;

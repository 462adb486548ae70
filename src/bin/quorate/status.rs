//! `quorate status`: every member of the cluster, and how far it is.

use clap::Args;
use quorate::runtime::{Client, Report};
use quorate::storage::ClusterId;
use quorate::types::{Member, Membership, NodeId, PeerStatus};
use serde_json::{Value, json};

use crate::client::ClientFlags;
use crate::exit::{Exit, Trouble};
use crate::output::print;
use crate::table::Table;

/// What `status` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  quorate status

last, durable, committed, applied: how far the node's log is, is on its disk, is known to count and
is carried out. lag: how many entries of the leader's log are not known to be on the node's disk.

Exit code 1: there is no leader, or a member does not answer.")]
pub(crate) struct StatusFlags {
    #[command(flatten)]
    client: ClientFlags,
}

/// One member, and what it says of itself.
struct Row {
    member: Member,
    kind: &'static str,
    report: Result<Report, String>,
}

/// The cluster as it was found.
struct Seen {
    cluster: ClusterId,
    membership: Membership,
    rows: Vec<Row>,
}

/// Which part of the time one node gets to answer in.
const PATIENCE: u32 = 8;

const TITLES: [&str; 11] = [
    "node",
    "address",
    "role",
    "vote",
    "term",
    "last",
    "durable",
    "committed",
    "applied",
    "snapshot",
    "lag",
];

pub(crate) fn run(flags: &StatusFlags, json: bool) -> Result<Exit, Trouble> {
    let seen = flags.client.run(async |client| Seen::through(&client, &flags.client).await)?;
    print(&if json { seen.json().to_string() } else { seen.text() })?;
    let well = seen.leader().is_some() && seen.rows.iter().all(|row| row.report.is_ok());
    Ok(if well { Exit::Done } else { Exit::No })
}

impl Row {
    /// All but the lag, which the leader knows.
    fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.member.id.to_string(), self.member.address.as_str().to_owned()];
        match &self.report {
            Err(_) => {
                cells.extend(["silent", self.kind].map(str::to_owned));
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

impl Seen {
    /// Asks the nodes named for the members, believes whoever knows most, and asks each member.
    async fn through(client: &Client, flags: &ClientFlags) -> Result<Seen, Trouble> {
        let client = client.with_deadline(flags.timeout.0 / PATIENCE);
        let mut latest = None::<Report>;
        let mut trouble = Trouble::wrong("--nodes: nobody is named");
        for address in &flags.nodes {
            let place = |report: &Report| (report.status.term, report.status.last);
            match client.report(address).await {
                Err(error) => trouble = error.into(),
                Ok(report) if latest.as_ref().is_some_and(|one| place(one) >= place(&report)) => {}
                Ok(report) => latest = Some(report),
            }
        }
        let membership = latest.ok_or(trouble)?.membership;
        let mut rows = Vec::new();
        for member in membership.members() {
            let kind = if membership.is_voter(member.id) { "voter" } else { "learner" };
            let report = client.report(member.address.as_str()).await;
            let report = report.map_err(|error| error.to_string());
            rows.push(Row { member: member.clone(), kind, report });
        }
        Ok(Seen { cluster: flags.cluster(), membership, rows })
    }

    /// What the leader says: of several that believe it, the one of the latest term.
    fn leader(&self) -> Option<&Report> {
        let reports = self.rows.iter().filter_map(|row| row.report.as_ref().ok());
        let leads = |report: &&Report| report.status.leader == Some(report.status.id);
        reports.filter(leads).max_by_key(|report| report.status.term)
    }

    fn peer(&self, id: NodeId) -> Option<&PeerStatus> {
        self.leader()?.peers.iter().find(|peer| peer.id == id)
    }

    fn lag(&self, id: NodeId) -> Option<u64> {
        let leader = self.leader()?;
        if leader.status.id == id {
            return Some(leader.status.last.index.0 - leader.status.durable.0);
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
        let remarks = self.remarks().into_iter().map(|remark| format!("{remark}\n"));
        format!("cluster {}\n{table}{}", self.cluster, remarks.collect::<String>())
    }

    /// What an operator should look after.
    fn remarks(&self) -> Vec<String> {
        let remark = |row: &Row| match &row.report {
            Err(error) => Some(format!("{}: {error}", row.member.id)),
            Ok(report) if report.status.disk_full => {
                Some(format!("{}: its disk is full", row.member.id))
            }
            Ok(_) => None,
        };
        let mut remarks: Vec<String> = self.rows.iter().filter_map(remark).collect();
        if self.leader().is_none() {
            remarks.push("nobody leads".to_owned());
        }
        if !self.membership.is_settled() {
            remarks.push(format!("the members are being changed: {}", self.membership));
        }
        remarks
    }

    fn json(&self) -> Value {
        let row = |Row { member, kind, report }: &Row| {
            let mut object = json!({
                "node": member.id.0, "address": member.address.as_str(), "vote": kind,
                "lag": self.lag(member.id),
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
                }
            }
            object
        };
        json!({
            "cluster": self.cluster.to_string(),
            "leader": self.leader().map(|report| report.status.id.0),
            "membership": self.membership.to_string(),
            "settled": self.membership.is_settled(),
            "nodes": self.rows.iter().map(row).collect::<Vec<_>>(),
        })
    }
}

//! `quorate upgrade`: raises the version of the rules by which all nodes apply commands.

use clap::Args;
use quorate::runtime::{Client, ClientError, RejectCause, Report};
use quorate::types::{MachineRejectReason, MachineVersion, NodeId};
use serde_json::{Value, json};

use crate::client::ClientFlags;
use crate::exit::{CommandError, CommandResult, Exit};
use crate::output::{print, report};
use crate::values::{COUNTS, number};

/// The flags of `upgrade`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate upgrade --dry-run
  quorate upgrade

Run it once every member runs the new build. One entry of the log raises the version: all nodes
apply the entries before it by the old rules, and those after it by the new ones. Until then each
node can go back to the old build. Afterwards a node with the old build stops applying entries,
logs an error, and keeps voting; so does a node that joins with the old build. For administrators.

Without VERSION the version is raised to the highest that all members' builds support.

Exit code 5: a member's build is too old, or it has not reported its versions to the leader.")]
pub(crate) struct UpgradeFlags {
    /// Version of the state machine to raise to
    #[arg(value_parser = number::<u32>(COUNTS))]
    version: Option<u32>,
    /// Only print the version, and the highest version of each member's build
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    client: ClientFlags,
}

/// The versions that the leader knows.
struct Versions {
    current: MachineVersion,
    /// The highest version of each member's build, as far as it has reported it.
    members: Vec<(NodeId, Option<MachineVersion>)>,
}

pub(crate) fn run(flags: &UpgradeFlags, json: bool) -> CommandResult {
    let (versions, raised) = flags.client.run(async |client| {
        let versions = Versions::of_leader(&client.report_of_leader().await?);
        if flags.dry_run {
            return Ok((versions, None));
        }
        if flags.version.is_none() && versions.common() == versions.current {
            versions.check_same_build()?;
        }
        let library = versions.common().library;
        let version = match flags.version {
            Some(user) => MachineVersion { user, library },
            None => versions.common(),
        };
        let raised = raise(&client, version.max(versions.current)).await?;
        Ok((versions, Some(raised)))
    })?;
    let text = match (json, raised) {
        (true, Some((version, raised))) => {
            json!({ "version": json_of(version), "raised": raised }).to_string()
        }
        (false, Some((version, true))) => format!("the version is {version} from now on"),
        (false, Some((version, false))) => format!("the version is {version} already"),
        (true, None) => versions.json().to_string(),
        (false, None) => versions.text(),
    };
    match raised {
        Some(_) => report(json, &text),
        None => print(&text)?,
    }
    Ok(Exit::Done)
}

/// Raises the version. Returns the version afterwards, and whether it was raised.
async fn raise(client: &Client, version: MachineVersion) -> CommandResult<(MachineVersion, bool)> {
    match client.raise_version(version).await {
        Ok(()) => Ok((version, true)),
        Err(ClientError::Rejected(RejectCause::Machine(
            MachineRejectReason::VersionNotHigher { current },
        ))) => Ok((current, false)),
        Err(error) => Err(error.into()),
    }
}

impl Versions {
    fn of_leader(report: &Report) -> Versions {
        let own = report.status.id;
        let version_max = |id: NodeId| match report.peers.iter().find(|peer| peer.id == id) {
            Some(peer) => peer.version_max,
            None => (id == own).then_some(report.version_max),
        };
        let members = report.membership.members().iter();
        let members = members.map(|member| (member.id, version_max(member.id))).collect();
        Versions { current: report.usage.version, members }
    }

    /// Returns the highest version that is in all builds whose versions the leader knows, but at
    /// least the current one. The leader rejects the raise if it does not know the build of a
    /// member.
    fn common(&self) -> MachineVersion {
        let known = self.members.iter().filter_map(|(_, version_max)| *version_max);
        known.reduce(MachineVersion::min).unwrap_or_default().max(self.current)
    }

    /// Returns an error that names the members whose builds do not have the highest version that a
    /// member has, if there are any.
    fn check_same_build(&self) -> CommandResult<()> {
        let known = self.members.iter().filter_map(|(_, version_max)| *version_max);
        let Some(highest) = known.reduce(MachineVersion::max) else { return Ok(()) };
        let has = |version_max: &Option<MachineVersion>| {
            version_max.is_some_and(|it| highest.is_within(it))
        };
        let behind = self.members.iter().filter(|(_, version_max)| !has(version_max));
        let lines: Vec<String> = behind.map(|(node, max)| member_line(*node, *max)).collect();
        if lines.is_empty() {
            return Ok(());
        }
        let (current, lines) = (self.current, lines.join(", "));
        let text = match highest.is_within(current) {
            true => format!(
                "the version stays {current}, the highest that is known: start each of these \
                 members, or remove it, and retry: {lines}"
            ),
            false => format!(
                "the version stays {current}, although a member's build has {highest}: {lines}"
            ),
        };
        Err(CommandError::new(Exit::Rejected, text))
    }

    fn text(&self) -> String {
        let mut lines = format!("version: {}", self.current);
        for (node, version_max) in &self.members {
            lines += &format!("\n{}", member_line(*node, *version_max));
        }
        lines
    }

    fn json(&self) -> Value {
        let members = self.members.iter().map(|(node, version_max)| {
            json!({ "node": node.0, "version_max": version_max.map(json_of) })
        });
        json!({ "version": json_of(self.current), "members": members.collect::<Vec<_>>() })
    }
}

fn member_line(node: NodeId, version_max: Option<MachineVersion>) -> String {
    match version_max {
        Some(version_max) => format!("{node}: up to {version_max}"),
        None => format!("{node}: not known to the leader"),
    }
}

/// Returns a version as JSON.
pub(crate) fn json_of(version: MachineVersion) -> Value {
    json!({ "user": version.user, "library": version.library })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_version_is_what_all_known_builds_have_and_never_lower_than_before() {
        let version = |user| MachineVersion { user, library: 1 };
        let common = |current, members: &[Option<u32>]| {
            let members = members.iter().map(|user| (NodeId(1), user.map(version)));
            Versions { current: version(current), members: members.collect() }.common()
        };
        assert_eq!(common(0, &[Some(3), Some(2), None]), version(2));
        assert_eq!(common(2, &[Some(3), Some(1)]), version(2));
        assert_eq!(common(1, &[None]), version(1));
    }

    #[test]
    fn a_member_that_holds_the_version_back_is_named_with_what_to_do() {
        let version = |user| MachineVersion { user, library: 1 };
        let error = |members: [Option<u32>; 2]| {
            let members = (1..).map(NodeId).zip(members.map(|user| user.map(version)));
            let versions = Versions { current: version(0), members: members.collect() };
            versions.check_same_build().err().map(|error| error.text)
        };
        assert_eq!(error([Some(0), Some(0)]), None);
        let text = error([Some(0), None]).expect("n2 is down");
        assert!(text.contains("the highest that is known: start each of these members"), "{text}");
        assert!(text.ends_with("n2: not known to the leader"), "{text}");
        let text = error([Some(1), Some(0)]).expect("n2 has an older build");
        assert!(text.contains("although a member's build has 1 (library 1): n2: "), "{text}");
    }
}

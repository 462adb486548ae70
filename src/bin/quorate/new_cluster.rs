//! A new cluster made from a backup or from surviving directories: its members and directories.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;
use quorate::storage::{ClusterId, FileDisk};
use quorate::types::{Address, Incarnation, Member, Membership, NodeId};
use serde_json::{Value, json};

use crate::data_directory::reject_within;
use crate::exit::{CommandError, CommandResult};
use crate::interrupt::{Interrupt, Interruptible};
use crate::pending_directories::PendingDirectories;
use crate::table::Table;
use crate::values::{Cluster, NodeAddress};

/// The lock file, which exists once a directory is opened.
const LOCK: &str = "lock";

/// The flags that describe a new cluster.
#[derive(Args, Debug)]
pub(crate) struct NewClusterFlags {
    /// Members of the new cluster: 1=10.0.0.1:7100,2=10.0.0.2:7100,…
    #[arg(long, value_name = "ID=ADDRESS", value_delimiter = ',', requires = "out")]
    members: Vec<NodeAddress>,
    /// Directory in which to create the members' data directories DIR/1, DIR/2, …, which must be
    /// empty
    #[arg(long, value_name = "DIR", requires = "members")]
    out: Option<PathBuf>,
    /// Name or id of the new cluster [default: a random id]
    #[arg(long, value_name = "NAME", requires = "out")]
    new_cluster: Option<Cluster>,
}

/// A new cluster to create.
#[derive(Debug)]
pub(crate) struct NewCluster {
    pub(crate) id: ClusterId,
    pub(crate) membership: Membership,
    out: PathBuf,
}

impl NewClusterFlags {
    /// Returns true if the flags name a new cluster.
    pub(crate) fn names_cluster(&self) -> bool {
        self.out.is_some()
    }

    /// Returns the new cluster, or `None` if the flags name none.
    ///
    /// # Errors
    /// A [`CommandError`] if a member or an address is listed twice.
    pub(crate) fn cluster(&self) -> CommandResult<Option<NewCluster>> {
        let Some(out) = self.out.clone() else { return Ok(None) };
        let mut membership = Membership::new(self.members.iter().map(|node| node.id));
        for (place, node) in self.members.iter().enumerate() {
            if self.members[..place].iter().any(|other| other.id == node.id) {
                return Err(CommandError::invalid_input(format!(
                    "--members: {} is listed twice",
                    node.id
                )));
            }
            let mut before = self.members[..place].iter();
            if let Some(other) = before.find(|other| other.address == node.address) {
                return Err(CommandError::invalid_input(format!(
                    "--members: {} and {} have the same address",
                    other.id, node.id
                )));
            }
            let address = Address::new(&node.address.to_string());
            let address = address.expect("a socket address is short");
            let incarnation = Incarnation(entropy());
            membership =
                membership.with_member(Member { address, incarnation, ..Member::new(node.id) });
        }
        let id = self.new_cluster.map_or_else(|| ClusterId(entropy()), |cluster| cluster.0);
        Ok(Some(NewCluster { id, membership, out }))
    }
}

impl NewCluster {
    /// Creates the directories of all members, or none; `make` fills each one.
    ///
    /// # Errors
    /// The first [`CommandError`]. Everything that was created is removed, or the error names what
    /// is left.
    pub(crate) fn create(
        &self,
        interrupt: &Interrupt,
        mut make: impl FnMut(NodeId, &mut Interruptible<'_, FileDisk>) -> CommandResult<()>,
    ) -> CommandResult<()> {
        reject_within(&self.out.join("1"))?;
        self.membership.ids().try_for_each(|id| self.expect_empty(id))?;
        let mut pending = PendingDirectories::default();
        for id in self.membership.ids() {
            let directory = self.directory(id);
            let with_path = |error: CommandError| CommandError {
                text: format!("{}: {}", directory.display(), error.text),
                ..error
            };
            let made = pending.create(&directory).and_then(|disk| {
                if !self.is_empty(id, &[LOCK]) {
                    return Err(CommandError::invalid_input(format!(
                        "{}: another process has just created files in the directory: choose \
                         another --out",
                        directory.display()
                    )));
                }
                pending.claim_content(&directory);
                make(id, &mut Interruptible(interrupt, disk)).map_err(with_path)
            });
            if let Err(error) = made {
                return Err(pending.roll_back(error));
            }
        }
        Ok(())
    }

    /// Returns true if the member's directory holds no file except those in `known`.
    fn is_empty(&self, id: NodeId, known: &[&str]) -> bool {
        let Ok(mut entries) = self.directory(id).read_dir() else { return true };
        let is_known = |name: OsString| known.iter().any(|known| name == **known);
        entries.all(|entry| entry.is_ok_and(|entry| is_known(entry.file_name())))
    }

    /// Checks that the member's directory is empty or missing.
    fn expect_empty(&self, id: NodeId) -> CommandResult<()> {
        if self.is_empty(id, &[]) {
            return Ok(());
        }
        Err(CommandError::invalid_input(format!(
            "{}: the directory is not empty: choose another --out, or, if an interrupted run left \
             it behind, remove it and try again",
            self.directory(id).display()
        )))
    }

    fn directory(&self, id: NodeId) -> PathBuf {
        self.out.join(id.0.to_string())
    }

    pub(crate) fn json(&self) -> Value {
        let member = |member: &Member| {
            json!({
                "node": member.id.0,
                "address": member.address.as_str(),
                "directory": self.directory(member.id).to_string_lossy(),
            })
        };
        let members: Vec<Value> = self.membership.members().iter().map(member).collect();
        json!({ "cluster": self.id.to_string(), "members": members })
    }

    /// Returns the table of members, directories and start commands for an operator.
    pub(crate) fn text(&self) -> String {
        let mut table = Table::default();
        table.row(["node", "address", "start command"].map(str::to_owned));
        for member in self.membership.members() {
            let start =
                |directory: &Path| format!("quorate serve --data-dir {}", directory.display());
            table.row([
                member.id.to_string(),
                member.address.as_str().to_owned(),
                start(&self.directory(member.id)),
            ]);
        }
        format!("created cluster {}, with a data directory for every member:\n{table}", self.id)
    }
}

#[expect(clippy::disallowed_methods, reason = "no two clusters, and no two disks, share an id")]
fn entropy() -> u128 {
    rand::random()
}

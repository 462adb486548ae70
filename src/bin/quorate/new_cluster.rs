//! A new cluster that begins with something: who is in it, and where its directories are made.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;
use quorate::storage::{ClusterId, FileDisk};
use quorate::types::{Address, Incarnation, Member, Membership, NodeId};
use serde_json::{Value, json};

use crate::begun::Begun;
use crate::exit::Trouble;
use crate::stop::{Stop, Until};
use crate::table::Table;
use crate::values::{Cluster, NodeAt};

/// What a directory has as soon as it is opened.
const LOCK: &str = "lock";

/// What is said of a new cluster.
#[derive(Args, Debug)]
pub(crate) struct NewClusterFlags {
    /// Who is in the new cluster: 1=10.0.0.1:7100,2=10.0.0.2:7100,…
    #[arg(long, value_name = "ID=ADDRESS", value_delimiter = ',', requires = "out")]
    members: Vec<NodeAt>,
    /// Where to make the members' directories, DIR/1, DIR/2 and so on; each is to be empty
    #[arg(long, value_name = "DIR", requires = "members")]
    out: Option<PathBuf>,
    /// The new cluster's name or id [default: a random id]
    #[arg(long, value_name = "NAME")]
    new_cluster: Option<Cluster>,
}

/// A cluster to be made.
#[derive(Debug)]
pub(crate) struct NewCluster {
    pub(crate) id: ClusterId,
    pub(crate) membership: Membership,
    out: PathBuf,
}

impl NewClusterFlags {
    /// The cluster, if one is wanted.
    ///
    /// # Errors
    /// A member is listed twice.
    pub(crate) fn cluster(&self) -> Result<Option<NewCluster>, Trouble> {
        let Some(out) = self.out.clone() else { return Ok(None) };
        let mut membership = Membership::new(self.members.iter().map(|node| node.id));
        for (place, node) in self.members.iter().enumerate() {
            if self.members[..place].iter().any(|other| other.id == node.id) {
                return Err(Trouble::wrong(format!("--members: {} is listed twice", node.id)));
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
    /// Makes every member's directory by `make`: all of them, or none.
    ///
    /// # Errors
    /// The first trouble. Then everything is as it was before, or it says what is left.
    pub(crate) fn make(
        &self,
        stop: &Stop,
        mut make: impl FnMut(NodeId, &mut Until<'_, FileDisk>) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        for id in self.membership.ids() {
            self.expect_empty(id, &[])?;
        }
        let mut begun = Begun::default();
        for id in self.membership.ids() {
            let directory = self.directory(id);
            let named = |trouble: Trouble| Trouble {
                text: format!("{}: {}", directory.display(), trouble.text),
                ..trouble
            };
            let made = begun.begin(&directory).map_err(Trouble::wrong).and_then(|disk| {
                // Somebody else may have been at work here meanwhile.
                self.expect_empty(id, &[LOCK])?;
                begun.owns(&directory);
                make(id, &mut Until(stop, disk)).map_err(named)
            });
            if let Err(trouble) = made {
                return Err(begun.undo(trouble));
            }
        }
        Ok(())
    }

    /// That nothing is in the member's directory but what is `known`.
    fn expect_empty(&self, id: NodeId, known: &[&str]) -> Result<(), Trouble> {
        let directory = self.directory(id);
        let Ok(mut entries) = directory.read_dir() else { return Ok(()) };
        let is_known = |name: OsString| known.iter().any(|known| name == **known);
        if entries.all(|entry| entry.is_ok_and(|entry| is_known(entry.file_name()))) {
            return Ok(());
        }
        Err(Trouble::wrong(format!(
            "{}: the directory is not empty: name another one by --out, or, if what made it was \
             killed, remove it and begin again",
            directory.display()
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

    /// What was made, and how it is started.
    pub(crate) fn text(&self) -> String {
        let mut table = Table::default();
        table.row(["node", "address", "start it there with"].map(str::to_owned));
        for member in self.membership.members() {
            let start =
                |directory: &Path| format!("quorate serve --data-dir {}", directory.display());
            table.row([
                member.id.to_string(),
                member.address.as_str().to_owned(),
                start(&self.directory(member.id)),
            ]);
        }
        format!("cluster {} is made; every member has its directory:\n{table}", self.id)
    }
}

#[expect(clippy::disallowed_methods, reason = "no two clusters, and no two disks, share an id")]
fn entropy() -> u128 {
    rand::random()
}

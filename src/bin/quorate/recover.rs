//! `quorate recover`: after a quorum is lost for good, a new cluster out of what is left.

use std::path::PathBuf;

use clap::Args;
use quorate::recovery::{Choice, Consent, Holding, Plan, RecoveryError, Refusal, Survey, Survivor};
use quorate::storage::{Cause, Failure, FileDisk, Inspection, OpenError, StorageConfig};
use quorate::types::NodeId;
use serde_json::json;

use crate::exit::{Exit, Trouble};
use crate::new_cluster::{NewCluster, NewClusterFlags};
use crate::output::{print, report};
use crate::stop::Stop;
use crate::values::Cluster;

/// What `recover` takes.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct RecoverFlags {
    /// Every data directory that is left, or a copy of it; none of their nodes may run
    #[arg(required = true)]
    directories: Vec<PathBuf>,
    #[command(flatten)]
    new: NewClusterFlags,
    /// The old cluster, where there are directories of several
    #[arg(long, value_name = "NAME")]
    cluster: Option<Cluster>,
    /// Nodes of the old cluster that still answer
    #[arg(long, value_name = "N", value_delimiter = ',')]
    alive: Vec<u64>,
    /// Go on although the old cluster may have a quorum: then both answer clients of their own,
    /// and what one acknowledges the other never learns
    #[arg(long)]
    two_clusters: bool,
}

const AFTER_HELP: &str = "\
First look at what is left and what would be lost; this changes nothing:
  quorate recover d1 d3
Then make the new cluster:
  quorate recover d1 d3 --members 1=127.0.0.1:7111,3=127.0.0.1:7113 --out new
and start each member with its new directory, once all are in their places. All of them are made, or
none. The old ones stay as they are: keep them until you are sure.

Exit code 5: it is refused, because a quorum may still be there.";

pub(crate) fn run(flags: &RecoverFlags, json: bool) -> Result<Exit, Trouble> {
    let new = flags.new.cluster()?;
    let (survey, mut disks) = look(&flags.directories);
    if !json {
        print(&survey.to_string())?;
    }
    let old = flags.cluster.map(|cluster| cluster.0);
    let alive: Vec<NodeId> = flags.alive.iter().copied().map(NodeId).collect();
    let consent = if flags.two_clusters { Consent::TwoClusters } else { Consent::None };
    let Some(new) = new else {
        let choice = Choice::of(&survey, old).map_err(refused)?;
        return match json {
            true => print(&json!({ "choice": choice.to_string() }).to_string()),
            false => print(&format!("\n{choice}nothing was made: say --members and --out")),
        }
        .map(|()| Exit::Done);
    };
    let plan = Plan::new(&survey, old, &alive, consent, new.id, new.membership.clone());
    let plan = plan.map_err(refused)?;
    let source = disks[plan.choice().survivor].as_mut().expect("what was chosen was read");
    make(&plan, source, &new)?;
    let choice = plan.choice();
    report(
        json,
        &match json {
            true => json!({ "choice": choice.to_string(), "new": new.json() }).to_string(),
            false => format!("\n{choice}\n{}", new.text()),
        },
    );
    Ok(Exit::Done)
}

fn make(plan: &Plan, source: &mut FileDisk, new: &NewCluster) -> Result<(), Trouble> {
    let (stop, config) = (Stop::listen()?, StorageConfig::default());
    let made = new.make(&stop, |id, disk| {
        plan.make(source, id, disk, &config).map_err(|error| match error {
            RecoveryError::Target(error) => Trouble::wrong(error),
            error => Trouble::wrong(error),
        })
    });
    stop.or_stopped(made)
}

/// Looks at every directory; one that cannot be opened has its row, too.
fn look(directories: &[PathBuf]) -> (Survey, Vec<Option<FileDisk>>) {
    let mut survivors = Vec::new();
    let mut disks = Vec::new();
    for directory in directories {
        let place = directory.display().to_string();
        let mut disk = FileDisk::look(directory).map_err(|error| {
            OpenError::Failed(Failure {
                file: None,
                offset: 0,
                what: error.to_string(),
                cause: Cause::Unreadable,
            })
        });
        let found = disk
            .as_mut()
            .map_err(|error| error.clone())
            .and_then(|disk| Inspection::of(disk, &StorageConfig::default()).map(Holding::from));
        survivors.push(Survivor { place, found });
        disks.push(disk.ok());
    }
    (Survey::of(survivors), disks)
}

fn refused(refusal: Refusal) -> Trouble {
    let exit = match refusal {
        Refusal::QuorumAlive(_) | Refusal::QuorumAtHand(_) | Refusal::NotLookedAt(_) => {
            Exit::Refused
        }
        _ => Exit::Wrong,
    };
    Trouble::new(exit, refusal)
}

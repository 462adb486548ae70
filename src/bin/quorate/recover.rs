//! `quorate recover`: creates a new cluster from surviving directories after the loss of a quorum.

use std::path::{Path, PathBuf};

use clap::Args;
use quorate::recovery::{
    Consent, DirectoryState, Plan, RecoveryError, RecoveryRejectReason, RecoverySource, Survey,
    SurveyedDirectory,
};
use quorate::storage::{
    DiskError, ErrorCause, FileDisk, Inspection, OpenError, StorageConfig, StorageError,
};
use quorate::types::NodeId;
use serde_json::{Value, json};

use crate::exit::{CommandError, CommandResult, Exit};
use crate::interrupt::Interrupt;
use crate::new_cluster::{NewCluster, NewClusterFlags};
use crate::output::{print, report};
use crate::values::{Cluster, parse_id};

/// The flags of `recover`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct RecoverFlags {
    /// All surviving data directories, or copies of them; their nodes must not be running
    #[arg(required = true)]
    directories: Vec<PathBuf>,
    #[command(flatten)]
    new: NewClusterFlags,
    /// Name or id of the old cluster, if the directories belong to several clusters
    #[arg(long, value_name = "NAME")]
    cluster: Option<Cluster>,
    /// Ids of nodes of the old cluster that are still alive
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = parse_id)]
    alive: Vec<u64>,
    /// Recover although the old cluster may still have a quorum. Each cluster may then accept
    /// writes that the other cluster does not have
    #[arg(long)]
    allow_split_brain: bool,
}

const AFTER_HELP: &str = "\
Print what survives and what would be lost, without changing anything:
  quorate recover d1 d3
Create the data directories of the new cluster:
  quorate recover d1 d3 --members 1=127.0.0.1:7111,3=127.0.0.1:7113 --out new
Move each directory to its machine, and start the nodes. Either every directory is created, or none.
The old directories are not changed: keep them until the new cluster works.

Exit code 5: recovery is rejected, because the old cluster may still have a quorum, because a live
node whose directory is not given may have more entries, or because a directory is in use.";

pub(crate) fn run(flags: &RecoverFlags, json: bool) -> CommandResult {
    let new = flags.new.cluster()?;
    let (survey, mut disks) = survey(&flags.directories);
    if !json {
        print(&survey.to_string())?;
    }
    let is_in_use = |disk: &Result<_, DiskError>| disk.as_ref().is_err_and(DiskError::is_in_use);
    if let Some(place) = disks.iter().position(is_in_use) {
        let text = in_use_text(&flags.directories[place]);
        return Err(CommandError::new(Exit::Rejected, text));
    }
    let unusable = unusable(&survey);
    let old = flags.cluster.map(|cluster| cluster.0);
    let alive: Vec<NodeId> = flags.alive.iter().copied().map(NodeId).collect();
    let consent = if flags.allow_split_brain { Consent::TwoClusters } else { Consent::None };
    let Some(new) = new else {
        let choice = RecoverySource::choose(&survey, old).map_err(rejected)?;
        return match json {
            true => {
                let found = json!({ "choice": choice.to_string(), "unusable": unusable });
                print(&found.to_string())
            }
            false => print(&format!("\n{choice}nothing was created: give --members and --out")),
        }
        .map(|()| Exit::Done);
    };
    let plan = Plan::new(&survey, old, &alive, consent, new.id, new.membership.clone());
    let plan = plan.map_err(rejected)?;
    let source = disks[plan.source().directory].as_mut();
    let source = source.expect("the chosen directory was read");
    create(&plan, source, &new)?;
    let choice = plan.source();
    report(
        json,
        &match json {
            true => {
                let choice = choice.to_string();
                json!({ "choice": choice, "unusable": unusable, "new": new.json() }).to_string()
            }
            false => format!("\n{choice}\n{}", new.text()),
        },
    );
    Ok(Exit::Done)
}

fn create(plan: &Plan, source: &mut FileDisk, new: &NewCluster) -> CommandResult<()> {
    let (interrupt, config) = (Interrupt::listen()?, StorageConfig::default());
    let created = new.create(&interrupt, |id, disk| {
        plan.create_directory(source, id, disk, &config).map_err(|error| match error {
            // Without the advice to empty the new directory, which is removed again.
            RecoveryError::Target(error) => CommandError::invalid_input(error),
            error => CommandError::invalid_input(error),
        })
    });
    interrupt.or_interrupted(created)
}

/// Surveys every directory, including those that cannot be opened.
fn survey(directories: &[PathBuf]) -> (Survey, Vec<Result<FileDisk, DiskError>>) {
    let mut survivors = Vec::new();
    let mut disks = Vec::new();
    for directory in directories {
        let place = directory.display().to_string();
        let mut disk = FileDisk::open_read_only(directory);
        let opened = disk.as_mut().map_err(|error| {
            OpenError::Failed(StorageError {
                file: None,
                offset: 0,
                message: error.to_string(),
                cause: ErrorCause::Unreadable,
            })
        });
        let found = opened.and_then(|disk| {
            let found = Inspection::open(disk, &StorageConfig::default());
            found.and_then(Inspection::with_snapshot).map(DirectoryState::from)
        });
        survivors.push(SurveyedDirectory { location: place, result: found });
        disks.push(disk);
    }
    (Survey::from_directories(survivors), disks)
}

fn in_use_text(directory: &Path) -> String {
    format!(
        "{}: in use by a running node, or given twice: stop the node, which may have entries that \
         no other directory has",
        directory.display()
    )
}

/// Returns each directory that cannot be used, with the reason.
fn unusable(survey: &Survey) -> Vec<Value> {
    let error = |directory: &SurveyedDirectory| {
        let error = directory.result.as_ref().err()?.to_string();
        Some(json!({ "directory": directory.location, "error": error }))
    };
    survey.directories().iter().filter_map(error).collect()
}

fn rejected(reason: RecoveryRejectReason) -> CommandError {
    let exit = match reason {
        RecoveryRejectReason::QuorumAlive(_)
        | RecoveryRejectReason::QuorumAvailable(_)
        | RecoveryRejectReason::NotSurveyed(_) => Exit::Rejected,
        _ => Exit::InvalidInput,
    };
    CommandError::new(exit, reason)
}

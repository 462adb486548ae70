//! The survey of the surviving data directories, for an operator and for a plan.

use std::fmt;

use crate::recovery::directory_state::DirectoryState;
use crate::storage::{ClusterId, Disk, Inspection, OpenError, StorageConfig};
use crate::types::Incarnation;

/// One data directory that was inspected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurveyedDirectory {
    /// The location of the directory, in a form that the caller chooses.
    pub location: String,
    /// The state of the directory, or the reason why it is unusable: it cannot be opened, or no
    /// snapshot in it can be read.
    pub result: Result<DirectoryState, OpenError>,
}

/// The surviving data directories of one or more clusters. Inspecting them writes nothing.
///
/// [`fmt::Display`] writes a table, and below it remarks on single directories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    directories: Vec<SurveyedDirectory>,
}

/// The column titles of the table.
const TITLES: [&str; 9] =
    ["place", "cluster", "node", "disk", "term", "snapshot", "last", "committed", "membership"];

impl Survey {
    /// Returns the survey of directories that were inspected.
    #[must_use]
    pub fn from_directories(directories: Vec<SurveyedDirectory>) -> Survey {
        Survey { directories }
    }

    /// Inspects one more directory, which must not be in use by a node.
    pub fn inspect(
        &mut self,
        location: impl Into<String>,
        disk: &mut dyn Disk,
        config: &StorageConfig,
    ) {
        let found = Inspection::open(disk, config).and_then(Inspection::with_snapshot);
        let found = found.map(DirectoryState::from);
        self.directories.push(SurveyedDirectory { location: location.into(), result: found });
    }

    /// Returns every inspected directory, in the order of inspection.
    #[must_use]
    pub fn directories(&self) -> &[SurveyedDirectory] {
        &self.directories
    }

    /// Returns the state of each readable directory, with its position among all.
    pub(crate) fn states(&self) -> impl Iterator<Item = (usize, &DirectoryState)> + Clone {
        let found = |(place, directory)| Some((place, SurveyedDirectory::state(directory)?));
        self.directories.iter().enumerate().filter_map(found)
    }

    /// Returns the clusters of the readable directories, each once, in ascending order.
    #[must_use]
    pub fn clusters(&self) -> Vec<ClusterId> {
        let cluster = |(_, state): (usize, &DirectoryState)| state.opened.identity.cluster;
        let mut clusters: Vec<ClusterId> = self.states().map(cluster).collect();
        clusters.sort_unstable();
        clusters.dedup();
        clusters
    }
}

impl SurveyedDirectory {
    /// Returns the state of the directory, if it is readable.
    #[must_use]
    pub fn state(&self) -> Option<&DirectoryState> {
        self.result.as_ref().ok()
    }

    /// Returns the cells of the directory's row in the table.
    fn row(&self) -> [String; TITLES.len()] {
        let Some(state) = self.state() else {
            let mut row = [(); TITLES.len()].map(|()| "-".to_owned());
            row[0].clone_from(&self.location);
            return row;
        };
        let opened = &state.opened;
        let vote = opened.hard_state.vote.map_or(String::new(), |node| format!(" for {node}"));
        [
            self.location.clone(),
            short(opened.identity.cluster.0),
            opened.identity.node.to_string(),
            short(opened.identity.incarnation.0),
            format!("{}{vote}", opened.hard_state.term),
            opened.snapshot.last.to_string(),
            opened.last.to_string(),
            state.committed().index.to_string(),
            state.membership().to_string(),
        ]
    }

    /// Returns the remarks on the directory, which are written below the table.
    fn remarks(&self) -> Vec<String> {
        let state = match &self.result {
            Err(error) => return vec![format!("unusable: {error}")],
            Ok(state) => state,
        };
        let mut remarks = Vec::new();
        if let Some(damage) = &state.damage {
            remarks.push(format!("damaged, shown as it was before the damage: {damage}"));
        }
        if state.opened.hard_state.is_uncertain {
            remarks.push("uncertain: it may lack entries that its node acknowledged".to_owned());
        }
        if state.opened.is_quarantined {
            let text = "quarantined: its state machine diverged, and its snapshot may be wrong";
            remarks.push(text.to_owned());
        }
        if let Some(origin) = state.opened.origin {
            let (cluster, last) = (short(origin.cluster.0), origin.last);
            remarks.push(format!("created from cluster {cluster}, from its log up to {last}"));
        }
        let membership = state.membership();
        if !membership.is_settled() {
            remarks.push("has a membership change in flight".to_owned());
        }
        let identity = state.opened.identity;
        let named = membership.member(identity.node).map(|member| member.incarnation);
        if named
            .is_some_and(|named| named != Incarnation::default() && named != identity.incarnation)
        {
            remarks.push("has a different incarnation than the member in its log".to_owned());
        }
        remarks
    }
}

/// Returns the last eight hexadecimal digits, which are enough for an operator to compare ids.
fn short(id: u128) -> String {
    format!("{:08x}", id as u32)
}

impl fmt::Display for Survey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<[String; TITLES.len()]> = [TITLES.map(str::to_owned)]
            .into_iter()
            .chain(self.directories.iter().map(SurveyedDirectory::row))
            .collect();
        // The widths of format strings are numbers of 16 bits.
        let most = usize::from(u16::MAX);
        let width =
            |column: usize| rows.iter().map(|row| row[column].chars().count().min(most)).max();
        for row in &rows {
            let (last, cells) = row.split_last().expect("a table has columns");
            for (column, cell) in cells.iter().enumerate() {
                let width = width(column).unwrap_or_default();
                write!(f, "{cell:width$}  ")?;
            }
            writeln!(f, "{last}")?;
        }
        for directory in &self.directories {
            for remark in directory.remarks() {
                writeln!(f, "{}: {remark}", directory.location)?;
            }
        }
        Ok(())
    }
}

//! The directories that are left, each with what it holds, as a person and a plan need it.

use std::fmt;

use crate::recovery::holding::Holding;
use crate::storage::{ClusterId, Disk, Inspection, OpenError, StorageConfig};
use crate::types::Incarnation;

/// One directory that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survivor {
    /// Where it is, in the words of whoever looked.
    pub place: String,
    /// What it holds, or why that cannot be told.
    pub found: Result<Holding, OpenError>,
}

/// The directories that are left of one or more clusters. Looking at them writes nothing.
///
/// [`fmt::Display`] gives a table, and below it what is wrong with which directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    survivors: Vec<Survivor>,
}

/// The titles of the table.
const TITLES: [&str; 9] =
    ["place", "cluster", "node", "disk", "term", "snapshot", "last", "committed", "membership"];

impl Survey {
    /// Of directories that were looked at.
    #[must_use]
    pub fn of(survivors: Vec<Survivor>) -> Survey {
        Survey { survivors }
    }

    /// Looks at one more directory, which no node may have open.
    pub fn look(&mut self, place: impl Into<String>, disk: &mut impl Disk, config: &StorageConfig) {
        let found = Inspection::of(disk, config).map(Holding::from);
        self.survivors.push(Survivor { place: place.into(), found });
    }

    /// Every directory that was looked at, in that order.
    #[must_use]
    pub fn survivors(&self) -> &[Survivor] {
        &self.survivors
    }

    /// The directories that can be read, each with its place among all.
    pub(crate) fn holdings(&self) -> impl Iterator<Item = (usize, &Holding)> + Clone {
        let found = |(place, survivor)| Some((place, Survivor::holding(survivor)?));
        self.survivors.iter().enumerate().filter_map(found)
    }

    /// The clusters of those that can be read, each once, in ascending order.
    #[must_use]
    pub fn clusters(&self) -> Vec<ClusterId> {
        let cluster = |(_, holding): (usize, &Holding)| holding.opened.identity.cluster;
        let mut clusters: Vec<ClusterId> = self.holdings().map(cluster).collect();
        clusters.sort_unstable();
        clusters.dedup();
        clusters
    }
}

impl Survivor {
    /// What it holds, if that can be told.
    #[must_use]
    pub fn holding(&self) -> Option<&Holding> {
        self.found.as_ref().ok()
    }

    /// The cells of its row.
    fn row(&self) -> [String; TITLES.len()] {
        let Some(holding) = self.holding() else {
            let mut row = [(); TITLES.len()].map(|()| "-".to_owned());
            row[0].clone_from(&self.place);
            return row;
        };
        let opened = &holding.opened;
        let vote = opened.hard_state.vote.map_or(String::new(), |node| format!(" for {node}"));
        [
            self.place.clone(),
            short(opened.identity.cluster.0),
            opened.identity.node.to_string(),
            short(opened.identity.incarnation.0),
            format!("{}{vote}", opened.hard_state.term),
            opened.snapshot.last.to_string(),
            opened.last.to_string(),
            holding.committed().index.to_string(),
            holding.membership().to_string(),
        ]
    }

    /// What is to be said of it below the table.
    fn remarks(&self) -> Vec<String> {
        let holding = match &self.found {
            Err(error) => return vec![format!("cannot be used: {error}")],
            Ok(holding) => holding,
        };
        let mut remarks = Vec::new();
        if let Some(damage) = &holding.damage {
            remarks.push(format!("counts as what it was before the damage: {damage}"));
        }
        if let Some(origin) = holding.opened.origin {
            let (cluster, last) = (short(origin.cluster.0), origin.last);
            remarks.push(format!("was made from cluster {cluster}, which it follows to {last}"));
        }
        let membership = holding.membership();
        if !membership.is_settled() {
            remarks.push("has a change of the membership under way".to_owned());
        }
        let identity = holding.opened.identity;
        let named = membership.member(identity.node).map(|member| member.incarnation);
        if named
            .is_some_and(|named| named != Incarnation::default() && named != identity.incarnation)
        {
            remarks.push("is not the disk that its log has as the member".to_owned());
        }
        remarks
    }
}

/// The last eight hexadecimal digits: enough for a person to tell one from another.
fn short(id: u128) -> String {
    format!("{:08x}", id as u32)
}

impl fmt::Display for Survey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<[String; TITLES.len()]> = [TITLES.map(str::to_owned)]
            .into_iter()
            .chain(self.survivors.iter().map(Survivor::row))
            .collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
        for row in &rows {
            let (last, cells) = row.split_last().expect("a table has columns");
            for (column, cell) in cells.iter().enumerate() {
                let width = width(column).unwrap_or_default();
                write!(f, "{cell:width$}  ")?;
            }
            writeln!(f, "{last}")?;
        }
        for survivor in &self.survivors {
            for remark in survivor.remarks() {
                writeln!(f, "{}: {remark}", survivor.place)?;
            }
        }
        Ok(())
    }
}

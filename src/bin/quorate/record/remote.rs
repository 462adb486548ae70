//! The recordings of a cluster's members, read over the network.

use std::fs;
use std::io;
use std::path::Path;

use quorate::types::{Member, Membership, NodeId};
use serde_json::{Value, json};

use crate::client::ClientFlags;
use crate::data_directory::reject_within;
use crate::exit::{CommandError, CommandResult, Exit, warn};
use crate::output::report;
use crate::record::copy::Copied;
use crate::record::remote_files::RemoteFiles;
use crate::record::selection::Selection;

/// The outcome for one member.
type Outcome = (NodeId, CommandResult<Copied>);

/// Copies the recordings of these members, or of all, to files in the directory `out`.
pub(super) fn run(
    client: &ClientFlags,
    members: &[u64],
    out: &Path,
    selection: &Selection,
    json: bool,
) -> CommandResult {
    reject_within(&out.join("n1.qrec"))?;
    let with_path =
        |error: io::Error| CommandError::invalid_input(format!("{}: {error}", out.display()));
    let outcomes = client.run(async |client| {
        let membership = client.report_of_any().await?.membership;
        let members = chosen(&membership, members)?;
        fs::create_dir_all(out).map_err(with_path)?;
        let mut outcomes = Vec::new();
        for member in members {
            let file = out.join(format!("{}.qrec", member.id));
            let address = member.address.as_str();
            let part = async |file, offset| {
                client.recording_part(address, file, offset).await.map_err(CommandError::from)
            };
            let copied = match RemoteFiles::new(part, member.id, out).read(selection).await {
                Ok(recording) => recording.write(&file, selection),
                Err(error) => Err(error),
            };
            outcomes.push((member.id, copied));
        }
        Ok(outcomes)
    })?;
    finish(outcomes, json)
}

/// Returns the members with these ids, or all.
fn chosen<'a>(membership: &'a Membership, ids: &[u64]) -> CommandResult<Vec<&'a Member>> {
    if let Some(id) = ids.iter().map(|id| NodeId(*id)).find(|id| !membership.is_member(*id)) {
        let text = format!("--members: {id} is not a member: the members are {membership}");
        return Err(CommandError::invalid_input(text));
    }
    let is_chosen = |member: &&Member| ids.is_empty() || ids.contains(&member.id.0);
    Ok(membership.members().iter().filter(is_chosen).collect())
}

/// Prints the outcomes. Fails if no recording was copied.
fn finish(outcomes: Vec<Outcome>, json: bool) -> CommandResult {
    let (mut objects, mut lines, mut errors) = (Vec::<Value>::new(), Vec::new(), Vec::new());
    for (id, copied) in outcomes {
        match copied {
            Ok(copied) => {
                let mut object = copied.json();
                object["node"] = id.0.into();
                objects.push(object);
                lines.push(copied.text());
                copied.removed.iter().for_each(|line| warn(json, line));
                errors.extend(copied.damaged.into_iter().map(CommandError::invalid_input));
            }
            Err(error) => {
                objects.push(json!({ "node": id.0, "error": error.text }));
                let text = format!("the recording of {id} is not copied: {}", error.text);
                errors.push(CommandError { text, ..error });
            }
        }
    }
    if lines.is_empty() && !errors.is_empty() {
        // The exit code is that of the first member.
        let first = errors.remove(0);
        errors.iter().for_each(|error| warn(json, &error.text));
        return Err(first);
    }
    errors.iter().for_each(|error| warn(json, &error.text));
    let text = lines.join("\n");
    report(json, &if json { json!({ "nodes": objects }).to_string() } else { text });
    Ok(if errors.is_empty() { Exit::Done } else { Exit::Negative })
}

//! The recordings of a cluster's members, read over the network.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use quorate::runtime::{Client, RecordingPart};
use quorate::types::{Member, Membership, NodeId};
use serde_json::{Value, json};

use crate::client::ClientFlags;
use crate::data_directory::reject_within;
use crate::exit::{CommandError, Exit, warn};
use crate::output::report;
use crate::record::copy::{Copied, Recording};
use crate::record::selection::Selection;

/// The outcome for one member.
type Outcome = (NodeId, Result<Copied, CommandError>);

/// Copies the recordings of these members, or of all, to files in the directory `out`.
pub(super) fn run(
    client: &ClientFlags,
    members: &[u64],
    out: &Path,
    selection: &Selection,
    json: bool,
) -> Result<Exit, CommandError> {
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
            let copied = match fetch(&client, member, out).await {
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
fn chosen<'a>(membership: &'a Membership, ids: &[u64]) -> Result<Vec<&'a Member>, CommandError> {
    if ids.is_empty() {
        return Ok(membership.members().iter().collect());
    }
    let member = |id: &u64| {
        let unknown = || {
            CommandError::invalid_input(format!(
                "--members: {} is not a member: the members are {membership}",
                NodeId(*id)
            ))
        };
        membership.member(NodeId(*id)).ok_or_else(unknown)
    };
    ids.iter().map(member).collect()
}

/// Reads the recording of the member, up to the file that is the newest at the beginning, into
/// files without a name in the directory `out`.
async fn fetch(client: &Client, member: &Member, out: &Path) -> Result<Recording, CommandError> {
    let written =
        |error: io::Error| CommandError::invalid_input(format!("{}: {error}", out.display()));
    let mut recording = Recording::default();
    let mut current = None::<(u64, File)>;
    let (mut file, mut offset, mut end) = (0, 0, None);
    loop {
        let part = client.recording_part(member.address.as_str(), file, offset).await?;
        let end = *end.get_or_insert(part.newest);
        let is_next = part.offset == if part.file == file { offset } else { 0 };
        if part.file < file || !is_next {
            let text = "the node has sent another part of its recording than the requested one";
            return Err(CommandError::new(Exit::Unknown, text));
        }
        let RecordingPart { file: number, bytes, .. } = part;
        if current.as_ref().is_none_or(|(of, _)| *of != number) {
            finish_file(&mut recording, current.take(), member).map_err(written)?;
            if number <= end {
                current = Some((number, tempfile::tempfile_in(out).map_err(written)?));
            }
        }
        let Some((_, into)) = &mut current else { return Ok(recording) };
        into.write_all(&bytes).map_err(written)?;
        (file, offset) = match bytes.len() as u64 {
            0 => (number.saturating_add(1), 0),
            count => (number, part.offset.saturating_add(count)),
        };
        if file > end {
            finish_file(&mut recording, current.take(), member).map_err(written)?;
            return Ok(recording);
        }
    }
}

fn finish_file(
    recording: &mut Recording,
    file: Option<(u64, File)>,
    member: &Member,
) -> io::Result<()> {
    let Some((number, file)) = file else { return Ok(()) };
    recording.add(format!("file {number} of the recording of {}", member.id), file)
}

/// Prints the outcomes. Fails if no recording was copied.
fn finish(outcomes: Vec<Outcome>, json: bool) -> Result<Exit, CommandError> {
    let (mut objects, mut lines, mut errors) = (Vec::<Value>::new(), Vec::new(), Vec::new());
    for (id, copied) in outcomes {
        match copied {
            Ok(copied) => {
                let mut object = copied.json();
                object["node"] = id.0.into();
                objects.push(object);
                lines.push(copied.text());
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

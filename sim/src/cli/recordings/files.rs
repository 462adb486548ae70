//! The files of recordings on a command line, and the exit code for their errors.

use std::path::{Path, PathBuf};

use quorate::recording::RecordingErrorReason;

use crate::cli::exit::{CommandError, CommandResult, Exit};
use crate::cli::recordings::found::Found;
use crate::recordings::{NodeRecording, PlaybackError, Source, by_node, survey};

/// The exit code: that of a violation, if there is one, or else that of the files.
pub(super) fn exit_of_found(files: &[PathBuf], found: &Found) -> Exit {
    match found.is_violated() {
        true => Exit::Safety,
        false => exit_of(files, &found.recordings, &found.unread),
    }
}

/// Replays the recordings in these files, one for each node.
pub(crate) fn read(files: &[PathBuf]) -> CommandResult<(Vec<NodeRecording>, Vec<PlaybackError>)> {
    let paths: Result<Vec<_>, _> = files.iter().map(|path| sources(path)).collect();
    let (groups, mut unread) = by_node(paths?);
    let mut found: Vec<NodeRecording> = Vec::new();
    for group in groups {
        match survey(group) {
            Ok(recording) => found.push(recording),
            Err(error) => unread.push(error),
        }
    }
    let Some(first) = found.first() else { return Ok((found, unread)) };
    if let Some(other) = found.iter().find(|other| other.cluster != first.cluster) {
        let (first, other) = (&first.sources[0], &other.sources[0]);
        return Err(CommandError(format!(
            "{first} and {other} are recordings of different clusters"
        )));
    }
    Ok((found, unread))
}

fn sources(path: &Path) -> CommandResult<Vec<Source>> {
    Source::find(path).map_err(|error| CommandError(format!("{}: {error}", path.display())))
}

/// The exit code: that of a divergence if there is one, else that of a file that cannot be read. A
/// file may end in half a block, or before its first checkpoint, because its node was killed, still
/// runs or had no space; that is not an error unless the command line names the file.
pub(crate) fn exit_of(
    files: &[PathBuf],
    recordings: &[NodeRecording],
    unread: &[PlaybackError],
) -> Exit {
    let is_named = |file: &str| files.iter().any(|path| path.display().to_string() == file);
    let errors = || recordings.iter().flat_map(|recording| &recording.errors).chain(unread);
    let exits = errors().map(|error| match error.error.reason {
        _ if error.is_cut() && !is_named(&error.file) => Exit::Success,
        RecordingErrorReason::Panicked { .. } => Exit::Panic,
        _ if !error.is_divergence() => Exit::Usage,
        _ if error.is_of_other_version() => Exit::ExpectationNotMet,
        _ => Exit::Nondeterminism,
    });
    let order =
        [Exit::Panic, Exit::Nondeterminism, Exit::ExpectationNotMet, Exit::Usage, Exit::Success];
    let place = |exit: &Exit| order.iter().position(|other| other == exit);
    exits.min_by_key(place).unwrap_or(Exit::Success)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_of_a_ring_without_a_segment_changes_no_exit_code() {
        let root = tempfile::tempdir().expect("a directory");
        let file = root.path().join("0000000001.qrec");
        fs::write(&file, b"").expect("there is room");
        let exit_at = |path: &Path| {
            let files = [path.to_owned()];
            let (found, unread) = read(&files).expect("the path exists");
            assert_eq!((found.len(), unread.len()), (0, 1));
            exit_of(&files, &found, &unread)
        };
        assert_eq!(exit_at(root.path()), Exit::Success);
        assert_eq!(exit_at(&file), Exit::Usage, "the command line names it");
    }
}

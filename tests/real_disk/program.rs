//! Builds the small programs that inject faults; they are not part of the package.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds a program or library of `tests/real_disk/programs/` under the name `output`; returns the
/// reason if that is not possible here.
pub(crate) fn build(source: &str, kind: &str, output: &str) -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real_disk/programs");
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join(output);
    let compiler = std::env::var_os("RUSTC").unwrap_or("rustc".into());
    let mut command = Command::new(compiler);
    command.args(["--edition", "2024", "-O", "--crate-type", kind, "-o"]);
    let result = command.arg(&built).arg(folder.join(source)).output();
    let output = result.map_err(|error| format!("no compiler: {error}"))?;
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{source} does not compile: {messages}");
    Ok(built)
}

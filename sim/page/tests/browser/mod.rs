//! Runs a script on a page in headless Chromium.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The names of the Chromium executable.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Writes a page to the test directory, and returns its path.
fn written(name: &str, page: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, page).expect("the test directory is writable");
    path
}

/// Returns the lines that `script` passes to `report` after the page is built; in the script,
/// `page` is the page's own object. Returns `None` without Chromium, and prints that test `name` is
/// skipped.
pub(crate) fn run_script(
    name: &str,
    page: &str,
    address: &str,
    script: &str,
) -> Option<Vec<String>> {
    let Some(browser) = NAMES.iter().find(|name| runs(name)) else {
        println!("SKIPPED {name}: no chromium");
        return None;
    };
    let script_element = format!(
        "<script type=\"module\">\nconst page = await window.quorate.catch(() => null);\n\
         const lines = [];\n\
         const report = line => lines.push(encodeURIComponent(String(line)));\n\
         try {{\n{script}\n}} catch (error) {{ report(`broken: ${{error.stack}}`); }}\n\
         const output = document.createElement('pre');\noutput.id = 'reported';\n\
         output.textContent = lines.join(' ');\ndocument.body.append(output);\n</script>\n</body>"
    );
    let path = written(&format!("{name}.html"), &page.replace("</body>", &script_element));
    let profile = path.with_extension("profile");
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,800"])
        // Gives the script time to decompress the documents; virtual time passes at once.
        .arg("--virtual-time-budget=60000")
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg("--dump-dom")
        .arg(format!("file://{}{address}", path.display()))
        .stdin(Stdio::null())
        .output()
        .expect("the browser was found");
    let _ = std::fs::remove_dir_all(&profile);
    let dom = String::from_utf8(output.stdout).expect("a page is text");
    let found =
        dom.split_once("<pre id=\"reported\">").and_then(|(_, rest)| rest.split_once("</pre>"));
    let Some((lines, _)) = found else {
        panic!("the page was not built:\n{}", String::from_utf8_lossy(&output.stderr))
    };
    Some(lines.split(' ').filter(|line| !line.is_empty()).map(plain).collect())
}

fn runs(name: &str) -> bool {
    let quiet =
        |command: &mut Command| command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet(Command::new(name).arg("--version")).is_ok_and(|status| status.success())
}

/// Decodes the encoding of `encodeURIComponent`.
fn plain(line: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        bytes.push(u8::from_str_radix(&after[..2], 16).expect("two digits follow"));
        rest = &after[2..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).expect("the line is UTF-8")
}

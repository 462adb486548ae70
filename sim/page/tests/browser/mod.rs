//! A page in headless Chromium, and what a script finds there.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Names it goes by.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Writes a page to the folder for tests.
fn written(name: &str, page: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, page).expect("the folder for tests can be written to");
    path
}

/// What `script` hands to `tell`, line by line, when the page has been built: `page` is the page's
/// own object. Nothing where there is no Chromium, which the test `name` then says.
pub(crate) fn told(name: &str, page: &str, address: &str, script: &str) -> Option<Vec<String>> {
    let Some(browser) = NAMES.iter().find(|name| runs(name)) else {
        println!("SKIPPED {name}: no chromium");
        return None;
    };
    let asks = format!(
        "<script type=\"module\">\nconst page = window.quorate;\nconst lines = [];\n\
         const tell = line => lines.push(encodeURIComponent(String(line)));\n\
         try {{\n{script}\n}} catch (error) {{ tell(`broken: ${{error.stack}}`); }}\n\
         const made = document.createElement('pre');\nmade.id = 'told';\n\
         made.textContent = lines.join(' ');\ndocument.body.append(made);\n</script>\n</body>"
    );
    let path = written(&format!("{name}.html"), &page.replace("</body>", &asks));
    let profile = path.with_extension("profile");
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,800"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg("--dump-dom")
        .arg(format!("file://{}{address}", path.display()))
        .stdin(Stdio::null())
        .output()
        .expect("it was found");
    let _ = std::fs::remove_dir_all(&profile);
    let dom = String::from_utf8(output.stdout).expect("a page is text");
    let found = dom.split_once("<pre id=\"told\">").and_then(|(_, rest)| rest.split_once("</pre>"));
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

/// Undoes `encodeURIComponent`.
fn plain(line: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        bytes.push(u8::from_str_radix(&after[..2], 16).expect("two digits follow"));
        rest = &after[2..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).expect("it was text")
}

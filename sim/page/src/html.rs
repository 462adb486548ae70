//! Builds the HTML page from the style, the script and the documents.

use data_encoding::BASE64;

use crate::document::Document;
use crate::encode::encoded;
use crate::text::escaped;

/// The style shared by all pages, and the style of the run page.
const STYLE: [&str; 2] =
    [include_str!("../assets/style/base.css"), include_str!("../assets/style/run.css")];

/// The parts of the script, in the order of their dependencies.
const SCRIPT: [&str; 20] = [
    include_str!("../assets/parts/elements.js"),
    include_str!("../assets/parts/words.js"),
    include_str!("../assets/parts/paint.js"),
    include_str!("../assets/parts/ladder.js"),
    include_str!("../assets/parts/bar.js"),
    include_str!("../assets/read/reader.js"),
    include_str!("../assets/read/document.js"),
    include_str!("../assets/read/run.js"),
    include_str!("../assets/read/logs.js"),
    include_str!("../assets/draw/view.js"),
    include_str!("../assets/draw/lanes.js"),
    include_str!("../assets/draw/nodes.js"),
    include_str!("../assets/draw/messages.js"),
    include_str!("../assets/draw/timeline.js"),
    include_str!("../assets/draw/overview.js"),
    include_str!("../assets/show/inspector.js"),
    include_str!("../assets/show/list.js"),
    include_str!("../assets/show/pane.js"),
    include_str!("../assets/show/tools.js"),
    include_str!("../assets/show/page.js"),
];

/// The content security policy: the page loads nothing and sends nothing.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'";

/// Builds a page of one document, or of several side by side: the original and the shrunk run.
/// `title` is the title of the browser tab.
///
/// # Panics
///
/// If a document refers to something that it does not contain.
#[must_use]
pub fn page(title: &str, documents: &[Document]) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <title>{}</title>\n<style>\n{}</style>\n</head>\n<body>\n\
         <noscript>{}</noscript>\n",
        escaped(title),
        STYLE.concat(),
        without_script(documents),
    );
    for document in documents {
        page.push_str("<script type=\"text/plain\" class=\"document\">");
        // Base64 has only letters, digits, `+`, `/` and `=`, so it cannot end an element.
        BASE64.encode_append(&encoded(document), &mut page);
        page.push_str("</script>\n");
    }
    page.push_str("<script type=\"module\">\n");
    SCRIPT.iter().for_each(|part| page.push_str(part));
    page.push_str("</script>\n</body>\n</html>\n");
    page
}

/// The text for a browser without scripts.
fn without_script(documents: &[Document]) -> String {
    let mut text = "<p>This page needs JavaScript, which this browser does not run.</p>".into();
    for document in documents {
        let mut add = |line: &str| text = format!("{text}\n<p>{}</p>", escaped(line));
        add(&document.title);
        document.violation.iter().for_each(|violation| {
            add(&format!("{}: {}", violation.check, violation.finding));
        });
        document.explanation.iter().for_each(|sentence| add(&sentence.text));
    }
    text
}

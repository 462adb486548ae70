//! The page: style, script, and documents as text that is no markup.

use data_encoding::BASE64;

use crate::document::Document;
use crate::encode::encoded;
use crate::text::escaped;

/// The style of every page, and that of this one.
const STYLE: [&str; 2] =
    [include_str!("../assets/style/base.css"), include_str!("../assets/style/run.css")];

/// The script, in the order in which its parts need one another.
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

/// Nothing comes from elsewhere, and nothing goes there.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'";

/// A page of one document, or of several beside one another: the original, and what it shrank to.
/// `title` is what a browser shows on its tab.
///
/// # Panics
///
/// Panics if a document names what it does not have.
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
        // Letters, digits, `+`, `/` and `=`: whatever is inside, it ends no element.
        BASE64.encode_append(&encoded(document), &mut page);
        page.push_str("</script>\n");
    }
    page.push_str("<script type=\"module\">\n");
    SCRIPT.iter().for_each(|part| page.push_str(part));
    page.push_str("</script>\n</body>\n</html>\n");
    page
}

/// What a browser without scripts shows.
fn without_script(documents: &[Document]) -> String {
    let mut text = "<p>This page draws with a script, which this browser does not run.</p>".into();
    for document in documents {
        let mut say = |line: &str| text = format!("{text}\n<p>{}</p>", escaped(line));
        say(&document.title);
        document.violation.iter().for_each(|violation| {
            say(&format!("{}: {}", violation.check, violation.saw));
        });
        document.story.iter().for_each(|sentence| say(&sentence.text));
    }
    text
}

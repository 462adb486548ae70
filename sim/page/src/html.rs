//! Builds the HTML page from the style, the script and the documents.

use std::io::{self, BufWriter, IntoInnerError, Write};

use data_encoding::BASE64;
use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::document::Document;
use crate::text::escaped;

/// The style shared by all pages, and the style of the run page.
const STYLE: [&str; 2] =
    [include_str!("../assets/style/base.css"), include_str!("../assets/style/run.css")];

/// The parts of the script, in the order of their dependencies.
const SCRIPT: [&str; 19] = [
    include_str!("../assets/parts/elements.js"),
    include_str!("../assets/parts/words.js"),
    include_str!("../assets/parts/paint.js"),
    include_str!("../assets/parts/ladder.js"),
    include_str!("../assets/parts/bar.js"),
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

/// The bytes that are encoded at once: a multiple of three, so there is no padding between parts.
const PART: usize = 3 << 20;

/// The longest JSON of a document that every browser can decode, in bytes: a text in Chrome has at
/// most about 2^29 characters. A document of this size has about 690,000 events.
const JSON_BYTES_MAX: usize = (1 << 29) - 24;

/// Returns true if browsers cannot show the document, because it is too long.
#[must_use]
pub fn is_too_long(document: &Document) -> bool {
    is_longer_than(document, JSON_BYTES_MAX)
}

fn is_longer_than(document: &Document, bytes_max: usize) -> bool {
    let mut to = BufWriter::with_capacity(1 << 16, Room(bytes_max));
    serde_json::to_writer(&mut to, document).is_err() || to.flush().is_err()
}

/// A sink that fails once it has no room for more bytes.
struct Room(usize);

impl Write for Room {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Builds a page of one document, or of several, such as the original and the shrunk run, which it
/// can show side by side. `title` is the title of the browser tab.
///
/// # Panics
///
/// If a document contradicts itself: if it refers to something that it does not contain, if
/// something ends before it begins, if the events are not in order of time or have later causes, or
/// if a row of a table has the wrong number of cells.
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
        // The bytes are encoded in parts, because on 32-bit targets one call encodes at most 8 MB.
        for part in compressed(document).chunks(PART) {
            BASE64.encode_append(part, &mut page);
        }
        page.push_str("</script>\n");
    }
    page.push_str("<script type=\"module\">\n");
    SCRIPT.iter().for_each(|part| page.push_str(part));
    page.push_str("</script>\n</body>\n</html>\n");
    page
}

/// Returns the document as compressed JSON.
fn compressed(document: &Document) -> Vec<u8> {
    document.assert_consistent();
    // Every write to the encoder clears a large buffer, and JSON is written a few bytes at a time.
    let encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let mut to = BufWriter::with_capacity(1 << 16, encoder);
    serde_json::to_writer(&mut to, document).expect("a document has only names, numbers and texts");
    let encoder = to.into_inner().map_err(IntoInnerError::into_error);
    encoder.and_then(ZlibEncoder::finish).expect("memory does not fail")
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

#[cfg(test)]
mod tests {
    use flate2::read::ZlibDecoder;
    use serde_json::{Value, json};

    use super::*;
    use crate::document::{Delivery, Event, Kind, Lane, Message, Sentence, State, Topic};

    fn event(state: State) -> Event {
        Event {
            at: 7,
            lane: Lane::Node(0),
            kind: Kind::Timer,
            text: "</script>".to_owned(),
            causes: Vec::new(),
            state: Some(state),
            log: None,
        }
    }

    #[test]
    fn a_document_is_json_with_the_names_that_the_script_reads() {
        let message = Message {
            sent: 0,
            from: 0,
            to: 0,
            topic: Topic::Append,
            text: String::new(),
            delivery: Delivery::Lost(9),
        };
        let document = Document {
            nodes: vec!["n1".to_owned()],
            events: vec![event(State { term: 3, ..State::default() })],
            messages: vec![message],
            ..Document::default()
        };
        let bytes = compressed(&document);
        let read: Value = serde_json::from_reader(ZlibDecoder::new(&bytes[..])).expect("JSON");
        let event = &read["events"][0];
        assert_eq!((&event["lane"], &event["kind"]), (&json!({ "Node": 0 }), &json!(2)));
        assert_eq!((&event["text"], &event["state"]["term"]), (&json!("</script>"), &json!(3)));
        assert_eq!(event["state"]["leader"], Value::Null);
        assert_eq!(read["messages"][0]["delivery"], json!({ "Lost": 9 }));
        assert_eq!((&read["clock"], &read["violation"]), (&json!(0), &Value::Null));
    }

    #[test]
    fn a_document_is_too_long_if_its_json_is() {
        let document = Document { title: "a".repeat(100_000), ..Document::default() };
        let bytes = serde_json::to_vec(&document).expect("it is JSON").len();
        assert!(!is_longer_than(&document, bytes) && is_longer_than(&document, bytes - 1));
        assert!(!is_too_long(&document));
    }

    #[test]
    #[should_panic(expected = "no event 7")]
    fn a_reference_to_a_missing_event_panics() {
        let explanation = vec![Sentence { text: "see there".to_owned(), event: Some(7) }];
        compressed(&Document { explanation, ..Document::default() });
    }

    #[test]
    #[should_panic(expected = "there is no node 3")]
    fn a_leader_that_does_not_exist_panics() {
        let events = vec![event(State { leader: Some(3), ..State::default() })];
        compressed(&Document { nodes: vec!["n1".to_owned()], events, ..Document::default() });
    }
}

//! Combines many bugs into one source file, each behind a switch that is set at run time: "mutant
//! schemata" (Untch, Offutt and Harrold, 1993).

use std::collections::BTreeMap;
use std::ops::Range;

use proc_macro2::{Span, TokenStream};
use syn::spanned::Spanned;
use syn::{Block, ImplItem, Item, ReturnType, Signature, TraitItem};

/// The change that a bug makes to one place of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// The byte range of the replaced function body in the original text; empty for an addition.
    at: Range<usize>,
    /// The new code in one line, so that later lines keep their numbers.
    code: String,
}

/// A source file that contains several bugs.
#[derive(Debug, Default)]
pub(crate) struct CombinedFile {
    /// The text of the file.
    pub(crate) text: String,
    /// The byte ranges of the code of bugs, each with the number of its bug.
    pub(crate) bug_ranges: Vec<(Range<usize>, usize)>,
}

/// Returns the changes from the original to the mutated text, or the reason why they cannot be
/// combined: only function bodies may change, and items may be added.
pub(crate) fn changes(original: &str, mutated: &str) -> Result<Vec<Change>, String> {
    let mut before = pieces(original)?.into_iter().peekable();
    let mut changes = Vec::new();
    let mut end = 0;
    for piece in pieces(mutated)? {
        let head = piece.head(mutated);
        if let Some(same) = before.next_if(|one| one.head(original) == head) {
            end = same.range.end;
            changes.extend(change(&same, piece.body, original, mutated)?);
        } else if piece.is_edge {
            let sign =
                before.peek().map_or(piece.first_line(mutated), |gone| gone.first_line(original));
            return Err(format!("more than a body is changed: `{sign}`"));
        } else {
            let code = format!(" {}", line(&mutated[piece.range])?);
            changes.push(Change { at: end..end, code });
        }
    }
    match before.next() {
        Some(gone) => Err(format!("more than a body is changed: `{}`", gone.first_line(original))),
        None => Ok(changes),
    }
}

/// Returns the change of the body of a function, or `None` if the body is equal.
fn change(
    same: &SourceItem,
    other: Option<Range<usize>>,
    original: &str,
    mutated: &str,
) -> Result<Option<Change>, String> {
    let (Some(at), Some(other)) = (same.body.clone(), other) else { return Ok(None) };
    if original[at.clone()] == mutated[other.clone()] {
        return Ok(None);
    }
    match same.not_combinable {
        Some(why) => Err(format!("{why}: `{}`", same.first_line(original))),
        None => Ok(Some(Change { at, code: line(&mutated[other])? })),
    }
}

/// Returns the code in one line, without comments.
fn line(code: &str) -> Result<String, String> {
    let tokens: TokenStream = code.parse().map_err(|error| format!("{error}"))?;
    Ok(tokens.to_string())
}

/// Returns the original text with the changes of all bugs, given by number.
pub(crate) fn combine<'a>(
    original: &str,
    bugs: impl IntoIterator<Item = (usize, &'a [Change])>,
) -> CombinedFile {
    let mut spots: BTreeMap<(usize, usize), Vec<(usize, &str)>> = BTreeMap::new();
    for (number, changes) in bugs {
        for Change { at, code } in changes {
            spots.entry((at.start, at.end)).or_default().push((number, code));
        }
    }
    let mut combined = CombinedFile::default();
    let mut done = 0;
    for ((start, end), codes) in spots {
        combined.text.push_str(&original[done..start]);
        done = end;
        if start == end {
            codes.into_iter().for_each(|(number, code)| combined.plant(number, code));
            continue;
        }
        combined.text.push_str("{ match crate::planted::active() { ");
        for (number, code) in codes {
            combined.text.push_str(&format!("{number} => "));
            combined.plant(number, code);
            combined.text.push(' ');
        }
        combined.text.push_str(&format!("_ => {} }} }}", &original[start..end]));
    }
    combined.text.push_str(&original[done..]);
    combined
}

impl CombinedFile {
    fn plant(&mut self, number: usize, code: &str) {
        let start = self.text.len();
        self.text.push_str(code);
        self.bug_ranges.push((start..self.text.len(), number));
    }
}

/// A function, another item, or the opening or closing part of a block of items. A file is a
/// sequence of these.
struct SourceItem {
    range: Range<usize>,
    /// The byte range of the function body, if there is one.
    body: Option<Range<usize>>,
    /// The reason why the body cannot be selected at run time, if there is one.
    not_combinable: Option<&'static str>,
    is_edge: bool,
}

impl SourceItem {
    fn new(range: Range<usize>) -> SourceItem {
        SourceItem { range, body: None, not_combinable: None, is_edge: false }
    }

    fn function(range: Range<usize>, signature: &Signature, body: &Block) -> SourceItem {
        let not_combinable = match &signature.output {
            _ if signature.constness.is_some() => Some("a const function cannot read the switch"),
            ReturnType::Type(_, kind) if contains_word(kind.span(), "impl") => {
                Some("each body would return a different type")
            }
            _ => None,
        };
        SourceItem {
            body: Some(body.span().byte_range()),
            not_combinable,
            ..SourceItem::new(range)
        }
    }

    fn edge(range: Range<usize>) -> SourceItem {
        SourceItem { is_edge: true, ..SourceItem::new(range) }
    }

    /// Returns the text without the body.
    fn head<'a>(&self, text: &'a str) -> &'a str {
        let end = self.body.as_ref().map_or(self.range.end, |body| body.start);
        text[self.range.start..end].trim_end()
    }

    /// Returns the first line of code, for error messages.
    fn first_line<'a>(&self, text: &'a str) -> &'a str {
        let is_code = |line: &&str| !line.trim_start().starts_with(['/', '#']);
        self.head(text).lines().find(is_code).unwrap_or_default().trim()
    }
}

fn contains_word(span: Span, word: &str) -> bool {
    let text = span.source_text().unwrap_or_default();
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|one| one == word)
}

fn pieces(text: &str) -> Result<Vec<SourceItem>, String> {
    let file = syn::parse_file(text).map_err(|error| format!("syntax error: {error}"))?;
    let mut pieces = Vec::new();
    file.items.iter().for_each(|item| of_item(item, &mut pieces));
    Ok(pieces)
}

fn of_item(item: &Item, pieces: &mut Vec<SourceItem>) {
    let range = item.span().byte_range();
    match item {
        Item::Fn(function) => {
            pieces.push(SourceItem::function(range, &function.sig, &function.block));
        }
        Item::Mod(module) => match &module.content {
            Some((brace, items)) => {
                within(range, brace.span.join(), pieces, |pieces| {
                    items.iter().for_each(|item| of_item(item, pieces));
                });
            }
            None => pieces.push(SourceItem::new(range)),
        },
        Item::Impl(block) => within(range, block.brace_token.span.join(), pieces, |pieces| {
            pieces.extend(block.items.iter().map(|item| match item {
                ImplItem::Fn(one) => {
                    SourceItem::function(item.span().byte_range(), &one.sig, &one.block)
                }
                _ => SourceItem::new(item.span().byte_range()),
            }));
        }),
        Item::Trait(one) => within(range, one.brace_token.span.join(), pieces, |pieces| {
            pieces.extend(one.items.iter().map(|item| match item {
                TraitItem::Fn(one) if let Some(body) = &one.default => {
                    SourceItem::function(item.span().byte_range(), &one.sig, body)
                }
                _ => SourceItem::new(item.span().byte_range()),
            }));
        }),
        _ => pieces.push(SourceItem::new(range)),
    }
}

/// Appends the items between two braces, and the parts before and after them.
fn within(
    range: Range<usize>,
    braces: Span,
    pieces: &mut Vec<SourceItem>,
    inner: impl FnOnce(&mut Vec<SourceItem>),
) {
    let braces = braces.byte_range();
    pieces.push(SourceItem::edge(range.start..braces.start + 1));
    inner(pieces);
    pieces.push(SourceItem::edge(braces.end - 1..braces.end));
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
//! A file of the test.

/// Adds `one` and `other`.
pub fn sum(one: u8, other: u8) -> u8 {
    // Neither is large.
    one + other
}

struct Held(u8);

impl Held {
    const fn least() -> u8 {
        0
    }

    fn all(&self) -> impl Iterator<Item = u8> {
        0..self.0
    }

    fn first(&self) -> Option<u8> {
        self.all().next()
    }
}

mod inner {
    trait Count {
        fn count(&self) -> u8 {
            7
        }
    }
}
";

    fn edited(find: &str, replace: &str) -> Result<Vec<Change>, String> {
        assert_eq!(FILE.matches(find).count(), 1, "{find}");
        changes(FILE, &FILE.replacen(find, replace, 1))
    }

    /// Returns the file with these edits, given by number, combined.
    fn combined(edits: &[(usize, &str, &str)]) -> CombinedFile {
        let bugs: Vec<(usize, Vec<Change>)> = edits
            .iter()
            .map(|(number, find, replace)| {
                let changes = edited(find, replace);
                (*number, changes.unwrap_or_else(|why| panic!("{find}: {why}")))
            })
            .collect();
        let combined = combine(FILE, bugs.iter().map(|(number, changes)| (*number, &changes[..])));
        syn::parse_file(&combined.text).unwrap_or_else(|why| panic!("{why}: {}", combined.text));
        assert_eq!(combined.text.lines().count(), FILE.lines().count(), "a line number changed");
        combined
    }

    #[test]
    fn each_body_occurs_once_and_the_original_keeps_its_place() {
        let edits = [
            (3, "one + other", "one.max(other) // wrong"),
            (5, "one + other", "if one > 9 {\n        one\n    } else {\n        other\n    }"),
            (8, "self.all().next()", "self.all().last()"),
            (9, "            7\n", "            8\n"),
        ];
        let CombinedFile { text, bug_ranges: places } = combined(&edits);
        let switch = "{ match crate::planted::active() { ";
        let body = "{\n    // Neither is large.\n    one + other\n}";
        let sum = format!(
            "pub fn sum(one: u8, other: u8) -> u8 {switch}3 => {{ one . max (other) }} \
             5 => {{ if one > 9 {{ one }} else {{ other }} }} _ => {body} }} }}\n"
        );
        assert!(text.contains(&sum), "{text}");
        assert_eq!(text.matches(switch).count(), 3, "{text}");
        let numbers: Vec<usize> = places.iter().map(|(_, number)| *number).collect();
        assert_eq!(numbers, [3, 5, 8, 9]);
        let codes: Vec<&str> = places.iter().map(|(range, _)| &text[range.clone()]).collect();
        assert_eq!(codes[3], "{ 8 }");
        for code in codes {
            assert_eq!(text.matches(code).count(), 1, "{code}: {text}");
        }
    }

    #[test]
    fn new_items_are_added() {
        let new = "    /// Is new.\n    fn second(&self) -> u8 {\n        self.0\n    }\n\n";
        let edits = [
            (2, "    fn first", &format!("{new}    fn first")[..]),
            (4, "struct Held(u8);\n", "struct Held(u8);\nconst MAX: u8 = 3;\n"),
        ];
        let text = combined(&edits).text;
        assert!(text.contains("} # [doc = \" Is new.\"] fn second (& self) -> u8"), "{text}");
        assert!(text.contains("struct Held(u8); const MAX : u8 = 3 ;\n"), "{text}");
    }

    #[test]
    fn comments_between_items_are_not_a_change() {
        assert_eq!(changes(FILE, FILE), Ok(Vec::new()));
        assert_eq!(edited("struct Held(u8);\n", "// Said.\nstruct Held(u8);\n"), Ok(Vec::new()));
    }

    #[test]
    fn changes_that_cannot_be_combined_are_rejected() {
        let cases = [
            (
                "        0\n",
                "        1\n",
                "a const function cannot read the switch: `const fn least",
            ),
            ("0..self.0", "0..9", "each body would return a different type: `fn all"),
            ("other: u8", "other: u16", "more than a body is changed: `pub fn sum"),
            ("struct Held(u8);", "struct Held(u8, u8);", "more than a body is changed: `struct"),
            ("    fn count(&self) -> u8 {\n            7\n        }\n", "", "`fn count"),
            (
                "mod inner {",
                "mod other {}\nmod inner {",
                "more than a body is changed: `mod inner {`",
            ),
            ("one + other", "one +", "syntax error"),
        ];
        for (find, replace, why) in cases {
            match edited(find, replace) {
                Err(error) => assert!(error.contains(why), "{find}: {error}"),
                Ok(changes) => panic!("{find}: {changes:?}"),
            }
        }
    }
}

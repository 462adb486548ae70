//! Many bugs in one source file, each behind a switch chosen at run time: "mutant schemata"
//! (Untch, Offutt and Harrold, 1993).

use std::collections::BTreeMap;
use std::ops::Range;

use proc_macro2::{Span, TokenStream};
use syn::spanned::Spanned;
use syn::{Block, ImplItem, Item, ReturnType, Signature, TraitItem};

/// What a bug does to one place of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// The body in the original text that it replaces; empty where it adds something.
    at: Range<usize>,
    /// In one line, so that those after it keep their numbers.
    code: String,
}

/// A file with bugs folded in.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    /// The whole text.
    pub(crate) text: String,
    /// Where in the text the bugs' own code is, each with its bug's number.
    pub(crate) places: Vec<(Range<usize>, usize)>,
}

/// What tells the mutated text of a file from the original, or why that cannot be folded: it may
/// change nothing but bodies of functions, and add items.
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
            let sign = before.peek().map_or(piece.sign(mutated), |gone| gone.sign(original));
            return Err(format!("more than a body is changed: `{sign}`"));
        } else {
            let code = format!(" {}", line(&mutated[piece.range])?);
            changes.push(Change { at: end..end, code });
        }
    }
    match before.next() {
        Some(gone) => Err(format!("more than a body is changed: `{}`", gone.sign(original))),
        None => Ok(changes),
    }
}

/// What a function with another body has to be changed to.
fn change(
    same: &Piece,
    other: Option<Range<usize>>,
    original: &str,
    mutated: &str,
) -> Result<Option<Change>, String> {
    let (Some(at), Some(other)) = (same.body.clone(), other) else { return Ok(None) };
    if original[at.clone()] == mutated[other.clone()] {
        return Ok(None);
    }
    match same.fixed {
        Some(why) => Err(format!("{why}: `{}`", same.sign(original))),
        None => Ok(Some(Change { at, code: line(&mutated[other])? })),
    }
}

/// The code in one line, without comments.
fn line(code: &str) -> Result<String, String> {
    let tokens: TokenStream = code.parse().map_err(|error| format!("{error}"))?;
    Ok(tokens.to_string())
}

/// The original text with what each of the bugs, by number, does to it.
pub(crate) fn fold<'a>(
    original: &str,
    bugs: impl IntoIterator<Item = (usize, &'a [Change])>,
) -> Folded {
    let mut spots: BTreeMap<(usize, usize), Vec<(usize, &str)>> = BTreeMap::new();
    for (number, changes) in bugs {
        for Change { at, code } in changes {
            spots.entry((at.start, at.end)).or_default().push((number, code));
        }
    }
    let mut folded = Folded::default();
    let mut done = 0;
    for ((start, end), codes) in spots {
        folded.text.push_str(&original[done..start]);
        done = end;
        if start == end {
            codes.into_iter().for_each(|(number, code)| folded.plant(number, code));
            continue;
        }
        folded.text.push_str("{ match crate::planted::on() { ");
        for (number, code) in codes {
            folded.text.push_str(&format!("{number} => "));
            folded.plant(number, code);
            folded.text.push(' ');
        }
        folded.text.push_str(&format!("_ => {} }} }}", &original[start..end]));
    }
    folded.text.push_str(&original[done..]);
    folded
}

impl Folded {
    fn plant(&mut self, number: usize, code: &str) {
        let start = self.text.len();
        self.text.push_str(code);
        self.places.push((start..self.text.len(), number));
    }
}

/// A function, another item, or an edge of what holds some: a file is a row of them.
struct Piece {
    range: Range<usize>,
    /// The body, of a function that has one.
    body: Option<Range<usize>>,
    /// Why the body cannot be one of several, if so.
    fixed: Option<&'static str>,
    is_edge: bool,
}

impl Piece {
    fn new(range: Range<usize>) -> Piece {
        Piece { range, body: None, fixed: None, is_edge: false }
    }

    fn function(range: Range<usize>, signature: &Signature, body: &Block) -> Piece {
        let fixed = match &signature.output {
            _ if signature.constness.is_some() => Some("a constant function asks nobody"),
            ReturnType::Type(_, kind) if has_word(kind.span(), "impl") => {
                Some("each body would return a type of its own")
            }
            _ => None,
        };
        Piece { body: Some(body.span().byte_range()), fixed, ..Piece::new(range) }
    }

    fn edge(range: Range<usize>) -> Piece {
        Piece { is_edge: true, ..Piece::new(range) }
    }

    /// All but the body.
    fn head<'a>(&self, text: &'a str) -> &'a str {
        let end = self.body.as_ref().map_or(self.range.end, |body| body.start);
        text[self.range.start..end].trim_end()
    }

    /// The line that people know it by.
    fn sign<'a>(&self, text: &'a str) -> &'a str {
        let is_code = |line: &&str| !line.trim_start().starts_with(['/', '#']);
        self.head(text).lines().find(is_code).unwrap_or_default().trim()
    }
}

fn has_word(span: Span, word: &str) -> bool {
    let text = span.source_text().unwrap_or_default();
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|one| one == word)
}

fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let file = syn::parse_file(text).map_err(|error| format!("it does not parse: {error}"))?;
    let mut pieces = Vec::new();
    file.items.iter().for_each(|item| of_item(item, &mut pieces));
    Ok(pieces)
}

fn of_item(item: &Item, pieces: &mut Vec<Piece>) {
    let range = item.span().byte_range();
    match item {
        Item::Fn(function) => {
            pieces.push(Piece::function(range, &function.sig, &function.block));
        }
        Item::Mod(module) => match &module.content {
            Some((brace, items)) => {
                within(range, brace.span.join(), pieces, |pieces| {
                    items.iter().for_each(|item| of_item(item, pieces));
                });
            }
            None => pieces.push(Piece::new(range)),
        },
        Item::Impl(block) => within(range, block.brace_token.span.join(), pieces, |pieces| {
            pieces.extend(block.items.iter().map(|item| match item {
                ImplItem::Fn(one) => {
                    Piece::function(item.span().byte_range(), &one.sig, &one.block)
                }
                _ => Piece::new(item.span().byte_range()),
            }));
        }),
        Item::Trait(one) => within(range, one.brace_token.span.join(), pieces, |pieces| {
            pieces.extend(one.items.iter().map(|item| match item {
                TraitItem::Fn(one) if let Some(body) = &one.default => {
                    Piece::function(item.span().byte_range(), &one.sig, body)
                }
                _ => Piece::new(item.span().byte_range()),
            }));
        }),
        _ => pieces.push(Piece::new(range)),
    }
}

/// The pieces between two braces, and the edges around them.
fn within(
    range: Range<usize>,
    braces: Span,
    pieces: &mut Vec<Piece>,
    inner: impl FnOnce(&mut Vec<Piece>),
) {
    let braces = braces.byte_range();
    pieces.push(Piece::edge(range.start..braces.start + 1));
    inner(pieces);
    pieces.push(Piece::edge(braces.end - 1..braces.end));
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
//! A file.

/// Adds.
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
    trait Told {
        fn told(&self) -> u8 {
            7
        }
    }
}
";

    fn edited(find: &str, replace: &str) -> Result<Vec<Change>, String> {
        assert_eq!(FILE.matches(find).count(), 1, "{find}");
        changes(FILE, &FILE.replacen(find, replace, 1))
    }

    /// The file with these edits, by number, folded in.
    fn folded(edits: &[(usize, &str, &str)]) -> Folded {
        let bugs: Vec<(usize, Vec<Change>)> = edits
            .iter()
            .map(|(number, find, replace)| {
                let changes = edited(find, replace);
                (*number, changes.unwrap_or_else(|why| panic!("{find}: {why}")))
            })
            .collect();
        let folded = fold(FILE, bugs.iter().map(|(number, changes)| (*number, &changes[..])));
        syn::parse_file(&folded.text).unwrap_or_else(|why| panic!("{why}: {}", folded.text));
        assert_eq!(folded.text.lines().count(), FILE.lines().count(), "lines keep their numbers");
        folded
    }

    #[test]
    fn each_body_is_there_once_and_the_original_where_it_was() {
        let edits = [
            (3, "one + other", "one.max(other) // wrong"),
            (5, "one + other", "if one > 9 {\n        one\n    } else {\n        other\n    }"),
            (8, "self.all().next()", "self.all().last()"),
            (9, "            7\n", "            8\n"),
        ];
        let Folded { text, places } = folded(&edits);
        let switch = "{ match crate::planted::on() { ";
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
    fn what_is_new_is_added() {
        let new = "    /// Is new.\n    fn second(&self) -> u8 {\n        self.0\n    }\n\n";
        let edits = [
            (2, "    fn first", &format!("{new}    fn first")[..]),
            (4, "struct Held(u8);\n", "struct Held(u8);\nconst MAX: u8 = 3;\n"),
        ];
        let text = folded(&edits).text;
        assert!(text.contains("} # [doc = \" Is new.\"] fn second (& self) -> u8"), "{text}");
        assert!(text.contains("struct Held(u8); const MAX : u8 = 3 ;\n"), "{text}");
    }

    #[test]
    fn what_is_equal_but_for_comments_between_items_changes_nothing() {
        assert_eq!(changes(FILE, FILE), Ok(Vec::new()));
        assert_eq!(edited("struct Held(u8);\n", "// Said.\nstruct Held(u8);\n"), Ok(Vec::new()));
    }

    #[test]
    fn what_cannot_be_folded_is_refused() {
        let cases = [
            ("        0\n", "        1\n", "a constant function asks nobody: `const fn least"),
            ("0..self.0", "0..9", "each body would return a type of its own: `fn all"),
            ("other: u8", "other: u16", "more than a body is changed: `pub fn sum"),
            ("struct Held(u8);", "struct Held(u8, u8);", "more than a body is changed: `struct"),
            ("    fn told(&self) -> u8 {\n            7\n        }\n", "", "`fn told"),
            (
                "mod inner {",
                "mod other {}\nmod inner {",
                "more than a body is changed: `mod inner {`",
            ),
            ("one + other", "one +", "it does not parse"),
        ];
        for (find, replace, why) in cases {
            match edited(find, replace) {
                Err(said) => assert!(said.contains(why), "{find}: {said}"),
                Ok(changes) => panic!("{find}: {changes:?}"),
            }
        }
    }
}

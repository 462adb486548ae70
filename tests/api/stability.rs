//! How stable each item is: the table in the section "Stability" of a library's front page.

use std::collections::{BTreeMap, BTreeSet};

use crate::lines::{Line, Lines};
use crate::tree::{Tree, UNSTABLE};

/// The marks of a library, by the path of a module or an item.
pub(crate) struct Stability {
    marks: BTreeMap<String, String>,
}

const MARKS: [&str; 3] = ["stable", "unstable", "internal"];

/// The library whose unstable and internal items need the feature `unstable`. The others are tools:
/// an item of theirs that changes breaks the tests of a program, not the program.
const GATED: &str = "quorate";

impl Stability {
    /// Reads the table: a path in brackets or backticks, then its mark.
    pub(crate) fn read(front_page: &str) -> Stability {
        let section = front_page.split("\n# Stability\n").nth(1).unwrap_or_default();
        let section = section.split("\n# ").next().unwrap_or_default();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| "));
        let mut marks = BTreeMap::new();
        for row in rows {
            let cells: Vec<&str> = row.split(" | ").map(str::trim).collect();
            let [mark, items, ..] = cells[..] else { continue };
            if MARKS.contains(&mark) {
                for path in items.split('`').skip(1).step_by(2) {
                    let earlier = marks.insert(path.to_owned(), mark.to_owned());
                    assert_eq!(earlier, None, "`{path}` has one mark");
                }
            }
        }
        Stability { marks }
    }

    /// Returns the lines with their marks, and an error for each item without a mark, each mark
    /// without an item, each stable item that shows a type that is not stable, and each item that
    /// needs the feature `unstable` or not, against its mark.
    pub(crate) fn marked(&self, lines: &Lines, tree: &Tree) -> (Vec<String>, Vec<String>) {
        let mut errors = Vec::new();
        let mut used: BTreeSet<&str> = BTreeSet::new();
        let mut marked: Vec<(&str, &Line)> = Vec::new();
        for line in &lines.all {
            match self.mark_of(&line.path, &tree.name) {
                Some((path, mark)) => {
                    used.insert(path);
                    marked.push((mark, line));
                }
                None => {
                    errors.push(format!("`{}` has no mark: stable, unstable, internal", line.path))
                }
            }
        }
        let unused = self.marks.keys().filter(|path| !used.contains(path.as_str()));
        errors.extend(unused.map(|path| format!("no item is at `{path}`, which has a mark")));
        errors.extend(shown_by_stable(&marked));
        if tree.name == GATED {
            errors.extend(wrongly_gated(&marked, &lines.gated));
        }
        let texts = marked.iter().map(|(mark, line)| format!("{mark} {} {}", line.path, line.text));
        (texts.collect(), errors)
    }

    /// The mark of an item: its own, or that of the closest module or type around it.
    fn mark_of(&self, path: &str, library: &str) -> Option<(&str, &str)> {
        let inside = path.strip_prefix(library)?.strip_prefix("::")?;
        let closest = self.marks.iter().rfind(|(marked, _)| {
            let rest = inside.strip_prefix(marked.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', ':']))
        });
        closest.map(|(path, mark)| (path.as_str(), mark.as_str()))
    }
}

/// An error for each item that is public without the feature `unstable` although its mark is not
/// stable, and for each stable item that needs the feature. A module that contains stable items
/// needs no feature.
fn wrongly_gated(marked: &[(&str, &Line)], gated: &BTreeSet<String>) -> Vec<String> {
    let stable = || marked.iter().filter(|(mark, _)| *mark == "stable").map(|(_, line)| &line.path);
    let contains_stable = |path: &str| {
        let inside = format!("{path}::");
        stable().any(|other| other.starts_with(&inside))
    };
    let mut errors = Vec::new();
    for (mark, line) in marked {
        let is_gated = around(&line.path).any(|path| gated.contains(path));
        if *mark == "stable" && is_gated {
            errors.push(format!("the stable `{}` needs the feature `{UNSTABLE}`", line.path));
        }
        let is_open_module = || line.text.starts_with("mod") && contains_stable(&line.path);
        if *mark != "stable" && !is_gated && !is_open_module() {
            errors.push(format!(
                "the {mark} `{}` is public without the feature `{UNSTABLE}`",
                line.path
            ));
        }
    }
    errors
}

/// The path itself, and those of the items and modules around it.
fn around(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices(['.', ':']).map(|(end, _)| end).chain([path.len()]);
    ends.map(|end| &path[..end])
}

/// An error for each stable item whose line names a type that is not stable. A name is no error if
/// a stable type has it as well.
fn shown_by_stable(marked: &[(&str, &Line)]) -> Vec<String> {
    let mut marks: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (mark, line) in marked {
        let is_type = ["struct", "enum", "trait", "type", "made by"];
        if is_type.iter().any(|word| line.text.starts_with(word))
            && let Some(name) = line.path.rsplit("::").next()
        {
            marks.entry(name).or_default().insert(mark);
        }
    }
    let mut errors = Vec::new();
    for (_, line) in marked.iter().filter(|(mark, _)| *mark == "stable") {
        let words = types_in(&line.text);
        for word in words {
            if marks.get(word).is_some_and(|marks| !marks.contains("stable")) {
                errors.push(format!("the stable `{}` shows `{word}`, which is not", line.path));
            }
        }
    }
    errors
}

/// The names in a line that may be those of types. Left out are names after `::`, which are of
/// associated types or of other libraries, and names that the line itself binds.
fn types_in(text: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    for (place, word) in words(text) {
        let (before, after) = (&text[..place], text[place + word.len()..].trim_start());
        let is_bound =
            after.starts_with('=') || (after.starts_with(':') && !after.starts_with("::"));
        if !before.ends_with("::") && !is_bound {
            found.insert(word);
        }
    }
    found
}

/// The words of a text, with their places.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let words = text.split(|it: char| !it.is_alphanumeric() && it != '_');
    let start = text.as_ptr() as usize;
    words.filter(|word| !word.is_empty()).map(move |word| (word.as_ptr() as usize - start, word))
}

#[test]
fn a_stable_item_must_not_show_an_unstable_type() {
    let line = |path: &str, text: &str| Line { path: path.to_owned(), text: text.to_owned() };
    let (inner, shown) = (line("a::Inner", "struct"), line("a::f", "fn(it: &Inner) -> Option<u8>"));
    assert_eq!(shown_by_stable(&[("internal", &inner), ("stable", &shown)]).len(), 1);
    assert_eq!(shown_by_stable(&[("stable", &inner), ("stable", &shown)]).len(), 0);
    let other = line("a::g", "fn<M: Model>(it: M::Inner) -> impl Future<Inner = u8>");
    assert_eq!(shown_by_stable(&[("internal", &inner), ("stable", &other)]).len(), 0);
}

#[test]
fn only_a_stable_item_is_public_without_the_feature() {
    let line = |path: &str, text: &str| Line { path: path.to_owned(), text: text.to_owned() };
    let (module, shown, hidden) = (line("a", "mod"), line("a::S", "struct"), line("a::f", "fn()"));
    let field = line("a::f.field", "field: u8");
    let gated = |paths: &[&str]| paths.iter().map(|&path| path.to_owned()).collect();
    let marked = [("unstable", &module), ("stable", &shown), ("internal", &hidden)];
    assert_eq!(wrongly_gated(&marked, &gated(&["a::f"])).len(), 0);
    assert_eq!(wrongly_gated(&marked, &gated(&[])).len(), 1, "no feature for an internal item");
    assert_eq!(wrongly_gated(&marked, &gated(&["a"])).len(), 1, "a feature for a stable item");
    assert_eq!(wrongly_gated(&[("unstable", &module)], &gated(&[])).len(), 1, "an open module");
    assert_eq!(wrongly_gated(&[("internal", &field)], &gated(&["a::f"])).len(), 0, "an inner item");
}

#[test]
fn the_closest_mark_counts() {
    let page = "\n# Stability\n\n| mark | items |\n|---|---|\n| stable | `a`; `a::b::c` |\n\
                | internal | \
                `a::b` |\n";
    let stability = Stability::read(page);
    let mark = |path: &str| stability.mark_of(path, "lib").map(|(_, mark)| mark);
    assert_eq!(mark("lib::a::x"), Some("stable"));
    assert_eq!(mark("lib::a::b::d"), Some("internal"));
    assert_eq!(mark("lib::a::b::c.field"), Some("stable"));
    assert_eq!(mark("lib::a::bc"), Some("stable"), "a name that only begins the same");
    assert_eq!(mark("lib::other"), None);
}

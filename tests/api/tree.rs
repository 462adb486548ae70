//! The modules of a library with the items in them, parsed from its sources.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use syn::spanned::Spanned;
use syn::{Attribute, Expr, Item, ItemMacro, Lit, Meta, UseTree, Visibility};

/// The feature without which unstable and internal items are not public.
pub(crate) const UNSTABLE: &str = "unstable";

/// A library: its modules, the root first.
pub(crate) struct Tree {
    pub(crate) name: String,
    pub(crate) modules: Vec<Module>,
    front_page: String,
}

/// A module, which may be inline or in a file of its own.
pub(crate) struct Module {
    pub(crate) parent: Option<usize>,
    pub(crate) children: BTreeMap<String, Child>,
    pub(crate) items: Vec<Item>,
    pub(crate) imports: Vec<Import>,
    /// The text of the file that contains the module.
    source: String,
}

pub(crate) struct Child {
    pub(crate) module: usize,
    pub(crate) is_public: bool,
    pub(crate) features: Vec<String>,
}

/// One name that a `use` brings into scope in a module.
pub(crate) struct Import {
    /// The name, or `*` for all of the module at the path.
    pub(crate) name: String,
    pub(crate) path: Vec<String>,
    pub(crate) is_public: bool,
    pub(crate) features: Vec<String>,
}

impl Tree {
    /// Reads the library whose root is this file.
    pub(crate) fn read(name: &str, root: &Path) -> Tree {
        let mut tree =
            Tree { name: name.to_owned(), modules: Vec::new(), front_page: String::new() };
        let file = tree.file(root, None, &root.with_file_name(""));
        assert_eq!(file, 0, "the root comes first");
        tree
    }

    /// The text of the library's front page: the documentation comments of its root.
    pub(crate) fn front_page(&self) -> String {
        self.front_page.clone()
    }

    /// Reads the file of a module, whose own modules are below `folder`.
    fn file(&mut self, path: &Path, parent: Option<usize>, folder: &Path) -> usize {
        let source = std::fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let parsed =
            syn::parse_file(&source).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if parent.is_none() {
            self.front_page = docs(&parsed.attrs);
        }
        self.module(parsed.items, source, parent, folder)
    }

    fn module(
        &mut self,
        items: Vec<Item>,
        source: String,
        parent: Option<usize>,
        folder: &Path,
    ) -> usize {
        let place = self.modules.len();
        let (children, imports) = (BTreeMap::new(), Vec::new());
        self.modules.push(Module { parent, children, items: Vec::new(), imports, source });
        let (modules, items): (Vec<Item>, Vec<Item>) =
            items.into_iter().partition(|item| matches!(item, Item::Mod(_)));
        for item in modules {
            let Item::Mod(item) = item else { continue };
            if is_left_out(&item.attrs) {
                continue;
            }
            let name = item.ident.to_string();
            let inner = folder.join(&name);
            let module = match item.content {
                Some((_, items)) => {
                    let source = self.modules[place].source.clone();
                    self.module(items, source, Some(place), &inner)
                }
                None => {
                    let file = folder.join(format!("{name}.rs"));
                    let file = if file.exists() { file } else { inner.join("mod.rs") };
                    self.file(&file, Some(place), &inner)
                }
            };
            let (is_public, features) = (is_public(&item.vis), features(&item.attrs));
            self.modules[place].children.insert(name, Child { module, is_public, features });
        }
        for item in &items {
            let imports = match item {
                Item::Use(it) if !is_left_out(&it.attrs) => {
                    imports_of(&it.tree, is_public(&it.vis), &features(&it.attrs))
                }
                Item::Macro(it) if it.mac.path.is_ident("unstable_use") => unstable_imports(it),
                _ => continue,
            };
            self.modules[place].imports.extend(imports);
        }
        self.modules[place].items = items;
        place
    }
}

impl Module {
    /// Returns the source of a part of the module in one line.
    pub(crate) fn text(&self, part: &impl Spanned) -> String {
        self.text_at(part.span().byte_range())
    }

    pub(crate) fn text_at(&self, range: Range<usize>) -> String {
        let lines = self.source[range].lines().filter(|line| !line.trim().starts_with("//"));
        let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
        let line = words.join(" ");
        [("( ", "("), (", )", ")"), ("< ", "<"), (", >", ">"), (" .", ".")]
            .iter()
            .fold(line, |line, (from, to)| line.replace(from, to))
    }
}

/// The names that a `use` brings.
fn imports_of(tree: &UseTree, is_public: bool, features: &[String]) -> Vec<Import> {
    let mut found = Vec::new();
    leaves(tree, &mut Vec::new(), &mut found);
    let imports = found.into_iter().map(|(name, path)| {
        let features = features.to_vec();
        Import { name, path, is_public, features }
    });
    imports.collect()
}

/// The names that `unstable_use!` makes public.
fn unstable_imports(item: &ItemMacro) -> Vec<Import> {
    let group = format!("{{{}}}", item.mac.tokens);
    let tree: UseTree = syn::parse_str(&group).expect("the macro takes what a `use` takes");
    imports_of(&tree, true, &[UNSTABLE.to_owned()])
}

/// Appends each name that a `use` brings, with its path.
fn leaves(tree: &UseTree, prefix: &mut Vec<String>, into: &mut Vec<(String, Vec<String>)>) {
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            leaves(&path.tree, prefix, into);
            prefix.pop();
        }
        UseTree::Name(name) => {
            let name = name.ident.to_string();
            let mut path = prefix.clone();
            if name != "self" {
                path.push(name);
            }
            into.push((path.last().cloned().unwrap_or_default(), path));
        }
        UseTree::Rename(rename) => {
            let path = [&prefix[..], &[rename.ident.to_string()]].concat();
            into.push((rename.rename.to_string(), path));
        }
        UseTree::Glob(_) => into.push(("*".to_owned(), prefix.clone())),
        UseTree::Group(group) => {
            group.items.iter().for_each(|tree| leaves(tree, prefix, into));
        }
    }
}

pub(crate) fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Whether an item exists only in tests, only in simulations with madsim, or only without the
/// feature `unstable`.
pub(crate) fn is_left_out(attributes: &[Attribute]) -> bool {
    let is_stable_only = format!("not(feature=\"{UNSTABLE}\")");
    let left_out = ["test", "doctest", "madsim", &is_stable_only];
    conditions(attributes).any(|condition| left_out.contains(&&*condition.replace(' ', "")))
}

/// The features without which an item does not exist.
pub(crate) fn features(attributes: &[Attribute]) -> Vec<String> {
    let features = conditions(attributes).filter_map(|condition| {
        Some(condition.strip_prefix("feature = \"")?.strip_suffix('"')?.to_owned())
    });
    features.collect()
}

fn conditions(attributes: &[Attribute]) -> impl Iterator<Item = String> {
    attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => Some(list.tokens.to_string()),
        _ => None,
    })
}

/// The text of the doc comments.
fn docs(attributes: &[Attribute]) -> String {
    let mut text = String::new();
    for attribute in attributes {
        if let Meta::NameValue(pair) = &attribute.meta
            && pair.path.is_ident("doc")
            && let Expr::Lit(literal) = &pair.value
            && let Lit::Str(line) = &literal.lit
        {
            text += &format!("{}\n", line.value().trim());
        }
    }
    text
}

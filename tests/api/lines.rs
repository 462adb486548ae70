//! One line for each public item of a library.

use std::collections::{BTreeMap, BTreeSet};

use syn::{
    Attribute, Fields, GenericParam, Generics, ImplItem, Item, ItemImpl, Meta, Signature,
    TraitItem, Type,
};

use crate::resolve::{Target, has_word, name_of};
use crate::tree::{Module, Tree, UNSTABLE, features, is_left_out, is_public};

/// An item: its path, and the rest of its line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Line {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The lines of a library.
pub(crate) struct Lines {
    pub(crate) all: BTreeSet<Line>,
    /// The public paths that lead to no item.
    pub(crate) unresolved: Vec<String>,
    /// The paths that are public only with the feature `unstable`.
    pub(crate) gated: BTreeSet<String>,
    /// The path of each item that has its lines.
    paths: BTreeMap<Target, String>,
}

/// The maximum number of characters of a macro's text in a line.
const MACRO_TEXT_MAX: usize = 400;

/// The items of modules come before those that a module takes from elsewhere.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    Modules,
    Repeats,
}

impl Lines {
    pub(crate) fn of(tree: &Tree) -> Lines {
        let (all, gated, paths) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        let mut lines = Lines { all, unresolved: Vec::new(), gated, paths };
        // An item has its lines where its module is public, not where another one repeats it.
        for pass in [Pass::Modules, Pass::Repeats] {
            lines.module(tree, 0, &tree.name, &[], pass);
        }
        lines.implementations(tree);
        lines
    }

    /// Adds the public items of a module, and of those in it.
    fn module(&mut self, tree: &Tree, module: usize, path: &str, features: &[String], pass: Pass) {
        let it = &tree.modules[module];
        for item in it.items.iter().filter(|_| pass == Pass::Modules) {
            if let Some(name) = public_name(item) {
                self.target(tree, (module, name.clone()), format!("{path}::{name}"), features);
            }
        }
        for import in it.imports.iter().filter(|import| import.is_public) {
            let path = format!("{path}::{}", import.name);
            let features = [features, &import.features].concat();
            let repeats = import.path.first().is_some_and(|first| first == "crate");
            if repeats != (pass == Pass::Repeats) {
                continue;
            }
            match tree.resolve(module, &import.path) {
                Some((at, name)) if tree.modules[at].children.contains_key(&name) => {
                    self.note_gate(&path, &features);
                    self.add(&path, format!("mod{}", suffix(&features)));
                    self.module(
                        tree,
                        tree.modules[at].children[&name].module,
                        &path,
                        &features,
                        pass,
                    );
                }
                Some(target) => self.target(tree, target, path, &features),
                None => self.unresolved.push(path),
            }
        }
        for (name, child) in it.children.iter().filter(|(_, child)| child.is_public) {
            let features = [features, &child.features].concat();
            let path = format!("{path}::{name}");
            self.note_gate(&path, &features);
            self.add(&path, format!("mod{}", suffix(&features)));
            self.module(tree, child.module, &path, &features, pass);
        }
    }

    fn add(&mut self, path: &str, text: String) {
        self.all.insert(Line { path: path.to_owned(), text });
    }

    fn note_gate(&mut self, path: &str, features: &[String]) {
        if features.iter().any(|feature| feature == UNSTABLE) {
            self.gated.insert(path.to_owned());
        }
    }

    /// Adds an item that is public at a path.
    fn target(&mut self, tree: &Tree, target: Target, path: String, features: &[String]) {
        self.note_gate(&path, features);
        if let Some(other) = self.paths.get(&target) {
            let text = format!("use {other}{}", suffix(features));
            return self.add(&path, text);
        }
        let it = &tree.modules[target.0];
        let mut found = false;
        for item in it.items.iter().filter(|item| name_of(item).as_ref() == Some(&target.1)) {
            found = true;
            self.item(it, item, &path, features);
        }
        if !found {
            self.made_by_macro(it, &target.1, &path);
        }
        self.paths.insert(target, path);
    }

    /// Adds an item that a macro defines: its line is the text that the macro gets.
    fn made_by_macro(&mut self, module: &Module, name: &str, path: &str) {
        let macros = || {
            module.items.iter().filter_map(|item| match item {
                Item::Macro(item) => Some((item, module.text(&item.mac.tokens))),
                _ => None,
            })
        };
        let definer = macros().find(|(item, text)| item.ident.is_some() && has_word(text, name));
        let definer = definer.and_then(|(item, _)| item.ident.clone());
        for (item, text) in macros().filter(|(item, _)| item.ident.is_none()) {
            if has_word(&text, name)
                || definer.as_ref().is_some_and(|it| item.mac.path.is_ident(it))
            {
                let shown: String = text.chars().take(MACRO_TEXT_MAX).collect();
                let rest = text.len() - shown.len();
                let rest =
                    if rest == 0 { String::new() } else { format!(" … {rest} more bytes") };
                self.add(path, format!("made by {}! {shown}{rest}", module.text(&item.mac.path)));
            }
        }
    }

    fn item(&mut self, module: &Module, item: &Item, path: &str, outer: &[String]) {
        let attributes = attributes_of(item);
        let features = [outer, &features(attributes)].concat();
        self.note_gate(path, &features);
        let suffix = suffix(&features);
        let derived = derived(module, attributes);
        let generics = |generics: &Generics| generics_of(module, generics);
        match item {
            Item::Const(item) => self.add(path, format!("const: {}", module.text(&item.ty))),
            Item::Static(item) => self.add(path, format!("static: {}", module.text(&item.ty))),
            Item::Fn(item) => self.add(path, signature(module, &item.sig) + &suffix),
            Item::Type(item) => self.add(path, format!("type = {}", module.text(&item.ty))),
            Item::Struct(item) => {
                let generics = generics(&item.generics);
                let tuple = match &item.fields {
                    Fields::Unnamed(_) => fields(module, &item.fields),
                    _ => String::new(),
                };
                self.add(path, format!("struct{generics}{tuple}{derived}{suffix}"));
                for field in item.fields.iter().filter(|field| is_public(&field.vis)) {
                    if let Some(name) = &field.ident {
                        let field = format!("field: {}", module.text(&field.ty));
                        self.add(&format!("{path}.{name}"), field);
                    }
                }
            }
            Item::Enum(item) => {
                self.add(path, format!("enum{}{derived}{suffix}", generics(&item.generics)));
                for variant in &item.variants {
                    let text = format!("variant{}", fields(module, &variant.fields));
                    self.add(&format!("{path}::{}", variant.ident), text);
                }
            }
            Item::Trait(item) => {
                let bounds: Vec<String> =
                    item.supertraits.iter().map(|bound| module.text(bound)).collect();
                let bounds = if bounds.is_empty() { String::new() } else { ": ".to_owned() }
                    + &bounds.join(" + ");
                self.add(path, format!("trait{}{bounds}{suffix}", generics(&item.generics)));
                for item in &item.items {
                    self.trait_item(module, item, path);
                }
            }
            Item::Macro(item) => self.add(path, format!("macro{}", features_text(&item.attrs))),
            _ => {}
        }
    }

    fn trait_item(&mut self, module: &Module, item: &TraitItem, path: &str) {
        let (name, text) = match item {
            TraitItem::Fn(item) => {
                let provided = if item.default.is_some() { " { provided }" } else { "" };
                (&item.sig.ident, signature(module, &item.sig) + provided)
            }
            TraitItem::Const(item) => (&item.ident, format!("const: {}", module.text(&item.ty))),
            TraitItem::Type(item) => (&item.ident, module.text(item)),
            _ => return,
        };
        self.add(&format!("{path}::{name}"), text);
    }

    /// Adds the methods and the implemented traits of the public types.
    fn implementations(&mut self, tree: &Tree) {
        for (place, module) in tree.modules.iter().enumerate() {
            for item in &module.items {
                let Item::Impl(item) = item else { continue };
                let target = self_path(&item.self_ty).and_then(|path| tree.resolve(place, &path));
                let path = target.and_then(|target| self.paths.get(&target)).cloned();
                if let Some(path) = path
                    && !is_left_out(&item.attrs)
                {
                    self.implementation(module, item, &path);
                }
            }
        }
    }

    fn implementation(&mut self, module: &Module, item: &ItemImpl, path: &str) {
        let outer = features(&item.attrs);
        if let Some((of, _)) = &item.trait_ {
            let (of, this) = (module.text(of), module.text(&*item.self_ty));
            let generics = generics_of(module, &item.generics);
            self.add(path, format!("impl{generics} {of} for {this}{}", suffix(&outer)));
            return;
        }
        for item in &item.items {
            let (name, visibility, attributes, text) = match item {
                ImplItem::Fn(item) => {
                    (&item.sig.ident, &item.vis, &item.attrs, signature(module, &item.sig))
                }
                ImplItem::Const(item) => {
                    let text = format!("const: {}", module.text(&item.ty));
                    (&item.ident, &item.vis, &item.attrs, text)
                }
                _ => continue,
            };
            if is_public(visibility) && !is_left_out(attributes) {
                let (path, features) =
                    (format!("{path}::{name}"), [&outer[..], &features(attributes)].concat());
                self.note_gate(&path, &features);
                self.add(&path, text + &suffix(&features));
            }
        }
    }
}

/// The name of an item, if the item is public.
fn public_name(item: &Item) -> Option<String> {
    let visibility = match item {
        Item::Const(item) => &item.vis,
        Item::Enum(item) => &item.vis,
        Item::Fn(item) => &item.vis,
        Item::Static(item) => &item.vis,
        Item::Struct(item) => &item.vis,
        Item::Trait(item) => &item.vis,
        Item::Type(item) => &item.vis,
        _ => return None,
    };
    (is_public(visibility) && !is_left_out(attributes_of(item))).then(|| name_of(item))?
}

fn attributes_of(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        _ => &[],
    }
}

fn features_text(attributes: &[Attribute]) -> String {
    suffix(&features(attributes))
}

/// The features of an item, without `unstable`, which its mark says.
fn suffix(features: &[String]) -> String {
    let names = features.iter().map(String::as_str).filter(|name| *name != UNSTABLE);
    let features: BTreeSet<&str> = names.collect();
    let names: Vec<&str> = features.into_iter().collect();
    if names.is_empty() { String::new() } else { format!(" [{}]", names.join(", ")) }
}

/// A signature without its name, which is in the path.
fn signature(module: &Module, signature: &Signature) -> String {
    let text = module.text(signature);
    let name = format!("fn {}", signature.ident);
    text.replacen(&name, "fn", 1)
}

fn generics_of(module: &Module, generics: &Generics) -> String {
    let parameters: Vec<String> = generics
        .params
        .iter()
        .map(|parameter| match parameter {
            GenericParam::Type(it) => module.text(it),
            GenericParam::Lifetime(it) => module.text(it),
            GenericParam::Const(it) => module.text(it),
        })
        .collect();
    let clause = generics.where_clause.as_ref();
    let clause = clause.map_or_else(String::new, |clause| format!(" {}", module.text(clause)));
    if parameters.is_empty() { clause } else { format!("<{}>{clause}", parameters.join(", ")) }
}

/// The derived traits, and whether more fields or variants may come.
fn derived(module: &Module, attributes: &[Attribute]) -> String {
    let mut text = String::new();
    for attribute in attributes {
        match &attribute.meta {
            Meta::List(list) if list.path.is_ident("derive") => {
                text += &format!(": {}", module.text(&list.tokens));
            }
            Meta::Path(path) if path.is_ident("non_exhaustive") => text += " non_exhaustive",
            _ => {}
        }
    }
    text
}

/// The fields of a variant or of a tuple struct.
fn fields(module: &Module, fields: &Fields) -> String {
    let list = fields.iter().map(|field| match &field.ident {
        Some(name) => format!("{name}: {}", module.text(&field.ty)),
        None if is_public(&field.vis) => format!("pub {}", module.text(&field.ty)),
        None => module.text(&field.ty),
    });
    let list = list.collect::<Vec<_>>().join(", ");
    match fields {
        Fields::Named(_) => format!(" {{ {list} }}"),
        Fields::Unnamed(_) => format!("({list})"),
        Fields::Unit => String::new(),
    }
}

/// The path of the type that an implementation is for.
fn self_path(of: &Type) -> Option<Vec<String>> {
    match of {
        Type::Path(path) if path.qself.is_none() => {
            Some(path.path.segments.iter().map(|segment| segment.ident.to_string()).collect())
        }
        Type::Reference(reference) => self_path(&reference.elem),
        _ => None,
    }
}

//! The item that a path leads to.

use syn::Item;

use crate::tree::Tree;

/// An item: its module and its name there.
pub(crate) type Target = (usize, String);

/// The maximum number of imports through which a path is followed; no path of the libraries needs
/// as many.
const DEPTH_MAX: usize = 20;

impl Tree {
    /// Follows a path from a module; `None` if it leads out of the library, or nowhere.
    pub(crate) fn resolve(&self, from: usize, path: &[String]) -> Option<Target> {
        self.follow(from, path, DEPTH_MAX)
    }

    fn follow(&self, from: usize, path: &[String], depth: usize) -> Option<Target> {
        let (name, modules) = path.split_last()?;
        let depth = depth.checked_sub(1)?;
        let mut module = from;
        for (place, segment) in modules.iter().enumerate() {
            module = match &**segment {
                "crate" if place == 0 => 0,
                "self" if place == 0 => from,
                "super" => self.modules[module].parent?,
                segment => match self.modules[module].children.get(segment) {
                    Some(child) => child.module,
                    None => self.imported_module(module, segment, depth)?,
                },
            };
        }
        self.named(module, name, depth)
    }

    /// The module that an import of another module names.
    fn imported_module(&self, module: usize, name: &str, depth: usize) -> Option<usize> {
        let imports = &self.modules[module].imports;
        let import = imports.iter().find(|import| import.name == name)?;
        let (last, _) = import.path.split_last()?;
        let (parent, _) = self.follow(module, &import.path, depth)?;
        Some(self.modules[parent].children.get(last)?.module)
    }

    /// The item with this name in a module, also if it is imported there.
    fn named(&self, module: usize, name: &str, depth: usize) -> Option<Target> {
        let it = &self.modules[module];
        let is_here = it.items.iter().any(|item| name_of(item).as_deref() == Some(name));
        if is_here || it.children.contains_key(name) {
            return Some((module, name.to_owned()));
        }
        let imported = it.imports.iter().find(|import| import.name == name);
        let imported = imported.and_then(|import| self.follow(module, &import.path, depth));
        imported
            .or_else(|| {
                it.imports.iter().filter(|import| import.name == "*").find_map(|import| {
                    self.follow(module, &[&import.path[..], &[name.to_owned()]].concat(), depth)
                })
            })
            .or_else(|| self.is_made_by_macro(module, name).then(|| (module, name.to_owned())))
    }

    /// Whether a macro in the module has the name in its text.
    fn is_made_by_macro(&self, module: usize, name: &str) -> bool {
        let it = &self.modules[module];
        it.items.iter().any(
            |item| matches!(item, Item::Macro(item) if has_word(&it.text(&item.mac.tokens), name)),
        )
    }
}

/// Whether a text has a name as a word of its own.
pub(crate) fn has_word(text: &str, name: &str) -> bool {
    text.split(|it: char| !it.is_alphanumeric() && it != '_').any(|word| word == name)
}

/// The name of an item that a path can lead to.
pub(crate) fn name_of(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        _ => return None,
    };
    Some(name.to_string())
}

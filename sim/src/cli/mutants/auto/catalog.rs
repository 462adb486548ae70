//! All mutants of the modules of the library that decide something.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::cli::exit::{CommandError, CommandResult};
use crate::cli::mutants::auto::fold::{self, FoldedFile};
use crate::cli::mutants::auto::sites::{self, Change, FileMutants};
use crate::cli::mutants::sources::{Sources, hash};

/// The modules of the library whose code is mutated.
pub(crate) const MODULES: [&str; 8] =
    ["quorum", "log", "progress", "raft", "machine", "replica", "storage", "types"];

/// Files of these modules that only check other code: assertions, and the contract tests of a
/// `Disk`.
const CHECKS: [&str; 2] = ["src/raft/invariants.rs", "src/storage/contract.rs"];

/// The directories and files that decide what a mutant does in a seed.
const DECISIVE: [&str; 4] = ["src", "sim/src", "sim/checker/src", "Cargo.lock"];

/// One mutant, made by a rule.
#[derive(Clone, Debug)]
pub(crate) struct AutoMutant {
    /// The number that turns it on, from 1.
    pub(crate) number: usize,
    /// The module of the library, one of [`MODULES`].
    pub(crate) module: &'static str,
    pub(crate) file: PathBuf,
    pub(crate) change: Change,
}

impl AutoMutant {
    /// Returns the id of the mutant, which is unique in one version of the sources.
    pub(crate) fn id(&self) -> String {
        let Change { kind, line, column, text, .. } = &self.change;
        format!("{}:{line}:{column} {kind} {text}", self.file.display())
    }
}

/// A file of one of the [`MODULES`].
pub(crate) struct CatalogFile {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    found: FileMutants,
    /// The number of its first mutant.
    first: usize,
}

/// The mutants of all [`MODULES`].
pub(crate) struct Catalog {
    pub(crate) files: Vec<CatalogFile>,
    /// The mutants in the order of their numbers.
    pub(crate) mutants: Vec<AutoMutant>,
}

impl Catalog {
    /// Finds the mutants of the sources.
    pub(crate) fn read(sources: &Sources) -> CommandResult<Catalog> {
        let mut catalog = Catalog { files: Vec::new(), mutants: Vec::new() };
        for module in MODULES {
            catalog.add_module(sources, module, Path::new("src"), module)?;
        }
        Ok(catalog)
    }

    /// Adds the module `name` of the directory `folder`, a part of the module `of` of the library,
    /// and the modules that it declares.
    fn add_module(
        &mut self,
        sources: &Sources,
        of: &'static str,
        folder: &Path,
        name: &str,
    ) -> CommandResult<()> {
        let inner = folder.join(name);
        let candidates = [folder.join(format!("{name}.rs")), inner.join("mod.rs")];
        let Some(path) = candidates.into_iter().find(|file| sources.files.contains_key(file))
        else {
            return Err(CommandError(format!(
                "mutants: no source of the module {name} in {folder:?}"
            )));
        };
        if CHECKS.iter().any(|file| path == Path::new(file)) {
            return Ok(());
        }
        let invalid = |error: String| CommandError(format!("mutants: {}: {error}", path.display()));
        let text = sources.text(&path).map_err(invalid)?;
        let found = sites::of_text(&text).map_err(invalid)?;
        let first = self.mutants.len() + 1;
        let numbered = found.changes.iter().enumerate();
        self.mutants.extend(numbered.map(|(at, change)| AutoMutant {
            number: first + at,
            module: of,
            file: path.clone(),
            change: change.clone(),
        }));
        let modules = found.modules.clone();
        self.files.push(CatalogFile { path, text, found, first });
        modules.iter().try_for_each(|module| self.add_module(sources, of, &inner, module))
    }

    /// Returns the files with the mutants for which `is_in` is true.
    pub(crate) fn fold(&self, is_in: impl Fn(usize) -> bool) -> BTreeMap<PathBuf, FoldedFile> {
        let folded = self.files.iter().map(|file| {
            let FileMutants { sites, functions, .. } = &file.found;
            let folded = fold::fold(&file.text, sites, functions, file.first, &is_in);
            (file.path.clone(), folded)
        });
        folded.collect()
    }
}

/// Returns a hash of all sources that decide what a mutant does in a seed, in hexadecimal.
pub(crate) fn fingerprint(sources: &Sources) -> String {
    let decisive = |file: &Path| DECISIVE.iter().any(|root| file.starts_with(root));
    let files = sources.files.iter().filter(|(file, _)| decisive(file));
    let state = files.fold(0, |state, (file, content)| {
        hash(hash(state, file.to_string_lossy().as_bytes()), content)
    });
    format!("{state:016x}")
}

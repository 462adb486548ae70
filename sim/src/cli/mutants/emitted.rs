//! The tests that shrinking writes: each has to fail with its bug, and to pass without it.

use std::fs;
use std::path::Path;

use crate::cli::exit::Trouble;
use crate::cli::mutants::builds::Builds;
use crate::cli::mutants::hunt::Campaign;
use crate::cli::mutants::table::Mutant;
use crate::cli::mutants::tested::Trial;

/// What the proof came to.
#[derive(Debug, Default)]
pub(crate) struct Proof {
    /// How many tests there are.
    pub(crate) tests: usize,
    /// What is wrong with some.
    pub(crate) wrong: Vec<String>,
}

/// One of the tests, as a module of the test binary that has them all.
struct Emitted<'a> {
    mutant: &'a Mutant,
    module: String,
}

/// Builds the tests of what was shrunk into one binary of the folded build, and runs each with its
/// bug on and without any. What was not folded has no place there.
pub(crate) fn prove(
    builds: &Builds,
    mutants: &[Mutant],
    campaigns: &[Campaign],
) -> Result<Proof, Trouble> {
    let mut all = Vec::new();
    let mut main = String::new();
    for campaign in campaigns.iter().filter(|campaign| campaign.shrunk.is_some()) {
        let mutant = mutants.iter().find(|mutant| mutant.id == campaign.mutant);
        let mutant = mutant.filter(|mutant| builds.is_folded(mutant));
        let Some(mutant) = mutant else { continue };
        let name = format!("{}-{}", mutant.id, campaign.campaign);
        let path = builds.scenarios().join(format!("{name}.rs"));
        let text = fs::read_to_string(&path);
        let text = text.map_err(|error| Trouble::file("mutants", &path, &error))?;
        let module = name.to_ascii_lowercase().replace('-', "_");
        builds.add(&folder().join(format!("{module}.rs")), &text)?;
        main.push_str(&format!("mod {module};\n"));
        all.push(Emitted { mutant, module });
    }
    if all.is_empty() {
        return Ok(Proof::default());
    }
    builds.add(&folder().join("main.rs"), &format!("//! What shrinking emitted.\n\n{main}"))?;
    let clean = builds.emitted(None, "")?;
    let mut wrong = Vec::new();
    for Emitted { mutant, module } in &all {
        let tests = format!("{module}::");
        match (&clean, &builds.emitted(Some(mutant), &tests)?) {
            (Trial::Ran { passed, .. }, Trial::Ran { failed, .. }) => {
                if !passed.iter().any(|name| name.starts_with(&tests)) {
                    wrong.push(format!("{module} fails without the bug"));
                }
                if failed.is_empty() {
                    wrong.push(format!("{module} passes with the bug"));
                }
            }
            (Trial::Unbuildable(said), _) | (_, Trial::Unbuildable(said)) => {
                return Err(Trouble(format!("the emitted tests do not compile: {said}")));
            }
            (Trial::Hung, _) | (_, Trial::Hung) => wrong.push(format!("{module} does not end")),
        }
    }
    Ok(Proof { tests: all.len(), wrong })
}

fn folder() -> &'static Path {
    Path::new("sim/tests/emitted")
}

//! Verifies the tests that shrinking emits: each must fail with its bug and pass without it.

use std::fs;
use std::path::Path;

use crate::cli::exit::{CommandError, CommandResult};
use crate::cli::mutants::builds::Builds;
use crate::cli::mutants::mutant_sweep::MutantSweep;
use crate::cli::mutants::table::Mutant;
use crate::cli::mutants::test_output::TestRun;

/// The results of the emitted tests.
#[derive(Debug, Default)]
pub(crate) struct EmittedTestResults {
    /// The number of emitted tests.
    pub(crate) tests: usize,
    /// One message for each test that passes with its bug, fails without it, or does not end.
    pub(crate) errors: Vec<String>,
}

/// One emitted test, a module of the test binary of all emitted tests.
struct EmittedTest<'a> {
    mutant: &'a Mutant,
    module: String,
}

/// Builds the emitted tests into one binary of the combined build, and runs each with its bug and
/// without any. Mutants that are built separately are skipped.
pub(crate) fn verify(
    builds: &Builds,
    mutants: &[Mutant],
    sweeps: &[MutantSweep],
) -> CommandResult<EmittedTestResults> {
    let mut all = Vec::new();
    let mut main = String::new();
    for sweep in sweeps.iter().filter(|sweep| sweep.shrunk.is_some()) {
        let mutant = mutants.iter().find(|mutant| mutant.id == sweep.mutant);
        let mutant = mutant.filter(|mutant| builds.is_combined(mutant));
        let Some(mutant) = mutant else { continue };
        let name = format!("{}-{}", mutant.id, sweep.number);
        let path = builds.scenarios().join(format!("{name}.rs"));
        let text = fs::read_to_string(&path);
        let text = text.map_err(|error| CommandError::file("mutants", &path, &error))?;
        let module = name.to_ascii_lowercase().replace('-', "_");
        builds.add(&folder().join(format!("{module}.rs")), &text)?;
        main.push_str(&format!("mod {module};\n"));
        all.push(EmittedTest { mutant, module });
    }
    if all.is_empty() {
        return Ok(EmittedTestResults::default());
    }
    builds.add(&folder().join("main.rs"), &format!("//! Tests emitted by shrinking.\n\n{main}"))?;
    let clean = builds.run_emitted_tests(None, "")?;
    let mut errors = Vec::new();
    for EmittedTest { mutant, module } in &all {
        let tests = format!("{module}::");
        match (&clean, &builds.run_emitted_tests(Some(mutant), &tests)?) {
            (TestRun::Ran { passed, .. }, TestRun::Ran { failed, .. }) => {
                if !passed.iter().any(|name| name.starts_with(&tests)) {
                    errors.push(format!("{module} fails without the bug"));
                } else if failed.is_empty() {
                    errors.push(format!("{module} passes with the bug"));
                }
            }
            (TestRun::Unbuildable(messages), _) | (_, TestRun::Unbuildable(messages)) => {
                return Err(CommandError(format!("the emitted tests do not compile: {messages}")));
            }
            (TestRun::Hung, _) | (_, TestRun::Hung) => {
                errors.push(format!("{module} reached the time limit"))
            }
        }
    }
    Ok(EmittedTestResults { tests: all.len(), errors })
}

fn folder() -> &'static Path {
    Path::new("sim/tests/emitted")
}

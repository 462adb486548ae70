//! Selects the mutants to measure: those of some rooms, a random sample of each, one part of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::cli::auto_arguments::AutoArguments;
use crate::cli::mutants::auto::catalog::{AutoMutant, Catalog};
use crate::values::digest::{mix, of_bytes};

/// Returns the mutants to measure, in a random order, so that a stopped run is a sample, too.
pub(crate) fn choose<'a>(
    catalog: &'a Catalog,
    left_out: &BTreeSet<usize>,
    arguments: &AutoArguments,
) -> Vec<&'a AutoMutant> {
    let wanted = |mutant: &&AutoMutant| {
        let in_room = arguments.room.is_empty()
            || arguments.room.iter().any(|room| room.as_str() == mutant.room);
        in_room && !left_out.contains(&mutant.number)
    };
    let mut drawn: Vec<(u64, &AutoMutant)> = catalog
        .mutants
        .iter()
        .filter(wanted)
        .map(|mutant| (mix(arguments.draw, of_bytes(mutant.id().as_bytes())), mutant))
        .collect();
    drawn.sort_unstable_by_key(|(rank, mutant)| (*rank, mutant.number));
    let most = arguments.sample.map_or(usize::MAX, |most| most.get());
    let mut of_room: BTreeMap<&str, usize> = BTreeMap::new();
    drawn.retain(|(_, mutant)| {
        let count = of_room.entry(mutant.room).or_default();
        *count += 1;
        *count <= most
    });
    let in_part =
        |at: usize| arguments.shard.is_none_or(|shard| at as u64 % shard.of == shard.number - 1);
    let chosen = drawn.into_iter().enumerate().filter(|(at, _)| in_part(*at));
    chosen.map(|(_, (_, mutant))| mutant).collect()
}

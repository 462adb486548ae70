//! Selects the mutants to measure: those of some modules, a random sample of each, one part of
//! them.

use std::collections::{BTreeMap, BTreeSet};

use crate::cli::auto_arguments::AutoArguments;
use crate::cli::mutants::auto::catalog::AutoMutant;
use crate::values::digest::{mix, of_bytes};

/// Returns the mutants to measure. Their order is random, with one mutant of each module in turn,
/// so that the results of a stopped run are a sample of every module.
pub(crate) fn choose<'a>(
    mutants: &'a [AutoMutant],
    left_out: &BTreeSet<usize>,
    arguments: &AutoArguments,
) -> Vec<&'a AutoMutant> {
    let wanted = |mutant: &&AutoMutant| {
        let in_module = arguments.module.is_empty()
            || arguments.module.iter().any(|module| module.as_str() == mutant.module);
        in_module && !left_out.contains(&mutant.number)
    };
    let mut drawn: Vec<(u64, &AutoMutant)> = mutants
        .iter()
        .filter(wanted)
        .map(|mutant| (mix(arguments.draw, of_bytes(mutant.id().as_bytes())), mutant))
        .collect();
    drawn.sort_unstable_by_key(|(rank, mutant)| (*rank, mutant.number));
    let mut of_module: BTreeMap<&str, usize> = BTreeMap::new();
    let mut in_turn: Vec<(usize, &AutoMutant)> = drawn
        .into_iter()
        .map(|(_, mutant)| {
            let count = of_module.entry(mutant.module).or_default();
            *count += 1;
            (*count, mutant)
        })
        .collect();
    let most = arguments.sample.map_or(usize::MAX, |most| most.get());
    in_turn.retain(|(count, _)| *count <= most);
    // The sort is stable: the mutants of one turn stay in their random order.
    in_turn.sort_by_key(|(count, _)| *count);
    let in_part =
        |at: usize| arguments.shard.is_none_or(|shard| at as u64 % shard.of == shard.number - 1);
    let chosen = in_turn.into_iter().enumerate().filter(|(at, _)| in_part(*at));
    chosen.map(|(_, (_, mutant))| mutant).collect()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::cli::mutants::auto::sites::Change;
    use crate::cli::values::Shard;

    fn mutants() -> Vec<AutoMutant> {
        let module = |number: usize| if number <= 5 { "log" } else { "raft" };
        let mutant = |number: usize| AutoMutant {
            number,
            module: module(number),
            file: "src/x.rs".into(),
            change: Change {
                kind: "literal",
                line: number,
                column: 1,
                function: String::new(),
                text: String::new(),
            },
        };
        (1..=100).map(mutant).collect()
    }

    fn arguments(sample: usize, shard: Option<Shard>) -> AutoArguments {
        AutoArguments {
            auto: true,
            module: Vec::new(),
            sample: NonZeroUsize::new(sample),
            draw: 7,
            shard,
            profile: Vec::new(),
            results: None,
            html: None,
        }
    }

    #[test]
    fn a_sample_takes_one_of_each_module_in_turn() {
        let (mutants, left_out) = (mutants(), BTreeSet::from([3]));
        let chosen = choose(&mutants, &left_out, &arguments(9, None));
        let count = |module: &str| chosen.iter().filter(|one| one.module == module).count();
        assert_eq!((count("log"), count("raft")), (4, 9), "one of the log is left out");
        assert!(chosen[..8].chunks(2).all(|turn| turn[0].module != turn[1].module));
        let numbers = |chosen: Vec<&AutoMutant>| -> Vec<usize> {
            chosen.into_iter().map(|mutant| mutant.number).collect()
        };
        let other = AutoArguments { draw: 8, ..arguments(9, None) };
        let other = numbers(choose(&mutants, &left_out, &other));
        assert_ne!(numbers(chosen), other, "the draw has no effect");
    }

    #[test]
    fn the_parts_are_the_whole() {
        let (mutants, left_out) = (mutants(), BTreeSet::new());
        let part = |number| {
            let shard = Some(Shard { number, of: 3 });
            choose(&mutants, &left_out, &arguments(20, shard))
        };
        let mut parts: Vec<usize> = (1..=3).flat_map(part).map(|mutant| mutant.number).collect();
        let whole = choose(&mutants, &left_out, &arguments(20, None));
        let mut whole: Vec<usize> = whole.into_iter().map(|mutant| mutant.number).collect();
        parts.sort_unstable();
        whole.sort_unstable();
        assert_eq!(parts, whole);
        assert_eq!(whole.len(), 25);
    }
}

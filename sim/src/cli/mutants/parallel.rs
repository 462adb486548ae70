//! Works on several items in parallel; the work on an item runs processes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::cli::exit::CommandResult;

/// Calls `work` for each item, on several threads, and `each` with every result as it arrives.
/// Returns the results in the order of the items; an item without a result is left out. The first
/// error ends the work after the running items.
pub(crate) fn for_all<I: Sync, R: Send>(
    items: &[I],
    threads: usize,
    work: impl Fn(&I) -> CommandResult<Option<R>> + Sync,
    mut each: impl FnMut(&R),
) -> CommandResult<Vec<R>> {
    let next = AtomicUsize::new(0);
    let (send, receive) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..threads.min(items.len()) {
            let (send, next, work) = (send.clone(), &next, &work);
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { break };
                    let Some(result) = work(item).transpose() else { continue };
                    // The receiver is gone if another item had an error.
                    if send.send((at, result)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        let mut results = BTreeMap::new();
        for (at, result) in receive {
            let result = result?;
            each(&result);
            results.insert(at, result);
        }
        Ok(results.into_values().collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::CommandError;

    #[test]
    fn results_are_in_the_order_of_the_items_and_an_error_is_returned() {
        let items: Vec<u64> = (0..100).collect();
        let mut count = 0;
        let odd = |item: &u64| Ok((item % 2 == 1).then_some(*item));
        let all = for_all(&items, 4, odd, |_| count += 1).expect("there is no error");
        assert_eq!((all, count), ((0..100).filter(|item| item % 2 == 1).collect(), 50));
        let fails = |item: &u64| match item {
            7 => Err(CommandError("seven".to_owned())),
            item => Ok(Some(*item)),
        };
        let error = for_all(&items, 4, fails, |_| {}).expect_err("one item has an error");
        assert_eq!(error.0, "seven");
    }
}

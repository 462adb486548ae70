//! Locks that ignore the panic of an earlier holder.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks the mutex. Poisoning is ignored, because no statement leaves the guarded value
/// inconsistent.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

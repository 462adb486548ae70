//! The error of a limit of the storage that is out of its bounds.

use std::ops::RangeInclusive;

use crate::types::text::{debug_as_display, texts};

/// A limit of a [`StorageConfig`](crate::storage::StorageConfig) that is out of its bounds, which
/// may depend on other limits.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StorageConfigError {
    /// The path of the field, such as `snapshots.window`.
    pub field: &'static str,
    /// The value of the field, in its unit.
    pub value: u64,
    /// The least valid value.
    pub min: u64,
    /// The highest valid value; `u64::MAX` if there is none.
    pub max: u64,
    /// The reason for the bounds, or a further rule; empty if there is none.
    pub reason: &'static str,
}

debug_as_display!(StorageConfigError);

impl StorageConfigError {
    /// Checks that the field has one of these values.
    ///
    /// # Errors
    /// The error of the field, with this reason.
    pub(crate) fn check(
        field: &'static str,
        value: u64,
        bounds: RangeInclusive<u64>,
        reason: &'static str,
    ) -> Result<(), StorageConfigError> {
        let (min, max) = bounds.into_inner();
        match (min..=max).contains(&value) {
            true => Ok(()),
            false => Err(StorageConfigError { field, value, min, max, reason }),
        }
    }
}

texts! { StorageConfigError:
    Self { field, value, min, max: u64::MAX, reason } =>
        "{field} is {value}: it must be at least {min}{}{reason}", separator(reason);
    Self { field, value, min, max, reason } =>
        "{field} is {value}: it must be from {min} to {max}{}{reason}", separator(reason);
}

fn separator(reason: &str) -> &'static str {
    if reason.is_empty() { "" } else { ", " }
}

impl std::error::Error for StorageConfigError {}

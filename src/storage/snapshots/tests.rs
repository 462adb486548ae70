//! Snapshots on a disk of memory.

//! Snapshots through the doors of the store: damage to their files, and bytes that were never
//! theirs.

mod corpus;
mod damage;
mod driver;

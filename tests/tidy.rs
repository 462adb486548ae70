//! The rules of the house, run by the test command: what may import what, how long things may
//! be, and which names and calls do not occur.
//!
//! Each rule reads the sources as text and has two tests: one that the tree keeps it, and one
//! that it notices when forged sources do not. An exception is a line in `tidy/exceptions.rs`
//! that names the very thing excused; one that is no longer needed fails too, so that the list
//! can only shrink.

mod tidy {
    mod calls;
    mod cycles;
    mod documents;
    mod exceptions;
    mod layers;
    mod names;
    mod paths;
    mod privileges;
    mod sizes;
    mod source;
    mod tree;
}

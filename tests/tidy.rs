//! The house rules, run by the test command: allowed imports, size limits, and the names, words and
//! calls that may not occur.
//!
//! Each rule reads the sources as text and has two tests: one checks that the tree follows the
//! rule, and one that the rule reports forged sources that break it. An exception is a line in
//! `tidy/exceptions.rs` that names the one item it excuses. An exception that is no longer needed
//! fails the test, so the list can only shrink.

mod tidy {
    mod calls;
    mod cycles;
    mod documents;
    mod exceptions;
    mod glossary;
    mod layers;
    mod names;
    mod owners;
    mod paths;
    mod privileges;
    mod sizes;
    mod source;
    mod tree;
    mod vocabulary;
}

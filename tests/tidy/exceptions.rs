//! The exceptions from the rules, each with its reason. The list may only shrink.

/// One finding that a rule does not report.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exception {
    pub(crate) rule: &'static str,
    pub(crate) path: &'static str,
    /// The item as the rule names it.
    pub(crate) item: &'static str,
    /// The exact size, where the rule is about size; else 0.
    pub(crate) size: usize,
    pub(crate) reason: &'static str,
}

/// Every exception of the tree, in the order of the rules.
pub(crate) const EXCEPTIONS: &[Exception] = &[];

#[test]
fn every_exception_names_a_rule_and_gives_a_reason() {
    for exception in EXCEPTIONS {
        assert!(super::tree::RULES.contains(&exception.rule), "no such rule: {}", exception.rule);
        assert!(
            exception.reason.contains(' '),
            "{} {}: the reason has fewer than two words",
            exception.path,
            exception.item
        );
    }
}

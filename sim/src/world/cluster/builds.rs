//! The builds of a node's state machine, which have different versions of its rules.

/// The builds of one node.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Builds {
    /// The highest version of the rules that the present build has.
    pub(crate) present: u32,
    /// The highest version of the rules that any build so far had.
    pub(crate) highest: u32,
}

impl Builds {
    /// Installs a build that has the rules up to this version.
    pub(crate) fn install(&mut self, build: u32) {
        self.present = build;
        self.highest = self.highest.max(build);
    }
}

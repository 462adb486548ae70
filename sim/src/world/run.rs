//! The part of a run that every owner of state may use besides its own.

use crate::observer::Observer;
use crate::world::scheduler::Scheduler;
use crate::world::setup::Setup;

/// The decisions made before the run, its time and future events, and its observer.
pub(crate) struct Run<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) scheduler: &'a mut Scheduler,
    pub(crate) observer: &'a mut Observer,
}

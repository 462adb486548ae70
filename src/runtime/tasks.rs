//! Tasks that end with whoever started them.

use tokio::task::JoinHandle;
use tracing::Instrument;

/// Tasks, ended when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Tasks(Vec<JoinHandle<()>>);

/// From how many on those that have ended are looked for.
const SWEEP: usize = 64;

impl Tasks {
    /// What the task says is said within the span of whoever starts it.
    pub(super) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        if self.0.len() >= SWEEP && self.0.len().is_power_of_two() {
            self.0.retain(|task| !task.is_finished());
        }
        self.0.push(tokio::spawn(task.in_current_span()));
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

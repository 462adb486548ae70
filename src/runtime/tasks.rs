//! Tasks that end together with their owner.

use tokio::task::JoinHandle;
use tracing::Instrument;

/// A set of tasks, aborted when the set is dropped.
#[derive(Debug, Default)]
pub(super) struct Tasks(Vec<JoinHandle<()>>);

/// When the set has this number of tasks, or a greater power of two, the finished ones are removed.
const SWEEP: usize = 64;

impl Tasks {
    /// Spawns the task within the current tracing span.
    pub(super) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        if self.0.len() >= SWEEP && self.0.len().is_power_of_two() {
            self.0.retain(|task| !task.is_finished());
        }
        self.0.push(tokio::spawn(task.in_current_span()));
    }

    /// Aborts the tasks, and waits until they are dropped.
    pub(super) async fn end(mut self) {
        for task in self.0.drain(..) {
            task.abort();
            let _ = task.await;
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

//! The task of a lane in a simulation, which has no threads.

use std::sync::Arc;

use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::time::sleep;
use tracing::Instrument;

use crate::runtime::environment::Simulation;
use crate::runtime::lanes::job_queue::Job;
use crate::runtime::lanes::job_runner::JobRunner;

/// A task that executes batches of jobs in their order, each after a wait of
/// `Simulation::lane_wait`. It ends once this is dropped and every batch is executed.
pub(super) struct LaneTask<T> {
    jobs: UnboundedSender<Vec<Job<T>>>,
}

impl<T: Send + 'static> LaneTask<T> {
    pub(super) fn start(runner: JobRunner<T>, simulation: Arc<dyn Simulation>) -> LaneTask<T> {
        // The node bounds the number of its outstanding operations, and so this queue.
        let (sender, mut jobs) = mpsc::unbounded_channel::<Vec<Job<T>>>();
        let execute = async move {
            while let Some(mut batch) = jobs.recv().await {
                sleep(simulation.lane_wait()).await;
                if !runner.run(&mut batch) {
                    break;
                }
                runner.finish_batches(1);
            }
        };
        tokio::spawn(execute.in_current_span());
        LaneTask { jobs: sender }
    }

    pub(super) fn send(&self, batch: Vec<Job<T>>) {
        // A task that has ended has reported the panic that ended it.
        let _ = self.jobs.send(batch);
    }
}

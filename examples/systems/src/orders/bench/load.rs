//! The benchmark load: customers that place orders sequentially, and the comparison of the maps of
//! all nodes afterwards.
#![expect(clippy::disallowed_methods, reason = "it measures real time")]

use std::io::{IsTerminal, stderr};
use std::iter;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use quorate::runtime::blocking::Client;
use quorate::types::ReadLevel;

use crate::common::codec;
use crate::common::exit::{CommandError, CommandResult, Exit, print_to_stderr};
use crate::common::latencies::Latencies;
use crate::common::local_cluster::{LocalCluster, POLL_INTERVAL};
use crate::orders::bench::cpu;
use crate::orders::bench::measured::Run;
use crate::orders::message::{Order, Query, Reply};

/// The time limit for followers to apply all acknowledged orders.
const EQUAL_MAX: Duration = Duration::from_secs(60);

/// The load of one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load<'a> {
    /// The total number of orders.
    pub(super) orders: u64,
    /// The number of customers, one thread each.
    pub(super) threads: u64,
    /// The name in the progress line.
    pub(super) name: &'a str,
    /// Set to stop the run early.
    pub(super) stop: &'a AtomicBool,
}

impl Load<'_> {
    /// Places all orders, and waits until all nodes have the same map.
    ///
    /// # Errors
    /// An order was not placed, a map differs, or the run was stopped.
    pub(super) fn run(&self, nodes: &LocalCluster, all: &mut Latencies) -> CommandResult<Run> {
        let own = || cpu::of(std::process::id());
        let of_nodes = || nodes.processes().map(cpu::of).collect::<Option<Vec<Duration>>>();
        let (nodes_before, own_before) = (of_nodes(), own());
        let started = Instant::now();
        let latencies = self.place_all(nodes)?;
        let took = started.elapsed();
        let spent = |(before, after): (Duration, Duration)| after.saturating_sub(before);
        let each = nodes_before.zip(of_nodes());
        let each = each.map(|(before, after)| iter::zip(before, after).map(spent).collect());
        let clients = own_before.zip(own()).map(spent);
        latencies.iter().for_each(|latencies| all.merge(latencies));
        self.await_equal_maps(nodes)?;
        Ok(Run { orders: self.orders, took, nodes: each, clients })
    }

    fn place_all(&self, nodes: &LocalCluster) -> CommandResult<Vec<Latencies>> {
        let clients: CommandResult<Vec<Client>> =
            (0..self.threads).map(|_| nodes.client()).collect();
        let placed = AtomicU64::new(0);
        // The first error stops all customers.
        let failed = AtomicBool::new(false);
        thread::scope(|scope| {
            let (placed, failed) = (&placed, &failed);
            let work = |(number, client): (u64, Client)| {
                scope.spawn(move || {
                    let done = self.place(number, &client, placed, failed);
                    failed.fetch_or(done.is_err(), Ordering::Relaxed);
                    done
                })
            };
            let customers: Vec<ScopedJoinHandle<'_, _>> =
                iter::zip(0.., clients?).map(work).collect();
            while !customers.iter().all(ScopedJoinHandle::is_finished) {
                self.print_progress(placed.load(Ordering::Relaxed));
                thread::sleep(POLL_INTERVAL);
            }
            self.clear_progress();
            customers.into_iter().map(|customer| customer.join().expect("no panic")).collect()
        })
    }

    /// Runs one customer, who places the next order after the reply to the last one.
    fn place(
        &self,
        customer: u64,
        client: &Client,
        placed: &AtomicU64,
        failed: &AtomicBool,
    ) -> CommandResult<Latencies> {
        let mut latencies = Latencies::default();
        for number in 1..=self.share(customer) {
            if failed.load(Ordering::Relaxed) {
                break;
            }
            if self.stop.load(Ordering::Relaxed) {
                return Err(CommandError::new(Exit::Unavailable, "interrupted by a signal"));
            }
            let order = Order {
                customer: name(customer),
                number: Some(number),
                engineer: format!("engineer{}", number % 8),
                admin: "bench".to_owned(),
            };
            let started_at = Instant::now();
            let reply = client.propose(&codec::encode(&order))?;
            latencies.add(started_at.elapsed());
            match codec::decode(&reply) {
                Some(Reply::Placed(record)) if record.number == number => {}
                reply => {
                    return Err(CommandError::new(
                        Exit::Rejected,
                        format!("unexpected reply to `{order}`: {reply:?}"),
                    ));
                }
            }
            placed.fetch_add(1, Ordering::Relaxed);
        }
        Ok(latencies)
    }

    /// Returns the number of orders of this customer.
    fn share(&self, customer: u64) -> u64 {
        self.orders / self.threads + u64::from(customer < self.orders % self.threads)
    }

    fn print_progress(&self, placed: u64) {
        if stderr().is_terminal() {
            print_to_stderr(&format!("\r{}: {placed} of {} orders  ", self.name, self.orders));
        }
    }

    fn clear_progress(&self) {
        if stderr().is_terminal() {
            print_to_stderr("\r\x1b[K");
        }
    }

    fn await_equal_maps(&self, nodes: &LocalCluster) -> CommandResult<()> {
        let client = nodes.client()?;
        let shares = (0..self.threads).map(|customer| (name(customer), self.share(customer)));
        let mut expected: Vec<(String, u64)> = shares.filter(|(_, share)| *share > 0).collect();
        expected.sort();
        let expected = Reply::Customers(expected);
        let query = codec::encode(&Query::Customers(None));
        let due = Instant::now() + EQUAL_MAX;
        for address in nodes.addresses() {
            loop {
                let reply = client.read_at(&address, ReadLevel::Local, &query)?;
                if codec::decode(&reply.answer).as_ref() == Some(&expected) {
                    break;
                }
                if Instant::now() > due {
                    let text = format!("the map of the node at {address} differs after a minute");
                    return Err(CommandError::new(Exit::Rejected, text));
                }
                thread::sleep(POLL_INTERVAL);
            }
        }
        Ok(())
    }
}

fn name(customer: u64) -> String {
    format!("customer{customer:02}")
}

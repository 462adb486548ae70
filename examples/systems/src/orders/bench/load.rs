//! Customers that order as fast as they are answered, and a look at every node's map afterwards.
#![expect(clippy::disallowed_methods, reason = "it measures, and a person waits for it")]

use std::io::{IsTerminal, stderr};
use std::iter;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use quorate::runtime::blocking::Client;
use quorate::types::ReadLevel;

use crate::common::codec;
use crate::common::exit::{Exit, Trouble};
use crate::common::latencies::Latencies;
use crate::common::nodes::{LOOK, Nodes};
use crate::orders::bench::cpu;
use crate::orders::bench::measured::Run;
use crate::orders::message::{Order, Query, Reply};

/// How long followers may take to carry out what the leader has answered.
const EQUAL_MAX: Duration = Duration::from_secs(60);

/// What a cluster is asked to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load<'a> {
    /// How many orders in all.
    pub(super) orders: u64,
    /// How many customers, each a thread.
    pub(super) threads: u64,
    /// What it is called while it goes on.
    pub(super) name: &'a str,
    /// Whether it is to end early.
    pub(super) stop: &'a AtomicBool,
}

impl Load<'_> {
    /// Places every order, and sees that all nodes have the same map in the end.
    ///
    /// # Errors
    /// An order was not placed, a map differs, or the load was stopped.
    pub(super) fn run(&self, nodes: &Nodes, all: &mut Latencies) -> Result<Run, Trouble> {
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
        latencies.iter().for_each(|latencies| all.add_all(latencies));
        self.await_equal_maps(nodes)?;
        Ok(Run { orders: self.orders, took, nodes: each, clients })
    }

    fn place_all(&self, nodes: &Nodes) -> Result<Vec<Latencies>, Trouble> {
        let clients: Result<Vec<Client>, Trouble> =
            (0..self.threads).map(|_| nodes.client()).collect();
        let placed = AtomicU64::new(0);
        // One that fails ends all.
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
                self.tell(placed.load(Ordering::Relaxed));
                thread::sleep(LOOK);
            }
            self.tell_no_more();
            customers.into_iter().map(|customer| customer.join().expect("no panic")).collect()
        })
    }

    /// One customer: the next order once the last one is answered.
    fn place(
        &self,
        customer: u64,
        client: &Client,
        placed: &AtomicU64,
        failed: &AtomicBool,
    ) -> Result<Latencies, Trouble> {
        let mut latencies = Latencies::default();
        for number in 1..=self.share(customer) {
            if failed.load(Ordering::Relaxed) {
                break;
            }
            if self.stop.load(Ordering::Relaxed) {
                return Err(Trouble::new(Exit::Unreached, "stopped before it was over"));
            }
            let order = Order {
                customer: name(customer),
                number: Some(number),
                engineer: format!("engineer{}", number % 8),
                admin: "bench".to_owned(),
            };
            let asked = Instant::now();
            let told = client.propose(&codec::encode(&order))?;
            latencies.add(asked.elapsed());
            match codec::decode(&told) {
                Some(Reply::Placed(record)) if record.number == number => {}
                told => {
                    return Err(Trouble::new(Exit::No, format!("`{order}` was told {told:?}")));
                }
            }
            placed.fetch_add(1, Ordering::Relaxed);
        }
        Ok(latencies)
    }

    /// How many of the orders are this customer's.
    fn share(&self, customer: u64) -> u64 {
        self.orders / self.threads + u64::from(customer < self.orders % self.threads)
    }

    fn tell(&self, placed: u64) {
        if stderr().is_terminal() {
            eprint!("\r{}: {placed} of {} orders  ", self.name, self.orders);
        }
    }

    fn tell_no_more(&self) {
        if stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
    }

    fn await_equal_maps(&self, nodes: &Nodes) -> Result<(), Trouble> {
        let client = nodes.client()?;
        let shares = (0..self.threads).map(|customer| (name(customer), self.share(customer)));
        let mut expected: Vec<(String, u64)> = shares.filter(|(_, share)| *share > 0).collect();
        expected.sort();
        let expected = Reply::Customers(expected);
        let query = codec::encode(&Query::Customers(None));
        let due = Instant::now() + EQUAL_MAX;
        for address in nodes.addresses() {
            loop {
                let told = client.read_at(&address, ReadLevel::Local, &query)?;
                if codec::decode(&told.answer).as_ref() == Some(&expected) {
                    break;
                }
                if Instant::now() > due {
                    let text = format!("the map of the node at {address} differs after a minute");
                    return Err(Trouble::new(Exit::No, text));
                }
                thread::sleep(LOOK);
            }
        }
        Ok(())
    }
}

fn name(customer: u64) -> String {
    format!("customer{customer:02}")
}

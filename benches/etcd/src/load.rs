//! The load: clients with one request outstanding each, for a fixed time.

use std::fmt;
use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// The number of keys that clients choose from.
const KEYS: u64 = 10_000;

/// The kind of request that clients send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Put,
    Get,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::Put => "put",
            Kind::Get => "get",
        })
    }
}

/// The parameters of one measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) kind: Kind,
    pub(crate) clients: usize,
    /// The connections that the clients share evenly.
    pub(crate) connections: usize,
    pub(crate) span: Duration,
    pub(crate) value_bytes: usize,
}

/// The result of one measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) per_second: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// The CPU use of the nodes, in cores.
    pub(crate) cpu: f64,
}

/// A cluster under test, which gives each client a connection.
pub(crate) trait Target {
    type Client: SendRequest + Clone + Send + 'static;

    fn client(&self) -> impl Future<Output = io::Result<Self::Client>>;

    /// The CPU time that the cluster's processes have used.
    fn cpu(&self) -> Duration;
}

/// A client of a cluster under test.
pub(crate) trait SendRequest {
    fn send(
        &mut self,
        kind: Kind,
        key: &[u8],
        value: &[u8],
    ) -> impl Future<Output = io::Result<()>> + Send;
}

impl Load {
    /// Runs all clients against the cluster, and returns throughput, latency and CPU use.
    pub(crate) async fn run<T: Target>(&self, target: &T) -> io::Result<Measured> {
        let mut clients = Vec::new();
        for _ in 0..self.connections {
            clients.push(target.client().await?);
        }
        let load = *self;
        // Connections and sessions are opened before the clock starts.
        let warm = clients.iter_mut().map(|client| client.send(Kind::Put, b"warm", b"up"));
        for request in warm {
            request.await?;
        }
        let (start, cpu) = (Instant::now(), target.cpu());
        let start_client = |(number, client)| tokio::spawn(load.run_client(number, client, start));
        let sharing = clients.into_iter().cycle().take(self.clients);
        let tasks: Vec<_> = (0..).zip(sharing).map(start_client).collect();
        let mut times = Histogram::<u64>::new(3).expect("three significant digits are allowed");
        for task in tasks {
            let client_times = task.await.map_err(io::Error::other)??;
            times.add(client_times).expect("the histograms have one precision");
        }
        let (elapsed, cpu) = (start.elapsed(), target.cpu() - cpu);
        let at = |quantile| Duration::from_nanos(times.value_at_quantile(quantile));
        Ok(Measured {
            per_second: times.len() as f64 / elapsed.as_secs_f64(),
            p50: at(0.5),
            p99: at(0.99),
            cpu: cpu.as_secs_f64() / elapsed.as_secs_f64(),
        })
    }

    /// Sends the requests of one client, and returns their latencies in nanoseconds.
    async fn run_client<A: SendRequest>(
        self,
        number: u64,
        mut client: A,
        start: Instant,
    ) -> io::Result<Histogram<u64>> {
        let mut times = Histogram::new(3).expect("three significant digits are allowed");
        let value = vec![b'v'; self.value_bytes];
        for count in 0.. {
            let key = format!("key-{:08}", (number * 7919 + count * 104_729) % KEYS);
            let before = Instant::now();
            if before - start >= self.span {
                break;
            }
            client.send(self.kind, key.as_bytes(), &value).await?;
            times.record(before.elapsed().as_nanos() as u64).expect("the histogram resizes itself");
        }
        Ok(times)
    }
}

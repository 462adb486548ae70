//! Clients, each with one request outstanding, for a while.

use std::fmt;
use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// How many keys there are.
const KEYS: u64 = 10_000;

/// What clients do.
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

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) kind: Kind,
    pub(crate) clients: usize,
    /// What they share, evenly.
    pub(crate) connections: usize,
    pub(crate) span: Duration,
    pub(crate) value_bytes: usize,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) per_second: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// Of the nodes, in cores.
    pub(crate) cpu: f64,
}

/// Something that can be asked, by a client of its own.
pub(crate) trait Target {
    type Client: Ask + Clone + Send + 'static;

    fn client(&self) -> impl Future<Output = io::Result<Self::Client>>;

    /// The time that its processes have run.
    fn cpu(&self) -> Duration;
}

/// A client.
pub(crate) trait Ask {
    fn ask(
        &mut self,
        kind: Kind,
        key: &[u8],
        value: &[u8],
    ) -> impl Future<Output = io::Result<()>> + Send;
}

impl Load {
    pub(crate) async fn run<T: Target>(&self, target: &T) -> io::Result<Measured> {
        let mut clients = Vec::new();
        for _ in 0..self.connections {
            clients.push(target.client().await?);
        }
        let load = *self;
        // Connections and sessions come about before the clock starts.
        let warm = clients.iter_mut().map(|client| client.ask(Kind::Put, b"warm", b"up"));
        for asked in warm {
            asked.await?;
        }
        let (start, cpu) = (Instant::now(), target.cpu());
        let start_one = |(number, client)| tokio::spawn(load.ask_on(number, client, start));
        let sharing = clients.into_iter().cycle().take(self.clients);
        let tasks: Vec<_> = (0..).zip(sharing).map(start_one).collect();
        let mut times = Histogram::<u64>::new(3).expect("three digits");
        for task in tasks {
            let of_one = task.await.map_err(io::Error::other)??;
            times.add(of_one).expect("they count alike");
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

    async fn ask_on<A: Ask>(
        self,
        number: u64,
        mut client: A,
        start: Instant,
    ) -> io::Result<Histogram<u64>> {
        let mut times = Histogram::new(3).expect("three digits");
        let value = vec![b'v'; self.value_bytes];
        for count in 0.. {
            let key = format!("key-{:08}", (number * 7919 + count * 104_729) % KEYS);
            let before = Instant::now();
            if before - start >= self.span {
                break;
            }
            client.ask(self.kind, key.as_bytes(), &value).await?;
            times.record(before.elapsed().as_nanos() as u64).expect("it grows with what it holds");
        }
        Ok(times)
    }
}

//! A job queue over HTTP: clients submit jobs, workers lease and finish them. A real program uses
//! `tokio::net` where this uses `turmoil::net`, and nothing else differs.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::net::SocketAddr;
use std::time::Duration;

use quorate::machine::StateMachine;
use quorate::runtime::{Handle, RequestError};
use quorate::types::{Index, ReadLevel};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};
use turmoil::net::{TcpListener, TcpStream};

/// The time for which a worker has a job to itself.
const LEASE: Duration = Duration::from_secs(2);
/// The time limit of an HTTP request.
const REQUEST_MAX: Duration = Duration::from_secs(3);

/// The jobs of the queue, by their numbers.
#[derive(Default)]
pub(crate) struct Jobs(BTreeMap<u64, Job>);

struct Job {
    text: String,
    /// The number of the last lease, and the time in milliseconds at which it ends.
    lease: (u64, u64),
    done: bool,
}

impl Jobs {
    /// Executes `submit TEXT`, `lease NOW` or `finish JOB LEASE`, and returns the reply.
    fn execute(&mut self, command: &str) -> Option<String> {
        // Each job is one line of a snapshot, so a command with two lines is malformed.
        let (verb, rest) = command.split_once(' ').filter(|_| !command.contains(['\n', '\r']))?;
        if verb == "submit" {
            let number = self.0.len() as u64 + 1;
            self.0.insert(number, Job { text: rest.to_owned(), lease: (0, 0), done: false });
            return Some(number.to_string());
        }
        if verb == "lease" {
            let now: u64 = rest.parse().ok()?;
            let free = self.0.iter_mut().find(|(_, job)| !job.done && job.lease.1 <= now);
            let Some((number, job)) = free else { return Some("none".to_owned()) };
            job.lease = (job.lease.0 + 1, now.saturating_add(LEASE.as_millis() as u64));
            return Some(format!("{number} {}", job.lease.0));
        }
        let (number, lease) = rest.split_once(' ')?;
        let job = self.0.get_mut(&number.parse().ok()?)?;
        // A worker whose lease another one has taken over finishes nothing.
        let is_current = !job.done && lease.parse() == Ok(job.lease.0);
        job.done |= is_current;
        Some(if is_current { "finished" } else { "too late" }.to_owned())
    }

    fn lines(&self) -> String {
        let line = |(number, Job { text, lease, done }): (&u64, &Job)| {
            format!("{number} {} {} {done} {text}\n", lease.0, lease.1)
        };
        self.0.iter().map(line).collect()
    }

    fn read(text: &str) -> Option<Jobs> {
        let mut jobs = BTreeMap::new();
        for line in text.lines() {
            let parts: Vec<&str> = line.splitn(5, ' ').collect();
            let [number, lease, end, done, text] = parts[..] else { return None };
            let lease = (lease.parse().ok()?, end.parse().ok()?);
            let job = Job { text: text.to_owned(), lease, done: done.parse().ok()? };
            jobs.insert(number.parse().ok()?, job);
        }
        Some(Jobs(jobs))
    }
}

impl StateMachine for Jobs {
    fn apply(&mut self, _: Index, command: &[u8]) -> Vec<u8> {
        let reply = self.execute(&String::from_utf8_lossy(command));
        reply.unwrap_or_else(|| "malformed".to_owned()).into_bytes()
    }
    fn query(&self, _: &[u8]) -> Vec<u8> {
        self.lines().into_bytes()
    }
    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(Cursor::new(self.lines()))
    }
    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        *self = Jobs::read(&io::read_to_string(snapshot)?).ok_or(io::ErrorKind::InvalidData)?;
        Ok(())
    }
}

/// The HTTP server beside a node.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) handle: Handle,
    /// Plants a bug: an unknown outcome is reported like a rejected request.
    pub(crate) unknown_is_busy: bool,
}

impl Server {
    /// Serves requests until the future is dropped.
    pub(crate) async fn run(self, port: u16) -> io::Result<()> {
        let listener = TcpListener::bind(("0.0.0.0", port)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            let server = self.clone();
            tokio::spawn(async move {
                // A client that has gone needs no reply.
                let _ = timeout(REQUEST_MAX, server.serve(stream)).await;
            });
        }
    }

    async fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let (head, body) = read_message(&mut stream).await?;
        let result = match head.split(' ').next() {
            Some("POST") => self.handle.propose(body.as_bytes()).await.map(|reply| reply.to_vec()),
            _ => self.handle.read(ReadLevel::Linearizable, b"").await.map(|reply| reply.answer),
        };
        let (status, body) = match result {
            Ok(reply) => ("200 OK", reply),
            Err(RequestError::Rejected(_)) => ("503 Service Unavailable", Vec::new()),
            Err(_) if self.unknown_is_busy => ("503 Service Unavailable", Vec::new()),
            Err(_) => ("504 Gateway Timeout", Vec::new()),
        };
        write_message(&mut stream, &format!("HTTP/1.1 {status}"), &body).await
    }
}

/// A client of the job queue. It asks one node after the other while they reject its requests.
pub(crate) struct Client {
    pub(crate) nodes: Vec<SocketAddr>,
}

impl Client {
    /// Executes the command once, or reads without one; returns none if the outcome is unknown.
    pub(crate) async fn call(&self, command: &str) -> Option<String> {
        for node in self.nodes.iter().cycle() {
            // A node that refuses the connection has not seen the command.
            if let Ok(Ok(stream)) = timeout(REQUEST_MAX, TcpStream::connect(*node)).await {
                match timeout(REQUEST_MAX, request(stream, command)).await.ok()?.ok()? {
                    (200, reply) => return Some(reply),
                    (503, _) => {}
                    _ => return None,
                }
            }
            sleep(Duration::from_millis(100)).await;
        }
        None
    }

    /// Leases and finishes jobs until the future is dropped; `clock` is the time in milliseconds.
    pub(crate) async fn work(&self, clock: impl Fn() -> u64, mut work: impl AsyncFnMut(&str)) {
        loop {
            if let Some(lease) = self.call(&format!("lease {}", clock())).await
                && lease != "none"
            {
                work(&lease).await;
                self.call(&format!("finish {lease}")).await;
            }
            sleep(Duration::from_millis(200)).await;
        }
    }
}

async fn request(mut stream: TcpStream, command: &str) -> io::Result<(u16, String)> {
    let verb = if command.is_empty() { "GET" } else { "POST" };
    write_message(&mut stream, &format!("{verb} /jobs HTTP/1.1"), command.as_bytes()).await?;
    let (head, body) = read_message(&mut stream).await?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or(io::ErrorKind::InvalidData)?, body))
}

async fn write_message(stream: &mut TcpStream, head: &str, body: &[u8]) -> io::Result<()> {
    let head = format!("{head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).await
}

/// Reads the first line of a message, and its body.
async fn read_message(stream: &mut TcpStream) -> io::Result<(String, String)> {
    let mut text = String::new();
    loop {
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            if length.and_then(|length| length.parse().ok()) == Some(body.len()) {
                let first = head.lines().next().unwrap_or_default();
                return Ok((first.to_owned(), body.to_owned()));
            }
        }
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        text += &String::from_utf8_lossy(&bytes[..count]);
    }
}

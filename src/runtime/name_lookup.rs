//! Resolves host names through the operating system, with at most one thread for each name.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Mutex, MutexGuard};

use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::runtime::lock::lock;

/// The lookups of this process.
static LOOKUPS: Lookups = Lookups::new();

/// The addresses of a name, or the kind and the text of the error.
type Found = Result<Vec<SocketAddr>, (io::ErrorKind, String)>;

/// The lookups that have not ended, by name. The operating system may take half a minute for one,
/// long after its caller has given up and tries again. Without this map, the attempts to connect to
/// a few names could take all threads that tokio has for blocking work, which the node shares with
/// the program.
struct Lookups(Mutex<BTreeMap<String, watch::Receiver<Option<Found>>>>);

/// A lookup that has not ended. It leaves [`Lookups`] when it is dropped, even if its runtime shuts
/// down before the lookup begins.
struct Running {
    lookups: &'static Lookups,
    name: String,
    found: watch::Sender<Option<Found>>,
}

/// Resolves `host:port` to addresses.
pub(super) async fn resolve(name: &str) -> io::Result<Vec<SocketAddr>> {
    match name.parse() {
        Ok(address) => Ok(vec![address]),
        Err(_) => LOOKUPS.resolve(name, |name| Ok(name.to_socket_addrs()?.collect())).await,
    }
}

impl Lookups {
    const fn new() -> Lookups {
        Lookups(Mutex::new(BTreeMap::new()))
    }

    /// Runs `look_up` for the name on a thread that may block, and returns its result. If a lookup
    /// of the name is under way, waits for that one and returns its result.
    async fn resolve(
        &'static self,
        name: &str,
        look_up: impl FnOnce(&str) -> io::Result<Vec<SocketAddr>> + Send + 'static,
    ) -> io::Result<Vec<SocketAddr>> {
        let mut found = self.begin(name, look_up);
        let ended = found.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
        let stopped = || io::Error::other("the lookup of the host name has stopped");
        ended.ok_or_else(stopped)?.map_err(|(kind, text)| io::Error::new(kind, text))
    }

    /// Begins a lookup, unless one of the name is under way. Returns the receiver of its result.
    fn begin(
        &'static self,
        name: &str,
        look_up: impl FnOnce(&str) -> io::Result<Vec<SocketAddr>> + Send + 'static,
    ) -> watch::Receiver<Option<Found>> {
        let mut running = self.running();
        if let Some(found) = running.get(name) {
            return found.clone();
        }
        let (sender, found) = watch::channel(None);
        running.insert(name.to_owned(), found.clone());
        let lookup = Running { lookups: self, name: name.to_owned(), found: sender };
        // The runtime may drop the lookup here, which locks the map.
        drop(running);
        spawn_blocking(move || {
            let result = look_up(&lookup.name);
            let result = result.map_err(|error| (error.kind(), error.to_string()));
            lookup.found.send_replace(Some(result));
        });
        found
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<String, watch::Receiver<Option<Found>>>> {
        lock(&self.0)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.lookups.running().remove(&self.name);
    }
}

#[cfg(test)]
#[cfg(not(madsim))]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn attempts_to_resolve_a_name_share_one_thread() {
        static LOOKUPS: Lookups = Lookups::new();
        static BEGUN: AtomicUsize = AtomicUsize::new(0);
        let address = SocketAddr::from(([127, 0, 0, 1], 7101));
        let (release, gate) = mpsc::channel::<()>();
        let slow = LOOKUPS.begin("slow:7101", move |_| {
            BEGUN.fetch_add(1, Ordering::Relaxed);
            let _ = gate.recv();
            Ok(vec![address])
        });
        let again = || {
            LOOKUPS.resolve("slow:7101", |_| {
                BEGUN.fetch_add(1, Ordering::Relaxed);
                Err(io::ErrorKind::NotFound.into())
            })
        };
        for _ in 0..10 {
            assert!(timeout(Duration::ZERO, again()).await.is_err(), "the caller gives up");
        }
        let other = LOOKUPS.resolve("other:7101", |_| Ok(Vec::new())).await;
        assert_eq!(other.expect("it does not wait for the slow name"), []);
        let mut joined = LOOKUPS.begin("slow:7101", |_| unreachable!("the first one is under way"));
        drop(release);
        let found = joined.wait_for(Option::is_some).await.expect("it ends").clone();
        assert_eq!(found, Some(Ok(vec![address])));
        assert_eq!(BEGUN.load(Ordering::Relaxed), 1);
        // The next one begins once the first one has ended.
        while slow.has_changed().is_ok() {
            tokio::task::yield_now().await;
        }
        let error = again().await.expect_err("it is looked up again").kind();
        assert_eq!((error, BEGUN.load(Ordering::Relaxed)), (io::ErrorKind::NotFound, 2));
        while !LOOKUPS.running().is_empty() {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn a_lookup_that_its_runtime_never_began_leaves_no_trace() {
        static LOOKUPS: Lookups = Lookups::new();
        let (release, gate) = mpsc::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(1)
            .build()
            .expect("it starts");
        let context = runtime.enter();
        spawn_blocking(move || gate.recv());
        let never = LOOKUPS.begin("never:7101", |_| Ok(Vec::new()));
        drop(context);
        runtime.shutdown_background();
        drop(release);
        while never.has_changed().is_ok() {
            std::thread::yield_now();
        }
        assert!(LOOKUPS.running().is_empty());
    }

    #[tokio::test]
    async fn an_address_needs_no_lookup_and_a_text_without_a_port_is_an_error() {
        let address = SocketAddr::from(([127, 0, 0, 1], 7101));
        assert_eq!(resolve("127.0.0.1:7101").await.expect("it is one"), [address]);
        resolve("no port").await.expect_err("it is no name");
    }
}

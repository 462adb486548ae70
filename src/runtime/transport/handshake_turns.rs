//! The turns of TLS handshakes. A handshake takes CPU time before the remote has proved its
//! identity: a key exchange and a signature, and the verification of the chain that it presents.
//!
//! The node does the cryptography of one handshake at a time, so that unauthenticated remotes use
//! at most one core, and other tasks run between two handshakes. Addresses take turns: a handshake
//! waits for at most one computation of each other address, however many connections that address
//! opens.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use tokio::sync::oneshot;

use crate::runtime::lock::lock;

/// The turns of all handshakes of a node.
#[derive(Default)]
pub(super) struct HandshakeTurns(Mutex<Queue>);

/// The handshakes that wait for their turn.
#[derive(Default)]
struct Queue {
    /// Whether a handshake has the turn.
    is_taken: bool,
    /// The waiting handshakes of each address that has any, in the order of their requests.
    waiting: BTreeMap<IpAddr, VecDeque<oneshot::Sender<Turn>>>,
    /// The addresses with waiting handshakes, in the order of their next turns.
    order: VecDeque<IpAddr>,
}

/// The turn of one handshake. The next handshake gets it when this is dropped. `None` if dropping
/// this must not pass the turn on, because its receiver was gone.
struct Turn(Option<Arc<HandshakeTurns>>);

impl HandshakeTurns {
    /// Runs the handshake of a remote at this address: polls it only in a turn.
    pub(super) async fn run<F: Future>(
        self: &Arc<HandshakeTurns>,
        from: IpAddr,
        handshake: F,
    ) -> F::Output {
        let mut handshake = pin!(handshake);
        loop {
            let turn = self.acquire(from).await;
            let polled = poll_fn(|context| Poll::Ready(handshake.as_mut().poll(context))).await;
            // The turn ends in a task of its own. On a runtime of one thread, all tasks that are
            // ready, such as the driver, then run before the next handshake does.
            tokio::spawn(async move { drop(turn) });
            if let Poll::Ready(output) = polled {
                return output;
            }
            woken().await;
        }
    }

    async fn acquire(self: &Arc<HandshakeTurns>, from: IpAddr) -> Turn {
        let Some(waiting) = self.request(from) else { return Turn(Some(Arc::clone(self))) };
        waiting.await.expect("each waiting handshake gets its turn")
    }

    /// Takes the turn if it is free, and returns `None`; otherwise returns the receiver of the
    /// turn.
    fn request(&self, from: IpAddr) -> Option<oneshot::Receiver<Turn>> {
        let mut queue = lock(&self.0);
        if !queue.is_taken {
            queue.is_taken = true;
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        let of_address = queue.waiting.entry(from).or_default();
        let is_first = of_address.is_empty();
        // Handshakes that ended while they waited need no turn.
        of_address.retain(|waiting| !waiting.is_closed());
        of_address.push_back(sender);
        if is_first {
            queue.order.push_back(from);
        }
        Some(receiver)
    }

    /// Returns the next waiting handshake; if none waits, frees the turn.
    fn next(&self) -> Option<oneshot::Sender<Turn>> {
        let mut queue = lock(&self.0);
        let Some(from) = queue.order.pop_front() else {
            queue.is_taken = false;
            return None;
        };
        let of_address = queue.waiting.get_mut(&from).expect("a handshake of the address waits");
        let next = of_address.pop_front();
        if of_address.is_empty() {
            queue.waiting.remove(&from);
        } else {
            queue.order.push_back(from);
        }
        next
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(turns) = self.0.take() else { return };
        while let Some(next) = turns.next() {
            match next.send(Turn(Some(Arc::clone(&turns)))) {
                Ok(()) => return,
                // The handshake ended while it waited.
                Err(mut unused) => unused.0 = None,
            }
        }
    }
}

/// Waits until the task is woken.
async fn woken() {
    let mut is_woken = false;
    poll_fn(|_| match std::mem::replace(&mut is_woken, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

#[cfg(test)]
mod tests {
    use tokio::task::{JoinSet, yield_now};

    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// Starts a handshake of this address, which records its end.
    fn start(
        tasks: &mut JoinSet<()>,
        turns: &Arc<HandshakeTurns>,
        ended: &Arc<Mutex<Vec<u8>>>,
        last: u8,
    ) {
        let (turns, ended) = (Arc::clone(turns), Arc::clone(ended));
        tasks.spawn(async move {
            let handshake = async { ended.lock().expect("no panic").push(last) };
            turns.run(address(last), handshake).await;
        });
    }

    #[tokio::test]
    async fn a_flood_of_handshakes_of_one_address_does_not_delay_those_of_others() {
        let (turns, ended) = (Arc::<HandshakeTurns>::default(), Arc::default());
        let mut tasks = JoinSet::new();
        (0..100).for_each(|_| start(&mut tasks, &turns, &ended, 1));
        (2..5).for_each(|other| start(&mut tasks, &turns, &ended, other));
        while tasks.join_next().await.is_some() {}
        let ended = ended.lock().expect("no panic");
        assert_eq!(ended.len(), 103);
        assert_eq!(ended[..6], [1, 1, 2, 3, 4, 1], "the addresses take turns");
    }

    #[tokio::test]
    async fn a_handshake_that_waits_for_its_remote_has_no_turn() {
        let turns = Arc::<HandshakeTurns>::default();
        let (sender, receiver) = oneshot::channel();
        let slow = turns.run(address(1), receiver);
        let other = async {
            turns.run(address(2), yield_now()).await;
            sender.send(7).expect("the first handshake waits");
        };
        let (received, ()) = tokio::join!(slow, other);
        assert_eq!(received, Ok(7));
    }

    #[tokio::test]
    async fn handshakes_that_have_ended_do_not_stay_in_the_queue() {
        let turns = Arc::<HandshakeTurns>::default();
        let _turn = turns.acquire(address(1)).await;
        for _ in 0..1000 {
            drop(turns.request(address(1)));
        }
        let _waiting = turns.request(address(1));
        let queue = lock(&turns.0);
        assert_eq!((queue.waiting[&address(1)].len(), queue.order.len()), (1, 1));
    }

    #[tokio::test]
    async fn the_turn_of_a_handshake_that_has_ended_passes_to_the_next() {
        let turns = Arc::<HandshakeTurns>::default();
        let turn = turns.acquire(address(1)).await;
        let ended: Vec<_> = (0..3).map(|_| turns.request(address(1))).collect();
        let mut waiting = turns.request(address(1)).expect("the turn is taken");
        drop(ended);
        drop(turn);
        drop(waiting.try_recv().expect("it has the turn"));
        assert!(turns.request(address(2)).is_none(), "the turn is free");
        let queue = lock(&turns.0);
        assert!(queue.waiting.is_empty() && queue.order.is_empty());
    }
}

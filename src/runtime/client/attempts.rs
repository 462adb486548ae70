//! One call, as many attempts as it takes: which node is asked, and what a reply means for the
//! next attempt.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::runtime::client::config::ClientConfig;
use crate::runtime::client::connection::{Connection, Dialer, Failed, Sent, lock};
use crate::runtime::client::error::{ClientError, Rejection, Trouble};
use crate::runtime::client::nodes::Nodes;
use crate::runtime::entropy::entropy;
use crate::runtime::transport::link::Security;
use crate::types::RejectReason;
use crate::wire::{Denial, Told, Wanted};

/// Everything that the clones of a client share to ask nodes.
pub(super) struct Network {
    dialer: Dialer,
    connections: Mutex<BTreeMap<String, Connection>>,
}

/// Which node is asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Route<'a> {
    /// The leader, and whoever may know it until it is found.
    Leader,
    /// Whoever answers.
    Any,
    /// This one alone.
    At(&'a str),
}

/// What may be asked again after it may have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeats {
    /// What changes nothing.
    Harmless,
    /// What happens once, however often it is sent.
    Once,
    /// Not this.
    Never,
}

/// The attempts of one call.
pub(super) struct Attempts<'a> {
    network: &'a Network,
    deadline: Instant,
    repeats: Repeats,
    /// Attempts since the last wait.
    count: usize,
    retry: Duration,
    /// Whether an attempt may have been carried out.
    may_have_happened: bool,
    trouble: Option<Trouble>,
}

impl Network {
    pub(super) fn new(config: ClientConfig, security: Security) -> Network {
        let start = usize::from(entropy() as u16);
        let nodes = Nodes::new(config.addresses.clone(), start);
        let (config, nodes) = (Arc::new(config), Arc::new(Mutex::new(nodes)));
        let dialer = Dialer { config, security, nodes, node: None };
        Network { dialer, connections: Mutex::default() }
    }

    pub(super) fn config(&self) -> &ClientConfig {
        &self.dialer.config
    }

    #[cfg(feature = "tls")]
    pub(super) fn security(&self) -> &Security {
        &self.dialer.security
    }

    pub(super) fn attempts(&self, deadline: Instant, repeats: Repeats) -> Attempts<'_> {
        Attempts {
            network: self,
            deadline,
            repeats,
            count: 0,
            retry: self.config().retry_min,
            may_have_happened: false,
            trouble: None,
        }
    }

    fn connection(&self, address: &str) -> Connection {
        let mut connections = lock(&self.connections);
        connections.retain(|_, connection| !connection.is_over());
        let open = || Connection::open(address.to_owned(), self.dialer.clone());
        connections.entry(address.to_owned()).or_insert_with(open).clone()
    }
}

/// What comes after an attempt.
enum Next {
    /// It is done.
    Done(Told),
    /// Another one at once, if there were not too many.
    Again,
    /// Another one after a wait.
    Later,
}

impl Attempts<'_> {
    /// Whether an attempt may have been carried out.
    pub(super) fn may_have_happened(&self) -> bool {
        self.may_have_happened
    }

    /// Asks until there is a reply that says what came of it. `wanted` gives the request, anew for
    /// each attempt; the call is over once it gives none.
    ///
    /// # Errors
    /// A [`ClientError`], once nothing more is to be tried.
    pub(super) async fn ask(
        &mut self,
        route: Route<'_>,
        mut wanted: impl FnMut() -> Option<Wanted>,
    ) -> Result<Option<Told>, ClientError> {
        loop {
            let Some(wanted) = wanted() else { return Ok(None) };
            let address = self.address(route);
            let connection = self.network.connection(&address);
            let sent = Sent::default();
            let asked = timeout(self.patience(route), connection.ask(wanted, &sent)).await;
            let next = match asked {
                Err(_) => self.unanswered(address, !sent.withdraw())?,
                Ok(Err(failed)) => self.failed(address, failed)?,
                Ok(Ok(told)) => self.told(address, told)?,
            };
            match next {
                Next::Done(told) => return Ok(Some(told)),
                Next::Again if self.count <= self.nodes().count() => self.count += 1,
                Next::Again | Next::Later => self.wait().await?,
            }
        }
    }

    /// How long this attempt may take. Whoever may ask nobody else waits for this one to the end.
    fn patience(&self, route: Route<'_>) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match (route, self.repeats) {
            (Route::At(_), _) | (_, Repeats::Never) => left,
            (Route::Leader | Route::Any, Repeats::Harmless | Repeats::Once) => {
                left.min(self.network.config().attempt_max)
            }
        }
    }

    /// The node has not replied in time; perhaps it was not even asked.
    fn unanswered(&mut self, address: String, was_sent: bool) -> Result<Next, ClientError> {
        self.nodes().failed(&address);
        self.may_have_happened |= was_sent;
        let is_over = Instant::now() >= self.deadline;
        let trouble = match was_sent {
            true => Trouble::Unanswered { address },
            false => {
                let error = "it took too long".to_owned();
                let unreachable = Trouble::Unreachable { address, error };
                if is_over { self.trouble.take().unwrap_or(unreachable) } else { unreachable }
            }
        };
        if is_over {
            return Err(self.over(trouble));
        }
        self.trouble = Some(trouble);
        Ok(Next::Again)
    }

    /// Waits before the next attempt, longer each time.
    ///
    /// # Errors
    /// A [`ClientError`] if the deadline comes first.
    pub(super) async fn wait(&mut self) -> Result<(), ClientError> {
        // Between half of it and the whole: callers that failed together come back one by one.
        let wait =
            self.retry.mul_f64(0.5 + f64::from(entropy() as u16) / f64::from(u16::MAX) / 2.0);
        if Instant::now() + wait >= self.deadline {
            let trouble = self.trouble.take();
            return Err(self.over(trouble.unwrap_or(Trouble::WindowFull)));
        }
        sleep(wait).await;
        self.count = 0;
        self.retry = (self.retry * 2).min(self.network.config().retry_max);
        Ok(())
    }

    /// The error of a call that ends with this trouble.
    pub(super) fn over(&self, trouble: Trouble) -> ClientError {
        match self.may_have_happened && self.repeats != Repeats::Harmless {
            true => ClientError::Unknown(trouble),
            false => ClientError::NotProposed(trouble),
        }
    }

    /// The error of a call that is refused, which says nothing of its earlier attempts.
    fn refused(&self, rejection: Rejection) -> ClientError {
        match self.may_have_happened && self.repeats != Repeats::Harmless {
            true => ClientError::Unknown(Trouble::Refused(rejection)),
            false => ClientError::Rejected(rejection),
        }
    }

    fn nodes(&self) -> std::sync::MutexGuard<'_, Nodes> {
        lock(&self.network.dialer.nodes)
    }

    fn address(&self, route: Route<'_>) -> String {
        match route {
            Route::Leader => self.nodes().leader(),
            Route::Any => self.nodes().any(),
            Route::At(address) => address.to_owned(),
        }
    }

    fn failed(&mut self, address: String, failed: Failed) -> Result<Next, ClientError> {
        self.nodes().failed(&address);
        match failed {
            Failed::TooLarge => Err(self.refused(Rejection::RequestTooLarge)),
            Failed::Unreachable(error) => {
                self.trouble = Some(Trouble::Unreachable { address, error });
                Ok(Next::Again)
            }
            Failed::Lost(error) => self.perhaps(Trouble::Lost { address, error }),
        }
    }

    /// It may have happened: that is the end where it must not happen again.
    fn perhaps(&mut self, trouble: Trouble) -> Result<Next, ClientError> {
        self.may_have_happened = true;
        if self.repeats == Repeats::Never {
            return Err(self.over(trouble));
        }
        self.trouble = Some(trouble);
        Ok(Next::Again)
    }

    fn told(&mut self, address: String, told: Told) -> Result<Next, ClientError> {
        match told {
            Told::Unknown => {
                self.nodes().failed(&address);
                self.perhaps(Trouble::Undecided { address })
            }
            Told::Refused(Denial::Overloaded) => {
                self.trouble = Some(Trouble::Overloaded { address });
                Ok(Next::Later)
            }
            Told::Refused(denial) => {
                // Only its answer is refused: what was asked for is done.
                self.may_have_happened |= denial == Denial::AnswerTooLarge;
                Err(self.refused(Rejection::Denied(denial)))
            }
            Told::Rejected { reason, leader } => {
                let redirected = match reason {
                    RejectReason::NotLeader { .. } => {
                        self.nodes().redirected(&address, leader.as_ref());
                        true
                    }
                    RejectReason::Stopped | RejectReason::NoLeader | RejectReason::Unverified => {
                        self.nodes().failed(&address);
                        true
                    }
                    RejectReason::Busy | RejectReason::DiskFull | RejectReason::Transferring => {
                        false
                    }
                    _ => return Err(self.refused(Rejection::Reason(reason))),
                };
                self.trouble = Some(Trouble::Hindered { address, reason });
                Ok(if redirected { Next::Again } else { Next::Later })
            }
            told => {
                if let Told::Replied { .. } | Told::Registered { .. } | Told::Changed { .. } = told
                {
                    self.nodes().leads(&address);
                }
                Ok(Next::Done(told))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::ClusterId;

    /// What comes of a refusal that follows what `before` says.
    fn refused(repeats: Repeats, before: Option<Told>, denial: Denial) -> ClientError {
        let config = ClientConfig::new(ClusterId(7), ["127.0.0.1:1"]);
        let network = Network::new(config, Security::Plaintext { leaves: false });
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut attempts = network.attempts(deadline, repeats);
        let address = || "127.0.0.1:1".to_owned();
        if let Some(before) = before {
            assert!(attempts.told(address(), before).is_ok(), "it is tried again");
        }
        match attempts.told(address(), Told::Refused(denial)) {
            Err(error) => error,
            Ok(_) => panic!("a refusal is the end"),
        }
    }

    #[test]
    fn an_answer_that_is_too_long_says_nothing_of_what_it_answers() {
        let denied = Rejection::Denied(Denial::AnswerTooLarge);
        let proposed = refused(Repeats::Once, None, Denial::AnswerTooLarge);
        assert_eq!(proposed, ClientError::Unknown(Trouble::Refused(denied)));
        let read = refused(Repeats::Harmless, None, Denial::AnswerTooLarge);
        assert_eq!(read, ClientError::Rejected(denied));
    }

    #[test]
    fn a_refusal_says_nothing_of_an_earlier_attempt() {
        let denied = Rejection::Denied(Denial::NotAllowed);
        let later = refused(Repeats::Once, Some(Told::Unknown), Denial::NotAllowed);
        assert_eq!(later, ClientError::Unknown(Trouble::Refused(denied)));
        let first = refused(Repeats::Once, None, Denial::NotAllowed);
        assert_eq!(first, ClientError::Rejected(denied));
    }
}

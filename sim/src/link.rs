//! One link of the network, and the outcome of each message on it.

use std::time::Duration;

use crate::faults::Fault;
use crate::record::{Delivery, LossReason};
use crate::settings::Settings;
use crate::values::choice::{Choices, Key, Kind};
use crate::values::time::SimTime;

/// One link in one direction.
#[derive(Clone, Debug, Default)]
pub struct Link {
    /// The number of faults that block the link.
    blocks: u16,
    /// Whether the link is exempt from all faults from now on.
    exempt: bool,
    /// The time until which a clog holds back messages.
    clogged_until: SimTime,
    /// The arrival time of the last message that is not delayed by a fault.
    last_arrival: SimTime,
    /// The number of messages sent on the link.
    messages: u32,
}

/// The outcome of sending a message: its arrivals and the faults that it met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transmission {
    /// The arrival time, or `None` if the message is lost.
    pub arrival: Option<SimTime>,
    /// The arrival time of a duplicate, if there is one.
    pub copy: Option<SimTime>,
    /// The faults that the message met.
    pub faults: [Option<Fault>; 3],
}

impl Link {
    /// Returns true if no fault blocks the link, or it is exempt from faults.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.exempt || self.blocks == 0
    }

    /// Adds one fault that blocks the link.
    pub fn block(&mut self) {
        self.blocks += 1;
    }

    /// Removes one fault that blocks the link.
    pub fn unblock(&mut self) {
        self.blocks = self.blocks.saturating_sub(1);
    }

    /// Holds back the messages that would arrive before `until`, until then.
    pub fn clog(&mut self, until: SimTime) {
        self.clogged_until = self.clogged_until.max(until);
    }

    /// Exempts the link from all faults.
    pub fn exempt_from_faults(&mut self) {
        self.exempt = true;
        self.last_arrival = SimTime::default();
    }

    /// Blocks the link permanently, if it was exempt from faults.
    pub(crate) fn close(&mut self) {
        self.blocks += u16::from(self.exempt);
        self.exempt = false;
    }

    /// Draws the outcome of the next message on the link, with choices for `sender`: a key with the
    /// sender's number and start, and the receiver as its peer.
    pub fn transmit(
        &mut self,
        sender: Key,
        now: SimTime,
        choices: &Choices,
        settings: &Settings,
    ) -> Transmission {
        self.messages = self.messages.wrapping_add(1);
        let counter = self.messages;
        let key = |kind| Key { kind, counter, ..sender };
        let mut transmission = Transmission::default();
        let on_time = now.after(choices.within(key(Kind::Latency), settings.latency));
        if self.exempt {
            self.last_arrival = self.last_arrival.max(on_time);
            transmission.arrival = Some(self.last_arrival);
            return transmission;
        }
        if self.blocks > 0 {
            return transmission;
        }
        if choices.chance(key(Kind::Loss), settings.loss_permille) {
            transmission.faults[0] = Some(Fault::Loss);
            return transmission;
        }
        let on_time = self.after_clog(on_time, settings, &mut transmission);
        transmission.arrival = Some(if choices.chance(key(Kind::Delay), settings.delay_permille) {
            transmission.faults[0] = Some(Fault::Delay);
            on_time.after(late_delay(choices, key(Kind::Lateness), settings))
        } else {
            self.in_order(on_time, settings, &mut transmission)
        });
        if choices.chance(key(Kind::Duplicate), settings.duplicate_permille) {
            transmission.faults[2] = Some(Fault::Duplicate);
            transmission.copy =
                Some(on_time.after(late_delay(choices, key(Kind::CopyLateness), settings)));
        }
        transmission
    }

    /// Returns the earliest arrival of a message that would arrive `on_time`: soon after the clog
    /// ends, if the link is clogged by then.
    fn after_clog(
        &self,
        on_time: SimTime,
        settings: &Settings,
        transmission: &mut Transmission,
    ) -> SimTime {
        if on_time >= self.clogged_until {
            return on_time;
        }
        transmission.faults[0] = Some(Fault::Clog);
        let spread = on_time.0 % settings.latency.width().max(1);
        SimTime(self.clogged_until.0 + spread)
    }

    /// Returns the arrival of a message that is neither lost nor delayed: after the previous one,
    /// unless the run reorders.
    fn in_order(
        &mut self,
        on_time: SimTime,
        settings: &Settings,
        transmission: &mut Transmission,
    ) -> SimTime {
        let mut arrival = on_time;
        if arrival < self.last_arrival {
            if settings.faults.has(Fault::Reorder) {
                transmission.faults[1] = Some(Fault::Reorder);
            } else {
                arrival = self.last_arrival;
            }
        }
        self.last_arrival = self.last_arrival.max(arrival);
        arrival
    }
}

impl Transmission {
    /// Returns the delivery of a packet with this transmission, for the recording.
    pub(crate) fn delivery(&self, packet: u64) -> Delivery {
        let Transmission { arrival, copy, faults: met } = *self;
        let late = met[0] == Some(Fault::Delay) || met[0] == Some(Fault::Clog);
        let why = if met[0] == Some(Fault::Loss) { LossReason::Loss } else { LossReason::Blocked };
        let lost = arrival.is_none().then_some(why);
        Delivery { packet, arrival, copy, late, lost }
    }
}

/// Draws the extra delay of a late message: short delays are as likely as long ones, up to several
/// election timeouts.
fn late_delay(choices: &Choices, key: Key, settings: &Settings) -> Duration {
    const SCALES: u64 = 7;
    const FINE: u64 = 1 << 20;
    let value = choices.choose(key, SCALES * FINE);
    let longest = settings.config.election_timeout_max.as_nanos() as u64 * 4;
    let scale = longest >> (SCALES - 1 - value / FINE);
    Duration::from_nanos((scale >> 20) * (value % FINE))
}

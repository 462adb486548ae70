//! The streaming state of one register: the values that may still be read.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::history::OpId;
use crate::stream::retired::RetiredValues;
use crate::value::ValueId;
use crate::zones::{Action, BEFORE, Call, NEVER, Time};

/// The position of a value or span in its list.
type Place = usize;

/// An operation, with the instants of its invocation and response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) id: OpId,
    pub(crate) invoked: Time,
    pub(crate) returned: Time,
}

/// The reason why an operation cannot have returned its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// The observed value was never written, or it was overwritten before.
    ValueAbsent,
    /// The observed value can come neither before nor after a different value.
    ZoneConflict,
    /// Another reason, for which the remembered operations may not suffice as a counterexample.
    Unexplained,
}

/// A value that may still be read.
#[derive(Clone, Copy, Debug)]
struct LiveValue {
    value: ValueId,
    /// The position of its span, once an operation has shown that the value was present.
    zone: Option<Place>,
    /// The operation that writes the value, or `None` for the initial value.
    writer: Option<(OpId, Call)>,
    /// The value that the writer expects, if it is a compare-and-set.
    from: Option<ValueId>,
    /// The response that showed that another value had replaced it; [`NEVER`] if none has.
    closed: Time,
    /// Whether the writer is pending and may still fail.
    is_open: bool,
}

/// The span of a value and of the values derived from it: its zone so far.
#[derive(Clone, Copy, Debug)]
struct ValueSpan {
    first_return: Time,
    last_invoke: Time,
    /// The calls with the first response and the last invocation, or `None` for the initial value.
    first: Option<(OpId, Call)>,
    last: Option<(OpId, Call)>,
}

/// The streaming state of one register.
#[derive(Clone, Debug)]
pub(crate) struct RegisterStream {
    live: Vec<LiveValue>,
    places: HashMap<ValueId, Place, FixedState>,
    /// The spans, in the order of their first responses.
    spans: Vec<ValueSpan>,
    /// The spans in which one operation returned before another was invoked, in the same order.
    /// They do not overlap.
    forward: Vec<Place>,
    /// The pending operations that may read any value present since their invocation, in order.
    readers: Vec<(OpId, Time)>,
    /// The number of values after the last sweep.
    swept: usize,
    /// Whether the values of the register have become ambiguous: then nothing is checked any more.
    has_given_up: bool,
    /// Whether the absence of an alarm means that the register is linearizable so far.
    is_decided: bool,
    has_failed_cas: bool,
}

/// The number of values, beyond twice those that the last sweep kept, that triggers a sweep.
const UNSWEPT_MAX: usize = 16;

impl RegisterStream {
    /// Creates a register with the initial value `init`.
    pub(crate) fn new(init: ValueId) -> RegisterStream {
        let first = LiveValue { zone: Some(0), ..LiveValue::new(init, None, None) };
        let span = ValueSpan { first_return: BEFORE, last_invoke: BEFORE, first: None, last: None };
        let mut register = RegisterStream {
            live: Vec::new(),
            places: HashMap::default(),
            spans: vec![span],
            forward: Vec::new(),
            readers: Vec::new(),
            swept: 1,
            has_given_up: false,
            is_decided: true,
            has_failed_cas: false,
        };
        register.push(first);
        register
    }

    fn push(&mut self, live: LiveValue) {
        self.places.insert(live.value, self.live.len());
        self.live.push(live);
    }

    pub(crate) fn remembered(&self) -> usize {
        self.live.len()
    }

    pub(crate) fn is_decided(&self) -> bool {
        self.is_decided
    }

    pub(crate) fn has_failed_cas(&self) -> bool {
        self.has_failed_cas
    }

    /// Stops checking this register.
    pub(crate) fn give_up(&mut self) {
        self.has_given_up = true;
        self.is_decided = false;
        self.live = Vec::new();
        self.places = HashMap::default();
    }

    fn find(&self, value: ValueId) -> Option<Place> {
        self.places.get(&value).copied()
    }

    /// Records that `id`, invoked at `invoked`, may read the values present since then.
    pub(crate) fn add_reader(&mut self, id: OpId, invoked: Time) {
        self.readers.push((id, invoked));
    }

    pub(crate) fn remove_reader(&mut self, id: OpId) {
        if let Some(place) = self.readers.iter().position(|(reader, _)| *reader == id) {
            self.readers.remove(place);
        }
    }

    /// Records the invocation of a write of `value`, which expects `from` if it is a
    /// compare-and-set.
    pub(crate) fn write(&mut self, value: ValueId, from: Option<ValueId>, event: Event) {
        if self.has_given_up || from == Some(value) {
            return;
        }
        if self.find(value).is_some() {
            return self.give_up();
        }
        let action = match from {
            Some(from) => Action::CompareAndSet { from, to: value },
            None => Action::Write(value),
        };
        let call = Call { invoked: event.invoked, returned: NEVER, action };
        self.push(LiveValue::new(value, from, Some((event.id, call))));
    }

    /// Records that `event` read `value`.
    pub(crate) fn read(&mut self, value: ValueId, event: Event) -> Result<(), Violation> {
        if self.has_given_up {
            return Ok(());
        }
        let place = self.find(value).ok_or(Violation::ValueAbsent)?;
        self.see(place, event, Action::Read(value))
    }

    /// Records that `event` wrote `value`.
    pub(crate) fn written(&mut self, value: ValueId, event: Event) -> Result<(), Violation> {
        if self.has_given_up {
            return Ok(());
        }
        // A value is kept while its writer is pending, so it is always found.
        let Some(place) = self.find(value) else { return Ok(()) };
        let Some((id, mut call)) = self.live[place].writer.filter(|(id, _)| *id == event.id) else {
            return Ok(());
        };
        call.returned = event.returned;
        self.live[place].writer = Some((id, call));
        self.live[place].is_open = false;
        self.see(place, event, call.action)
    }

    /// Records that the outcome of `id`, which writes `value`, is unknown.
    pub(crate) fn mark_unknown(&mut self, value: ValueId, id: OpId) {
        if let Some(place) = self.find(value)
            && self.live[place].is_of(id)
        {
            self.live[place].is_open = false;
        }
    }

    /// Records that `id` did not write `value`.
    pub(crate) fn undo(&mut self, value: ValueId, id: OpId) -> Result<(), Violation> {
        let Some(place) = self.find(value) else { return Ok(()) };
        if !self.live[place].is_of(id) {
            return Ok(());
        }
        if self.live[place].zone.is_some() {
            return Err(Violation::Unexplained);
        }
        self.live.swap_remove(place);
        self.places.remove(&value);
        if let Some(moved) = self.live.get(place) {
            self.places.insert(moved.value, place);
        }
        Ok(())
    }

    /// Records that the compare-and-set `id` found a value other than `from` and did not write
    /// `to`.
    pub(crate) fn failed_cas(
        &mut self,
        from: ValueId,
        to: ValueId,
        id: OpId,
    ) -> Result<(), Violation> {
        self.has_failed_cas = true;
        self.is_decided &= self.find(from).is_none();
        self.undo(to, id)
    }

    /// Records that a compare-and-set found the value `found` and did not write `to`.
    pub(crate) fn found(
        &mut self,
        found: ValueId,
        to: ValueId,
        event: Event,
    ) -> Result<(), Violation> {
        self.has_failed_cas = true;
        self.read(found, event)?;
        self.undo(to, event.id)
    }

    /// Records that `event` shows that the value at `place` was present.
    fn see(&mut self, place: Place, event: Event, action: Action) -> Result<(), Violation> {
        let call = Call { invoked: event.invoked, returned: event.returned, action };
        let zone = match self.live[place].zone {
            Some(zone) => zone,
            None => self.begin(place, (event.id, call))?,
        };
        if event.invoked > self.live[place].closed {
            return Err(Violation::ZoneConflict);
        }
        self.extend(zone, event.invoked, Some((event.id, call)))
    }

    /// Extends the span at `zone` by an operation invoked at `invoked`.
    fn extend(
        &mut self,
        zone: Place,
        invoked: Time,
        by: Option<(OpId, Call)>,
    ) -> Result<(), Violation> {
        let span = &mut self.spans[zone];
        let (first_return, before) = (span.first_return, span.last_invoke);
        if invoked <= before {
            return Ok(());
        }
        (span.last_invoke, span.last) = (invoked, by);
        if self.conflicts(zone, before) {
            return Err(Violation::ZoneConflict);
        }
        if first_return < invoked && first_return >= before {
            let place = self.forward.partition_point(|other| *other < zone);
            self.forward.insert(place, zone);
        }
        Ok(())
    }

    /// Returns true if the span at `zone`, whose last invocation was at `before`, now conflicts
    /// with another span: it must come both before and after it.
    fn conflicts(&self, zone: Place, before: Time) -> bool {
        let ValueSpan { first_return, last_invoke, .. } = self.spans[zone];
        let is_in_the_way = |other: &ValueSpan| {
            other.first_return < last_invoke && other.last_invoke > first_return
        };
        // Of the spans with an earlier first response, only one can reach beyond the first response
        // of this one.
        let earlier = self.forward.partition_point(|other| *other < zone);
        if earlier > 0 && is_in_the_way(&self.spans[self.forward[earlier - 1]]) {
            return true;
        }
        // The other spans had their first response since the last check. Those without a conflict
        // were pending at the first response of this one, so there are few.
        let since = before.max(first_return);
        let later = self.spans[zone + 1..].iter().rev();
        later
            .skip_while(|other| other.first_return >= last_invoke)
            .take_while(|other| other.first_return >= since)
            .any(is_in_the_way)
    }

    /// Records that `call` is the first to show that the value at `place`, and the values from
    /// which it was derived, were present. Returns the position of the span.
    fn begin(&mut self, place: Place, call: (OpId, Call)) -> Result<Place, Violation> {
        let now = call.1.returned;
        let mut chain = vec![place];
        let mut zone = None;
        while let Some(from) = self.live[chain[chain.len() - 1]].from {
            let found = self.find(from).ok_or(Violation::Unexplained)?;
            if self.live[found].closed != NEVER || chain.contains(&found) {
                return Err(Violation::ZoneConflict);
            }
            self.live[found].closed = now;
            zone = self.live[found].zone;
            if zone.is_some() {
                break;
            }
            chain.push(found);
        }
        let zone = zone.unwrap_or_else(|| {
            let first = Some(call);
            let span = ValueSpan { first_return: now, last_invoke: BEFORE, first, last: None };
            self.spans.push(span);
            self.spans.len() - 1
        });
        for place in chain {
            self.live[place].zone = Some(zone);
            if let Some((id, writer)) = self.live[place].writer {
                self.extend(zone, writer.invoked, Some((id, writer)))?;
            }
        }
        Ok(zone)
    }

    /// Returns all calls that the register remembers.
    pub(crate) fn known(&self) -> Vec<(OpId, Call)> {
        let writers = self.live.iter().filter_map(|live| live.writer);
        writers.chain(self.spans.iter().flat_map(ValueSpan::ends).flatten()).collect()
    }

    /// Returns true if there may be many values to forget.
    pub(crate) fn is_full(&self) -> bool {
        self.live.len() > 2 * self.swept + UNSWEPT_MAX
    }

    /// Forgets the values that can no longer be read.
    ///
    /// Every later read was invoked at `since` or later. A later read of a value conflicts with
    /// another span that has a response before `since` and an invocation after the first response
    /// of the value's own span (Gibbons & Korach 1997). An overwritten value is kept while its
    /// writer is pending, but its overwriter may be forgotten, so the value is closed.
    pub(crate) fn sweep(&mut self, now: Time, register: usize, retired: &mut RetiredValues) {
        let since = self.readers.first().map_or(now + 1, |(_, invoked)| *invoked);
        let overwriters = self.overwriters(since);
        let mut kept = Vec::with_capacity(self.live.len() / 2);
        let mut is_used = vec![false; self.spans.len()];
        for live in &self.live {
            let overwriter = live.zone.and_then(|zone| overwriters[zone]);
            if live.is_open || overwriter.is_none() && live.closed >= since {
                let last = if overwriter.is_some() { since - 1 } else { NEVER };
                kept.push(LiveValue { closed: live.closed.min(last), ..*live });
                if let Some(zone) = live.zone {
                    is_used[zone] = true;
                }
                continue;
            }
            let [first, last] = live.zone.map_or([None; 2], |zone| self.spans[zone].ends());
            let [other_first, other_last] =
                overwriter.map_or([None; 2], |overwriter| self.spans[overwriter].ends());
            let other_writer = overwriter.and_then(|overwriter| self.writer_of(overwriter));
            let proof = [live.writer, first, last, other_writer, other_first, other_last];
            retired.push(register, live.value, proof);
        }
        let mut places = vec![0; self.spans.len()];
        let mut count = 0;
        for (place, used) in places.iter_mut().zip(&is_used) {
            *place = count;
            count += usize::from(*used);
        }
        self.forward.retain(|zone| is_used[*zone]);
        self.forward.iter_mut().for_each(|zone| *zone = places[*zone]);
        let mut used = is_used.iter();
        self.spans.retain(|_| *used.next().unwrap_or(&true));
        self.places.clear();
        self.live.clear();
        for live in kept {
            self.push(LiveValue { zone: live.zone.map(|zone| places[zone]), ..live });
        }
        self.swept = self.live.len();
    }

    /// Returns, for each span, another span that would conflict with it if an operation invoked at
    /// `since` read its value.
    fn overwriters(&self, since: Time) -> Vec<Option<Place>> {
        let mut latest: [Option<Place>; 2] = [None, None];
        let begun = |place: Option<Place>| place.map(|place| self.spans[place].last_invoke);
        let ended = self.spans.partition_point(|span| span.first_return < since);
        for (place, span) in self.spans[..ended].iter().enumerate() {
            if Some(span.last_invoke) > begun(latest[0]) {
                latest = [Some(place), latest[0]];
            } else if Some(span.last_invoke) > begun(latest[1]) {
                latest[1] = Some(place);
            }
        }
        let overwriter = |(place, span): (Place, &ValueSpan)| {
            let other = if latest[0] == Some(place) { latest[1] } else { latest[0] };
            other.filter(|other| self.spans[*other].last_invoke > span.first_return)
        };
        self.spans.iter().enumerate().map(overwriter).collect()
    }

    /// Returns the writer of the value that the call with the first response in `span` shows, if
    /// the value is remembered.
    fn writer_of(&self, span: Place) -> Option<(OpId, Call)> {
        let call = self.spans[span].first?;
        let (Action::Read(value) | Action::Write(value) | Action::CompareAndSet { to: value, .. }) =
            call.1.action
        else {
            return None;
        };
        self.find(value).and_then(|place| self.live[place].writer)
    }
}

impl ValueSpan {
    fn ends(&self) -> [Option<(OpId, Call)>; 2] {
        [self.first, self.last]
    }
}

impl LiveValue {
    fn new(value: ValueId, from: Option<ValueId>, writer: Option<(OpId, Call)>) -> LiveValue {
        LiveValue { value, zone: None, writer, from, closed: NEVER, is_open: writer.is_some() }
    }

    fn is_of(&self, id: OpId) -> bool {
        self.writer.is_some_and(|(writer, _)| writer == id)
    }
}

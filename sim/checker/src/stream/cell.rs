//! One register while it is used: what may still be seen of it.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::history::OpId;
use crate::stream::retired::Retired;
use crate::value::Value;
use crate::zones::{BEFORE, Call, NEVER, Time, What};

/// The place of a value among those of its cell.
type Place = usize;

/// An operation, and when it began and returned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) id: OpId,
    pub(crate) invoked: Time,
    pub(crate) returned: Time,
}

/// Why an operation cannot have returned what it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nobody wrote what it saw, or it was overwritten before.
    NotThere,
    /// What it saw cannot have been there before or after another value.
    Clash,
    /// Something else, which takes operations to tell that were forgotten.
    Untold,
}

/// A value that may still be seen.
#[derive(Clone, Copy, Debug)]
struct Live {
    value: Value,
    /// Where its zone is, once somebody showed that it was there.
    zone: Option<Place>,
    /// Nobody, if the value was there at first.
    writer: Option<(OpId, Call)>,
    /// What its writer must find.
    from: Option<Value>,
    /// When it was known that another value was made from it.
    closed: Time,
    /// Whether its writer is on its way, and could still fail.
    is_open: bool,
}

/// The time that a value spans, together with those that were made from it.
#[derive(Clone, Copy, Debug)]
struct Span {
    first_return: Time,
    last_invoke: Time,
    /// Who did these; nobody, if the value was there at first.
    first: Option<(OpId, Call)>,
    last: Option<(OpId, Call)>,
}

/// One register.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    live: Vec<Live>,
    places: HashMap<Value, Place, FixedState>,
    /// In the order of first returns, which is that of their making.
    spans: Vec<Span>,
    /// The spans in which something returned before something else began, in the same order. No
    /// two of them overlap.
    forward: Vec<Place>,
    /// Operations that are open and may see any value that was there since they began, in order.
    watching: Vec<(OpId, Time)>,
    /// How many values there were after the last sweep.
    swept: usize,
    /// Whether what is said of it would be a guess.
    is_blurred: bool,
    /// Whether silence means that it is linearizable so far.
    is_decided: bool,
    has_refusals: bool,
}

/// How many values a cell may have before it looks which of them nobody can see any more.
const UNSWEPT_MAX: usize = 16;

impl Cell {
    /// A register that has `init`.
    pub(crate) fn new(init: Value) -> Cell {
        let first = Live { zone: Some(0), ..Live::new(init, None, None) };
        let span = Span { first_return: BEFORE, last_invoke: BEFORE, first: None, last: None };
        let mut cell = Cell {
            live: Vec::new(),
            places: HashMap::default(),
            spans: vec![span],
            forward: Vec::new(),
            watching: Vec::new(),
            swept: 1,
            is_blurred: false,
            is_decided: true,
            has_refusals: false,
        };
        cell.push(first);
        cell
    }

    fn push(&mut self, live: Live) {
        self.places.insert(live.value, self.live.len());
        self.live.push(live);
    }

    pub(crate) fn remembered(&self) -> usize {
        self.live.len()
    }

    pub(crate) fn is_decided(&self) -> bool {
        self.is_decided
    }

    pub(crate) fn has_refusals(&self) -> bool {
        self.has_refusals
    }

    /// Says nothing more.
    pub(crate) fn blur(&mut self) {
        self.is_blurred = true;
        self.is_decided = false;
        self.live = Vec::new();
        self.places = HashMap::default();
    }

    fn find(&self, value: Value) -> Option<Place> {
        self.places.get(&value).copied()
    }

    /// `id` began, and may see what is there.
    pub(crate) fn watch(&mut self, id: OpId, invoked: Time) {
        self.watching.push((id, invoked));
    }

    pub(crate) fn unwatch(&mut self, id: OpId) {
        if let Some(place) = self.watching.iter().position(|(watching, _)| *watching == id) {
            self.watching.remove(place);
        }
    }

    /// `event` began to write `value`, if it finds `from`.
    pub(crate) fn write(&mut self, value: Value, from: Option<Value>, event: Event) {
        if self.is_blurred || from == Some(value) {
            return;
        }
        if self.find(value).is_some() {
            return self.blur();
        }
        let what = match from {
            Some(from) => What::Swap { from, to: value },
            None => What::Write(value),
        };
        let call = Call { invoked: event.invoked, returned: NEVER, what };
        self.push(Live::new(value, from, Some((event.id, call))));
    }

    /// `event` read `value`.
    pub(crate) fn read(&mut self, value: Value, event: Event) -> Result<(), Fault> {
        if self.is_blurred {
            return Ok(());
        }
        let place = self.find(value).ok_or(Fault::NotThere)?;
        self.see(place, event, What::Read(value))
    }

    /// `event` wrote `value`.
    pub(crate) fn written(&mut self, value: Value, event: Event) -> Result<(), Fault> {
        if self.is_blurred {
            return Ok(());
        }
        // It was overwritten, and forgotten, while its writer was still on its way.
        let Some(place) = self.find(value) else { return Ok(()) };
        let Some((id, mut call)) = self.live[place].writer.filter(|(id, _)| *id == event.id) else {
            return Ok(());
        };
        call.returned = event.returned;
        self.live[place].writer = Some((id, call));
        self.live[place].is_open = false;
        self.see(place, event, call.what)
    }

    /// Nobody learns whether `id` wrote `value`.
    pub(crate) fn settle(&mut self, value: Value, id: OpId) {
        if let Some(place) = self.find(value)
            && self.live[place].is_of(id)
        {
            self.live[place].is_open = false;
        }
    }

    /// `id` did not write `value`.
    pub(crate) fn undo(&mut self, value: Value, id: OpId) -> Result<(), Fault> {
        let Some(place) = self.find(value) else { return Ok(()) };
        if !self.live[place].is_of(id) {
            return Ok(());
        }
        if self.live[place].zone.is_some() {
            return Err(Fault::Untold);
        }
        self.live.swap_remove(place);
        self.places.remove(&value);
        if let Some(moved) = self.live.get(place) {
            self.places.insert(moved.value, place);
        }
        Ok(())
    }

    /// `id` found that the value was not `from`, which it needed to write `to`.
    pub(crate) fn refused(&mut self, from: Value, to: Value, id: OpId) -> Result<(), Fault> {
        self.has_refusals = true;
        self.is_decided &= self.find(from).is_none();
        self.undo(to, id)
    }

    /// `event` found the value `found`, which is not what it needed to write `to`.
    pub(crate) fn found(&mut self, found: Value, to: Value, event: Event) -> Result<(), Fault> {
        self.has_refusals = true;
        self.read(found, event)?;
        self.undo(to, event.id)
    }

    /// `event` shows that the value at `place` was there.
    fn see(&mut self, place: Place, event: Event, what: What) -> Result<(), Fault> {
        let call = Call { invoked: event.invoked, returned: event.returned, what };
        let zone = match self.live[place].zone {
            Some(zone) => zone,
            None => self.begin(place, (event.id, call))?,
        };
        if event.invoked > self.live[place].closed {
            return Err(Fault::Clash);
        }
        self.stretch(zone, event.invoked, Some((event.id, call)))
    }

    /// Something of the span at `zone` began at `invoked`.
    fn stretch(
        &mut self,
        zone: Place,
        invoked: Time,
        by: Option<(OpId, Call)>,
    ) -> Result<(), Fault> {
        let span = &mut self.spans[zone];
        let (first_return, before) = (span.first_return, span.last_invoke);
        if invoked <= before {
            return Ok(());
        }
        (span.last_invoke, span.last) = (invoked, by);
        if self.clashes(zone, before) {
            return Err(Fault::Clash);
        }
        if first_return < invoked && first_return >= before {
            let place = self.forward.partition_point(|other| *other < zone);
            self.forward.insert(place, zone);
        }
        Ok(())
    }

    /// Whether the span at `zone`, whose last invocation was at `before`, now has another one in
    /// its way, of which it must come both before and after.
    fn clashes(&self, zone: Place, before: Time) -> bool {
        let Span { first_return, last_invoke, .. } = self.spans[zone];
        let is_in_the_way =
            |other: &Span| other.first_return < last_invoke && other.last_invoke > first_return;
        // Of those that returned earlier, only one can reach over its first return.
        let earlier = self.forward.partition_point(|other| *other < zone);
        if earlier > 0 && is_in_the_way(&self.spans[self.forward[earlier - 1]]) {
            return true;
        }
        // The others first returned since it was last looked at. What is not in the way was on its
        // way when this one first returned, so that there are few.
        let since = before.max(first_return);
        let later = self.spans[zone + 1..].iter().rev();
        later
            .skip_while(|other| other.first_return >= last_invoke)
            .take_while(|other| other.first_return >= since)
            .any(is_in_the_way)
    }

    /// `call` is the first to show that the value at `place` was there: so were those that it was
    /// made from. Where its span is.
    fn begin(&mut self, place: Place, call: (OpId, Call)) -> Result<Place, Fault> {
        let now = call.1.returned;
        let mut chain = vec![place];
        let mut zone = None;
        while let Some(from) = self.live[chain[chain.len() - 1]].from {
            let found = self.find(from).ok_or(Fault::Untold)?;
            if self.live[found].closed != NEVER || chain.contains(&found) {
                return Err(Fault::Clash);
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
            let span = Span { first_return: now, last_invoke: BEFORE, first, last: None };
            self.spans.push(span);
            self.spans.len() - 1
        });
        for place in chain {
            self.live[place].zone = Some(zone);
            if let Some((id, writer)) = self.live[place].writer {
                self.stretch(zone, writer.invoked, Some((id, writer)))?;
            }
        }
        Ok(zone)
    }

    /// Everything that it knows of.
    pub(crate) fn named(&self) -> Vec<(OpId, Call)> {
        let writers = self.live.iter().filter_map(|live| live.writer);
        writers.chain(self.spans.iter().flat_map(Span::ends).flatten()).collect()
    }

    /// Whether there may be much to forget.
    pub(crate) fn is_full(&self) -> bool {
        self.live.len() > 2 * self.swept + UNSWEPT_MAX
    }

    /// Forgets what nobody can see any more.
    ///
    /// Whoever sees a value from now on began at `since` or later. If another span has something
    /// that returned before, and something that began after the first return of this one, the two
    /// would be in each other's way (Gibbons & Korach 1997).
    pub(crate) fn sweep(&mut self, now: Time, cell: usize, retired: &mut Retired) {
        let since = self.watching.first().map_or(now + 1, |(_, invoked)| *invoked);
        let killers = self.killers(since);
        let mut kept = Vec::with_capacity(self.live.len() / 2);
        let mut is_used = vec![false; self.spans.len()];
        for live in &self.live {
            let killer = live.zone.and_then(|zone| killers[zone]);
            if live.is_open || killer.is_none() && live.closed >= since {
                kept.push(*live);
                if let Some(zone) = live.zone {
                    is_used[zone] = true;
                }
                continue;
            }
            let [first, last] = live.zone.map_or([None; 2], |zone| self.spans[zone].ends());
            let [other_first, other_last] =
                killer.map_or([None; 2], |killer| self.spans[killer].ends());
            let other_writer = killer.and_then(|killer| self.writer_of(killer));
            let proof = [live.writer, first, last, other_writer, other_first, other_last];
            retired.push(cell, live.value, proof);
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
            self.push(Live { zone: live.zone.map(|zone| places[zone]), ..live });
        }
        self.swept = self.live.len();
    }

    /// For each span, another that would be in its way if somebody who began at `since` saw it.
    fn killers(&self, since: Time) -> Vec<Option<Place>> {
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
        let killer = |(place, span): (Place, &Span)| {
            let other = if latest[0] == Some(place) { latest[1] } else { latest[0] };
            other.filter(|other| self.spans[*other].last_invoke > span.first_return)
        };
        self.spans.iter().enumerate().map(killer).collect()
    }

    /// Who wrote the value of `span`, if that is no chain of values.
    fn writer_of(&self, span: Place) -> Option<(OpId, Call)> {
        let call = self.spans[span].first?;
        let (What::Read(value) | What::Write(value) | What::Swap { to: value, .. }) = call.1.what
        else {
            return None;
        };
        self.find(value).and_then(|place| self.live[place].writer)
    }
}

impl Span {
    fn ends(&self) -> [Option<(OpId, Call)>; 2] {
        [self.first, self.last]
    }
}

impl Live {
    fn new(value: Value, from: Option<Value>, writer: Option<(OpId, Call)>) -> Live {
        Live { value, zone: None, writer, from, closed: NEVER, is_open: writer.is_some() }
    }

    fn is_of(&self, id: OpId) -> bool {
        self.writer.is_some_and(|(writer, _)| writer == id)
    }
}

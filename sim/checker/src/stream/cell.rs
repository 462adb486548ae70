//! One register while it is used: what may still be seen of it.

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
#[derive(Clone, Debug)]
struct Live {
    value: Value,
    /// The first return and the last invocation of what is known to belong to this value and to
    /// those that it was made from; the return is [`NEVER`] if nothing is known to.
    first_return: Time,
    last_invoke: Time,
    /// Who did these; nobody, if the value was there at first.
    first: Option<(OpId, Call)>,
    last: Option<(OpId, Call)>,
    /// Nobody, if the value was there at first.
    writer: Option<(OpId, Call)>,
    /// What its writer must find.
    from: Option<Value>,
    /// The value that was made from it: its zone has what this one's had. And when that was known.
    child: Option<Place>,
    closed: Time,
    /// Whether its writer is on its way, and could still fail.
    is_open: bool,
}

/// One register.
#[derive(Debug)]
pub(crate) struct Cell {
    live: Vec<Live>,
    /// Operations that are open and may see any value that was there since they began.
    watching: Vec<(OpId, Time)>,
    /// How many values there were after the last sweep.
    swept: usize,
    /// Whether what is said of it would be a guess.
    is_blurred: bool,
    has_refusals: bool,
}

/// How many values a cell may have before it looks which of them nobody can see any more.
const UNSWEPT_MAX: usize = 16;

impl Cell {
    /// A register that has `init`.
    pub(crate) fn new(init: Value) -> Cell {
        let mut first = Live::new(init, None, None);
        first.first_return = BEFORE;
        Cell {
            live: vec![first],
            watching: Vec::new(),
            swept: 1,
            is_blurred: false,
            has_refusals: false,
        }
    }

    pub(crate) fn remembered(&self) -> usize {
        self.live.len()
    }

    pub(crate) fn has_refusals(&self) -> bool {
        self.has_refusals
    }

    /// Says nothing more.
    pub(crate) fn blur(&mut self) {
        self.is_blurred = true;
        self.live = Vec::new();
    }

    fn find(&self, value: Value) -> Option<Place> {
        self.live.iter().rposition(|live| live.value == value)
    }

    pub(crate) fn may_be_seen(&self, value: Value) -> bool {
        self.is_blurred || self.find(value).is_some()
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

    /// `event` began to write `value`, if it finds `from`. Whether it is clear who wrote it.
    pub(crate) fn write(&mut self, value: Value, from: Option<Value>, event: Event) -> bool {
        if self.is_blurred || from == Some(value) {
            return !self.is_blurred;
        }
        if self.find(value).is_some() {
            self.blur();
            return false;
        }
        let what = match from {
            Some(from) => What::Swap { from, to: value },
            None => What::Write(value),
        };
        let call = Call { invoked: event.invoked, returned: NEVER, what };
        self.live.push(Live::new(value, from, Some((event.id, call))));
        true
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
        if self.live[place].first_return != NEVER {
            return Err(Fault::Untold);
        }
        // Nothing was made of a value that nobody saw, and no place behind it is known by number.
        self.keep(|at, _| at != place);
        Ok(())
    }

    /// `id` found that the value was not what it needed to write `value`.
    pub(crate) fn refused(&mut self, value: Value, id: OpId) -> Result<(), Fault> {
        self.has_refusals = true;
        self.undo(value, id)
    }

    /// `event` shows that the value at `place` was there.
    fn see(&mut self, place: Place, event: Event, what: What) -> Result<(), Fault> {
        let call = Call { invoked: event.invoked, returned: event.returned, what };
        if self.live[place].first_return == NEVER {
            self.begin(place, (event.id, call))?;
        }
        if event.invoked > self.live[place].closed {
            return Err(Fault::Clash);
        }
        let head = self.head(place);
        let zone = &mut self.live[head];
        if event.invoked > zone.last_invoke {
            zone.last_invoke = event.invoked;
            zone.last = Some((event.id, call));
        }
        match self.clashes(head) {
            true => Err(Fault::Clash),
            false => Ok(()),
        }
    }

    /// The last value made from that at `place`.
    fn head(&self, mut place: Place) -> Place {
        while let Some(child) = self.live[place].child {
            place = child;
        }
        place
    }

    /// Whether the zone at `head` and another one cannot come one after the other.
    fn clashes(&self, head: Place) -> bool {
        let (first_return, last_invoke) =
            (self.live[head].first_return, self.live[head].last_invoke);
        let clash = |(place, live): (Place, &Live)| {
            live.first_return < last_invoke
                && live.last_invoke > first_return
                && place != head
                && live.child.is_none()
        };
        self.live.iter().enumerate().any(clash)
    }

    /// `call` is the first to show that the value at `place` was there: so were those that it was
    /// made from.
    fn begin(&mut self, place: Place, call: (OpId, Call)) -> Result<(), Fault> {
        let mut chain = vec![place];
        let mut parent = None;
        while let Some(from) = self.live[chain[chain.len() - 1]].from {
            let found = self.find(from).ok_or(Fault::Untold)?;
            if self.live[found].first_return != NEVER {
                parent = Some(found);
                break;
            }
            if chain.contains(&found) {
                return Err(Fault::Clash);
            }
            chain.push(found);
        }
        while let Some(place) = chain.pop() {
            let (_, Call { returned, .. }) = call;
            let live = &mut self.live[place];
            (live.first_return, live.first) = (returned, Some(call));
            (live.last_invoke, live.last) =
                (live.writer.map_or(BEFORE, |(_, writer)| writer.invoked), live.writer);
            if let Some(parent) = parent {
                self.join(parent, place, returned)?;
            }
            parent = Some(place);
        }
        Ok(())
    }

    /// The value at `child` is made from that at `parent`, as is known since `now`.
    fn join(&mut self, parent: Place, child: Place, now: Time) -> Result<(), Fault> {
        let before = self.live[parent].clone();
        if before.child.is_some() {
            return Err(Fault::Clash);
        }
        (self.live[parent].child, self.live[parent].closed) = (Some(child), now);
        let live = &mut self.live[child];
        if before.first_return < live.first_return {
            (live.first_return, live.first) = (before.first_return, before.first);
        }
        if before.last_invoke > live.last_invoke {
            (live.last_invoke, live.last) = (before.last_invoke, before.last);
        }
        Ok(())
    }

    /// Everything that it knows of.
    pub(crate) fn named(&self) -> Vec<(OpId, Call)> {
        self.live.iter().flat_map(Live::named).collect()
    }

    /// Whether there may be much to forget.
    pub(crate) fn is_full(&self) -> bool {
        self.live.len() > 2 * self.swept + UNSWEPT_MAX
    }

    /// Forgets what nobody can see any more.
    ///
    /// Whoever sees a value from now on began at `since` or later. If another zone has something
    /// that returned before, and something that began after the first return of this one, the two
    /// would be in each other's way (Gibbons & Korach 1997).
    pub(crate) fn sweep(&mut self, now: Time, cell: usize, retired: &mut Retired) {
        let since = self.watching.first().map_or(now + 1, |(_, invoked)| *invoked);
        let mut latest: [Option<Place>; 2] = [None, None];
        let begun = |place: Option<Place>| place.map(|place| self.live[place].last_invoke);
        for (place, live) in self.live.iter().enumerate() {
            if live.child.is_some() || live.first_return >= since {
                continue;
            }
            if Some(live.last_invoke) > begun(latest[0]) || latest[0].is_none() {
                latest = [Some(place), latest[0]];
            } else if Some(live.last_invoke) > begun(latest[1]) || latest[1].is_none() {
                latest[1] = Some(place);
            }
        }
        let killer = |place: Place| {
            let head = self.head(place);
            let other = if latest[0] == Some(head) { latest[1] } else { latest[0] };
            other.filter(|other| self.live[*other].last_invoke > self.live[head].first_return)
        };
        let killers: Vec<Option<Place>> = (0..self.live.len()).map(killer).collect();
        let is_kept = |place: Place, live: &Live| {
            live.is_open || killers[place].is_none() && live.closed >= since
        };
        for (place, live) in self.live.iter().enumerate() {
            if !is_kept(place, live) {
                let by = killers[place].or(live.child).map(|by| &self.live[by]);
                let proof = live.named().chain(by.into_iter().flat_map(Live::named)).collect();
                retired.push(cell, live.value, proof);
            }
        }
        self.keep(is_kept);
        self.swept = self.live.len();
    }

    /// Forgets the values that are not to be kept.
    fn keep(&mut self, is_kept: impl Fn(Place, &Live) -> bool) {
        let mut count = 0;
        let mut places = Vec::with_capacity(self.live.len());
        for (place, live) in self.live.iter().enumerate() {
            places.push(is_kept(place, live).then_some(count));
            count += usize::from(places[place].is_some());
        }
        let children: Vec<Option<Place>> = self.live.iter().map(|live| live.child).collect();
        let mut place = 0;
        self.live.retain(|_| {
            place += 1;
            places[place - 1].is_some()
        });
        for live in &mut self.live {
            while let Some(child) = live.child {
                if places[child].is_some() {
                    live.child = places[child];
                    break;
                }
                live.child = children[child];
            }
        }
    }
}

impl Live {
    fn new(value: Value, from: Option<Value>, writer: Option<(OpId, Call)>) -> Live {
        Live {
            value,
            first_return: NEVER,
            last_invoke: BEFORE,
            first: None,
            last: None,
            writer,
            from,
            child: None,
            closed: NEVER,
            is_open: writer.is_some(),
        }
    }

    fn is_of(&self, id: OpId) -> bool {
        self.writer.is_some_and(|(writer, _)| writer == id)
    }

    fn named(&self) -> impl Iterator<Item = (OpId, Call)> + use<> {
        self.first.into_iter().chain(self.last).chain(self.writer)
    }
}

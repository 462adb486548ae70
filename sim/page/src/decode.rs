//! Decodes the bytes that `encode` writes, as the script of the page does; used by tests.

#[cfg(test)]
mod tests;

use crate::document::{
    Clock, Condition, Delivery, Document, Entry, Event, Fact, Fault, Kind, Lane, LogChange,
    Message, Operation, Outcome, Relevance, Role, Sentence, State, Table, Topic, Violation, Write,
    WriteOutcome,
};

struct Reader<'a> {
    rest: std::slice::Iter<'a, u8>,
    /// Each pattern, with the numbers of its last text.
    patterns: Vec<(Vec<String>, Vec<i64>)>,
}

impl Reader<'_> {
    fn raw(&mut self) -> u64 {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = *self.rest.next().expect("the document is not truncated");
            number |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return number;
            }
        }
    }

    fn number<T: TryFrom<u64>>(&mut self) -> T {
        T::try_from(self.raw()).ok().expect("the number fits")
    }

    fn signed(&mut self) -> i64 {
        let folded = self.raw();
        let half = (folded >> 1) as i64;
        if folded & 1 == 1 { -half - 1 } else { half }
    }

    fn after(&mut self, was: u64) -> u64 {
        was.checked_add_signed(self.signed()).expect("no number is negative")
    }

    fn option<T: TryFrom<u64>>(&mut self) -> Option<T> {
        let number = self.raw().checked_sub(1)?;
        Some(T::try_from(number).ok().expect("the number fits"))
    }

    fn list<T>(&mut self, mut each: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.raw()).map(|_| each(self)).collect()
    }

    fn text(&mut self) -> String {
        let place: usize = self.number();
        for number in 0..self.patterns[place].1.len() {
            self.patterns[place].1[number] += self.signed();
        }
        let (pieces, numbers) = &self.patterns[place];
        let numbers = numbers.iter().map(i64::to_string).chain([String::new()]);
        pieces.iter().zip(numbers).flat_map(|(piece, number)| [piece.clone(), number]).collect()
    }

    fn patterns(&mut self) -> Vec<(Vec<String>, Vec<i64>)> {
        self.list(|from| {
            let pieces = from.list(|from| {
                let bytes = (0..from.raw()).map(|_| *from.rest.next().expect("a byte")).collect();
                String::from_utf8(bytes).expect("the piece is UTF-8")
            });
            let numbers = vec![0; pieces.len() - 1];
            (pieces, numbers)
        })
    }

    /// Reads a position, and returns the value of `of` at that position.
    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.number::<usize>()]
    }
}

const CLOCKS: [Clock; 2] = [Clock::Nanoseconds, Clock::Positions];
pub(crate) const KINDS: [Kind; 14] = [
    Kind::Message,
    Kind::Send,
    Kind::Timer,
    Kind::Disk,
    Kind::Machine,
    Kind::Client,
    Kind::Operator,
    Kind::Start,
    Kind::Crash,
    Kind::Pause,
    Kind::Resume,
    Kind::Fault,
    Kind::Phase,
    Kind::Other,
];
const CONDITIONS: [Condition; 3] = [Condition::Up, Condition::Down, Condition::Paused];
const ROLES: [Role; 4] = [Role::Follower, Role::PreCandidate, Role::Candidate, Role::Leader];
pub(crate) const TOPICS: [Topic; 6] =
    [Topic::Vote, Topic::Append, Topic::Heartbeat, Topic::Snapshot, Topic::Read, Topic::Other];
const WRITE_OUTCOMES: [WriteOutcome; 5] = [
    WriteOutcome::Pending,
    WriteOutcome::Flushed,
    WriteOutcome::Torn,
    WriteOutcome::Lost,
    WriteOutcome::Failed,
];
const OUTCOMES: [Outcome; 3] = [Outcome::Returned, Outcome::Failed, Outcome::Unknown];
const RELEVANCES: [Relevance; 3] =
    [Relevance::Context, Relevance::Evidence, Relevance::Unexplained];

/// Decodes the document from its bytes.
pub(crate) fn decoded(bytes: &[u8]) -> Document {
    let mut reader = Reader { rest: bytes.iter(), patterns: Vec::new() };
    reader.patterns = reader.patterns();
    let from = &mut reader;
    assert_eq!(from.raw(), crate::encode::VERSION);
    let mut read = Document { name: from.text(), title: from.text(), ..Document::default() };
    read.clock = from.one(&CLOCKS);
    read.facts =
        from.list(|from| Fact { label: from.text(), value: from.text(), code: from.raw() == 1 });
    read.nodes = from.list(Reader::text);
    read.clients = from.list(Reader::text);
    let mut states = vec![State::default(); read.nodes.len()];
    let (mut time, mut place) = (0, 0);
    read.events = from.list(|from| {
        let event = event(from, time, place, &mut states);
        (time, place) = (event.at, place + 1);
        event
    });
    let mut sent = 0;
    read.messages = from.list(|from| {
        let message = message(from, sent, &read.events);
        sent = u64::from(message.sent);
        message
    });
    let mut submitted = 0;
    read.writes = from.list(|from| {
        let (node, text) = (from.number(), from.text());
        submitted = from.after(submitted);
        let ended = from.option::<u64>().map(|after| (submitted + after) as u32);
        Write { node, text, submitted: submitted as u32, ended, outcome: from.one(&WRITE_OUTCOMES) }
    });
    let mut invoked = 0;
    read.operations = from.list(|from| {
        let operation = operation(from, invoked);
        invoked = operation.invoked;
        operation
    });
    read.faults = from.list(|from| {
        let (text, start) = (from.text(), from.raw());
        let until = from.option::<u64>().map(|took| start + took);
        Fault { text, from: start, until, nodes: from.list(Reader::number), event: from.option() }
    });
    read.violation = from
        .list(|from| Violation { event: from.number(), check: from.text(), finding: from.text() })
        .pop();
    read.explanation = from.list(|from| Sentence { text: from.text(), event: from.option() });
    read.tables = from.list(|from| {
        let (title, note) = (from.text(), from.text());
        let columns = from.list(Reader::text);
        let rows = from.list(|from| columns.iter().map(|_| from.text()).collect());
        Table { title, note, columns, rows, marked: from.option() }
    });
    assert_eq!(reader.rest.len(), 0, "all bytes are decoded");
    read
}

fn event(from: &mut Reader<'_>, time: u64, place: u32, states: &mut [State]) -> Event {
    let at = time + from.raw();
    let lane = match from.raw() {
        0 => Lane::Cluster,
        lane if lane % 2 == 1 => Lane::Node((lane / 2) as u16),
        lane => Lane::Client((lane / 2 - 1) as u16),
    };
    let (kind, text) = (from.one(&KINDS), from.text());
    let causes = from.list(|from| place - from.number::<u32>());
    let bits = from.raw();
    let state = match (bits.checked_sub(1), lane) {
        (None, _) => None,
        (Some(bits), Lane::Node(node)) => {
            let state = &mut states[usize::from(node)];
            changed(from, bits, state);
            Some(state.clone())
        }
        (Some(_), _) => panic!("only nodes have states"),
    };
    let log = from.raw().checked_sub(1).map(|entries| {
        let (keep, mut term) = (from.raw(), 0);
        let mut entry = || {
            term = from.after(term);
            Entry { term, text: from.text() }
        };
        LogChange { keep, entries: (0..entries).map(|_| entry()).collect() }
    });
    Event { at, lane, kind, text, causes, state, log }
}

fn changed(from: &mut Reader<'_>, bits: u64, state: &mut State) {
    let mut number = |bit: u32, was: u64| {
        let changed = bits >> bit & 1 == 1;
        if changed { from.after(was) } else { was }
    };
    state.condition = CONDITIONS[number(0, state.condition as u64) as usize];
    state.role = ROLES[number(1, state.role as u64) as usize];
    state.term = number(2, state.term);
    let leader = number(3, state.leader.map_or(0, |leader| u64::from(leader) + 1));
    state.leader = leader.checked_sub(1).map(|leader| leader as u16);
    state.base = number(4, state.base);
    state.snapshot = number(5, state.snapshot);
    state.applied = number(6, state.applied);
    state.committed = number(7, state.committed);
    state.durable = number(8, state.durable);
    state.last = number(9, state.last);
    if bits >> 10 & 1 == 1 {
        state.detail = from.text();
    }
}

fn message(from: &mut Reader<'_>, sent: u64, events: &[Event]) -> Message {
    let sent = from.after(sent);
    let (node, to, topic) = (from.number(), from.number(), from.one(&TOPICS));
    let text = from.text();
    let delivery = match from.raw() {
        0 => Delivery::InFlight,
        1 => Delivery::Arrived(from.after(sent) as u32),
        _ => Delivery::Lost(from.after(events[sent as usize].at)),
    };
    Message { sent: sent as u32, from: node, to, topic, text, delivery }
}

fn operation(from: &mut Reader<'_>, before: u64) -> Operation {
    let (client, call, result) = (from.number(), from.text(), from.text());
    let invoked = from.after(before);
    let returned = from.option::<u64>().map(|took| invoked + took);
    let (outcome, event) = (from.one(&OUTCOMES), from.option());
    let (relevance, place) = (from.one(&RELEVANCES), from.option());
    Operation { client, call, result, invoked, returned, outcome, event, relevance, place }
}

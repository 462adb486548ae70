//! The search space of any model: states are numbered as they occur, and steps are cached.

use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::{FixedState, FoldHasher};
use hashbrown::{HashMap, HashTable};

use crate::history::{EventIndex, Subhistory};
use crate::model::{Effect, Model};
use crate::search::config::{Bits, Config};
use crate::search::plan::{Kind, Task};
use crate::search::walk::Space;

/// A model whose states and operation classes are numbers.
pub(super) trait NumberedModel {
    /// Returns the state after an operation of `class`, if it is legal in `state`.
    fn step(&mut self, state: u32, class: u32) -> Option<u32>;

    /// Returns the number of states so far.
    fn states(&self) -> usize;

    /// Returns the number of bytes that the cache holds.
    fn bytes(&self) -> usize;
}

/// An operation, and its result if the outcome is known.
type OpAndRet<'a, M> = (&'a <M as Model>::Op, Option<&'a <M as Model>::Ret>);

/// The states of a model that occurred so far, and the cached steps between them.
pub(super) struct StateTable<'a, M: Model> {
    model: &'a M,
    /// The operation and result of each class.
    classes: Vec<OpAndRet<'a, M>>,
    states: Vec<M::State>,
    numbers: HashTable<(u64, u32)>,
    steps: HashMap<(u32, u32), u32, FixedState>,
    /// The bytes that the states own, as far as hashing shows or the model reports them.
    owned: usize,
}

const ILLEGAL: u32 = u32::MAX;

/// A hasher that counts the hashed bytes.
struct Counting<'a> {
    inner: FoldHasher<'a>,
    bytes: usize,
}

impl Hasher for Counting<'_> {
    fn finish(&self) -> u64 {
        self.inner.finish()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        self.inner.write(bytes);
    }

    fn write_u32(&mut self, number: u32) {
        self.bytes += 4;
        self.inner.write_u32(number);
    }

    fn write_u64(&mut self, number: u64) {
        self.bytes += 8;
        self.inner.write_u64(number);
    }
}

/// Returns the hash of a state, and the number of hashed bytes.
pub(crate) fn hashed(state: &impl Hash) -> (u64, usize) {
    let hasher = FixedState::with_seed(0);
    let mut counting = Counting { inner: hasher.build_hasher(), bytes: 0 };
    state.hash(&mut counting);
    (counting.finish(), counting.bytes)
}

impl<'a, M: Model> StateTable<'a, M> {
    /// Creates the table, and the tasks of `part` as they were after the event `last`: operations
    /// that return later have an unknown outcome. Without `hints`, only the steps of the model are
    /// used.
    pub(super) fn new(
        model: &'a M,
        part: Subhistory<'a, M::Op, M::Ret>,
        last: EventIndex,
        hints: bool,
    ) -> (StateTable<'a, M>, Vec<Task>) {
        let mut object = StateTable {
            model,
            classes: Vec::new(),
            states: Vec::new(),
            numbers: HashTable::new(),
            steps: HashMap::with_hasher(FixedState::default()),
            owned: 0,
        };
        object.number(model.init());
        let mut classes: HashMap<OpAndRet<'a, M>, u32, FixedState> =
            HashMap::with_hasher(FixedState::default());
        let mut tasks = Vec::with_capacity(part.len());
        let deadlines = if hints { model.unknown_deadlines(part, last) } else { None };
        for (number, (id, operation)) in part.iter().enumerate() {
            if operation.invoked > last {
                break;
            }
            let op = &operation.op;
            let ret = operation.ret().filter(|_| operation.returned() <= last);
            let new = u32::try_from(object.classes.len())
                .expect("a history has at most u32::MAX operations");
            let class = *classes.entry((op, ret)).or_insert(new);
            if class == new {
                object.classes.push((op, ret));
            }
            let effect = if hints { model.effect(op, ret) } else { Effect::Update };
            let kind = match effect {
                Effect::ReadOnly => Kind::ReadOnly,
                Effect::BlindWrite if object.step(0, class).is_some() => Kind::BlindWrite,
                Effect::BlindWrite | Effect::Update => Kind::Update,
            };
            let known = ret.is_some();
            let invoked = operation.invoked;
            let ends = match (known, &deadlines) {
                (true, _) => operation.returned(),
                (false, Some(deadlines)) => deadlines[number],
                (false, None) => EventIndex::NEVER,
            };
            if known || (kind != Kind::ReadOnly && ends > invoked) {
                tasks.push(Task { id, kind, known, class, slot: 0, invoked, ends });
            }
        }
        (object, tasks)
    }

    fn number(&mut self, state: M::State) -> u32 {
        let (hash, bytes) = hashed(&state);
        let same =
            |(other, number): &(u64, u32)| *other == hash && self.states[*number as usize] == state;
        if let Some((_, number)) = self.numbers.find(hash, same) {
            return *number;
        }
        let number =
            u32::try_from(self.states.len()).expect("memory is exhausted before u32 overflows");
        self.numbers.insert_unique(hash, (hash, number), |(hash, _)| *hash);
        self.owned = self.owned.saturating_add(bytes + self.model.unhashed_bytes(&state));
        self.states.push(state);
        number
    }
}

impl<M: Model> NumberedModel for StateTable<'_, M> {
    fn step(&mut self, state: u32, class: u32) -> Option<u32> {
        if let Some(after) = self.steps.get(&(state, class)) {
            return (*after != ILLEGAL).then_some(*after);
        }
        let (op, ret) = self.classes[class as usize];
        let after = self.model.step(&self.states[state as usize], op, ret);
        let after = after.map(|after| self.number(after));
        self.steps.insert((state, class), after.unwrap_or(ILLEGAL));
        after
    }

    fn states(&self) -> usize {
        self.states.len()
    }

    fn bytes(&self) -> usize {
        let states = self.states.capacity() * size_of::<M::State>() + self.owned;
        let classes = self.classes.capacity() * size_of::<OpAndRet<'_, M>>();
        states + classes + self.numbers.allocation_size() + self.steps.allocation_size()
    }
}

/// The search space of a model.
pub(super) struct ModelSpace<'a, const W: usize> {
    object: &'a mut dyn NumberedModel,
    /// The class of each task.
    classes: Vec<u32>,
    /// The classes and slots of the pending read-only tasks.
    open_reads: Vec<(u32, u32)>,
    /// The slots of the pending updates, and of those whose outcome is known.
    updates: Bits<W>,
    known_updates: Bits<W>,
    /// For each state, the legal pending read-only tasks, and the epoch in which they were found.
    legal: Vec<(u64, Bits<W>)>,
    epoch: u64,
}

impl<'a, const W: usize> ModelSpace<'a, W> {
    pub(super) fn new(object: &'a mut dyn NumberedModel, tasks: &[Task]) -> ModelSpace<'a, W> {
        ModelSpace {
            object,
            classes: tasks.iter().map(|task| task.class).collect(),
            open_reads: Vec::new(),
            updates: Bits::NONE,
            known_updates: Bits::NONE,
            legal: Vec::new(),
            epoch: 1,
        }
    }
}

impl<const W: usize> Space<W> for ModelSpace<'_, W> {
    fn init(&self) -> u32 {
        0
    }

    fn open(&mut self, number: u32, task: &Task) {
        match task.kind {
            Kind::ReadOnly => {
                self.open_reads.push((self.classes[number as usize], task.slot));
                self.epoch += 1;
            }
            Kind::BlindWrite => {}
            Kind::Update => {
                self.updates.set(task.slot);
                if task.known {
                    self.known_updates.set(task.slot);
                }
            }
        }
    }

    fn close(&mut self, _: u32, task: &Task) {
        match task.kind {
            Kind::ReadOnly => {
                self.open_reads.retain(|(_, slot)| *slot != task.slot);
                self.epoch += 1;
            }
            Kind::BlindWrite => {}
            Kind::Update => {
                self.updates.clear(task.slot);
                self.known_updates.clear(task.slot);
            }
        }
    }

    fn observers(&mut self, state: u32) -> Bits<W> {
        let states = self.object.states().max(state as usize + 1);
        if self.legal.len() < states {
            self.legal.resize(states, (0, Bits::NONE));
        }
        let (found, legal) = self.legal[state as usize];
        if found == self.epoch {
            return legal;
        }
        let mut legal = Bits::NONE;
        for (class, slot) in &self.open_reads {
            if self.object.step(state, *class).is_some() {
                legal.set(*slot);
            }
        }
        self.legal[state as usize] = (self.epoch, legal);
        legal
    }

    fn target(&mut self, number: u32) -> u32 {
        let class = self.classes[number as usize];
        self.object.step(0, class).expect("a blind write is legal in every state")
    }

    fn apply(&mut self, state: u32, number: u32) -> Option<u32> {
        self.object.step(state, self.classes[number as usize])
    }

    fn enables_update(&self, config: &Config<W>) -> bool {
        let spent = self.known_updates.and(&config.done).or(&config.used);
        !self.updates.without(&spent).is_empty()
    }

    fn pending_reads(&self) -> usize {
        self.open_reads.len()
    }

    fn bytes(&self) -> usize {
        let open_reads = self.open_reads.capacity() * size_of::<(u32, u32)>();
        let legal = self.legal.capacity() * size_of::<(u64, Bits<W>)>();
        self.object.bytes() + self.classes.len() * size_of::<u32>() + open_reads + legal
    }
}

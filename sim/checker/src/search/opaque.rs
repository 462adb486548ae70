//! The space of any object: its states are numbered as they turn up, and what leads from one to
//! which is remembered.

use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::{FixedState, FoldHasher};
use hashbrown::{HashMap, HashTable};

use crate::history::{Moment, Part};
use crate::model::{Effect, Model};
use crate::search::config::{Bits, Config};
use crate::search::plan::{Kind, Task};
use crate::search::walk::Space;

/// An object whose states and tasks are numbers.
pub(super) trait Steps {
    /// The state after a task of `class`, if it is legal in `state`.
    fn step(&mut self, state: u32, class: u32) -> Option<u32>;

    /// How many states there are.
    fn states(&self) -> usize;

    /// Bytes that it holds.
    fn bytes(&self) -> usize;
}

/// What a task is asked, and told if its outcome is known.
type Told<'a, M> = (&'a <M as Model>::Op, Option<&'a <M as Model>::Ret>);

/// The states of a model that turned up.
pub(super) struct Numbered<'a, M: Model> {
    model: &'a M,
    /// What the tasks of each class are asked and told.
    classes: Vec<Told<'a, M>>,
    states: Vec<M::State>,
    numbers: HashTable<(u64, u32)>,
    steps: HashMap<(u32, u32), u32, FixedState>,
    /// Bytes that the states own, as far as hashing them shows or the model says.
    owned: usize,
}

const ILLEGAL: u32 = u32::MAX;

/// Counts the bytes that are hashed.
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

/// The hash of a state, and how many bytes of it were hashed.
fn hash(state: &impl Hash) -> (u64, usize) {
    let hasher = FixedState::with_seed(0);
    let mut counting = Counting { inner: hasher.build_hasher(), bytes: 0 };
    state.hash(&mut counting);
    (counting.finish(), counting.bytes)
}

impl<'a, M: Model> Numbered<'a, M> {
    /// The object, and the tasks of `part` as they were after the moment `last`: what has not
    /// returned by then has an unknown outcome. Without `hints`, nothing is taken from the model
    /// but what its steps are.
    pub(super) fn new(
        model: &'a M,
        part: Part<'a, M::Op, M::Ret>,
        last: Moment,
        hints: bool,
    ) -> (Numbered<'a, M>, Vec<Task>) {
        let mut object = Numbered {
            model,
            classes: Vec::new(),
            states: Vec::new(),
            numbers: HashTable::new(),
            steps: HashMap::with_hasher(FixedState::default()),
            owned: 0,
        };
        object.number(model.init());
        let mut classes: HashMap<Told<'a, M>, u32, FixedState> =
            HashMap::with_hasher(FixedState::default());
        let mut tasks = Vec::with_capacity(part.len());
        let lapses = if hints { model.lapses(part, last) } else { None };
        for (number, (id, operation)) in part.iter().enumerate() {
            if operation.invoked > last {
                break;
            }
            let op = &operation.op;
            let ret = operation.ret().filter(|_| operation.returned() <= last);
            let new = u32::try_from(object.classes.len()).expect("four billion at most");
            let class = *classes.entry((op, ret)).or_insert(new);
            if class == new {
                object.classes.push((op, ret));
            }
            let effect = if hints { model.effect(op, ret) } else { Effect::Update };
            let kind = match effect {
                Effect::Observe => Kind::Observe,
                Effect::Overwrite if object.step(0, class).is_some() => Kind::Overwrite,
                Effect::Overwrite | Effect::Update => Kind::Update,
            };
            let known = ret.is_some();
            let invoked = operation.invoked;
            let ends = match (known, &lapses) {
                (true, _) => operation.returned(),
                (false, Some(lapses)) => lapses[number],
                (false, None) => Moment::NEVER,
            };
            if known || (kind != Kind::Observe && ends > invoked) {
                tasks.push(Task { id, kind, known, class, slot: 0, invoked, ends });
            }
        }
        (object, tasks)
    }

    fn number(&mut self, state: M::State) -> u32 {
        let (hash, bytes) = hash(&state);
        let same =
            |(other, number): &(u64, u32)| *other == hash && self.states[*number as usize] == state;
        if let Some((_, number)) = self.numbers.find(hash, same) {
            return *number;
        }
        let number = u32::try_from(self.states.len()).expect("so many do not fit in memory");
        self.numbers.insert_unique(hash, (hash, number), |(hash, _)| *hash);
        self.owned = self.owned.saturating_add(bytes + self.model.hidden_bytes(&state));
        self.states.push(state);
        number
    }
}

impl<M: Model> Steps for Numbered<'_, M> {
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
        let classes = self.classes.capacity() * size_of::<Told<'_, M>>();
        states + classes + self.numbers.allocation_size() + self.steps.allocation_size()
    }
}

/// The space.
pub(super) struct Opaque<'a, const W: usize> {
    object: &'a mut dyn Steps,
    /// The class of each task.
    classes: Vec<u32>,
    /// Open observers, with their slots.
    watches: Vec<(u32, u32)>,
    /// Slots of open updates, and of those whose outcome is known.
    updates: Bits<W>,
    exact: Bits<W>,
    /// Which observers are legal in each state, and when that was found out.
    legal: Vec<(u64, Bits<W>)>,
    epoch: u64,
}

impl<'a, const W: usize> Opaque<'a, W> {
    pub(super) fn new(object: &'a mut dyn Steps, tasks: &[Task]) -> Opaque<'a, W> {
        Opaque {
            object,
            classes: tasks.iter().map(|task| task.class).collect(),
            watches: Vec::new(),
            updates: Bits::NONE,
            exact: Bits::NONE,
            legal: Vec::new(),
            epoch: 1,
        }
    }
}

impl<const W: usize> Space<W> for Opaque<'_, W> {
    fn init(&self) -> u32 {
        0
    }

    fn open(&mut self, number: u32, task: &Task) {
        match task.kind {
            Kind::Observe => {
                self.watches.push((self.classes[number as usize], task.slot));
                self.epoch += 1;
            }
            Kind::Overwrite => {}
            Kind::Update => {
                self.updates.set(task.slot);
                if task.known {
                    self.exact.set(task.slot);
                }
            }
        }
    }

    fn close(&mut self, _: u32, task: &Task) {
        match task.kind {
            Kind::Observe => {
                self.watches.retain(|(_, slot)| *slot != task.slot);
                self.epoch += 1;
            }
            Kind::Overwrite => {}
            Kind::Update => {
                self.updates.clear(task.slot);
                self.exact.clear(task.slot);
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
        for (class, slot) in &self.watches {
            if self.object.step(state, *class).is_some() {
                legal.set(*slot);
            }
        }
        self.legal[state as usize] = (self.epoch, legal);
        legal
    }

    fn target(&mut self, number: u32) -> u32 {
        let class = self.classes[number as usize];
        self.object.step(0, class).expect("an overwrite is legal in the first state")
    }

    fn apply(&mut self, state: u32, number: u32) -> Option<u32> {
        self.object.step(state, self.classes[number as usize])
    }

    fn builds(&self, config: &Config<W>) -> bool {
        let spent = self.exact.and(&config.done).or(&config.used);
        !self.updates.without(&spent).is_empty()
    }

    fn bytes(&self) -> usize {
        let watches = self.watches.capacity() * size_of::<(u32, u32)>();
        let legal = self.legal.capacity() * size_of::<(u64, Bits<W>)>();
        self.object.bytes() + self.classes.len() * size_of::<u32>() + watches + legal
    }
}

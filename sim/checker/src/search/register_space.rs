//! The search space of a register with reads, writes and compare-and-set. States are values, and
//! the later reads of each value are known in advance.

use std::collections::BinaryHeap;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::history::{EventIndex, Subhistory};
use crate::model::{Effect, Model, RegisterAccess};
use crate::search::config::{Bits, Config};
use crate::search::plan::{Kind, Task};
use crate::search::walk::Space;

/// The state that stands for all values that no operation observes.
const ANY: u32 = 0;

/// One value of the register, and the slots of the pending tasks that concern it.
#[derive(Clone, Copy, Debug)]
struct ValueSlots<const W: usize> {
    /// Pending reads of this value, and reads that found a different value.
    equal_reads: Bits<W>,
    differs: Bits<W>,
    /// Pending writes of this value, and swaps to it.
    writers: Bits<W>,
    /// Pending swaps from this value.
    swaps_from: Bits<W>,
    known: LastInvocations,
}

/// The last invocations of tasks that concern a value.
#[derive(Clone, Copy, Debug, Default)]
struct LastInvocations {
    /// The last task with a known outcome that needs the value, and the last one that can use it.
    needed: EventIndex,
    wanted: EventIndex,
    written: EventIndex,
    differs: EventIndex,
}

/// The search space of one register.
#[derive(Debug)]
pub(super) struct RegisterSpace<const W: usize> {
    values: Vec<ValueSlots<W>>,
    accesses: Vec<RegisterAccess>,
    init: u32,
    /// The slots of all pending reads of a value, of reads that found a different value, of writes,
    /// and of swaps with a known outcome.
    equal_reads: Bits<W>,
    differs: Bits<W>,
    writes: Bits<W>,
    swaps: Bits<W>,
    /// The last invocation of a read that found a different value.
    differs_last: EventIndex,
    /// The value of each pending read, by slot.
    read_values: Vec<u32>,
}

/// The tasks of a register before they are assigned to slots.
pub(super) struct RegisterTasks {
    pub(super) tasks: Vec<Task>,
    accesses: Vec<RegisterAccess>,
    known: Vec<LastInvocations>,
    init: u32,
}

impl RegisterTasks {
    /// Creates the tasks of `part` as they were after the event `last`: operations that return
    /// later have an unknown outcome. Returns `None` if `part` is not a register.
    pub(super) fn new<M: Model>(
        model: &M,
        part: Subhistory<'_, M::Op, M::Ret>,
        last: EventIndex,
    ) -> Option<RegisterTasks> {
        let mut register =
            RegisterTasks { tasks: Vec::new(), accesses: Vec::new(), known: Vec::new(), init: 0 };
        register.tasks.reserve(part.len());
        register.accesses.reserve(part.len());
        let mut numbers: HashMap<u64, u32, FixedState> =
            HashMap::with_hasher(FixedState::default());
        let mut number = |value: u64| {
            let new = u32::try_from(numbers.len() + 1)
                .expect("a history has at most u32::MAX operations");
            u64::from(*numbers.entry(value).or_insert(new))
        };
        let init = part.iter().next().map_or(0, |(_, first)| model.register_init(&first.op));
        register.init = number(init) as u32;
        for (id, operation) in part.iter() {
            if operation.invoked > last {
                break;
            }
            let ret = operation.ret().filter(|_| operation.returned() <= last);
            if ret.is_none() && model.effect(&operation.op, None) == Effect::ReadOnly {
                continue;
            }
            let access = match model.register_access(&operation.op, ret)? {
                RegisterAccess::ReadEqual(value) => RegisterAccess::ReadEqual(number(value)),
                RegisterAccess::ReadNotEqual(value) => RegisterAccess::ReadNotEqual(number(value)),
                RegisterAccess::Write(value) => RegisterAccess::Write(number(value)),
                RegisterAccess::CompareAndSet { from, to } if from == to => {
                    RegisterAccess::ReadEqual(number(from))
                }
                RegisterAccess::CompareAndSet { from, to } => {
                    RegisterAccess::CompareAndSet { from: number(from), to: number(to) }
                }
            };
            let (kind, known) = match access {
                RegisterAccess::ReadEqual(_) | RegisterAccess::ReadNotEqual(_) => {
                    (Kind::ReadOnly, ret.is_some())
                }
                RegisterAccess::Write(_) => (Kind::BlindWrite, ret.is_some()),
                RegisterAccess::CompareAndSet { .. } => (Kind::Update, ret.is_some()),
            };
            if kind == Kind::ReadOnly && !known {
                continue;
            }
            let invoked = operation.invoked;
            let ends = if known { operation.returned() } else { EventIndex::NEVER };
            register.tasks.push(Task { id, kind, known, class: 0, slot: 0, invoked, ends });
            register.accesses.push(access);
        }
        let values = numbers.len() + 1;
        register.find_deadlines(values);
        register.find_last_invocations(values);
        register.merge_equivalent(values);
        Some(register)
    }

    /// Finds the deadline of each task with an unknown outcome: the last response that its effect
    /// could explain. Removes the tasks that never matter.
    fn find_deadlines(&mut self, values: usize) {
        if self.tasks.iter().all(|task| task.known) {
            return;
        }
        let mut last_equal_read = vec![EventIndex(0); values];
        let mut differs = vec![EventIndex(0); values];
        for (task, access) in self.tasks.iter().zip(&self.accesses) {
            let (last, value) = match *access {
                RegisterAccess::ReadEqual(value) => (&mut last_equal_read, value),
                RegisterAccess::CompareAndSet { from, .. } if task.known => {
                    (&mut last_equal_read, from)
                }
                RegisterAccess::ReadNotEqual(value) => (&mut differs, value),
                RegisterAccess::Write(_) | RegisterAccess::CompareAndSet { .. } => continue,
            };
            last[value as usize] = last[value as usize].max(task.ends);
        }
        // The value that a read found absent last, and the last response of a read that found any
        // other value absent.
        let worst = (0..values).max_by_key(|value| differs[*value]).unwrap_or(0);
        let others = (0..values).filter(|value| *value != worst);
        let second = others.map(|value| differs[value]).max().unwrap_or_default();
        let ends = |access: &RegisterAccess, last_equal_read: &[EventIndex]| match *access {
            RegisterAccess::Write(to) if to as usize == worst => {
                last_equal_read[to as usize].max(second)
            }
            RegisterAccess::Write(to) => last_equal_read[to as usize].max(differs[worst]),
            RegisterAccess::CompareAndSet { from, to } => {
                last_equal_read[to as usize].max(differs[from as usize])
            }
            RegisterAccess::ReadEqual(_) | RegisterAccess::ReadNotEqual(_) => EventIndex(0),
        };
        let mut swaps: Vec<(u64, u64, EventIndex)> = Vec::new();
        for (task, access) in self.tasks.iter().zip(&self.accesses) {
            if let (false, RegisterAccess::CompareAndSet { from, to }) = (task.known, *access) {
                swaps.push((to, from, task.invoked));
                if differs[from as usize] > task.invoked {
                    let last = &mut last_equal_read[from as usize];
                    *last = differs[from as usize].max(*last);
                }
            }
        }
        pass_on_needs(swaps, &mut last_equal_read);
        let mut matters = Vec::with_capacity(self.tasks.len());
        for (task, access) in self.tasks.iter_mut().zip(&self.accesses) {
            if !task.known {
                task.ends = ends(access, &last_equal_read);
            }
            matters.push(task.ends > task.invoked);
        }
        let mut keep = matters.iter();
        self.tasks.retain(|_| *keep.next().expect("one flag per task"));
        let mut keep = matters.iter();
        self.accesses.retain(|_| *keep.next().expect("one flag per task"));
    }

    /// Finds when each value is needed, used and written for the last time.
    fn find_last_invocations(&mut self, values: usize) {
        self.known = vec![LastInvocations::default(); values];
        for (task, access) in self.tasks.iter().zip(&self.accesses) {
            let known = &mut self.known;
            // Tasks are in the order of invocation, so the last assignment remains.
            match *access {
                RegisterAccess::ReadEqual(value) => {
                    known[value as usize].needed = task.invoked;
                    known[value as usize].wanted = task.invoked;
                }
                RegisterAccess::ReadNotEqual(value) => known[value as usize].differs = task.invoked,
                RegisterAccess::Write(value) => known[value as usize].written = task.invoked,
                RegisterAccess::CompareAndSet { from, to } => {
                    if task.known {
                        known[from as usize].needed = task.invoked;
                    }
                    known[from as usize].wanted = task.invoked;
                    known[to as usize].written = task.invoked;
                }
            }
        }
    }

    /// Merges all values that no task observes, and numbers the classes of interchangeable tasks.
    fn merge_equivalent(&mut self, values: usize) {
        let mut observed = vec![false; values];
        for access in &self.accesses {
            match *access {
                RegisterAccess::ReadEqual(value)
                | RegisterAccess::ReadNotEqual(value)
                | RegisterAccess::CompareAndSet { from: value, .. } => {
                    observed[value as usize] = true;
                }
                RegisterAccess::Write(_) => {}
            }
        }
        let of = |value: u64| if observed[value as usize] { value } else { u64::from(ANY) };
        let mut swaps: HashMap<(u64, u64), u32, FixedState> =
            HashMap::with_hasher(FixedState::default());
        self.init = of(u64::from(self.init)) as u32;
        for (task, access) in self.tasks.iter_mut().zip(&mut self.accesses) {
            match access {
                RegisterAccess::ReadEqual(_) | RegisterAccess::ReadNotEqual(_) => {}
                RegisterAccess::Write(value) => {
                    *value = of(*value);
                    task.class = *value as u32;
                }
                RegisterAccess::CompareAndSet { from, to } => {
                    *to = of(*to);
                    let new = (values + swaps.len()) as u32;
                    task.class = *swaps.entry((*from, *to)).or_insert(new);
                }
            }
        }
        self.known[ANY as usize] = LastInvocations::default();
    }
}

/// Passes on until when each value is needed: a swap of unknown outcome that matters needs the
/// value that it expects until then, and so on. `swaps` has the new value, the expected one and the
/// invocation of each such swap.
fn pass_on_needs(mut swaps: Vec<(u64, u64, EventIndex)>, needed_until: &mut [EventIndex]) {
    swaps.sort_unstable();
    // The latest needs come first, so each is final when it is passed on.
    let mut later: BinaryHeap<(EventIndex, u64)> = BinaryHeap::new();
    later.extend(needed_until.iter().zip(0..).map(|(last, value)| (*last, value)));
    while let Some((until, value)) = later.pop() {
        if until < needed_until[value as usize] {
            continue;
        }
        let first = swaps.partition_point(|(to, ..)| *to < value);
        for (_, from, invoked) in swaps[first..].iter().take_while(|(to, ..)| *to == value) {
            let last = &mut needed_until[*from as usize];
            if until > *invoked && until > *last {
                *last = until;
                later.push((until, *from));
            }
        }
    }
}

impl<const W: usize> RegisterSpace<W> {
    pub(super) fn new(register: RegisterTasks) -> RegisterSpace<W> {
        let none = Bits::NONE;
        let value = |known: &LastInvocations| ValueSlots {
            equal_reads: none,
            differs: none,
            writers: none,
            swaps_from: none,
            known: *known,
        };
        RegisterSpace {
            values: register.known.iter().map(value).collect(),
            differs_last: register
                .known
                .iter()
                .map(|known| known.differs)
                .max()
                .unwrap_or_default(),
            accesses: register.accesses,
            init: register.init,
            equal_reads: none,
            differs: none,
            writes: none,
            swaps: none,
            read_values: vec![ANY; 64 * W],
        }
    }

    /// Returns the number of bytes of the space of `register`.
    pub(super) fn bytes_for(register: &RegisterTasks) -> usize {
        register.known.len() * size_of::<ValueSlots<W>>()
            + register.accesses.len() * size_of::<RegisterAccess>()
    }

    fn value(&self, value: u32) -> &ValueSlots<W> {
        &self.values[value as usize]
    }

    /// Returns those of `tasks`, which are not read-only, that can still take effect.
    fn usable(&self, config: &Config<W>, tasks: &Bits<W>) -> Bits<W> {
        tasks.without(&config.used).without(&self.swaps.and(&config.done))
    }

    fn change(&mut self, number: u32, task: &Task, set: fn(&mut Bits<W>, u32)) {
        match self.accesses[number as usize] {
            RegisterAccess::ReadEqual(value) => {
                set(&mut self.values[value as usize].equal_reads, task.slot);
                set(&mut self.equal_reads, task.slot);
                self.read_values[task.slot as usize] = value as u32;
            }
            RegisterAccess::ReadNotEqual(value) => {
                set(&mut self.values[value as usize].differs, task.slot);
                set(&mut self.differs, task.slot);
            }
            RegisterAccess::Write(value) => {
                set(&mut self.values[value as usize].writers, task.slot);
                set(&mut self.writes, task.slot);
            }
            RegisterAccess::CompareAndSet { from, to } => {
                set(&mut self.values[from as usize].swaps_from, task.slot);
                set(&mut self.values[to as usize].writers, task.slot);
                if task.known {
                    set(&mut self.swaps, task.slot);
                }
            }
        }
    }
}

impl<const W: usize> Space<W> for RegisterSpace<W> {
    fn init(&self) -> u32 {
        self.init
    }

    fn open(&mut self, number: u32, task: &Task) {
        self.change(number, task, Bits::set);
    }

    fn close(&mut self, number: u32, task: &Task) {
        self.change(number, task, Bits::clear);
    }

    fn observers(&mut self, state: u32) -> Bits<W> {
        let value = self.value(state);
        self.differs.without(&value.differs).or(&value.equal_reads)
    }

    fn target(&mut self, number: u32) -> u32 {
        match self.accesses[number as usize] {
            RegisterAccess::Write(value) | RegisterAccess::CompareAndSet { to: value, .. } => {
                value as u32
            }
            RegisterAccess::ReadEqual(_) | RegisterAccess::ReadNotEqual(_) => {
                unreachable!("a read-only task has no target")
            }
        }
    }

    fn apply(&mut self, state: u32, number: u32) -> Option<u32> {
        match self.accesses[number as usize] {
            RegisterAccess::CompareAndSet { from, to } => {
                (from == u64::from(state)).then_some(to as u32)
            }
            _ => unreachable!("only a compare-and-set is an update"),
        }
    }

    fn enables_update(&self, config: &Config<W>) -> bool {
        !self.usable(config, &self.value(config.state).swaps_from).is_empty()
    }

    /// Returns true if a task needs the value `gone`, and no pending or later task writes it.
    fn is_dead_end(&self, config: &Config<W>, gone: u32, now: EventIndex) -> bool {
        let value = self.value(gone);
        let pending =
            value.equal_reads.or(&value.swaps_from.and(&self.swaps)).without(&config.done);
        let needed = value.known.needed > now || !pending.is_empty();
        let made = value.known.written > now || !self.usable(config, &value.writers).is_empty();
        needed && !made
    }

    /// A value that no task reads is useful only to tasks that need another value to be gone.
    fn is_useful_state(&self, config: &Config<W>, other: u32, now: EventIndex) -> bool {
        let other = self.value(other);
        self.value(config.state).known.wanted > now
            || self.enables_update(config)
            || other.known.differs > now
            || !other.differs.without(&config.done).is_empty()
    }

    fn is_useful_write(&self, config: &Config<W>, target: u32, now: EventIndex) -> bool {
        let value = self.value(target);
        value.known.wanted > now
            || !value.equal_reads.without(&config.done).is_empty()
            || !self.usable(config, &value.swaps_from).is_empty()
            || self.differs_last > now
            || !self.differs.without(&config.done).is_empty()
    }

    /// Writes, just before the present write, every value that only pending reads need. Does
    /// nothing if a failed compare-and-set is pending or comes later, because it may need one of
    /// these writes.
    fn complete_before_write(&self, config: &mut Config<W>, now: EventIndex) {
        let pending = self.equal_reads.without(&config.done);
        let escapes = self.differs_last > now || !self.differs.without(&config.done).is_empty();
        if pending.is_empty() || escapes {
            return;
        }
        for slot in pending.slots() {
            let number = self.read_values[slot as usize];
            let value = self.value(number);
            let writers = value.writers.and(&self.writes).without(&config.used);
            let later =
                value.known.wanted > now || !self.usable(config, &value.swaps_from).is_empty();
            if number != config.state && !later && !writers.is_empty() {
                config.done = config.done.or(&value.equal_reads);
                config.used = config.used.or(&writers);
            }
        }
    }

    fn merge_unobserved(&self, config: &mut Config<W>, now: EventIndex) {
        let value = self.value(config.state);
        let later = value.known.wanted > now || value.known.differs > now;
        let pending = value.equal_reads.or(&value.differs).without(&config.done);
        if !later && pending.is_empty() && !self.enables_update(config) {
            config.state = ANY;
        }
    }

    fn bytes(&self) -> usize {
        self.values.len() * size_of::<ValueSlots<W>>()
            + self.accesses.len() * size_of::<RegisterAccess>()
    }
}

//! The space of one value that is read, written, and compared and set: states are values, and it
//! is known beforehand who will ask for which.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::history::{Moment, Part};
use crate::model::{Cell, Effect, Model};
use crate::search::config::{Bits, Config};
use crate::search::plan::{Kind, Task};
use crate::search::walk::Space;

/// All the values that nothing can tell from one another.
const ANY: u32 = 0;

/// One value, and the slots of the open tasks that have to do with it.
#[derive(Clone, Copy, Debug)]
struct Value<const W: usize> {
    /// Observers that it is this, or another one.
    holds: Bits<W>,
    differs: Bits<W>,
    /// Writes of it, and swaps to it.
    makers: Bits<W>,
    /// Swaps from it.
    takers: Bits<W>,
    known: Known,
}

/// When tasks that have to do with a value are invoked for the last time.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// Those with a known outcome that need it, and all that could do with it.
    needed: Moment,
    wanted: Moment,
    made: Moment,
    differs: Moment,
}

/// The space.
#[derive(Debug)]
pub(super) struct Cells<const W: usize> {
    values: Vec<Value<W>>,
    cells: Vec<Cell>,
    init: u32,
    /// Slots of open observers of a value, and that it is another one; of writes; of swaps whose
    /// outcome is known.
    holds: Bits<W>,
    differs: Bits<W>,
    writes: Bits<W>,
    swaps: Bits<W>,
    /// When the last of all that observe that it is another one is invoked.
    differs_last: Moment,
    /// The value of each observer, by slot.
    held: Vec<u32>,
}

/// The tasks of a part that is one cell, before they are put in slots.
pub(super) struct Sketch {
    pub(super) tasks: Vec<Task>,
    cells: Vec<Cell>,
    known: Vec<Known>,
    init: u32,
}

impl Sketch {
    /// The tasks of `part`, as they were after the moment `last`: what has not returned by then
    /// has an unknown outcome. Nothing if the part is no cell.
    pub(super) fn new<M: Model>(
        model: &M,
        part: Part<'_, M::Op, M::Ret>,
        last: Moment,
    ) -> Option<Sketch> {
        let mut sketch =
            Sketch { tasks: Vec::new(), cells: Vec::new(), known: Vec::new(), init: 0 };
        sketch.tasks.reserve(part.len());
        sketch.cells.reserve(part.len());
        let mut numbers: HashMap<u64, u32, FixedState> =
            HashMap::with_hasher(FixedState::default());
        let mut number = |value: u64| {
            let new = u32::try_from(numbers.len() + 1).expect("four billion operations at most");
            u64::from(*numbers.entry(value).or_insert(new))
        };
        sketch.init = number(model.cell_init()) as u32;
        for (id, operation) in part.iter() {
            if operation.invoked > last {
                break;
            }
            let ret = operation.ret().filter(|_| operation.returned() <= last);
            if ret.is_none() && model.effect(&operation.op, None) == Effect::Observe {
                continue;
            }
            let cell = match model.cell(&operation.op, ret)? {
                Cell::Holds(value) => Cell::Holds(number(value)),
                Cell::Differs(value) => Cell::Differs(number(value)),
                Cell::Becomes(value) => Cell::Becomes(number(value)),
                Cell::Swaps { from, to } if from == to => Cell::Holds(number(from)),
                Cell::Swaps { from, to } => Cell::Swaps { from: number(from), to: number(to) },
            };
            let (kind, known) = match cell {
                Cell::Holds(_) | Cell::Differs(_) => (Kind::Observe, ret.is_some()),
                Cell::Becomes(_) => (Kind::Overwrite, ret.is_some()),
                Cell::Swaps { .. } => (Kind::Update, ret.is_some()),
            };
            if kind == Kind::Observe && !known {
                continue;
            }
            let invoked = operation.invoked;
            let ends = if known { operation.returned() } else { Moment::NEVER };
            sketch.tasks.push(Task { id, kind, known, class: 0, slot: 0, invoked, ends });
            sketch.cells.push(cell);
        }
        let values = numbers.len() + 1;
        sketch.retire(values);
        sketch.foresee(values);
        sketch.merge(values);
        Some(sketch)
    }

    /// Finds when tasks whose outcome is unknown stop to matter: with the last return that their
    /// effect could explain. Those that never matter go.
    fn retire(&mut self, values: usize) {
        if self.tasks.iter().all(|task| task.known) {
            return;
        }
        let mut held = vec![Moment(0); values];
        let mut differs = vec![Moment(0); values];
        for (task, cell) in self.tasks.iter().zip(&self.cells) {
            let (last, value) = match *cell {
                Cell::Holds(value) => (&mut held, value),
                Cell::Swaps { from, .. } if task.known => (&mut held, from),
                Cell::Differs(value) => (&mut differs, value),
                Cell::Becomes(_) | Cell::Swaps { .. } => continue,
            };
            last[value as usize] = last[value as usize].max(task.ends);
        }
        // The value that is last, and the last of all others, for those that write the former.
        let worst = (0..values).max_by_key(|value| differs[*value]).unwrap_or(0);
        let others = (0..values).filter(|value| *value != worst);
        let second = others.map(|value| differs[value]).max().unwrap_or_default();
        let ends = |cell: &Cell, held: &[Moment]| match *cell {
            Cell::Becomes(to) if to as usize == worst => held[to as usize].max(second),
            Cell::Becomes(to) => held[to as usize].max(differs[worst]),
            Cell::Swaps { from, to } => held[to as usize].max(differs[from as usize]),
            Cell::Holds(_) | Cell::Differs(_) => Moment(0),
        };
        loop {
            let mut changed = false;
            for (task, cell) in self.tasks.iter().zip(&self.cells) {
                if let (false, Cell::Swaps { from, .. }) = (task.known, *cell) {
                    let until = ends(cell, &held);
                    let from = &mut held[from as usize];
                    if until > task.invoked && until > *from {
                        (*from, changed) = (until, true);
                    }
                }
            }
            if !changed {
                break;
            }
        }
        let mut matters = Vec::with_capacity(self.tasks.len());
        for (task, cell) in self.tasks.iter_mut().zip(&self.cells) {
            if !task.known {
                task.ends = ends(cell, &held);
            }
            matters.push(task.ends > task.invoked);
        }
        let mut keep = matters.iter();
        self.tasks.retain(|_| *keep.next().expect("one for each"));
        let mut keep = matters.iter();
        self.cells.retain(|_| *keep.next().expect("one for each"));
    }

    /// Notes when each value is needed, wanted and made for the last time.
    fn foresee(&mut self, values: usize) {
        self.known = vec![Known::default(); values];
        for (task, cell) in self.tasks.iter().zip(&self.cells) {
            let known = &mut self.known;
            // In the order of invocation, so the last one stays.
            match *cell {
                Cell::Holds(value) => {
                    known[value as usize].needed = task.invoked;
                    known[value as usize].wanted = task.invoked;
                }
                Cell::Differs(value) => known[value as usize].differs = task.invoked,
                Cell::Becomes(value) => known[value as usize].made = task.invoked,
                Cell::Swaps { from, to } => {
                    if task.known {
                        known[from as usize].needed = task.invoked;
                    }
                    known[from as usize].wanted = task.invoked;
                    known[to as usize].made = task.invoked;
                }
            }
        }
    }

    /// Makes one of all values that nothing asks for, and numbers what can stand in for what.
    fn merge(&mut self, values: usize) {
        let mut asked = vec![false; values];
        for cell in &self.cells {
            match *cell {
                Cell::Holds(value) | Cell::Differs(value) | Cell::Swaps { from: value, .. } => {
                    asked[value as usize] = true;
                }
                Cell::Becomes(_) => {}
            }
        }
        let of = |value: u64| if asked[value as usize] { value } else { u64::from(ANY) };
        let mut swaps: HashMap<(u64, u64), u32, FixedState> =
            HashMap::with_hasher(FixedState::default());
        self.init = of(u64::from(self.init)) as u32;
        for (task, cell) in self.tasks.iter_mut().zip(&mut self.cells) {
            match cell {
                Cell::Holds(_) | Cell::Differs(_) => {}
                Cell::Becomes(value) => {
                    *value = of(*value);
                    task.class = *value as u32;
                }
                Cell::Swaps { from, to } => {
                    *to = of(*to);
                    let new = (values + swaps.len()) as u32;
                    task.class = *swaps.entry((*from, *to)).or_insert(new);
                }
            }
        }
        self.known[ANY as usize] = Known::default();
    }
}

impl<const W: usize> Cells<W> {
    pub(super) fn new(sketch: Sketch) -> Cells<W> {
        let none = Bits::NONE;
        let value = |known: &Known| Value {
            holds: none,
            differs: none,
            makers: none,
            takers: none,
            known: *known,
        };
        Cells {
            values: sketch.known.iter().map(value).collect(),
            differs_last: sketch.known.iter().map(|known| known.differs).max().unwrap_or_default(),
            cells: sketch.cells,
            init: sketch.init,
            holds: none,
            differs: none,
            writes: none,
            swaps: none,
            held: vec![ANY; 64 * W],
        }
    }

    fn value(&self, value: u32) -> &Value<W> {
        &self.values[value as usize]
    }

    /// Those of `tasks`, no observers, that can still take effect.
    fn usable(&self, config: &Config<W>, tasks: &Bits<W>) -> Bits<W> {
        tasks.without(&config.used).without(&self.swaps.and(&config.done))
    }

    fn change(&mut self, number: u32, task: &Task, set: fn(&mut Bits<W>, u32)) {
        match self.cells[number as usize] {
            Cell::Holds(value) => {
                set(&mut self.values[value as usize].holds, task.slot);
                set(&mut self.holds, task.slot);
                self.held[task.slot as usize] = value as u32;
            }
            Cell::Differs(value) => {
                set(&mut self.values[value as usize].differs, task.slot);
                set(&mut self.differs, task.slot);
            }
            Cell::Becomes(value) => {
                set(&mut self.values[value as usize].makers, task.slot);
                set(&mut self.writes, task.slot);
            }
            Cell::Swaps { from, to } => {
                set(&mut self.values[from as usize].takers, task.slot);
                set(&mut self.values[to as usize].makers, task.slot);
                if task.known {
                    set(&mut self.swaps, task.slot);
                }
            }
        }
    }
}

impl<const W: usize> Space<W> for Cells<W> {
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
        self.differs.without(&value.differs).or(&value.holds)
    }

    fn target(&mut self, number: u32) -> u32 {
        match self.cells[number as usize] {
            Cell::Becomes(value) | Cell::Swaps { to: value, .. } => value as u32,
            Cell::Holds(_) | Cell::Differs(_) => unreachable!("an observer changes nothing"),
        }
    }

    fn apply(&mut self, state: u32, number: u32) -> Option<u32> {
        match self.cells[number as usize] {
            Cell::Swaps { from, to } => (from == u64::from(state)).then_some(to as u32),
            _ => unreachable!("only swaps are updates"),
        }
    }

    fn builds(&self, config: &Config<W>) -> bool {
        !self.usable(config, &self.value(config.state).takers).is_empty()
    }

    /// Nothing can bring back a value that no open or later task makes.
    fn is_doomed(&self, config: &Config<W>, gone: u32, now: Moment) -> bool {
        let value = self.value(gone);
        let waits = value.holds.or(&value.takers.and(&self.swaps)).without(&config.done);
        let needed = value.known.needed > now || !waits.is_empty();
        let made = value.known.made > now || !self.usable(config, &value.makers).is_empty();
        needed && !made
    }

    /// A value that nothing will ask for is of use only to those who want it not to be another.
    fn is_wanted(&self, config: &Config<W>, other: u32, now: Moment) -> bool {
        let other = self.value(other);
        self.value(config.state).known.wanted > now
            || self.builds(config)
            || other.known.differs > now
            || !other.differs.without(&config.done).is_empty()
    }

    fn shows(&self, config: &Config<W>, target: u32, now: Moment) -> bool {
        let value = self.value(target);
        value.known.wanted > now
            || !value.holds.without(&config.done).is_empty()
            || !self.usable(config, &value.takers).is_empty()
            || self.differs_last > now
            || !self.differs.without(&config.done).is_empty()
    }

    /// A value that only open observers ask for can be written for them, and be gone. Not if it
    /// may yet have to be written so that the value is not another one.
    fn flush(&self, config: &mut Config<W>, now: Moment) {
        let waits = self.holds.without(&config.done);
        let escapes = self.differs_last > now || !self.differs.without(&config.done).is_empty();
        if waits.is_empty() || escapes {
            return;
        }
        for slot in waits.slots() {
            let number = self.held[slot as usize];
            let value = self.value(number);
            let makers = value.makers.and(&self.writes).without(&config.used);
            let later = value.known.wanted > now || !self.usable(config, &value.takers).is_empty();
            if number != config.state && !later && !makers.is_empty() {
                config.done = config.done.or(&value.holds);
                config.used = config.used.or(&makers);
            }
        }
    }

    fn blur(&self, config: &mut Config<W>, now: Moment) {
        let value = self.value(config.state);
        let later = value.known.wanted > now || value.known.differs > now;
        let waits = value.holds.or(&value.differs).without(&config.done);
        if !later && waits.is_empty() && !self.builds(config) {
            config.state = ANY;
        }
    }

    fn bytes(&self) -> usize {
        self.values.len() * size_of::<Value<W>>() + self.cells.len() * size_of::<Cell>()
    }
}

// A run: a document with the indexes that drawing and searching need.

// The first position at which `is` holds, if it holds from some position on (binary search).
function firstWhere(length, is) {
  let [low, high] = [0, length];
  while (low < high) {
    const middle = low + high >> 1;
    if (is(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

// The event number that people see, starting at 1.
const numberOf = event => event + 1;

// The relation of an event to the chosen event.
const [BEFORE, AFTER, CHOSEN] = [1, 2, 3];

class Run {
  constructor(read) {
    Object.assign(this, read);
    const times = [this.at[0], this.at[this.events - 1]].filter(Number.isFinite);
    for (const { invoked, returned } of this.operations) times.push(invoked, returned);
    for (const { from, until } of this.faults) times.push(from, until);
    const known = times.filter(Number.isFinite);
    this.begin = known.length ? known.reduce((one, two) => Math.min(one, two)) : 0;
    this.end = known.length ? known.reduce((one, two) => Math.max(one, two)) : 1;
    if (this.end <= this.begin) this.end = this.begin + 1;
    this.sortByLane();
    this.linkMessages();
    this.linkEffects();
    this.logs = new Logs(this);
    this.phases = [];
    for (let event = 0; event < this.events; event++) {
      if (KINDS[this.kind[event]] === 'phase') this.phases.push(event);
    }
    this.operationAt = new Map();
    for (const one of this.operations) if (one.event >= 0) this.operationAt.set(one.event, one);
  }

  sortByLane() {
    const lists = this.nodes.map(() => ({ all: [], states: [], bars: [], steps: [] }));
    for (let event = 0; event < this.events; event++) {
      const list = lists[nodeOf(this.lane[event])];
      if (!list) continue;
      list.all.push(event);
      if (!this.known[event]) continue;
      const before = list.states.length ? list.states[list.states.length - 1] : -1;
      list.states.push(event);
      if (this.differ(before, event, ['condition', 'role', 'term'])) list.bars.push(event);
      if (this.differ(before, event, ['applied', 'committed', 'last'])) list.steps.push(event);
    }
    this.byNode = lists.map(list => Object.fromEntries(
      Object.entries(list).map(([name, events]) => [name, Uint32Array.from(events)])));
  }

  differ(before, event, names) {
    return before < 0 || names.some(name => this.fields[name][before] !== this.fields[name][event]);
  }

  linkMessages() {
    const { messages } = this;
    this.arriving = new Int32Array(this.events).fill(-1);
    this.sends = new Map();
    for (let i = 0; i < messages.length; i++) {
      if (messages.arrived[i] >= 0) this.arriving[messages.arrived[i]] = i;
      const list = this.sends.get(messages.sent[i]);
      if (list) list.push(i);
      else this.sends.set(messages.sent[i], [i]);
    }
    const took = [];
    for (let i = 0; i < messages.length; i++) {
      if (messages.delivery[i] === ARRIVED) took.push(messages.end[i] - messages.start[i]);
    }
    took.sort((one, two) => one - two);
    // The median travel time; a message that takes four times as long is late.
    this.usual = took.length ? took[took.length >> 1] : (this.end - this.begin) / 100;
    this.late = this.usual * 4;
  }

  linkEffects() {
    const counts = new Uint32Array(this.events + 1);
    for (let event = 0; event < this.events; event++) {
      this.eachCause(event, cause => counts[cause + 1]++);
    }
    for (let event = 0; event < this.events; event++) counts[event + 1] += counts[event];
    this.effectStarts = counts.slice();
    this.effects = new Uint32Array(counts[this.events]);
    for (let event = 0; event < this.events; event++) {
      this.eachCause(event, cause => { this.effects[counts[cause]++] = event; });
    }
  }

  // Calls `does` for each cause of an event: those in the document and the sending of its message.
  eachCause(event, does) {
    const arriving = this.arriving[event];
    const sent = arriving < 0 ? -1 : this.messages.sent[arriving];
    if (sent >= 0) does(sent);
    const start = this.causeStarts[event];
    for (let i = start; i < this.causeStarts[event + 1]; i++) {
      const cause = this.causes[i];
      const isKnown = cause === sent || this.causes.indexOf(cause, start) < i;
      if (!isKnown) does(cause);
    }
  }

  causesOf(event) {
    const list = [];
    this.eachCause(event, cause => list.push(cause));
    return list;
  }

  effectsOf(event) {
    return [...this.effects.subarray(this.effectStarts[event], this.effectStarts[event + 1])];
  }

  // Marks an event, with `past` all its direct and indirect causes, and with `future` its effects.
  causal(event, past, future) {
    const marks = new Uint8Array(this.events);
    const spread = (mark, next) => {
      const open = [event];
      while (open.length) next(open.pop(), other => {
        if (marks[other] || other === event) return;
        marks[other] = mark;
        open.push(other);
      });
    };
    if (past) spread(BEFORE, (one, does) => this.eachCause(one, does));
    if (future) spread(AFTER, (one, does) => {
      for (let i = this.effectStarts[one]; i < this.effectStarts[one + 1]; i++) {
        does(this.effects[i]);
      }
    });
    marks[event] = CHOSEN;
    return marks;
  }

  // The last event of a list that is not after `event`, or -1.
  lastIn(list, event) {
    const place = firstWhere(list.length, i => list[i] > event);
    return place ? list[place - 1] : -1;
  }

  // The last event at or before a time, or else the first event.
  eventAt(time) {
    return Math.max(0, firstWhere(this.events, i => this.at[i] > time) - 1);
  }

  // The state of a node after `event`; null before its first state.
  stateAt(node, event) {
    const known = this.lastIn(this.byNode[node].states, event);
    if (known < 0) return null;
    const state = Object.fromEntries(FIELDS.map(field => [field, this.fields[field][known]]));
    state.detail = this.details[known];
    state.since = known;
    return state;
  }

  // The leader of the highest term after `event`, or -1.
  leaderAt(event) {
    let [leader, term] = [-1, -1];
    for (let node = 0; node < this.nodes.length; node++) {
      const state = this.stateAt(node, event);
      const leads = state && state.condition === UP && state.role === LEADER;
      if (leads && state.term > term) [leader, term] = [node, state.term];
    }
    return leader;
  }

  where(event) {
    const [node, client] = [nodeOf(this.lane[event]), clientOf(this.lane[event])];
    return node >= 0 ? this.nodes[node] : client >= 0 ? this.clients[client] : 'cluster';
  }

  // The description of an event in one line.
  describe(event) {
    const text = this.texts[event];
    const arriving = this.arriving[event];
    if (text || arriving < 0) return text || KINDS[this.kind[event]];
    return `← ${this.nodes[this.messages.from[arriving]]} ${this.messages.texts[arriving]}`;
  }

  // The operation that an event begins or ends.
  operationOf(event) {
    if (clientOf(this.lane[event]) < 0) return null;
    const begun = [event, ...this.causesOf(event)].find(one => this.operationAt.has(one));
    return begun === undefined ? null : this.operationAt.get(begun);
  }

  sentence(event) {
    return `event ${numberOf(event)}, ${instant(this, this.at[event])}, ${this.where(event)}: `
      + this.describe(event);
  }
}

// Decodes a document from its bytes: the counterpart of src/encode/mod.rs. Events are columns.
const VERSION = 1;
const KINDS = [
  'message', 'send', 'timer', 'disk', 'machine', 'client', 'operator', 'start', 'crash', 'pause',
  'resume', 'fault', 'phase', 'other',
];
const TOPICS = ['vote', 'append', 'heartbeat', 'snapshot', 'read', 'other'];
const [IN_FLIGHT, ARRIVED, LOST] = [0, 1, 2];
const [PENDING, FLUSHED, TORN, WRITE_LOST, WRITE_FAILED] = [0, 1, 2, 3, 4];
const WRITE_OUTCOMES = ['pending', 'durable', 'torn', 'lost', 'failed'];
const [RETURNED, FAILED, UNKNOWN] = [0, 1, 2];
const [CONTEXT, EVIDENCE, UNEXPLAINED] = [0, 1, 2];
// The numbers of a state, in the order of their bits.
const FIELDS = [
  'condition', 'role', 'term', 'leader', 'base', 'snapshot', 'applied', 'committed', 'durable',
  'last',
];

function readDocument(bytes) {
  const from = new Reader(bytes);
  const version = from.number();
  if (version !== VERSION) throw new Error(`document version ${version} is not supported`);
  const read = { name: from.text(), title: from.text(), ordered: from.number() === 1 };
  read.facts = from.list(() => ({
    label: from.text(), value: from.text(), code: from.number() === 1,
  }));
  read.nodes = from.list(() => from.text());
  read.clients = from.list(() => from.text());
  readEvents(from, read);
  readMessages(from, read);
  readWrites(from, read);
  let before = 0;
  read.operations = from.list(() => {
    const one = {
      client: from.number(), call: from.text(), result: from.text(),
      invoked: before += from.signed(),
    };
    const took = from.option();
    return Object.assign(one, {
      returned: took < 0 ? Infinity : one.invoked + took, outcome: from.number(),
      event: from.option(), relevance: from.number(), place: from.option(),
    });
  });
  read.faults = from.list(() => {
    const [text, start, took] = [from.text(), from.number(), from.option()];
    return {
      text, from: start, until: took < 0 ? Infinity : start + took,
      nodes: from.list(() => from.number()), event: from.option(),
    };
  });
  [read.violation] = from.list(() => ({
    event: from.number(), check: from.text(), finding: from.text(),
  }));
  read.explanation = from.list(() => ({ text: from.text(), event: from.option() }));
  read.tables = from.list(() => {
    const table = { title: from.text(), note: from.text(), columns: from.list(() => from.text()) };
    table.rows = from.list(() => table.columns.map(() => from.text()));
    table.marked = from.option();
    return table;
  });
  return read;
}

function readEvents(from, read) {
  const events = from.number();
  const fields = Object.fromEntries(FIELDS.map(field => [field, new Float64Array(events)]));
  const last = read.nodes.map(() => ({ numbers: new Array(FIELDS.length).fill(0), detail: -1 }));
  Object.assign(read, {
    events, at: new Float64Array(events), lane: new Uint32Array(events),
    kind: new Uint8Array(events), texts: new Texts(from), details: new Texts(from),
    causeStarts: new Uint32Array(events + 1), causes: [], fields,
    known: new Uint8Array(events), detail: new Int32Array(events).fill(-1), logChanges: [],
  });
  let time = 0;
  for (let event = 0; event < events; event++) {
    read.at[event] = time += from.number();
    read.lane[event] = from.number();
    read.kind[event] = from.number();
    read.texts.take();
    for (let left = from.number(); left > 0; left--) read.causes.push(event - from.number());
    read.causeStarts[event + 1] = read.causes.length;
    readState(from, read, last, event);
    readLog(from, read, event);
  }
}

function readState(from, read, last, event) {
  const bits = from.number() - 1;
  if (bits < 0) return;
  const was = last[nodeOf(read.lane[event])];
  for (let field = 0; field < FIELDS.length; field++) {
    if (bits & 1 << field) was.numbers[field] += from.signed();
    read.fields[FIELDS[field]][event] = was.numbers[field];
  }
  if (bits & 1 << FIELDS.length) was.detail = read.details.take();
  read.known[event] = 1;
  read.detail[event] = was.detail;
}

function readLog(from, read, event) {
  const entries = from.number() - 1;
  if (entries < 0) return;
  const change = { event, keep: from.number(), terms: [], texts: [] };
  let term = 0;
  for (let left = entries; left > 0; left--) {
    change.terms.push(term += from.signed());
    change.texts.push(from.text());
  }
  read.logChanges.push(change);
}

// The node, or the client, of a lane by position; -1 if it has none.
const nodeOf = lane => lane % 2 ? (lane - 1) / 2 : -1;
const clientOf = lane => lane > 0 && lane % 2 === 0 ? lane / 2 - 1 : -1;

function readMessages(from, read) {
  const length = from.number();
  const messages = {
    length, sent: new Uint32Array(length), from: new Uint16Array(length),
    to: new Uint16Array(length), topic: new Uint8Array(length), delivery: new Uint8Array(length),
    arrived: new Int32Array(length).fill(-1), start: new Float64Array(length),
    end: new Float64Array(length), texts: new Texts(from),
  };
  let before = 0;
  const over = read.events ? read.at[read.events - 1] : 0;
  for (let i = 0; i < length; i++) {
    messages.sent[i] = before += from.signed();
    messages.from[i] = from.number();
    messages.to[i] = from.number();
    messages.topic[i] = from.number();
    messages.texts.take();
    messages.delivery[i] = from.number();
    messages.start[i] = read.at[before];
    messages.end[i] = over;
    if (messages.delivery[i] === ARRIVED) {
      messages.arrived[i] = before + from.signed();
      messages.end[i] = read.at[messages.arrived[i]];
    } else if (messages.delivery[i] === LOST) {
      messages.end[i] = messages.start[i] + from.signed();
    }
  }
  read.messages = messages;
}

function readWrites(from, read) {
  let before = 0;
  const over = read.events ? read.at[read.events - 1] : 0;
  read.writes = from.list(() => {
    const write = { node: from.number(), text: from.text(), submitted: before += from.signed() };
    const after = from.option();
    write.ended = after < 0 ? -1 : before + after;
    write.outcome = from.number();
    write.from = read.at[before];
    write.until = write.ended < 0 ? over : read.at[write.ended];
    return write;
  });
}

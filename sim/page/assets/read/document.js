// Decodes a document, which is compressed JSON with the fields of src/document.rs. Events and
// messages become columns, and a missing position becomes -1, a missing end of an operation or a
// fault Infinity.
const KINDS = [
  'message', 'send', 'timer', 'disk', 'machine', 'client', 'operator', 'start', 'crash', 'pause',
  'resume', 'fault', 'phase', 'other',
];
const TOPICS = ['vote', 'append', 'heartbeat', 'snapshot', 'read', 'other'];
const [IN_FLIGHT, ARRIVED, LOST, NO_ARRIVAL_RECORDED] = [0, 1, 2, 3];
const [PENDING, FLUSHED, TORN, WRITE_LOST, WRITE_FAILED] = [0, 1, 2, 3, 4];
const WRITE_OUTCOMES = ['pending', 'durable', 'torn', 'lost', 'failed'];
const [RETURNED, FAILED, UNKNOWN] = [0, 1, 2];
const [CONTEXT, EVIDENCE, UNEXPLAINED] = [0, 1, 2];
// The numbers of a state.
const FIELDS = [
  'condition', 'role', 'term', 'leader', 'base', 'snapshot', 'applied', 'committed', 'durable',
  'last',
];

// Decodes a document from base64.
async function readDocument(text) {
  const bytes = Uint8Array.from(atob(text.trim()), letter => letter.charCodeAt(0));
  const json = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'));
  const parsed = await new Response(json).json().catch(error => {
    throw new Error(`its document cannot be decompressed (${error.message})`);
  });
  return columnsOf(parsed);
}

function columnsOf(document) {
  const { events, messages, operations, writes, faults, explanation } = document;
  const placed = one => ({ ...one, event: one.event ?? -1 });
  const read = { ...document, ordered: document.clock === 1, ...eventColumns(events) };
  const over = read.events ? read.at[read.events - 1] : 0;
  read.messages = messageColumns(messages, read.at, over);
  read.writes = writes.map(write => ({
    ...write, ended: write.ended ?? -1, from: read.at[write.submitted],
    until: write.ended === null ? over : read.at[write.ended],
  }));
  read.operations = operations.map(one => ({
    ...placed(one), returned: one.returned ?? Infinity, place: one.place ?? -1,
  }));
  read.faults = faults.map(fault => ({ ...placed(fault), until: fault.until ?? Infinity }));
  read.explanation = explanation.map(placed);
  return read;
}

function eventColumns(list) {
  const events = list.length;
  const read = {
    events, at: new Float64Array(events), lane: new Uint32Array(events),
    kind: new Uint8Array(events), texts: list.map(({ text }) => text),
    causeStarts: new Uint32Array(events + 1), causes: [],
    fields: Object.fromEntries(FIELDS.map(field => [field, new Float64Array(events)])),
    known: new Uint8Array(events), details: new Array(events), logChanges: [],
  };
  list.forEach(({ at, lane, kind, causes, state, log }, event) => {
    read.at[event] = at;
    read.lane[event] = laneOf(lane);
    read.kind[event] = kind;
    read.causes.push(...causes);
    read.causeStarts[event + 1] = read.causes.length;
    if (log) read.logChanges.push({ event, ...log });
    if (!state) return;
    for (const field of FIELDS) read.fields[field][event] = state[field] ?? -1;
    read.details[event] = state.detail;
    read.known[event] = 1;
  });
  return read;
}

// The number of a lane: 0 for the cluster, odd for a node, even for a client.
const laneOf = ({ Node: node, Client: client }) =>
  node !== undefined ? 1 + 2 * node : client !== undefined ? 2 + 2 * client : 0;

// The node, or the client, of a lane by position; -1 if it has none.
const nodeOf = lane => lane % 2 ? (lane - 1) / 2 : -1;
const clientOf = lane => lane > 0 && lane % 2 === 0 ? lane / 2 - 1 : -1;

function messageColumns(list, at, over) {
  const column = (Column, value) => Column.from(list, value);
  const delivered = delivery => delivery === 'NotRecorded' ? NO_ARRIVAL_RECORDED
    : delivery.Arrived !== undefined ? ARRIVED : delivery.Lost !== undefined ? LOST : IN_FLIGHT;
  return {
    length: list.length, sent: column(Uint32Array, one => one.sent),
    from: column(Uint16Array, one => one.from), to: column(Uint16Array, one => one.to),
    topic: column(Uint8Array, one => one.topic), texts: list.map(({ text }) => text),
    delivery: column(Uint8Array, one => delivered(one.delivery)),
    arrived: column(Int32Array, one => one.delivery.Arrived ?? -1),
    start: column(Float64Array, one => at[one.sent]),
    end: column(Float64Array, ({ delivery }) => delivery.Lost ?? at[delivery.Arrived] ?? over),
  };
}

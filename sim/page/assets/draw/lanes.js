// The positions of all lanes, and the drawing of the faults and the clients' operations.
const RULER = 26;
const FAULT_ROW = 17;
const FAULT_ROWS_MAX = 6;
const [CLIENT_ROW, CLIENT_ROW_ALONE] = [21, 30];
const [DISK, LOG_PLOT, BETWEEN] = [8, 26, 24];

// Puts each span into the first free row, or into the last row if none is free.
function stacked(spans, rowsMax) {
  const free = [];
  return spans.map(({ from, until }) => {
    let row = free.findIndex(end => end <= from);
    if (row < 0) row = free.length < rowsMax ? free.length : rowsMax - 1;
    free[row] = Math.max(free[row] || 0, until);
    return row;
  });
}

// The lanes of a run that `shows` does not hide.
function lanesOf(run, shows) {
  let y = RULER + 6;
  const lanes = { faults: null, clients: [], nodes: [], height: 0 };
  if (run.phases.length) {
    lanes.phases = y;
    y += 18;
  }
  if (run.faults.length && shows.layer('faults')) {
    run.faultRows = run.faultRows || stacked(run.faults, FAULT_ROWS_MAX);
    const rows = run.faultRows.reduce((most, row) => Math.max(most, row + 1), 0);
    lanes.faults = { y, rows, height: rows * FAULT_ROW };
    y += rows * FAULT_ROW + 10;
  }
  if (shows.layer('clients')) {
    const active = new Set(run.operations.map(one => one.client));
    run.clients.forEach((name, client) => {
      if (!active.has(client)) return;
      const height = run.nodes.length ? CLIENT_ROW : CLIENT_ROW_ALONE;
      lanes.clients.push({ client, name, y, height });
      y += height;
    });
    if (lanes.clients.length) y += 12;
  }
  run.nodes.forEach((name, node) => {
    if (!shows.node(node)) return;
    const lane = { node, name, y, bar: y + BAR / 2 };
    y += BAR;
    lane.disk = shows.layer('disk') && run.writes.length ? y + 3 : -1;
    if (lane.disk >= 0) y += DISK + 3;
    lane.logPlot = shows.layer('progress') ? y + 5 : -1;
    if (lane.logPlot >= 0) y += LOG_PLOT + 5;
    lane.height = y - lane.y;
    lanes.nodes.push(lane);
    y += BETWEEN;
  });
  lanes.height = Math.max(120, y - (lanes.nodes.length ? BETWEEN - 12 : 0));
  return lanes;
}

// The text, shortened to `room` pixels; empty if too little of it would be left.
function fit(pen, text, room) {
  if (room < 14) return '';
  const full = pen.measureText(text).width;
  if (full <= room) return text;
  const letters = Math.floor(text.length * room / full) - 1;
  return letters >= 3 ? text.slice(0, letters) + '…' : '';
}

function drawRuler(pen, scene) {
  const { view, paint, run, height } = scene;
  const { step, times } = ticks(view, run.ordered, 96);
  pen.font = `11px ${SANS}`;
  pen.textAlign = 'center';
  pen.textBaseline = 'middle';
  pen.lineWidth = 1;
  for (const time of times) {
    const x = Math.round(view.x(time)) + 0.5;
    pen.strokeStyle = paint.ink('rule');
    pen.beginPath();
    pen.moveTo(x, RULER);
    pen.lineTo(x, height);
    pen.stroke();
    pen.fillStyle = paint.ink('dim');
    if (x > GUTTER + 18 && x < view.width - 24) pen.fillText(tickLabel(run, time, step), x, 13);
  }
  pen.strokeStyle = paint.ink('line');
  pen.beginPath();
  pen.moveTo(0, RULER - 0.5);
  pen.lineTo(view.width, RULER - 0.5);
  pen.stroke();
}

function drawFaults(pen, scene) {
  const { view, paint, run, lanes } = scene;
  if (!lanes.faults) return;
  pen.font = `11px ${SANS}`;
  pen.textAlign = 'left';
  pen.textBaseline = 'middle';
  run.faults.forEach((fault, i) => {
    if (fault.from > view.until || fault.until < view.from) return;
    const left = Math.max(GUTTER, view.x(fault.from));
    const right = Math.min(view.width, Math.max(left + 3, view.x(Math.min(fault.until, run.end))));
    const y = lanes.faults.y + run.faultRows[i] * FAULT_ROW;
    pen.fillStyle = paint.mixed('bad', 'card', 0.16);
    pen.fillRect(left, y, right - left, FAULT_ROW - 3);
    pen.fillStyle = paint.ink('bad');
    if (view.x(fault.from) >= GUTTER) pen.fillRect(left, y, 2, FAULT_ROW - 3);
    const next = scene.faultEdges(i, right);
    pen.fillText(fit(pen, fault.text, next - left - 8), left + 6, y + FAULT_ROW / 2 - 1);
    scene.spots.push({ left, right, top: y, bottom: y + FAULT_ROW, fault: i });
  });
}

// Tints the lanes of the nodes that a fault affects.
function drawFaultShades(pen, scene) {
  const { view, paint, run, lanes } = scene;
  if (!lanes.faults) return;
  pen.globalAlpha = 0.05;
  pen.fillStyle = paint.ink('bad');
  for (const fault of run.faults) {
    if (fault.from > view.until || fault.until < view.from) continue;
    const left = Math.max(GUTTER, view.x(fault.from));
    const right = Math.min(view.width, view.x(Math.min(fault.until, run.end)));
    for (const lane of lanes.nodes) {
      if (!fault.nodes.includes(lane.node)) continue;
      pen.fillRect(left, lane.y - 5, Math.max(1, right - left), lane.height + 10);
    }
  }
  pen.globalAlpha = 1;
}

// Draws the phases of the run as lines through all lanes.
function drawPhases(pen, scene) {
  const { view, paint, run, lanes } = scene;
  pen.font = `11px ${SANS}`;
  pen.textAlign = 'left';
  pen.textBaseline = 'middle';
  let free = GUTTER;
  for (const event of run.phases) {
    const x = Math.round(view.x(run.at[event])) + 0.5;
    if (x < GUTTER || x > view.width) continue;
    pen.strokeStyle = paint.ink('tail');
    pen.setLineDash([1, 3]);
    pen.beginPath();
    pen.moveTo(x, RULER);
    pen.lineTo(x, lanes.height);
    pen.stroke();
    pen.setLineDash([]);
    const text = fit(pen, run.describe(event), 190);
    if (!lanes.phases || x < free) continue;
    pen.fillStyle = paint.ink('dim');
    pen.fillText(text, x + 4, lanes.phases + 7);
    free = x + pen.measureText(text).width + 12;
  }
}

const RELEVANCE_COLORS = ['card', 'one', 'bad'];

function drawOperations(pen, scene) {
  const { view, paint, run, lanes } = scene;
  const rows = new Map(lanes.clients.map(lane => [lane.client, lane]));
  const edge = new Map();
  pen.textBaseline = 'middle';
  run.operations.forEach((one, i) => {
    const lane = rows.get(one.client);
    if (!lane || one.invoked > view.until || one.returned < view.from) return;
    const left = Math.max(GUTTER, view.x(one.invoked));
    const open = one.returned === Infinity;
    const right = open ? view.width : Math.min(view.width, view.x(one.returned));
    // Of several bars in one pixel, only the first is drawn.
    if (one.relevance === CONTEXT && right <= (edge.get(one.client) || 0)) return;
    edge.set(one.client, Math.max(right, left + 1));
    drawOperation(pen, scene, one, lane, left, Math.max(2, right - left));
    scene.spots.push({
      left, right: Math.max(right, left + 3), top: lane.y, bottom: lane.y + lane.height,
      operation: i,
    });
  });
  pen.setLineDash([]);
  pen.lineWidth = 1;
}

function drawOperation(pen, { paint, view }, one, lane, left, width) {
  const [y, height] = [lane.y + 2, lane.height - 4 - (lane.height > CLIENT_ROW ? 4 : 0)];
  const strong = one.relevance !== CONTEXT;
  const edge = strong ? RELEVANCE_COLORS[one.relevance] : one.outcome === RETURNED ? 'dim' : 'warn';
  pen.fillStyle = strong ? paint.ink(edge) : paint.mixed(edge, 'card', 0.1);
  pen.strokeStyle = paint.ink(edge);
  pen.setLineDash(one.outcome === RETURNED ? [] : [4, 3]);
  pen.lineWidth = 1;
  if (width < 6) {
    pen.fillStyle = strong ? paint.ink(edge) : paint.mixed(edge, 'card', 0.5);
    pen.fillRect(left, y, width, height);
    return;
  }
  pen.beginPath();
  pen.roundRect(left + 0.5, y + 0.5, width - 1, height - 1, 4);
  pen.fill();
  pen.stroke();
  pen.setLineDash([]);
  const place = one.place > 0 ? String(one.place) : '';
  const badge = place ? 8 + 7 * place.length : 0;
  if (badge && width > badge + 6) {
    pen.fillStyle = paint.ink('card');
    pen.beginPath();
    pen.roundRect(left + 4, y + 3, badge, height - 6, 7);
    pen.fill();
    pen.fillStyle = paint.ink('ink');
    pen.font = `700 10px ${SANS}`;
    pen.textAlign = 'center';
    pen.fillText(place, left + 4 + badge / 2, y + height / 2 + 0.5);
  }
  pen.font = `11px ${MONO}`;
  pen.textAlign = 'left';
  pen.fillStyle = paint.ink(strong ? 'on-term' : 'ink');
  const start = left + (badge ? badge + 8 : 6);
  const room = Math.min(left + width, view.width) - start - 4;
  pen.fillText(fit(pen, operationLabel(one), room), start, y + height / 2 + 0.5);
}

function operationLabel(one) {
  const end = one.outcome === FAILED ? ' · failed' : one.outcome === UNKNOWN ? ' · unknown' : '';
  return one.call + (one.result ? ` → ${one.result}` : '') + end;
}

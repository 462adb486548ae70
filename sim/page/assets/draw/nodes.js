// The lanes of the nodes: roles and terms, log indices, disk writes, and events.

function drawNodes(pen, scene) {
  for (const lane of scene.lanes.nodes) {
    drawBar(pen, scene, lane);
    if (lane.logPlot >= 0) drawLogPlot(pen, scene, lane);
    if (lane.disk >= 0) drawDiskLine(pen, scene, lane);
  }
  drawWrites(pen, scene);
  for (const lane of scene.lanes.nodes) drawEvents(pen, scene, lane);
}

// Draws a node's bar, one piece for each condition, role and term.
function drawBar(pen, scene, lane) {
  const { view, run } = scene;
  const bars = run.byNode[lane.node].bars;
  const { at, fields } = run;
  let i = Math.max(0, firstWhere(bars.length, place => at[bars[place]] > view.from) - 1);
  let drawn = -Infinity;
  pen.textBaseline = 'middle';
  for (; i < bars.length && at[bars[i]] <= view.until; i++) {
    const event = bars[i];
    const end = i + 1 < bars.length ? at[bars[i + 1]] : run.end;
    const left = Math.max(GUTTER, view.x(at[event]));
    const right = Math.min(view.width, view.x(end));
    // Of several pieces in one pixel, only the first is drawn.
    if (right < drawn + 0.7) continue;
    drawn = right;
    const [condition, role, term] = [
      fields.condition[event], fields.role[event], fields.term[event],
    ];
    const follows = i > 0 && at[event] > view.from;
    drawPiece(pen, scene, lane, { left, right, condition, role, term, follows });
  }
}

// Draws the commit index as a line, the applied index as an area, the last index as a dotted line.
function drawLogPlot(pen, scene, lane) {
  const { view, run, paint, scale } = scene;
  const steps = run.byNode[lane.node].steps;
  const bottom = lane.logPlot + LOG_PLOT;
  const y = index => bottom - (index - scale.low) / scale.span * (LOG_PLOT - 2) - 1;
  const first = Math.max(0, firstWhere(steps.length, i => run.at[steps[i]] > view.from) - 1);
  const end = firstWhere(steps.length, i => run.at[steps[i]] > view.until);
  if (first >= end) return;
  const trace = (field, starts, ends) => {
    const column = run.fields[field];
    let x = Math.max(GUTTER, view.x(run.at[steps[first]]));
    let last = y(column[steps[first]]);
    if (starts) pen.moveTo(x, starts);
    if (starts) pen.lineTo(x, last);
    else pen.moveTo(x, last);
    for (let i = first + 1; i < end; i++) {
      const next = y(column[steps[i]]);
      const at = view.x(run.at[steps[i]]);
      if (next === last || (at - x < 0.5 && i + 1 < end)) continue;
      pen.lineTo(at, last);
      pen.lineTo(at, next);
      [x, last] = [at, next];
    }
    const right = Math.min(view.width, view.x(run.end));
    pen.lineTo(right, last);
    if (ends) pen.lineTo(right, ends);
  };
  pen.save();
  pen.beginPath();
  pen.rect(GUTTER, lane.logPlot - 2, view.width, LOG_PLOT + 4);
  pen.clip();
  pen.fillStyle = paint.mixed('one', 'card', 0.22);
  pen.beginPath();
  trace('applied', bottom, bottom);
  pen.fill();
  pen.lineWidth = 1;
  pen.strokeStyle = paint.ink('tail');
  pen.setLineDash([2, 2]);
  pen.beginPath();
  trace('last');
  pen.stroke();
  pen.setLineDash([]);
  pen.lineWidth = 1.5;
  pen.strokeStyle = paint.ink('one');
  pen.beginPath();
  trace('committed');
  pen.stroke();
  pen.restore();
}

// The range of the visible log indices of all nodes.
function logScale(scene) {
  const { view, run, lanes } = scene;
  let [low, high] = [Infinity, -Infinity];
  const take = (event, least, most) => {
    low = Math.min(low, run.fields[least][event]);
    high = Math.max(high, run.fields[most][event]);
  };
  for (const { node } of lanes.nodes) {
    const steps = run.byNode[node].steps;
    const first = Math.max(0, firstWhere(steps.length, i => run.at[steps[i]] > view.from) - 1);
    const end = firstWhere(steps.length, i => run.at[steps[i]] > view.until);
    if (first < end) take(steps[first], 'applied', 'last');
    if (first < end) take(steps[end - 1], 'applied', 'last');
  }
  if (!Number.isFinite(low)) [low, high] = [0, 1];
  return { low, high, span: Math.max(1, high - low) };
}

const WRITE_COLORS = ['tail', 'two', 'bad', 'bad', 'bad'];

function drawDiskLine(pen, { paint, view }, lane) {
  pen.fillStyle = paint.ink('rule');
  pen.fillRect(GUTTER, lane.disk + DISK / 2 - 0.5, view.width - GUTTER, 1);
}

// Draws each write from its submission to its outcome; a torn, lost or failed write ends with a
// cross. Of several other writes in one pixel, only the first is drawn.
function drawWrites(pen, scene) {
  const { view, run, paint } = scene;
  const rows = new Map(scene.lanes.nodes.map(lane => [lane.node, lane]));
  const edges = new Map();
  run.writes.forEach((write, i) => {
    const lane = rows.get(write.node);
    if (!lane || lane.disk < 0 || write.from > view.until || write.until < view.from) return;
    const left = Math.max(GUTTER, view.x(write.from));
    const right = Math.min(view.width, Math.max(left + 1.5, view.x(write.until)));
    const bad = write.outcome >= TORN;
    if (!bad && right < (edges.get(write.node) || 0) + 0.5) return;
    edges.set(write.node, right);
    const ink = WRITE_COLORS[write.outcome];
    pen.fillStyle = paint.mixed(ink, 'card', write.outcome === PENDING ? 0.5 : 0.35);
    pen.fillRect(left, lane.disk + 1, right - left, DISK - 2);
    pen.fillStyle = paint.ink(ink);
    if (write.outcome === FLUSHED) pen.fillRect(right - 1.5, lane.disk, 1.5, DISK);
    if (bad) cross(pen, paint.ink('bad'), right, lane.disk + DISK / 2, 3.5);
    scene.spots.push({
      left, right: Math.max(right, left + 3), top: lane.disk - 1, bottom: lane.disk + DISK + 1,
      write: i,
    });
  });
}

function cross(pen, ink, x, y, arm) {
  pen.strokeStyle = ink;
  pen.lineWidth = 1.75;
  pen.beginPath();
  pen.moveTo(x - arm, y - arm);
  pen.lineTo(x + arm, y + arm);
  pen.moveTo(x + arm, y - arm);
  pen.lineTo(x - arm, y + arm);
  pen.stroke();
  pen.lineWidth = 1;
}

const DOT_ROOM = 6;
const START = KINDS.indexOf('start');
const CRASH = KINDS.indexOf('crash');

// Draws a sign for each start and crash that is not too close to the last sign, and a dot for each
// other event where there is space.
function drawEvents(pen, scene, lane) {
  const { view, run, paint, marks } = scene;
  const all = run.byNode[lane.node].all;
  const first = firstWhere(all.length, i => run.at[all[i]] >= view.from);
  const end = firstWhere(all.length, i => run.at[all[i]] > view.until);
  const label = scene.labels.filter(one => one.node === lane.node);
  // If the dots would fill the lane, none is drawn.
  let dots = end - first > view.room / DOT_ROOM * 2 ? Infinity : -Infinity;
  let signs = -Infinity;
  for (let i = first; i < end; i++) {
    const event = all[i];
    if (!scene.shows.kind(run.kind[event])) continue;
    const x = view.x(run.at[event]);
    const kind = run.kind[event];
    if ((kind === START || kind === CRASH) && x > signs + 3) {
      signs = x;
      drawSign(pen, paint, x, lane, kind === START);
    }
    if (x - dots < DOT_ROOM || kind === START || kind === CRASH) continue;
    if (label.some(one => x > one.left - 2 && x < one.right)) continue;
    dots = x;
    const mark = marks ? marks[event] : 0;
    pen.fillStyle = paint.ink(mark === AFTER ? 'three' : 'ink');
    pen.globalAlpha = !marks ? 0.5 : mark ? 0.85 : 0.18;
    pen.beginPath();
    pen.arc(x, lane.y + BAR / 2, 2.2, 0, 7);
    pen.fill();
  }
  pen.globalAlpha = 1;
}

function drawSign(pen, paint, x, lane, starts) {
  if (!starts) return cross(pen, paint.ink('bad'), x, lane.y + BAR / 2, 5);
  pen.fillStyle = paint.ink('good');
  pen.beginPath();
  pen.moveTo(x, lane.y + 5);
  pen.lineTo(x + 8, lane.y + BAR / 2);
  pen.lineTo(x, lane.y + BAR - 5);
  pen.fill();
}

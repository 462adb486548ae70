// Arrows from node to node. When zoomed out, one arrow stands for its neighbours, but a lost
// message is never hidden by a delivered one.
const ARROWS_MANY = 1200;
const ARROW_ROOM = 3;
const TOPIC_COLORS = ['four', 'one', 'dim', 'two', 'three', 'dim'];

// The visible arrows, each with its ends, its message and its style.
function arrowsIn(scene) {
  const { view, run, shows, marks } = scene;
  const { messages } = run;
  const rows = new Map(scene.lanes.nodes.map(lane => [lane.node, lane]));
  const nodes = run.nodes.length;
  const places = Math.ceil(view.width / ARROW_ROOM) + 1;
  let seen = 0;
  for (let i = 0; i < messages.length; i++) {
    if (messages.start[i] <= view.until && messages.end[i] >= view.from) seen++;
  }
  const taken = seen > ARROWS_MANY ? new Uint8Array(places * nodes * nodes * 2) : null;
  const arrows = [];
  for (let i = 0; i < messages.length; i++) {
    if (messages.start[i] > view.until || messages.end[i] < view.from) continue;
    const [from, to] = [rows.get(messages.from[i]), rows.get(messages.to[i])];
    if (!from || !to || from === to || !shows.topic(messages.topic[i])) continue;
    const lost = messages.delivery[i] === LOST;
    const mark = arrowMark(run, marks, i);
    const left = view.x(messages.start[i]);
    if (taken && mark !== OWN) {
      const place = Math.min(places - 1, Math.max(0, Math.floor(left / ARROW_ROOM)));
      const key = ((lost ? 1 : 0) * nodes * nodes + messages.from[i] * nodes + messages.to[i])
        * places + place;
      if (taken[key]) continue;
      taken[key] = 1;
    }
    arrows.push(arrow(scene, i, from, to, left, mark));
  }
  scene.arrowsSeen = seen;
  return arrows;
}

// The relation of an arrow to the chosen event: none, in its past, in its future, or its own
// message.
const [NO_PART, PAST, FUTURE, OWN] = [1, 2, 3, 4];

function arrowMark(run, marks, i) {
  if (!marks) return 0;
  const { sent, arrived } = run.messages;
  const [first, last] = [marks[sent[i]], arrived[i] < 0 ? 0 : marks[arrived[i]]];
  if (first === CHOSEN || last === CHOSEN) return OWN;
  if (!first || !last) return NO_PART;
  return last === BEFORE ? PAST : FUTURE;
}

function arrow(scene, i, from, to, left, mark) {
  const { view, run } = scene;
  const { messages } = run;
  const falls = to.y > from.y;
  const top = falls ? from.y + BAR : from.y;
  const bottom = falls ? to.y : to.y + BAR;
  const lost = messages.delivery[i] === LOST;
  const unrecorded = messages.delivery[i] === NO_ARRIVAL_RECORDED;
  const inFlight = messages.delivery[i] === IN_FLIGHT || unrecorded;
  const took = messages.end[i] - messages.start[i];
  // A message without an arrival is drawn for half of the way to its receiver.
  const end = unrecorded || lost && took <= 0 ? messages.start[i] + run.usual / 2 : messages.end[i];
  const share = lost || inFlight ? 0.5 : 1;
  return {
    i, mark, lost, inFlight, late: took > run.late && !lost && !unrecorded,
    topic: messages.topic[i],
    x1: left, y1: top, x2: view.x(end), y2: top + (bottom - top) * share,
  };
}

function drawArrows(pen, scene) {
  const arrows = arrowsIn(scene);
  const groups = new Map();
  for (const one of arrows) {
    const key = `${one.mark} ${one.lost ? 'lost' : one.late ? 'late' : one.topic}`;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(one);
  }
  const order = [...groups.keys()].sort();
  const crowd = arrows.length > 1500 ? 0.13 : arrows.length > 400 ? 0.3
    : arrows.length > 120 ? 0.55 : 0.8;
  for (const key of order) drawGroup(pen, scene.paint, groups.get(key), crowd);
  pen.globalAlpha = 1;
  pen.setLineDash([]);
  pen.lineWidth = 1;
  scene.arrows = arrows;
}

function drawGroup(pen, paint, arrows, crowd) {
  const [{ mark, lost, late, topic }] = arrows;
  const ink = mark === OWN ? 'ink' : mark === FUTURE ? 'three'
    : lost ? 'bad' : late ? 'warn' : TOPIC_COLORS[topic];
  pen.globalAlpha = mark === OWN ? 1 : mark === NO_PART ? Math.min(crowd, 0.13)
    : lost || late ? Math.min(0.8, crowd * 2)
      : topic === TOPICS.indexOf('heartbeat') ? crowd * 0.5 : crowd;
  pen.lineWidth = mark === OWN ? 2 : 1;
  pen.strokeStyle = pen.fillStyle = paint.ink(ink);
  pen.setLineDash(lost ? [3, 3] : []);
  pen.beginPath();
  for (const one of arrows) {
    pen.moveTo(one.x1, one.y1);
    pen.lineTo(one.x2, one.y2);
  }
  // Among many arrows, only the cross of a lost message is drawn.
  if (!lost || crowd > 0.2) pen.stroke();
  pen.setLineDash([]);
  pen.beginPath();
  for (const one of arrows) {
    if (!one.lost && !one.inFlight) head(pen, one, mark === OWN ? 6 : arrows.length > 80 ? 3 : 4);
  }
  pen.fill();
  const arm = crowd > 0.2 ? 3.5 : 2.5;
  if (lost) arrows.forEach(one => cross(pen, pen.strokeStyle, one.x2, one.y2, arm));
}

function head(pen, { x1, y1, x2, y2 }, size) {
  const length = Math.hypot(x2 - x1, y2 - y1) || 1;
  const [dx, dy] = [(x2 - x1) / length * size, (y2 - y1) / length * size];
  pen.moveTo(x2, y2);
  pen.lineTo(x2 - dx * 1.5 - dy * 0.6, y2 - dy * 1.5 + dx * 0.6);
  pen.lineTo(x2 - dx * 1.5 + dy * 0.6, y2 - dy * 1.5 - dx * 0.6);
  pen.closePath();
}

// The drawn arrow nearest to a point, within `reach` pixels.
function arrowNear(arrows, x, y, reach) {
  let [nearest, distance] = [null, reach];
  for (const one of arrows) {
    const [dx, dy] = [one.x2 - one.x1, one.y2 - one.y1];
    const along = ((x - one.x1) * dx + (y - one.y1) * dy) / (dx * dx + dy * dy || 1);
    const share = Math.min(1, Math.max(0, along));
    const away = Math.hypot(x - one.x1 - share * dx, y - one.y1 - share * dy);
    if (away < distance) [nearest, distance] = [one, away];
  }
  return nearest;
}

// Shows the running cluster, requested once per second. Data from a node is shown as text, never as
// markup.

// In milliseconds: the pause between requests, the time that the plots show, and the time between
// two samples from which they are not connected. In samples: the window of a quantile. In rows: the
// role changes that are shown.
const EVERY = 1000, SHOWN = 300000, GAP = 6000, WINDOW = 10, CHANGES = 12;
const at = id => document.getElementById(id);
const history = [];

// Returns the leader, or null, and every known node: its report and its progress in the leader's
// report, each null if it is missing.
function knownNodes(view) {
  const reports = new Map(view.nodes.map(node => [node.id, node]));
  const leading = view.nodes.filter(node => node.role === 'leader');
  const leader = leading.sort((a, b) => b.term - a.term)[0] || null;
  const ids = new Set([...view.membership.members.map(member => member.id), ...reports.keys()]);
  const nodes = [...ids].sort((a, b) => a - b).map(id => ({
    id,
    member: view.membership.members.find(member => member.id === id) || null,
    report: reports.get(id) || null,
    progress: leader ? leader.peers.find(peer => peer.id === id) || null : null,
  }));
  return { nodes, leader };
}

function showHeader(view, leader) {
  const known = leader ? leader.id : (view.nodes[0] || {}).leader || null;
  const term = Math.max(0, ...view.nodes.map(node => node.term));
  const state = at('state');
  state.textContent = view.stopped ? `n${view.node} has stopped`
    : known ? `n${known} leads, term ${count(term)}` : `no leader, term ${count(term)}`;
  state.className = view.stopped || !known ? 'bad' : 'good';
  const changing = view.membership.joint ? ' (changing: joint)'
    : view.membership.staged ? ' (changing: staged)' : '';
  at('members').textContent = view.membership.text + changing;
}

function showNodes(nodes, leader) {
  const logs = nodes.filter(node => node.report).map(node => node.report.log);
  const low = Math.min(...logs.map(log => log.base));
  const high = Math.max(low + 1, ...logs.map(log => log.last));
  at('nodes').replaceChildren(...nodes.map(node => card(node, leader, low, high)));
}

function card({ id, member, report, progress }, leader, low, high) {
  const leads = report && report.role === 'leader';
  const silent = !report;
  const reachable = progress && !progress.suspected;
  const role = report ? report.role
    : !progress ? 'no report' : reachable ? 'reachable' : 'unreachable';
  const tags = [];
  if (member) tags.push(member.voter ? 'voter' : 'learner'); else tags.push('not a member');
  if (member && member.casting) tags.push('casting vote');
  if (member && member.priority !== 100) tags.push(`priority ${member.priority}`);
  const alerts = [];
  if (report && report.disk_full) alerts.push('disk full');
  if (report && report.is_uncertain) alerts.push('log uncertain: waits for a leader');
  if (report && report.damaged_entries > 0) {
    alerts.push(`repairing ${count(report.damaged_entries)} entries`);
  }
  if (report && report.usage.quota && report.usage.quota.alarm) alerts.push('quota reached');
  if (report && ['quarantined', 'no_majority', 'too_old'].includes(report.verification)) {
    alerts.push(report.verification.replace('_', ' '));
  }
  if (progress && progress.snapshot !== null) alerts.push('receives a snapshot');
  const top = element('div', { class: 'top' },
    element('span', { class: 'name' }, `n${id}`),
    element('span', { class: 'role' + (role === 'unreachable' ? ' bad' : '') },
      (leads ? '★ ' : '') + role),
    ...tags.map(tag => element('span', { class: 'tag' }, tag)),
    ...alerts.map(alert => element('span', { class: 'tag bad' }, alert)),
    element('span', { class: 'term' }, report ? `term ${count(report.term)}` : ''));
  const results = report ? ` · state ${report.verification.replace('_', ' ')}` : '';
  const memory = report ? element('div', { class: 'where' }, memoryOf(report.usage)) : '';
  const where = element('div', { class: 'where' }, (member ? member.address : '') + results);
  const classes = 'card node' + (leads ? ' leads' : '') + (silent ? ' silent' : '');
  const body = report ? [ladder(report.log, low, high), figures(report.log)]
    : progress && leader ? [matchedBar(progress, leader.log, low, high)] : [];
  return element('article', { class: classes }, top, where, memory, ...body);
}

// The memory of the state, if it has a quota, and of the client sessions.
function memoryOf({ sessions, replies_bytes, quota }) {
  const state = quota ? `state ${count(quota.used)} of ${count(quota.max)} bytes · ` : '';
  return `${state}${count(sessions)} sessions with ${count(replies_bytes)} bytes of replies`;
}

function matchedBar(progress, log, low, high) {
  const width = Math.max(0, 400 * (progress.matched - low) / (high - low));
  const behind = Math.max(0, log.last - progress.matched);
  return element('div', {},
    shape('svg', {
      class: 'ladder', viewBox: '0 0 400 26', preserveAspectRatio: 'none', role: 'img',
      'aria-label': `matched ${progress.matched}`,
    },
      shape('rect', { x: 0, y: 7, width: 400, height: 12, rx: 2, paint: { fill: color('base') } }),
      shape('rect', { x: 0, y: 7, width, height: 12, rx: 2, paint: { fill: color('kept') } })),
    element('div', { class: 'where' },
      `matched ${count(progress.matched)}, ${count(behind)} behind the leader`));
}

function linksOf(view, nodes, leader) {
  const links = [];
  const own = new Map(view.links.map(link => [link.peer, link]));
  for (const node of nodes) {
    if (leader && node.id !== leader.id && node.progress) {
      const here = view.node === leader.id ? own.get(node.id) : null;
      links.push({
        from: leader.id, to: node.id, behind: Math.max(0, leader.log.last - node.progress.matched),
        state: node.progress.suspected ? 'unreachable' : node.progress.snapshot !== null ? 'snapshot'
          : node.progress.probing ? 'probing' : 'replicating',
        here,
      });
    }
    const link = own.get(node.id);
    if (link && node.id !== view.node && !(leader && leader.id === view.node)) {
      const ago = link.silence_milliseconds;
      // Followers rarely send messages to each other, and close idle connections.
      const state = ago === null ? 'never connected' : ago > 10000 ? 'idle' : 'connected';
      links.push({ from: view.node, to: node.id, behind: null, state, here: link });
    }
  }
  return links;
}

const STATES = {
  replicating: ['good', '● replicating'], connected: ['good', '● connected'],
  probing: ['warn', '◐ probing'], snapshot: ['warn', '◐ snapshot'], idle: ['', '○ idle'],
  'never connected': ['', '○ never connected'], unreachable: ['bad', '✕ unreachable'],
};
function showLinks(links) {
  const ago = link => !link.here || link.here.silence_milliseconds === null ? '–'
    : (link.here.silence_milliseconds / 1000).toFixed(1) + ' s';
  const figure = value => element('td', { class: 'right' }, value);
  const rows = links.map(link => {
    const [kind, text] = STATES[link.state];
    return element('tr', {},
      element('td', {}, `n${link.from} → n${link.to}`), element('td', { class: kind }, text),
      figure(link.behind === null ? '–' : count(link.behind)), figure(ago(link)),
      figure(link.here ? count(link.here.queued_packets) : '–'),
      figure(link.here ? count(link.here.dropped_packets) : '–'));
  });
  const none = element('tr', {}, element('td', { colspan: 6 }, 'There are no other nodes.'));
  at('links').replaceChildren(...(rows.length ? rows : [none]));
}

// Shows the last role changes of all nodes that report, the latest first.
function showChanges(view) {
  const changes = view.nodes.flatMap(({ id, role_changes }) =>
    role_changes.map(change => ({ id, ...change })));
  changes.sort((a, b) => a.age_seconds - b.age_seconds);
  const right = value => element('td', { class: 'right' }, value);
  const cell = value => element('td', {}, value);
  const rows = changes.slice(0, CHANGES).map(change => element('tr', {},
    right(ago(change.age_seconds)), cell(`n${change.id}`), right(count(change.term)),
    cell(change.role), cell(change.leader === null ? '–' : `n${change.leader}`),
    cell(change.reason)));
  const none = element('tr', {}, element('td', { colspan: 6 }, 'No role has changed.'));
  at('changes').replaceChildren(...(rows.length ? rows : [none]));
}

function ago(seconds) {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60 % 60)} min`;
}

function showWeb(nodes, links, leader) {
  const place = new Map(nodes.map((node, number) => {
    const angle = 2 * Math.PI * number / nodes.length - Math.PI / 2;
    const radius = nodes.length > 1 ? 100 : 0;
    return [node.id, [160 + 1.15 * radius * Math.cos(angle), 130 + radius * Math.sin(angle)]];
  }));
  const lines = links.map(link => {
    const [from, to] = [place.get(link.from), place.get(link.to)];
    if (!from || !to) return null;
    const [kind] = STATES[link.state];
    const line = shape('line', {
      x1: from[0], y1: from[1], x2: to[0], y2: to[1],
      'stroke-width': link.behind === null ? 1.5 : 3,
      'stroke-dasharray': kind === 'good' ? 'none' : '5 5',
      paint: { stroke: color(kind || 'dim') },
    });
    const label = link.behind ? shape('text', {
      class: 'lag', x: (from[0] + to[0]) / 2, y: (from[1] + to[1]) / 2 - 6,
    }, `−${short(link.behind)}`) : null;
    return shape('g', {}, line, label);
  });
  const circles = nodes.map(node => {
    const [x, y] = place.get(node.id);
    const leads = leader && leader.id === node.id;
    const lost = node.progress && node.progress.suspected;
    return shape('g', {},
      shape('circle', {
        cx: x, cy: y, r: 23, 'stroke-width': 2,
        'stroke-dasharray': node.member && !node.member.voter ? '4 3' : 'none',
        paint: {
          fill: color(leads ? 'one' : 'card'), stroke: color(lost ? 'bad' : leads ? 'one' : 'dim'),
        },
      }),
      shape('text', { x, y: y + 5, paint: { fill: color(leads ? 'card' : 'ink') } }, `n${node.id}`));
  });
  at('web').replaceChildren(...lines.filter(line => line), ...circles);
}

// Returns the quantile `share` of the durations counted in `now` but not in `then`, in
// milliseconds; NaN if there are none.
function quantile(now, then, share) {
  const counts = now.map(([bound, all], i) => [bound, all - then[i][1]]);
  const total = counts.reduce((sum, [, part]) => sum + part, 0);
  if (total <= 0) return NaN;
  let passed = 0, low = 0;
  for (const [bound, part] of counts) {
    if (passed + part >= share * total) {
      const high = bound === null ? low : bound;
      return (low + (high - low) * (part ? (share * total - passed) / part : 1)) / 1000;
    }
    passed += part;
    low = bound === null ? low : bound;
  }
  return low / 1000;
}

const committed = view => Math.max(0, ...view.nodes.map(node => node.log.committed));
const RATES = [
  ['committed', 'one', (now, then) => committed(now) - committed(then)],
  ['proposed here', 'two', (now, then) => now.totals.proposals_done - then.totals.proposals_done],
  ['read here', 'three', (now, then) => now.totals.reads_answered - then.totals.reads_answered],
];
const TIMES = [
  ['write p50', 'one', 'proposal', 0.5], ['write p99', 'four', 'proposal', 0.99],
  ['read p99', 'three', 'read', 0.99], ['flush p99', 'two', 'flush', 0.99],
];

function ratesOf(step) {
  return history.map((now, i) => {
    const then = history[i - 1];
    const seconds = then ? (now.milliseconds - then.milliseconds) / 1000 : 0;
    return seconds > 0 ? Math.max(0, step(now, then) / seconds) : NaN;
  });
}
function timesOf(of, share) {
  return history.map((now, i) => {
    const then = history[Math.max(0, i - WINDOW)];
    return quantile(now.latencies[of], then.latencies[of], share);
  });
}

// Returns the function from the number of a sample to its place, by the time at which it was taken.
function placed(left, right) {
  const now = history[history.length - 1].milliseconds;
  return number => right - (right - left) * (now - history[number].milliseconds) / SHOWN;
}
// Returns true if the node did not reply for a while before this sample.
function isAfterGap(number) {
  return number > 0
    && history[number].milliseconds - history[number - 1].milliseconds > GAP;
}

function plot(id, series) {
  const latest = values => values.length ? values[values.length - 1] : NaN;
  at(id + '-legend').replaceChildren(...series.map(([name, paint, values]) => element('span', {},
    element('i', { class: 'key', paint: { background: color(paint) } }), name,
    element('b', {}, short(latest(values))))));
  const canvas = at(id);
  const width = canvas.parentElement.clientWidth - 32, height = 190;
  const pen = fitted(canvas, width, height);
  const ink = name => paints.ink(name);
  pen.clearRect(0, 0, width, height);
  pen.font = `11px ${SANS}`;
  const [left, right, top, bottom] = [44, width - 6, 8, height - 20];
  const known = series.flatMap(([, , values]) => values.filter(Number.isFinite));
  const most = Math.max(...known, 0) || 1;
  const step = [1, 2, 2.5, 5, 10].map(one => one * 10 ** Math.floor(Math.log10(most / 3)))
    .find(one => one * 4 >= most);
  const high = step * Math.ceil(most / step);
  const y = value => bottom - (bottom - top) * value / high;
  const x = placed(left, right);
  pen.strokeStyle = ink('line'); pen.fillStyle = ink('dim'); pen.lineWidth = 1;
  pen.textAlign = 'right'; pen.textBaseline = 'middle';
  for (let value = 0; value <= high * 1.001; value += step) {
    pen.beginPath(); pen.moveTo(left, y(value)); pen.lineTo(right, y(value)); pen.stroke();
    pen.fillText(short(value), left - 6, y(value));
  }
  minutesBelow(pen, left, right, height - 5);
  for (const [, paint, values] of series) {
    pen.strokeStyle = ink(paint); pen.lineWidth = 2; pen.lineJoin = 'round';
    pen.beginPath();
    values.forEach((value, i) => {
      if (!Number.isFinite(value)) return;
      if (i && !isAfterGap(i) && Number.isFinite(values[i - 1])) pen.lineTo(x(i), y(value));
      else { pen.moveTo(x(i), y(value)); pen.lineTo(x(i) + .5, y(value)); }
    });
    pen.stroke();
  }
}
function plots() {
  plot('rates', RATES.map(([name, paint, step]) => [name, paint, ratesOf(step)]));
  plot('times', TIMES.map(([name, paint, of, share]) => [name, paint, timesOf(of, share)]));
}

// The roles and terms of the nodes over the window of the plots, drawn with the same functions as
// on the page that `cargo sim view` makes.
const PAST = { between: 8, left: 44, axis: 20 };
const DOWN_PIECE = { condition: DOWN, role: FOLLOWER, term: 0 };
const paints = new Paint();

function past(nodes) {
  const canvas = at('past');
  const height = nodes.length * (BAR + PAST.between) + PAST.axis;
  const width = canvas.parentElement.clientWidth - 32;
  const pen = fitted(canvas, width, height);
  const right = width - 6;
  const scene = { paint: paints, labels: [] };
  const x = placed(PAST.left, right);
  pen.clearRect(0, 0, width, height);
  nodes.forEach(({ id }, row) => {
    const lane = { node: id, y: row * (BAR + PAST.between) };
    pen.fillStyle = paints.ink('ink');
    pen.font = `650 14px ${SANS}`;
    pen.textAlign = 'left';
    pen.textBaseline = 'middle';
    pen.fillText(`n${id}`, 2, lane.y + BAR / 2);
    const pieces = piecesOf(id);
    pieces.forEach((piece, i) => {
      const end = i + 1 < pieces.length ? x(pieces[i + 1].from) : right;
      drawPiece(pen, scene, lane, { ...piece, left: x(piece.from), right: end, follows: i > 0 });
    });
  });
  minutesBelow(pen, PAST.left, right, height - 5);
  const words = nodes.map(({ id }) => {
    const latest = piecesOf(id).pop();
    return `n${id} ${latest.condition === DOWN ? 'without a report' : `${ROLES[latest.role]}, term `
      + latest.term}`;
  });
  canvas.setAttribute('aria-label',
    `Roles and terms of each node over time; now ${words.join('; ')}`);
}

// Returns the ranges of samples with the same role and term. A node without a report is shown as
// down, and every node is shown as down between two samples with a gap.
function piecesOf(id) {
  const pieces = [];
  history.forEach((view, from) => {
    const report = view.nodes.find(node => node.id === id);
    const piece = report
      ? { from, condition: UP, role: Math.max(0, ROLES.indexOf(report.role)), term: report.term }
      : { ...DOWN_PIECE, from, away: 'no report' };
    if (isAfterGap(from)) pieces.push({ ...DOWN_PIECE, from: from - 1, away: 'no data' });
    const last = pieces[pieces.length - 1];
    const same = last && ['condition', 'role', 'term'].every(of => last[of] === piece[of]);
    if (!same) pieces.push(piece);
  });
  return pieces;
}

// Draws the minutes of the window below a canvas.
function minutesBelow(pen, left, right, y) {
  pen.fillStyle = paints.ink('dim');
  pen.font = `11px ${SANS}`;
  pen.textBaseline = 'alphabetic';
  for (let minutes = 0; minutes < SHOWN / 60000; minutes++) {
    const back = right - (right - left) * minutes * 60000 / SHOWN;
    pen.textAlign = minutes ? 'center' : 'right';
    pen.fillText(minutes ? `−${minutes} min` : 'now', back, y);
  }
}

function repaint() {
  if (!history.length) return;
  paints.forget();
  past(knownNodes(history[history.length - 1]).nodes);
  plots();
}

let repliedAt = 0;
async function look() {
  try {
    const signal = AbortSignal.timeout(4000);
    const response = await fetch('api/cluster', { cache: 'no-store', signal });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    const view = await response.json();
    // A node that has restarted counts from zero.
    const before = history[history.length - 1];
    if (before && view.milliseconds < before.milliseconds) history.length = 0;
    history.push(view);
    while (view.milliseconds - history[0].milliseconds > SHOWN) history.shift();
    const { nodes, leader } = knownNodes(view);
    const links = linksOf(view, nodes, leader);
    showHeader(view, leader);
    showNodes(nodes, leader);
    showLinks(links);
    showChanges(view);
    showWeb(nodes, links, leader);
    past(nodes);
    plots();
    repliedAt = performance.now();
    at('fresh').textContent = `the view of n${view.node}, updated each second`;
    at('fresh').className = '';
  } catch (error) {
    const ago = `${((performance.now() - repliedAt) / 1000).toFixed(0)} s ago`;
    at('fresh').textContent = 'the node does not reply; '
      + (repliedAt ? `its last reply was ${ago}` : 'it has not replied yet');
    at('fresh').className = 'bad';
  }
  setTimeout(look, EVERY);
}
addEventListener('resize', repaint);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', repaint);
look();

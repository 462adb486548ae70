// What a living cluster looks like, asked for each second. Whatever comes from a node is shown as
// text and never as markup.
const EVERY = 1000, KEPT = 300, WINDOW = 10;
const at = id => document.getElementById(id);
const history = [];

// What is known of every member: its own word, or else the leader's.
function everybody(seen) {
  const said = new Map(seen.nodes.map(node => [node.id, node]));
  const leading = seen.nodes.filter(node => node.role === 'leader');
  const leader = leading.sort((a, b) => b.term - a.term)[0] || null;
  const ids = new Set([...seen.membership.members.map(member => member.id), ...said.keys()]);
  const nodes = [...ids].sort((a, b) => a - b).map(id => ({
    id,
    member: seen.membership.members.find(member => member.id === id) || null,
    said: said.get(id) || null,
    told: leader ? leader.peers.find(peer => peer.id === id) || null : null,
  }));
  return { nodes, leader };
}

function showHeader(seen, leader) {
  const known = leader ? leader.id : (seen.nodes[0] || {}).leader || null;
  const term = Math.max(0, ...seen.nodes.map(node => node.term));
  const state = at('state');
  state.textContent = seen.stopped ? `n${seen.node} has stopped`
    : known ? `n${known} leads, term ${count(term)}` : `no leader, term ${count(term)}`;
  state.className = seen.stopped || !known ? 'bad' : 'good';
  const changing = seen.membership.joint ? ' (changing: joint)'
    : seen.membership.staged ? ' (changing: staged)' : '';
  at('members').textContent = seen.membership.text + changing;
}

function showNodes(nodes, leader) {
  const logs = nodes.filter(node => node.said).map(node => node.said.log);
  const low = Math.min(...logs.map(log => log.base));
  const high = Math.max(low + 1, ...logs.map(log => log.last));
  at('nodes').replaceChildren(...nodes.map(node => card(node, leader, low, high)));
}

function card({ id, member, said, told }, leader, low, high) {
  const leads = said && said.role === 'leader';
  const silent = !said;
  const role = said ? said.role : !told ? 'no word' : told.suspected ? 'not heard' : 'heard';
  const tags = [];
  if (member) tags.push(member.voter ? 'voter' : 'learner'); else tags.push('no member');
  if (member && member.casting) tags.push('casting vote');
  if (member && member.priority !== 100) tags.push(`priority ${member.priority}`);
  const troubles = [];
  if (said && said.disk_full) troubles.push('disk full');
  if (said && (said.standing === 'quarantined' || said.standing === 'divided')) {
    troubles.push(said.standing);
  }
  if (told && told.snapshot !== null) troubles.push('gets a snapshot');
  const top = element('div', { class: 'top' },
    element('span', { class: 'name' }, `n${id}`),
    element('span', { class: 'role' + (role === 'not heard' ? ' bad' : '') },
      (leads ? '★ ' : '') + role),
    ...tags.map(tag => element('span', { class: 'tag' }, tag)),
    ...troubles.map(trouble => element('span', { class: 'tag bad' }, trouble)),
    element('span', { class: 'term' }, said ? `term ${count(said.term)}` : ''));
  const results = said ? ` · results ${said.standing}` : '';
  const where = element('div', { class: 'where' }, (member ? member.address : '') + results);
  const classes = 'card node' + (leads ? ' leads' : '') + (silent ? ' silent' : '');
  const body = said ? [ladder(said.log, low, high), figures(said.log)]
    : told && leader ? [matchedBar(told, leader.log, low, high)] : [];
  return element('article', { class: classes }, top, where, ...body);
}

function matchedBar(told, log, low, high) {
  const width = Math.max(0, 400 * (told.matched - low) / (high - low));
  const behind = Math.max(0, log.last - told.matched);
  return element('div', {},
    shape('svg', {
      class: 'ladder', viewBox: '0 0 400 26', preserveAspectRatio: 'none', role: 'img',
      'aria-label': `matched ${told.matched}`,
    },
      shape('rect', { x: 0, y: 7, width: 400, height: 12, rx: 2, paint: { fill: color('base') } }),
      shape('rect', { x: 0, y: 7, width, height: 12, rx: 2, paint: { fill: color('kept') } })),
    element('div', { class: 'where' },
      `the leader knows it equal up to ${count(told.matched)}, ${count(behind)} behind`));
}

function linksOf(seen, nodes, leader) {
  const links = [];
  const own = new Map(seen.links.map(link => [link.peer, link]));
  for (const node of nodes) {
    if (leader && node.id !== leader.id && node.told) {
      const here = seen.node === leader.id ? own.get(node.id) : null;
      links.push({
        from: leader.id, to: node.id, behind: Math.max(0, leader.log.last - node.told.matched),
        state: node.told.suspected ? 'not heard' : node.told.snapshot !== null ? 'snapshot'
          : node.told.probing ? 'probing' : 'streams',
        here,
      });
    }
    const link = own.get(node.id);
    if (link && node.id !== seen.node && !(leader && leader.id === seen.node)) {
      const ago = link.heard_milliseconds;
      // Followers have little to say to one another, and close what is idle.
      const state = ago === null ? 'never heard' : ago > 10000 ? 'quiet' : 'hears';
      links.push({ from: seen.node, to: node.id, behind: null, state, here: link });
    }
  }
  return links;
}

const STATES = {
  streams: ['good', '● streams'], hears: ['good', '● hears'], probing: ['warn', '◐ probing'],
  snapshot: ['warn', '◐ snapshot'], quiet: ['', '○ quiet'], 'never heard': ['', '○ never heard'],
  'not heard': ['bad', '✕ not heard'],
};
function showLinks(links) {
  const ago = link => !link.here || link.here.heard_milliseconds === null ? '–'
    : (link.here.heard_milliseconds / 1000).toFixed(1) + ' s';
  const figure = value => element('td', { class: 'right' }, value);
  const rows = links.map(link => {
    const [kind, text] = STATES[link.state];
    return element('tr', {},
      element('td', {}, `n${link.from} → n${link.to}`), element('td', { class: kind }, text),
      figure(link.behind === null ? '–' : count(link.behind)), figure(ago(link)),
      figure(link.here ? count(link.here.waiting) : '–'),
      figure(link.here ? count(link.here.lost) : '–'));
  });
  const none = element('tr', {}, element('td', { colspan: 6 }, 'This node is alone.'));
  at('links').replaceChildren(...(rows.length ? rows : [none]));
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
    const lost = node.told && node.told.suspected;
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

// The time that this share of what ended since then took, in milliseconds; none if nothing did.
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

const committed = seen => Math.max(0, ...seen.nodes.map(node => node.log.committed));
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
  const x = number => right - (right - left) * (history.length - 1 - number) / (KEPT - 1);
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
      if (i && Number.isFinite(values[i - 1])) pen.lineTo(x(i), y(value));
      else { pen.moveTo(x(i), y(value)); pen.lineTo(x(i) + .5, y(value)); }
    });
    pen.stroke();
  }
}
function plots() {
  plot('rates', RATES.map(([name, paint, step]) => [name, paint, ratesOf(step)]));
  plot('times', TIMES.map(([name, paint, of, share]) => [name, paint, timesOf(of, share)]));
}

// The lanes of the nodes over the window of the plots, as on the page of a run.
const PAST = { between: 8, left: 44, axis: 20 };
const paints = new Paint();

function past(nodes) {
  const canvas = at('past');
  const height = nodes.length * (BAR + PAST.between) + PAST.axis;
  const width = canvas.parentElement.clientWidth - 32;
  const pen = fitted(canvas, width, height);
  const right = width - 6;
  const scene = { paint: paints, labels: [] };
  const x = number => right - (right - PAST.left) * (history.length - 1 - number) / (KEPT - 1);
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
    return `n${id} ${latest.condition === DOWN ? 'says nothing' : `${ROLES[latest.role]}, term `
      + latest.term}`;
  });
  canvas.setAttribute('aria-label',
    `Roles and terms of each node over time; now ${words.join('; ')}`);
}

// From which sample on a node had which role and term; who says nothing counts as down.
function piecesOf(id) {
  const pieces = [];
  history.forEach((seen, from) => {
    const said = seen.nodes.find(node => node.id === id);
    const piece = said
      ? { from, condition: UP, role: Math.max(0, ROLES.indexOf(said.role)), term: said.term }
      : { from, condition: DOWN, role: FOLLOWER, term: 0, away: 'no word' };
    const last = pieces[pieces.length - 1];
    const same = last && ['condition', 'role', 'term'].every(of => last[of] === piece[of]);
    if (!same) pieces.push(piece);
  });
  return pieces;
}

// The minutes of the window, below what is drawn.
function minutesBelow(pen, left, right, y) {
  pen.fillStyle = paints.ink('dim');
  pen.font = `11px ${SANS}`;
  pen.textBaseline = 'alphabetic';
  for (let minutes = 0; minutes < KEPT * EVERY / 60000; minutes++) {
    const back = right - (right - left) * minutes * 60000 / EVERY / (KEPT - 1);
    pen.textAlign = minutes ? 'center' : 'right';
    pen.fillText(minutes ? `−${minutes} min` : 'now', back, y);
  }
}

function repaint() {
  if (!history.length) return;
  paints.forget();
  past(everybody(history[history.length - 1]).nodes);
  plots();
}

let answered = 0;
async function look() {
  try {
    const signal = AbortSignal.timeout(4000);
    const told = await fetch('api/cluster', { cache: 'no-store', signal });
    if (!told.ok) throw new Error(`HTTP ${told.status}`);
    const seen = await told.json();
    // A node that started over counts from nothing again.
    const before = history[history.length - 1];
    if (before && seen.milliseconds < before.milliseconds) history.length = 0;
    history.push(seen);
    if (history.length > KEPT) history.shift();
    const { nodes, leader } = everybody(seen);
    const links = linksOf(seen, nodes, leader);
    showHeader(seen, leader);
    showNodes(nodes, leader);
    showLinks(links);
    showWeb(nodes, links, leader);
    past(nodes);
    plots();
    answered = performance.now();
    at('fresh').textContent = `as n${seen.node} sees it, each second`;
    at('fresh').className = '';
  } catch (error) {
    const ago = answered ? `${((performance.now() - answered) / 1000).toFixed(0)} s ago` : 'never';
    at('fresh').textContent = `the node does not answer; its last word came ${ago}`;
    at('fresh').className = 'bad';
  }
  setTimeout(look, EVERY);
}
addEventListener('resize', repaint);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', repaint);
look();

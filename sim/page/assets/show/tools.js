// The filter menu, the splitter, the legend and the list of keys.
const KEYS = [
  ['← →', 'previous or next event'],
  ['Shift ← →', 'previous or next event of this node'],
  ['↑ ↓', 'node above or below; in the table, row above or below'],
  ['Home End', 'first or last event'],
  ['+ −', 'zoom in or out'],
  ['0', 'show the whole run'],
  ['v', 'show the violation'],
  ['c', 'highlight causes, causes and effects, or nothing'],
  ['/', 'search'],
  ['?', 'show this list'],
];

function popup(label, ...content) {
  return element('details', { class: 'popup' }, element('summary', {}, label),
    element('div', { class: 'sheet' }, ...content));
}

// The menu of checkboxes for the items that a pane shows.
function showMenu(pane, changed) {
  const { run, shows } = pane;
  const box = (key, label) => {
    const input = element('input', {
      type: 'checkbox', onchange: event => {
        shows.set(key, event.target.checked);
        changed();
      },
    });
    input.checked = !shows.hidden.has(key);
    return element('label', {}, input, label);
  };
  const group = (title, boxes) => boxes.length
    ? element('fieldset', {}, element('legend', {}, title), ...boxes) : null;
  const kinds = new Set(run.kind);
  const topics = new Set(run.messages.topic);
  return popup('Show',
    group('Lanes', Object.entries(LAYERS).map(([layer, name]) => box('layer ' + layer, name))),
    group('Nodes', run.nodes.map((name, node) => box('node ' + node, name))),
    group('Events', KINDS.map((name, kind) => kinds.has(kind) ? box('kind ' + kind, name) : null)
      .filter(one => one)),
    group('Messages', TOPICS.map((name, topic) => topics.has(topic)
      ? box('topic ' + topic, name) : null).filter(one => one)));
}

// The handle between the drawing and the tabs below; it moves by dragging and by keys.
function splitter(below) {
  const grow = by => {
    const height = Math.max(96, below.offsetHeight + by);
    below.style.setProperty('--below', height + 'px');
    below.style.flexGrow = below.style.flexShrink = 0;
  };
  let last = null;
  return element('div', {
    class: 'split', role: 'separator', tabindex: 0, 'aria-orientation': 'horizontal',
    'aria-label': 'Height of the tabs below',
    onpointerdown: event => {
      last = event.clientY;
      event.target.setPointerCapture(event.pointerId);
    },
    onpointermove: event => {
      if (last === null) return;
      grow(last - event.clientY);
      last = event.clientY;
    },
    onpointerup: () => { last = null; },
    onpointercancel: () => { last = null; },
    onkeydown: event => {
      if (event.key !== 'ArrowUp' && event.key !== 'ArrowDown') return;
      event.preventDefault();
      event.stopPropagation();
      grow(event.key === 'ArrowUp' ? 24 : -24);
    },
  });
}

function keyList(isOneOfSeveral) {
  const all = isOneOfSeveral ? [['r', 'show the other run'], ...KEYS] : KEYS;
  return popup('Keys', element('dl', { class: 'keys' }, ...all.flatMap(([keys, does]) => [
    element('dt', {}, ...keys.split(' ').map(key => element('kbd', {}, key))),
    element('dd', {}, does),
  ])));
}

// A sample of a drawn item with its meaning.
function sample(words, draw, paint) {
  const canvas = element('canvas', { 'aria-hidden': 'true' });
  draw(fitted(canvas, 26, 14), paint);
  return element('span', {}, canvas, words);
}

function legend(run, paint) {
  const bar = (condition, role) => (pen, paint) => {
    pen.fillStyle = paint.role(pen, condition, role, 0);
    pen.fillRect(0, 1, 26, 12);
    if (condition !== UP || role === LEADER) return;
    pen.fillStyle = paint.ink(termColor(0));
    pen.fillRect(0, 11, 26, 2);
  };
  const line = (ink, ends) => (pen, paint) => {
    pen.strokeStyle = pen.fillStyle = paint.ink(ink);
    pen.setLineDash(ends === 'lost' ? [3, 3] : []);
    pen.beginPath();
    pen.moveTo(1, 2);
    pen.lineTo(20, 11);
    pen.stroke();
    pen.setLineDash([]);
    if (ends === 'lost') return cross(pen, paint.ink(ink), 20, 10, 3);
    pen.beginPath();
    head(pen, { x1: 1, y1: 2, x2: 23, y2: 12 }, 5);
    pen.fill();
  };
  const disk = (ink, bad) => (pen, paint) => {
    pen.fillStyle = paint.mixed(ink, 'card', 0.35);
    pen.fillRect(0, 4, 22, 7);
    pen.fillStyle = paint.ink(ink);
    if (bad) cross(pen, paint.ink('bad'), 21, 7.5, 3.5);
    else pen.fillRect(20.5, 3, 1.5, 9);
  };
  const logPlot = (pen, paint) => {
    pen.fillStyle = paint.mixed('one', 'card', 0.22);
    pen.fillRect(0, 9, 13, 4);
    pen.fillRect(13, 5, 13, 8);
    pen.strokeStyle = paint.ink('one');
    pen.lineWidth = 1.5;
    pen.beginPath();
    pen.moveTo(0, 8); pen.lineTo(10, 8); pen.lineTo(10, 3); pen.lineTo(26, 3);
    pen.stroke();
  };
  const items = run.nodes.length ? [
    ['leader', bar(UP, LEADER)], ['follower', bar(UP, FOLLOWER)],
    ['candidate', bar(UP, CANDIDATE)], ['down', bar(DOWN, 0)], ['paused', bar(PAUSED, 0)],
    ['entries', line('one')], ['votes', line('four')], ['late', line('warn')],
    ['lost', line('bad', 'lost')],
  ] : [];
  if (run.fields.condition.includes(NOT_RECORDED)) items.push(
    ['not recorded', bar(NOT_RECORDED, 0)]);
  if (run.writes.length) items.push(['durable', disk('two')], ['torn or lost', disk('bad', true)]);
  if (run.nodes.length) items.push(['commit index (line) and applied index (area)', logPlot]);
  if (run.operations.some(one => one.relevance !== CONTEXT)) items.push(
    ['evidence', box('one')], ['not explained by any order', box('bad')],
    ['never answered', box('warn', true)]);
  return element('div', { class: 'legend', 'aria-label': 'Legend' },
    run.nodes.length ? element('span', {}, 'colour: term') : null,
    ...items.map(([words, draw]) => sample(words, draw, paint)));
}

// Draws the bar of an operation.
function box(ink, open) {
  return (pen, paint) => {
    pen.fillStyle = open ? paint.mixed(ink, 'card', 0.1) : paint.ink(ink);
    pen.strokeStyle = paint.ink(ink);
    pen.setLineDash(open ? [3, 2] : []);
    pen.beginPath();
    pen.roundRect(0.5, 1.5, 24, 11, 3);
    pen.fill();
    pen.stroke();
  };
}

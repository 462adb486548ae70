// The indices of a log: base ≤ snapshot ≤ applied ≤ committed ≤ last, durable ≤ last.
const [UP, DOWN, PAUSED, NOT_RECORDED] = [0, 1, 2, 3];
const [FOLLOWER, PRE_CANDIDATE, CANDIDATE, LEADER] = [0, 1, 2, 3];
const ROLES = ['follower', 'pre-candidate', 'candidate', 'leader'];
const POINTS = ['base', 'snapshot', 'applied', 'committed', 'durable', 'last'];
const SWATCHES = {
  base: 'base', snapshot: 'kept', applied: 'applied', committed: 'committed', durable: 'ink',
  last: 'tail',
};

// Draws the indices as a bar, on a scale from `low` to `high`.
function ladder(log, low, high) {
  const x = index => 400 * (index - low) / Math.max(1, high - low);
  const part = (from, to, paint, y, height) => shape('rect', {
    x: x(from), y, width: Math.max(0, x(to) - x(from)), height, rx: 1.5,
    paint: { fill: color(paint) },
  });
  const label = POINTS.map(point => `${point} ${log[point]}`).join(', ');
  return shape('svg', {
    class: 'ladder', viewBox: '0 0 400 26', preserveAspectRatio: 'none', role: 'img',
    'aria-label': label,
  },
    shape('rect', { x: 0, y: 7, width: 400, height: 12, rx: 2, paint: { fill: color('base') } }),
    part(log.base, log.snapshot, 'kept', 7, 12),
    part(Math.max(log.base, log.snapshot), log.applied, 'applied', 7, 12),
    part(log.applied, log.committed, 'committed', 7, 12),
    part(log.committed, log.last, 'tail', 7, 12),
    shape('rect', {
      x: Math.min(397, Math.max(0, x(log.durable) - 1.5)), y: 2, width: 3, height: 22,
      paint: { fill: color('ink') },
    }));
}

// Lists the indices as numbers.
function figures(log) {
  return element('dl', { class: 'figures' }, ...POINTS.map(point => element('div', {},
    element('dt', {},
      element('span', {
        class: point === 'durable' ? 'swatch thin' : 'swatch',
        paint: { background: color(SWATCHES[point]) },
      }), point),
    element('dd', {}, count(log[point])))));
}

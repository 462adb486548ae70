// A piece of a node's lane, during which condition, role and term stay the same.
const SANS = 'system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif';
const MONO = 'ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';
const BAR = 22;

// Draws a piece from `left` to `right`, and adds the position of its text to the scene's labels.
function drawPiece(pen, scene, lane, { left, right, condition, role, term, follows, away }) {
  const { paint } = scene;
  const width = Math.max(1, right - left);
  pen.fillStyle = paint.role(pen, condition, role, term);
  pen.fillRect(left, lane.y, width, BAR);
  if (condition === UP && role !== LEADER) {
    pen.fillStyle = paint.ink(termColor(term));
    pen.fillRect(left, lane.y + BAR - 3, width, 3);
  }
  if (follows && width > 3) {
    pen.fillStyle = paint.ink('card');
    pen.fillRect(left - 0.5, lane.y, 1, BAR);
  }
  if (width < 22) return;
  const names = { [DOWN]: away || 'down', [PAUSED]: 'paused', [NOT_RECORDED]: 'not recorded' };
  const name = names[condition] || ROLES[role];
  const short = condition === UP ? `t${term}` : name;
  const long = condition === UP ? `t${term} ${name}` : name;
  pen.font = `${role === LEADER && condition === UP ? 600 : 500} 11px ${SANS}`;
  pen.textAlign = 'left';
  const text = pen.measureText(long).width < width - 12 ? long : short;
  const room = pen.measureText(text).width;
  if (room > width - 6) return;
  const plain = condition === UP && (role === LEADER || role === FOLLOWER);
  if (!plain) {
    pen.fillStyle = paint.ink('card');
    pen.beginPath();
    pen.roundRect(left + 4, lane.y + 4, room + 8, BAR - 10, 3);
    pen.fill();
  }
  const inverse = condition === UP && role === LEADER;
  pen.fillStyle = paint.ink(inverse ? 'on-term' : condition === UP ? 'ink' : 'dim');
  pen.fillText(text, left + 8, lane.y + BAR / 2 - 0.5);
  scene.labels.push({ node: lane.node, left, right: left + room + 12 });
}

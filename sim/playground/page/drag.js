// Faults to drag onto the time line: a drop makes a line of the scenario.
const AWAY = 6;

class Palette {
  constructor(box, stage, faults, add) {
    Object.assign(this, { stage, add });
    this.line = element('div', { class: 'guide', hidden: true });
    this.lane = element('div', { class: 'guide lane', hidden: true });
    this.label = element('div', { class: 'dragged', hidden: true });
    document.body.append(this.line, this.lane, this.label);
    box.append(...faults.map(fault => this.chip(fault)));
  }

  chip({ name, text }) {
    const chip = button(name, null, {
      class: 'fault',
      title: `${text}: drag onto the time line, or click to add it at the chosen event`,
    });
    let from = null;
    const end = () => {
      from = null;
      this.hide();
    };
    chip.addEventListener('pointerdown', event => {
      if (event.button !== 0) return;
      from = { x: event.clientX, y: event.clientY, went: false };
      chip.setPointerCapture(event.pointerId);
    });
    chip.addEventListener('pointermove', ({ clientX, clientY }) => {
      if (!from) return;
      from.went ||= Math.hypot(clientX - from.x, clientY - from.y) > AWAY;
      if (from.went) this.drag(text, clientX, clientY);
    });
    chip.addEventListener('pointerup', ({ clientX, clientY }) => {
      const went = from && from.went;
      end();
      const place = went ? this.stage.at(clientX, clientY) : null;
      if (place) this.add(this.lineAt(text, place));
      chip.dataset.dragged = went ? 'yes' : '';
    });
    chip.addEventListener('pointercancel', end);
    // A click without a drag, by pointer or by key.
    chip.addEventListener('click', () => {
      if (!chip.dataset.dragged && this.stage.page) this.add(this.lineAt(text, this.chosenPlace()));
      chip.dataset.dragged = '';
    });
    return chip;
  }

  // The chosen event's time and node, or else the middle of the visible part; the first node, if
  // there is no other.
  chosenPlace() {
    const { chosen, run, timeline: { view } } = this.stage;
    const grain = view.grain;
    if (chosen < 0) return { time: (view.from + view.until) / 2, node: 0, grain };
    const lane = run.lane[chosen];
    return { time: run.at[chosen], node: lane % 2 ? (lane - 1) / 2 : 0, grain: 1_000 };
  }

  lineAt(text, { time, node, grain }) {
    const names = this.stage.run.nodes;
    const few = Math.max(1, Math.floor((names.length - 1) / 2));
    const name = place => names[place % names.length];
    const minority = Array.from({ length: few }, (_, place) => name(node + place));
    const words = text.replace('NODES', minority.join(' ')).replace('NODE', name(node))
      .replace('PEER', name(node + 1));
    return `at ${duration(rounded(time, grain))} ${words}`;
  }

  drag(text, x, y) {
    document.body.classList.add('dragging');
    if (this.stage.at(x, y)) this.stage.scrollAt(y);
    const place = this.stage.at(x, y);
    this.label.hidden = false;
    this.label.textContent = place ? this.lineAt(text, place) : 'drop on a node’s lane';
    this.label.style.left = Math.min(x + 12, innerWidth - this.label.offsetWidth - 8) + 'px';
    this.label.style.top = Math.max(4, y - 34) + 'px';
    this.line.hidden = this.lane.hidden = !place;
    if (!place) return;
    const { top, bottom, lane, height, left, right } = place;
    const tall = bottom - top + 'px';
    Object.assign(this.line.style, { left: x + 'px', top: top + 'px', height: tall });
    Object.assign(this.lane.style, {
      left: left + 'px', width: right - left + 'px', top: Math.max(top, lane - 4) + 'px',
      height: Math.max(0, Math.min(height + 8, bottom - lane)) + 'px',
    });
  }

  hide() {
    document.body.classList.remove('dragging');
    this.line.hidden = this.lane.hidden = this.label.hidden = true;
  }
}

// The roundest time in nanoseconds within about two pixels.
function rounded(time, grain) {
  const step = Math.max(1_000, 10 ** Math.floor(Math.log10(Math.max(1, grain * 4))));
  return Math.round(time / step) * step;
}

// A time in nanoseconds in the words of a scenario: `1.35s`, `600ms`, `12us`.
function duration(time) {
  if (time % 1e6) return `${time / 1e3}us`;
  return time >= 1e9 ? `${time / 1e9}s` : `${time / 1e6}ms`;
}

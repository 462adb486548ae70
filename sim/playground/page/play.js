// Plays the run forward and back: the chosen event follows the simulated time.
const SPEEDS = [0.01, 0.03, 0.1, 0.3, 1];

class Player {
  constructor(box, stage) {
    Object.assign(this, { stage, direction: 0, speed: 0.3 });
    const control = (sign, title, direction) =>
      button(sign, () => this.play(direction), { title, 'aria-label': title });
    this.back = control('◀', 'Play back', -1);
    this.forward = control('▶', 'Play', 1);
    const speed = element('select', {
      'aria-label': 'Speed', title: 'Simulated seconds per second', id: 'speed',
      onchange: event => { this.speed = Number(event.target.value); },
    }, ...SPEEDS.map(one => element('option', { value: one, selected: one === this.speed },
      `${one}×`)));
    this.clock = element('output', { class: 'clock' });
    box.append(element('div', { class: 'choices' }, this.back, this.forward), speed, this.clock);
  }

  play(direction) {
    const on = this.direction !== direction && this.stage.page;
    this.stop();
    if (!on) return;
    const { run, chosen, page } = this.stage;
    const ends = direction > 0 ? run.events - 1 : 0;
    const restart = chosen < 0 || chosen === ends;
    this.time = restart ? (direction > 0 ? run.begin : run.end) : run.at[chosen];
    Object.assign(this, { direction, page, last: performance.now() });
    // A screen reader would have to read every event.
    page.live.setAttribute('aria-live', 'off');
    this.show();
    requestAnimationFrame(now => this.step(now));
  }

  stop() {
    if (this.direction) this.page.live.setAttribute('aria-live', 'polite');
    this.direction = 0;
    this.show();
  }

  step(now) {
    const { direction, page, stage } = this;
    if (!direction || page !== stage.page) return this.stop();
    const { run } = stage;
    // The time of the first frame may be before the click.
    const passed = Math.max(0, Math.min(100, now - this.last));
    this.time += direction * passed * 1e6 * this.speed;
    this.last = now;
    const event = Math.max(0, Math.min(run.events - 1, run.eventAt(this.time)));
    if (event !== stage.chosen) page.choose(event);
    this.clock.textContent = `${(run.at[event] / 1e9).toFixed(3)} s`;
    const isOver = direction > 0 ? this.time >= run.end : this.time <= run.begin;
    if (isOver) return this.stop();
    requestAnimationFrame(next => this.step(next));
  }

  show() {
    const set = (control, direction, sign) => {
      control.textContent = this.direction === direction ? '❚❚' : sign;
      control.setAttribute('aria-pressed', String(this.direction === direction));
    };
    set(this.back, -1, '◀');
    set(this.forward, 1, '▶');
  }
}

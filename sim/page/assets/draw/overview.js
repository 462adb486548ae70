// The whole run as a strip: the leaders, the density of events, the visible part, and a slider.
const STRIP = 46;

class Overview {
  constructor(timeline, choose) {
    Object.assign(this, { timeline, choose, run: timeline.run });
    this.canvas = element('canvas', { 'aria-hidden': 'true' });
    this.box = element('div', {
      class: 'overview', role: 'slider', tabindex: 0, 'aria-label': 'Event',
      'aria-valuemin': 1, 'aria-valuemax': Math.max(1, this.run.events), 'aria-valuenow': 1,
    }, this.canvas);
    this.listen();
  }

  x(time) {
    const { begin, end } = this.timeline.view;
    return GUTTER + (time - begin) / (end - begin) * (this.width - GUTTER - EDGE);
  }

  time(x) {
    const { begin, end } = this.timeline.view;
    return begin + (x - GUTTER) / (this.width - GUTTER - EDGE) * (end - begin);
  }

  draw() {
    const { timeline, run } = this;
    const { paint, view, chosen } = timeline;
    this.width = this.box.clientWidth;
    if (!this.width) return;
    const pen = fitted(this.canvas, this.width, STRIP);
    const picture = this.picture(paint);
    pen.clearRect(0, 0, this.width, STRIP);
    pen.drawImage(picture, 0, 0, this.width, STRIP);
    const [left, right] = [this.x(view.from), this.x(view.until)];
    pen.fillStyle = paint.ink('ground');
    pen.globalAlpha = 0.72;
    pen.fillRect(GUTTER, 0, left - GUTTER, STRIP);
    pen.fillRect(right, 0, this.width - right, STRIP);
    pen.globalAlpha = 1;
    pen.strokeStyle = paint.ink('dim');
    pen.strokeRect(Math.floor(left) + 0.5, 0.5, Math.max(3, right - left), STRIP - 1);
    if (chosen >= 0) this.line(pen, run.at[chosen], paint.ink('ink'), 3);
    if (run.violation) this.line(pen, run.at[run.violation.event], paint.ink('bad'), 1.5);
    this.box.setAttribute('aria-valuenow', numberOf(Math.max(0, chosen)));
    this.box.setAttribute('aria-valuetext', chosen < 0 ? 'none' : run.sentence(chosen));
  }

  line(pen, time, ink, width) {
    pen.fillStyle = ink;
    pen.fillRect(this.x(time) - width / 2, 0, width, STRIP);
  }

  // The part that changes only with the colours or the size.
  picture(paint) {
    const key = [this.width, devicePixelRatio, paint.ink('card')].join(' ');
    if (this.key === key) return this.drawn;
    this.key = key;
    this.drawn = document.createElement('canvas');
    const pen = fitted(this.drawn, this.width, STRIP);
    const { run } = this;
    pen.font = `11px ${SANS}`;
    pen.textBaseline = 'middle';
    pen.fillStyle = paint.ink('dim');
    pen.fillText('whole run', 12, STRIP / 2);
    this.density(pen, paint);
    const height = Math.min(6, (STRIP - 18) / Math.max(1, run.nodes.length));
    run.nodes.forEach((_, node) => {
      const y = STRIP - 3 - (run.nodes.length - node) * height;
      const { bars } = run.byNode[node];
      let drawn = -Infinity;
      bars.forEach((event, i) => {
        const left = this.x(run.at[event]);
        const right = this.x(i + 1 < bars.length ? run.at[bars[i + 1]] : run.end);
        if (right < drawn + 0.5) return;
        drawn = right;
        const [condition, role, term] = ['condition', 'role', 'term']
          .map(field => run.fields[field][event]);
        pen.fillStyle = condition !== UP ? paint.ink('base') : role === LEADER
          ? paint.ink(termColor(term)) : paint.mixed(termColor(term), 'card', 0.25);
        pen.fillRect(left, y, Math.max(0.7, right - left), height - 1);
      });
    });
    return this.drawn;
  }

  // Draws the number of events over time.
  density(pen, paint) {
    const { run } = this;
    const counts = new Float64Array(Math.ceil(this.width / 2) + 1);
    for (let event = 0; event < run.events; event++) counts[this.x(run.at[event]) >> 1]++;
    for (const one of run.events ? [] : run.operations) counts[this.x(one.invoked) >> 1]++;
    const most = counts.reduce((one, two) => Math.max(one, two), 1);
    const high = run.nodes.length ? 12 : STRIP - 8;
    pen.fillStyle = paint.ink('tail');
    counts.forEach((number, place) => {
      const tall = Math.sqrt(number / most) * high;
      pen.fillRect(place * 2, high + 2 - tall, 1.6, tall);
    });
  }

  listen() {
    const { canvas, timeline } = this;
    let drag = null;
    const seek = x => {
      const event = this.run.eventAt(this.time(x));
      if (this.run.events) this.choose(event);
    };
    canvas.addEventListener('pointerdown', event => {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      const { view } = timeline;
      const whole = view.until - view.from >= (view.end - view.begin) * 0.999;
      const middle = this.x((view.from + view.until) / 2);
      const inside = event.offsetX > this.x(view.from) && event.offsetX < this.x(view.until);
      drag = { grip: inside && !whole ? event.offsetX - middle : 0, whole, went: false };
    });
    canvas.addEventListener('pointermove', event => {
      if (!drag) return;
      drag.went = true;
      if (drag.whole) return seek(event.offsetX);
      const { view } = timeline;
      const half = (view.until - view.from) / 2;
      const middle = this.time(event.offsetX - drag.grip);
      view.show(middle - half, middle + half);
      timeline.draw();
    });
    canvas.addEventListener('pointerup', event => {
      if (drag && !drag.went) seek(event.offsetX);
      drag = null;
    });
    canvas.addEventListener('pointercancel', () => { drag = null; });
  }
}

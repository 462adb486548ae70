// The drawing of a run. The visible part is redrawn after every change.
class Timeline {
  constructor(run, paint, shows, choose) {
    Object.assign(this, { run, paint, shows, choose, chosen: -1, marks: null, hovered: null });
    this.view = new View(run.begin, run.end);
    this.canvas = element('canvas', { 'aria-hidden': 'true' });
    this.tip = element('div', { class: 'tip', hidden: true });
    this.box = element('div', {
      class: 'timeline', tabindex: 0, role: 'group',
      'aria-label': 'Timeline; arrow keys move from event to event, + and − zoom',
    }, this.canvas, this.tip);
    this.moved = () => {};
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  // Draws once in the next frame, however often it is called.
  draw() {
    if (this.due) return;
    this.due = requestAnimationFrame(() => {
      this.due = 0;
      this.drawNow();
    });
  }

  drawNow() {
    const { run, view, paint, shows, marks } = this;
    view.width = this.box.clientWidth;
    if (!view.width) return;
    const lanes = lanesOf(run, shows);
    const height = Math.max(lanes.height + 8, this.box.clientHeight - 2);
    const pen = fitted(this.canvas, view.width, height);
    const scene = this.scene = {
      run, view, paint, shows, marks, lanes, height, spots: [], labels: [], arrows: [],
      arrowsSeen: 0, faultEdges: (i, right) => this.nextFault(i, right),
    };
    scene.scale = logScale(scene);
    pen.fillStyle = paint.ink('card');
    pen.fillRect(0, 0, view.width, height);
    drawRuler(pen, scene);
    pen.save();
    pen.beginPath();
    pen.rect(GUTTER, 0, view.width - GUTTER, height);
    pen.clip();
    drawPhases(pen, scene);
    drawFaultShades(pen, scene);
    drawFaults(pen, scene);
    drawOperations(pen, scene);
    drawNodes(pen, scene);
    if (shows.layer('messages')) drawArrows(pen, scene);
    this.drawViolation(pen, scene);
    this.drawChosen(pen, scene);
    pen.restore();
    this.drawGutter(pen, scene);
    this.moved();
  }

  // The right end of the space for a fault's text: the next fault in its row.
  nextFault(i, right) {
    const { run, view } = this;
    for (let next = i + 1; next < run.faults.length; next++) {
      if (run.faultRows[next] === run.faultRows[i]) return view.x(run.faults[next].from);
    }
    return Math.max(right, view.width);
  }

  drawGutter(pen, { paint, lanes, height, scale }) {
    const { run } = this;
    pen.fillStyle = paint.ink('card');
    pen.fillRect(0, RULER, GUTTER - 1, height);
    pen.fillRect(0, 0, GUTTER - 1, RULER - 1);
    pen.fillStyle = paint.ink('line');
    pen.fillRect(GUTTER - 1, 0, 1, height);
    pen.textBaseline = 'middle';
    const label = (text, y, font, ink) => {
      pen.font = font;
      pen.fillStyle = paint.ink(ink);
      pen.textAlign = 'left';
      pen.fillText(fit(pen, text, GUTTER - 20), 12, y);
    };
    const aside = (text, y) => {
      pen.font = `10px ${SANS}`;
      pen.fillStyle = paint.ink('dim');
      pen.textAlign = 'right';
      pen.fillText(text, GUTTER - 7, y);
    };
    label(run.ordered ? 'order' : 'time', 13, `11px ${SANS}`, 'dim');
    if (lanes.faults) label('faults', lanes.faults.y + FAULT_ROW / 2 - 1, `11px ${SANS}`, 'dim');
    for (const { name, y, height } of lanes.clients) {
      label(name, y + height / 2, `11px ${SANS}`, 'ink');
    }
    for (const lane of lanes.nodes) {
      label(lane.name, lane.bar, `650 14px ${SANS}`, 'ink');
      if (lane.disk >= 0) aside('disk', lane.disk + DISK / 2);
      if (lane.logPlot < 0) continue;
      aside(short(scale.high), lane.logPlot + 5);
      aside(short(scale.low), lane.logPlot + LOG_PLOT - 3);
      label('log', lane.logPlot + LOG_PLOT / 2, `11px ${SANS}`, 'dim');
    }
  }

  drawViolation(pen, { paint, height }) {
    const { violation } = this.run;
    if (!violation) return;
    const x = this.view.x(this.run.at[violation.event]);
    if (x < GUTTER || x > this.view.width + 20) return;
    pen.strokeStyle = pen.fillStyle = paint.ink('bad');
    pen.lineWidth = 1.5;
    pen.beginPath();
    pen.moveTo(x, RULER - 8);
    pen.lineTo(x, height);
    pen.stroke();
    pen.font = `650 11px ${SANS}`;
    const text = violation.check;
    const width = pen.measureText(text).width + 12;
    const left = x + width > this.view.width - 4 ? x - width : x;
    pen.beginPath();
    pen.roundRect(left, 3, width, 18, 3);
    pen.fill();
    pen.fillStyle = paint.ink('card');
    pen.textAlign = 'left';
    pen.fillText(text, left + 6, 12.5);
    pen.lineWidth = 1;
  }

  drawChosen(pen, { paint, lanes, height }) {
    if (this.chosen < 0) return;
    const { run, view } = this;
    const x = view.x(run.at[this.chosen]);
    pen.strokeStyle = paint.ink('ink');
    pen.globalAlpha = 0.55;
    pen.beginPath();
    pen.moveTo(x, RULER);
    pen.lineTo(x, height);
    pen.stroke();
    pen.globalAlpha = 1;
    const node = nodeOf(run.lane[this.chosen]);
    const lane = lanes.nodes.find(one => one.node === node);
    if (!lane) return;
    pen.lineWidth = 2.5;
    pen.fillStyle = paint.ink('card');
    pen.beginPath();
    pen.arc(x, lane.bar, 6, 0, 7);
    pen.fill();
    pen.stroke();
    pen.lineWidth = 1;
  }

  // The item at a point of the canvas: an event, an arrow, a fault, an operation or a write.
  under(x, y) {
    const { scene, run, view } = this;
    if (!scene || x < GUTTER) return null;
    const lane = scene.lanes.nodes.find(one => y >= one.y - 3 && y <= one.y + BAR + 2);
    if (lane) {
      const event = this.nearest(lane.node, view.time(x));
      if (event >= 0 && Math.abs(view.x(run.at[event]) - x) < 7) return { event };
    }
    const arrow = arrowNear(scene.arrows, x, y, 5);
    if (arrow) return { arrow };
    const spot = scene.spots.findLast(one =>
      x >= one.left - 1 && x <= one.right + 1 && y >= one.top && y < one.bottom);
    if (spot) return spot;
    const within = scene.lanes.nodes.find(one => y >= one.y && y <= one.y + one.height);
    if (!within) return null;
    const last = run.lastIn(run.byNode[within.node].all, run.eventAt(view.time(x)));
    return last < 0 ? null : { event: last, quiet: true };
  }

  nearest(node, time) {
    const { run } = this;
    const all = run.byNode[node].all;
    const after = firstWhere(all.length, i => run.at[all[i]] >= time);
    // Of several events at the same time, the last one has the node's resulting state.
    const around = [after - 1, after].filter(i => i >= 0 && i < all.length).map(i => all[i]);
    around.sort((one, two) => Math.abs(run.at[one] - time) - Math.abs(run.at[two] - time));
    if (!around.length) return -1;
    const same = firstWhere(all.length, i => run.at[all[i]] > run.at[around[0]]);
    return all[same - 1];
  }

  eventOf(found) {
    const { run } = this;
    if (found.event !== undefined) return found.event;
    if (found.arrow) {
      const { messages } = run;
      const i = found.arrow.i;
      return messages.arrived[i] >= 0 ? messages.arrived[i] : messages.sent[i];
    }
    if (found.fault !== undefined) {
      const { event, from } = run.faults[found.fault];
      return event >= 0 ? event : run.eventAt(from);
    }
    if (found.operation !== undefined) {
      const { event, invoked } = run.operations[found.operation];
      return event >= 0 ? event : run.eventAt(invoked);
    }
    return run.writes[found.write].submitted;
  }

  // The lines of the tooltip for an item.
  words(found) {
    const { run } = this;
    if (found.event !== undefined) {
      const { event } = found;
      return [`#${numberOf(event)} · ${instant(run, run.at[event])} · ${run.where(event)}`,
        run.describe(event)];
    }
    if (found.arrow) return this.arrowWords(found.arrow.i);
    const until = (from, end) => end === Infinity ? 'until the end of the run'
      : `for ${span(run, end - from)}`;
    if (found.fault !== undefined) {
      const { text, from, until: end } = run.faults[found.fault];
      return [`fault · from ${instant(run, from)} ${until(from, end)}`, text];
    }
    if (found.operation !== undefined) {
      const one = run.operations[found.operation];
      const took = one.returned === Infinity ? 'never answered'
        : span(run, one.returned - one.invoked);
      return [`${run.clients[one.client]} · ${instant(run, one.invoked)} · ${took}`,
        operationLabel(one)];
    }
    const write = run.writes[found.write];
    return [`${run.nodes[write.node]} disk · ${WRITE_OUTCOMES[write.outcome]} after `
      + span(run, write.until - write.from), write.text];
  }

  arrowWords(i) {
    const { run } = this;
    const { messages } = run;
    const took = span(run, messages.end[i] - messages.start[i]);
    const late = messages.end[i] - messages.start[i] > run.late ? ', late' : '';
    const outcome = ['still in flight', `took ${took}${late}`, 'lost', 'no arrival is recorded'][
      messages.delivery[i]];
    const [from, to] = [run.nodes[messages.from[i]], run.nodes[messages.to[i]]];
    return [`${from} → ${to} · ${instant(run, messages.start[i])} · ${outcome}`,
      messages.texts[i]];
  }

  point(x, y) {
    const found = this.under(x, y);
    this.canvas.style.cursor = found ? 'pointer' : 'grab';
    this.tip.hidden = !found || Boolean(found.quiet);
    if (this.tip.hidden) return;
    const [head, ...lines] = this.words(found);
    this.tip.replaceChildren(element('b', {}, head), ...lines.map(line =>
      element('span', {}, line.length > 240 ? line.slice(0, 240) + '…' : line)));
    const { clientWidth, scrollTop } = this.box;
    const room = Math.min(440, clientWidth - 16);
    this.tip.style.maxWidth = room + 'px';
    const [width, height] = [this.tip.offsetWidth, this.tip.offsetHeight];
    this.tip.style.left = Math.max(4, Math.min(x + 14, clientWidth - width - 8)) + 'px';
    const below = y + 18 - scrollTop + height < this.box.clientHeight;
    this.tip.style.top = (below ? y + 18 : Math.max(scrollTop, y - height - 12)) + 'px';
  }

  listen() {
    let drag = null;
    const { canvas, view } = this;
    const at = event => [event.offsetX, event.offsetY];
    canvas.addEventListener('pointerdown', event => {
      if (event.button !== 0) return;
      drag = { x: event.clientX, went: false };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener('pointermove', event => {
      if (!drag) return this.point(...at(event));
      const by = event.clientX - drag.x;
      if (!drag.went && Math.abs(by) < 4) return;
      Object.assign(drag, { x: event.clientX, went: true });
      this.tip.hidden = true;
      canvas.style.cursor = 'grabbing';
      view.pan(-by);
      this.draw();
    });
    canvas.addEventListener('pointerup', event => {
      if (!drag) return;
      const { went } = drag;
      drag = null;
      if (went) return this.point(...at(event));
      const found = this.under(...at(event));
      if (found) this.choose(this.eventOf(found));
    });
    canvas.addEventListener('pointercancel', () => { drag = null; });
    canvas.addEventListener('pointerleave', () => { this.tip.hidden = true; });
    canvas.addEventListener('dblclick', event => {
      view.zoom(0.25, event.offsetX);
      this.draw();
    });
    canvas.addEventListener('wheel', event => {
      event.preventDefault();
      const across = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
      if (Math.abs(across) > Math.abs(event.shiftKey ? 0 : event.deltaY)) view.pan(across);
      else view.zoom(1.0015 ** event.deltaY, event.offsetX);
      this.tip.hidden = true;
      this.draw();
    }, { passive: false });
  }
}

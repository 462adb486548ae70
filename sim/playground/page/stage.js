// The page of the run, which the simulator draws, in a frame of its own.

// The playground's own panel takes some of the width, and already shows the verdict.
const CLOSER = `<style>
@media (min-width: 901px) { main { grid-template-columns: minmax(0, 1fr) 316px; } }
.result.fine { display: none; }
</style></head>`;

class Stage {
  constructor(box) {
    this.box = box;
    this.frame = null;
    this.page = null;
  }

  // Shows the page of a run; `event` is the event to choose, or -1. With `keep`, the visible part
  // of the time stays as it is, unless it was the whole run. Returns false, and shows nothing, if
  // `isCurrent` returns false before the page is drawn.
  async show(html, event, keep, isCurrent) {
    const view = keep && this.page ? this.view() : null;
    const frame = element('iframe', { title: 'The run', class: 'loading' });
    this.box.append(frame);
    const { contentWindow, contentDocument } = frame;
    contentDocument.open();
    contentDocument.write(html.replace('</head>', () => CLOSER));
    contentDocument.close();
    while (!contentWindow.quorate && isCurrent()) await new Promise(next => setTimeout(next, 5));
    const page = isCurrent() ? await contentWindow.quorate : null;
    if (!isCurrent()) {
      frame.remove();
      return false;
    }
    for (const old of this.box.querySelectorAll('iframe')) if (old !== frame) old.remove();
    frame.classList.remove('loading');
    Object.assign(this, { frame, page });
    if (view) this.timeline.view.show(view.from, view.until);
    if (event >= 0) page.goTo(Math.min(event, this.run.events - 1));
    this.timeline.draw();
    this.fitHeight();
    return true;
  }

  get timeline() { return this.page.pane.timeline; }

  get run() { return this.page.pane.run; }

  get chosen() { return this.page ? this.page.pane.chosen : -1; }

  view() {
    const { from, until, begin, end } = this.timeline.view;
    return from <= begin && until >= end ? null : { from, until };
  }

  // On a narrow screen the page is as high as its content, and only the outer page scrolls.
  fitHeight() {
    const { contentDocument: { body } } = this.frame;
    new this.frame.contentWindow.ResizeObserver(() => {
      const narrow = getComputedStyle(body).overflow !== 'hidden';
      this.frame.style.height = narrow ? body.scrollHeight + 'px' : '';
    }).observe(body);
  }

  // Scrolls the lanes while something is dragged near their upper or lower edge.
  scrollAt(y) {
    const { box } = this.timeline;
    const { top, bottom } = box.getBoundingClientRect();
    const down = y - this.frame.getBoundingClientRect().top;
    if (down < top + EDGE) box.scrollTop -= EDGE / 3;
    if (down > bottom - EDGE) box.scrollTop += EDGE / 3;
  }

  // The time at a point of the outer window, the node of the nearest lane, and the edges of both;
  // null if the point is not on the time line.
  at(x, y) {
    if (!this.page || !this.timeline.scene) return null;
    const [outer, inner] = [this.frame, this.timeline.canvas].map(it => it.getBoundingClientRect());
    const box = this.timeline.box.getBoundingClientRect();
    const [across, down] = [x - outer.left - inner.left, y - outer.top - inner.top];
    const over = y - outer.top >= box.top && y - outer.top <= box.bottom;
    if (!over || across < GUTTER || across > inner.width) return null;
    const { view, scene: { lanes: { nodes } } } = this.timeline;
    if (!nodes.length) return null;
    const far = lane => Math.abs(lane.y + lane.height / 2 - down);
    const lane = nodes.reduce((best, one) => far(one) < far(best) ? one : best);
    const time = Math.max(0, view.time(across));
    return {
      time, node: lane.node, grain: view.grain, top: outer.top + box.top,
      bottom: outer.top + box.bottom, lane: outer.top + inner.top + lane.y, height: lane.height,
      left: outer.left + inner.left + GUTTER, right: outer.left + inner.right,
    };
  }
}

// The width of the names beside the time line; as in the run's page.
const GUTTER = 84;
// The height of the edge near which the lanes scroll.
const EDGE = 30;

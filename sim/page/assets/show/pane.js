// One run on the page: its drawing, its overview strip, and the filters.
const LAYERS = { messages: 'messages', disk: 'disks', progress: 'logs', faults: 'faults',
  clients: 'clients' };
// The numbers of events that are visible at first before and after the chosen event of a long run,
// and the number from which a run is long.
const [CLOSE_BEFORE, CLOSE_AFTER, LONG] = [140, 25, 1500];

class Shows {
  constructor() {
    this.hidden = new Set();
  }

  layer(name) { return !this.hidden.has('layer ' + name); }
  node(place) { return !this.hidden.has('node ' + place); }
  kind(kind) { return !this.hidden.has('kind ' + kind); }
  topic(topic) { return !this.hidden.has('topic ' + topic); }

  set(key, shown) {
    if (shown) this.hidden.delete(key);
    else this.hidden.add(key);
  }
}

class Pane {
  constructor(run, paint, choose) {
    Object.assign(this, { run, shows: new Shows(), chosen: -1, causal: 'past', marks: null });
    const chosen = event => choose(this, event);
    this.timeline = new Timeline(run, paint, this.shows, chosen);
    this.overview = new Overview(this.timeline, chosen);
    this.list = new List(run, this.shows, chosen);
    this.timeline.moved = () => this.overview.draw();
    this.title = element('div', { class: 'pane-title' }, element('b', {}, run.name),
      element('span', {}, run.title),
      element('span', { class: 'faint' }, sizeOf(run)));
    this.box = element('section', { class: 'pane', 'aria-label': run.name || run.title },
      this.title, this.timeline.box, this.overview.box);
  }

  // Chooses an event in all views of the run.
  choose(event, still) {
    this.chosen = event;
    this.mark();
    if (event >= 0 && !still) this.timeline.view.reveal(this.run.at[event]);
    this.list.choseNow(event, this.marks);
  }

  // Marks the causes, or the causes and effects, of the chosen event.
  mark() {
    const wanted = this.chosen >= 0 && this.causal !== 'off';
    this.marks = wanted ? this.run.causal(this.chosen, true, this.causal === 'both') : null;
    if (this.marks && this.run.nodes.length === 0) this.marks = null;
    Object.assign(this.timeline, { chosen: this.chosen, marks: this.marks });
    this.timeline.draw();
  }

  // The next event of the same lane; `by` is 1 or -1.
  along(by) {
    if (this.chosen < 0) return this.list.step(by);
    const { lane, events } = this.run;
    for (let event = this.chosen + by; event >= 0 && event < events; event += by) {
      if (lane[event] === lane[this.chosen] && this.list.passes(event)) return event;
    }
    return this.chosen;
  }

  // The latest event, up to the chosen one, of the node above or below; `by` is -1 or 1.
  across(by) {
    const { run } = this;
    if (this.chosen < 0 || !run.nodes.length) return this.list.step(by);
    let node = nodeOf(run.lane[this.chosen]);
    do node += by; while (node >= 0 && node < run.nodes.length && !this.shows.node(node));
    if (node < 0 || node >= run.nodes.length) return this.chosen;
    const last = run.lastIn(run.byNode[node].all, this.chosen);
    return last >= 0 ? last : this.chosen;
  }

  // Zooms to the events around an event, if the run is long.
  approach(event) {
    const { run, timeline } = this;
    if (run.events < LONG) return;
    const from = run.at[Math.max(0, event - CLOSE_BEFORE)];
    const until = run.at[Math.min(run.events - 1, event + CLOSE_AFTER)];
    timeline.view.show(from, Math.max(until, from + 1));
  }

  changed() {
    this.list.filter();
    this.timeline.draw();
  }
}

function sizeOf(run) {
  const parts = [
    [run.ordered ? 0 : run.events, 'event'], [run.messages.length, 'message'],
    [run.operations.length, 'operation'], [run.faults.length, 'fault'],
  ];
  const sizes = parts.filter(([number]) => number).map(([number, name]) => counted(number, name));
  return sizes.join(', ') || 'no events';
}

// The events that the filters allow, as a table of which only the visible rows exist. Keys also
// move through it.
const ROW = 26;

class List {
  constructor(run, shows, choose) {
    Object.assign(this, { run, shows, choose, chosen: -1, marks: null, words: '' });
    this.rows = element('div', { role: 'rowgroup', class: 'rows' });
    this.scroller = element('div', { class: 'scroller' }, this.rows);
    const titles = ['#', 'time', 'where', 'kind', 'event'];
    this.box = element('div', {
      class: 'list', role: 'grid', tabindex: 0, 'aria-label': 'Events', 'aria-colcount': 5,
      'aria-readonly': 'true',
    },
      element('div', { role: 'rowgroup' }, element('div', {
        role: 'row', class: 'titles', 'aria-rowindex': 1,
      }, ...titles.map(title => element('span', { role: 'columnheader' }, title)))),
      this.scroller);
    this.scroller.addEventListener('scroll', () => this.draw());
    new ResizeObserver(() => this.draw()).observe(this.scroller);
    this.filter();
  }

  // Lists the events of the shown nodes and kinds that contain all search words.
  filter() {
    const { run, shows } = this;
    const words = this.words.toLowerCase().split(/\s+/).filter(word => word);
    const listed = [];
    for (let event = 0; event < run.events; event++) {
      if (!this.passes(event)) continue;
      if (words.length) {
        const text = `${run.where(event)} ${run.describe(event)}`.toLowerCase();
        if (!words.every(word => text.includes(word))) continue;
      }
      listed.push(event);
    }
    this.listed = Uint32Array.from(listed);
    this.box.setAttribute('aria-rowcount', listed.length + 1);
    this.rows.style.height = listed.length * ROW + 'px';
    this.draw();
  }

  passes(event) {
    const node = nodeOf(this.run.lane[event]);
    return (node < 0 || this.shows.node(node)) && this.shows.kind(this.run.kind[event]);
  }

  // The row of the first listed event that is not before `event`.
  placeOf(event) {
    return firstWhere(this.listed.length, i => this.listed[i] >= event);
  }

  // The listed event `by` rows after the chosen one.
  step(by) {
    if (!this.listed.length) return -1;
    const place = this.placeOf(Math.max(0, this.chosen));
    const there = this.listed[place] === this.chosen;
    const next = there || by < 0 ? place + by : place;
    return this.listed[Math.min(this.listed.length - 1, Math.max(0, next))];
  }

  choseNow(event, marks) {
    this.chosen = event;
    this.marks = marks;
    const place = this.placeOf(event);
    const { scrollTop, clientHeight } = this.scroller;
    if (event >= 0 && (place * ROW < scrollTop || (place + 1) * ROW > scrollTop + clientHeight)) {
      this.scroller.scrollTop = place * ROW - clientHeight / 2 + ROW / 2;
    }
    this.draw();
  }

  draw() {
    const { scrollTop, clientHeight } = this.scroller;
    const first = Math.max(0, Math.floor(scrollTop / ROW) - 4);
    const end = Math.min(this.listed.length, Math.ceil((scrollTop + clientHeight) / ROW) + 4);
    const rows = [];
    for (let place = first; place < end; place++) rows.push(this.row(place));
    if (!this.listed.length) {
      rows.push(element('p', { class: 'empty' }, this.run.events
        ? 'No event matches the search and the shown kinds and nodes.' : 'No events.'));
    }
    this.rows.replaceChildren(...rows);
    const chosen = this.rows.querySelector('[aria-selected=true]');
    if (chosen) this.box.setAttribute('aria-activedescendant', chosen.id);
    else this.box.removeAttribute('aria-activedescendant');
  }

  row(place) {
    const { run } = this;
    const event = this.listed[place];
    const mark = this.marks ? this.marks[event] : 0;
    const wrong = run.violation && run.violation.event === event;
    const cell = (text, kind) => element('span', { role: 'gridcell', class: kind }, text);
    return element('div', {
      role: 'row', id: `event-${numberOf(event)}`, 'aria-rowindex': place + 2,
      'aria-selected': String(event === this.chosen), paint: { top: place * ROW + 'px' },
      class: (wrong ? 'wrong ' : '') + ['', 'past', 'future', ''][mark],
      onclick: () => this.choose(event),
    },
      cell(numberOf(event), 'id'), cell(this.time(event), 'id'), cell(run.where(event), 'lane'),
      cell(KINDS[run.kind[event]], 'kind'), cell(run.describe(event), 'text'));
  }

  time(event) {
    const at = this.run.at[event];
    return this.run.ordered ? count(at) : (at / 1e9).toFixed(6);
  }
}

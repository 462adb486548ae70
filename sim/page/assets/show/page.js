// The whole page: the current run, the chosen event and the keys.
class Page {
  constructor(runs) {
    this.paint = new Paint();
    this.causal = 'past';
    this.panes = runs.map(run => new Pane(run, this.paint, (pane, event) => {
      this.turnTo(pane);
      this.choose(event, true);
    }));
    this.pane = this.panes[0];
    // A page with a shrunk run has it first, and opens on it alone.
    this.together = runs.length > 1 && runs[0].name !== 'shrunk';
    for (const pane of this.panes) pane.box.addEventListener('focusin', () => this.turnTo(pane));
    this.live = element('div', { class: 'unseen', role: 'status', 'aria-live': 'polite' });
    this.header = element('header', {});
    this.tools = element('div', { class: 'tools', role: 'toolbar', 'aria-label': 'Tools' });
    this.stage = element('div', { class: 'stage' });
    this.foot = element('div', { class: 'foot' });
    this.below = element('section', { class: 'below' });
    this.inspector = new Inspector(event => this.choose(event), name => this.remark(name));
    document.body.append(this.header, this.tools, element('main', {},
      element('div', { class: 'left' }, this.stage, splitter(this.below), this.below),
      this.inspector.box),
    this.foot, this.live);
    this.listen();
    this.begin();
  }

  // Starts at the event in the address, or at the violation.
  begin() {
    const { place, event } = this.addressed();
    this.pane = this.panes[place] || this.panes[0];
    this.build();
    for (const pane of this.panes) {
      const { violation } = pane.run;
      const first = pane === this.pane && event >= 0 ? event : violation ? violation.event : -1;
      if (first >= 0 && first < pane.run.events) {
        pane.approach(first);
        pane.choose(first);
      }
    }
    this.show();
  }

  addressed() {
    const parameters = new URLSearchParams(location.hash.slice(1));
    const number = name => Math.trunc(Number(parameters.get(name)) || 0);
    return { event: number('e') - 1, place: Math.max(0, number('d') - 1) };
  }

  build() {
    this.buildHeader();
    this.buildTools();
    const shown = this.together ? this.panes : [this.pane];
    document.body.classList.toggle('together', this.together);
    for (const pane of this.panes) {
      pane.box.classList.toggle('named', this.together);
      pane.box.classList.toggle('now', pane === this.pane);
      pane.box.setAttribute('aria-current', String(pane === this.pane));
    }
    // Unchanged panes are kept, because they would lose the focus otherwise.
    const [boxes, { children }] = [shown.map(pane => pane.box), this.stage];
    if (boxes.length !== children.length || boxes.some((box, place) => box !== children[place])) {
      this.stage.replaceChildren(...boxes);
    }
    this.foot.replaceChildren(legend(this.pane.run, this.paint));
    this.buildBelow();
    shown.forEach(pane => pane.timeline.draw());
  }

  buildHeader() {
    const { run } = this.pane;
    const { violation } = run;
    const result = violation ? button([
      element('b', {}, violation.check), element('span', {}, violation.finding),
      run.events && !run.ordered
        ? element('span', { class: 'at' }, instant(run, run.at[violation.event])) : null,
    ], () => this.goTo(violation.event), { class: 'result wrong', title: 'Show the event' })
      : element('div', { class: 'result fine' }, 'No check is violated.');
    const tab = (label, pressed, does) => button(label, does, { 'aria-pressed': String(pressed) });
    const tabs = this.panes.length < 2 ? null : element('div', {
      class: 'choices', role: 'group', 'aria-label': 'Runs',
    }, ...this.panes.map(pane => tab(pane.run.name, !this.together && pane === this.pane, () => {
      this.together = false;
      this.turnTo(pane, true);
    })), tab('side by side', this.together, () => {
      this.together = true;
      this.build();
    }));
    this.header.replaceChildren(
      element('div', { class: 'row' }, element('h1', {}, run.title), tabs,
        element('span', { class: 'faint push' }, sizeOf(run))),
      result);
  }

  buildTools() {
    const { run, list, timeline } = this.pane;
    const zoom = factor => () => {
      timeline.view.zoom(factor);
      timeline.draw();
    };
    const step = (label, title, event) => button(label, () => this.choose(event()), {
      title, 'aria-label': title,
    });
    this.search = element('input', {
      type: 'search', placeholder: 'Find in events', 'aria-label': 'Find in events',
      oninput: event => {
        list.words = event.target.value;
        list.filter();
        this.announce(`${counted(list.listed.length, 'event')} found`);
      },
      onkeydown: event => {
        if (event.key === 'Enter') this.choose(list.step(event.shiftKey ? -1 : 1));
        if (event.key === 'Escape') list.box.focus();
      },
    });
    this.search.value = list.words;
    const wrong = run.violation ? button('Show violation', () => this.goTo(run.violation.event),
      { class: 'alarm' }) : null;
    this.keys = keyList(this.panes.length > 1);
    const tools = [
      element('div', { class: 'choices' },
        step('«', 'First event', () => list.listed[0] ?? -1),
        step('‹', 'Previous event', () => list.step(-1)),
        step('›', 'Next event', () => list.step(1)),
        step('»', 'Last event', () => list.listed[list.listed.length - 1] ?? -1)),
      element('div', { class: 'choices' },
        button('−', zoom(1.6), { title: 'Zoom out', 'aria-label': 'Zoom out' }),
        button('+', zoom(0.625), { title: 'Zoom in', 'aria-label': 'Zoom in' }),
        button('All', () => {
          timeline.view.fit();
          timeline.draw();
        }, { title: 'Show the whole run' })),
      wrong, element('span', { class: 'push' }), this.search,
      showMenu(this.pane, () => this.pane.changed()), this.keys,
    ];
    this.tools.replaceChildren(...tools.filter(tool => tool !== null));
  }

  // Builds the tabs below: tables, explanation, events and facts.
  buildBelow() {
    const { run, list } = this.pane;
    const tabs = [
      ...run.tables.map(table => [table.title, () => readTable(table)]),
      run.explanation.length ? ['Explanation', () => this.explanation(run)] : null,
      ['Events', () => list.box],
      run.facts.length ? ['Facts', () => readFacts(run.facts)] : null,
    ].filter(one => one);
    const wanted = tabs.findIndex(([title]) => title === this.reading);
    const now = Math.max(0, wanted);
    const content = element('div', {
      class: 'content', role: 'tabpanel', 'aria-label': tabs[now][0],
    }, tabs[now][1]());
    this.below.replaceChildren(element('div', { class: 'tabs', role: 'tablist' },
      ...tabs.map(([title], place) => button(title, () => {
        this.reading = title;
        this.buildBelow();
      }, { role: 'tab', 'aria-selected': String(place === now) }))), content);
    list.choseNow(this.pane.chosen, this.pane.marks);
  }

  explanation(run) {
    return element('ol', { class: 'explanation' }, ...run.explanation.map(({ text, event }) =>
      element('li', {}, event < 0 ? text : [button(`#${numberOf(event)}`, () => this.goTo(event),
        { class: 'link' }), ` ${text}`])));
  }

  turnTo(pane, force) {
    if (pane === this.pane && !force) return;
    this.pane = pane;
    this.build();
    this.show();
  }

  // Turns to the next run, if there are several.
  turnOn() {
    if (this.panes.length < 2) return;
    this.turnTo(this.panes[(this.panes.indexOf(this.pane) + 1) % this.panes.length]);
    this.pane.timeline.box.focus();
  }

  // Chooses an event of the current run.
  choose(event, still) {
    if (event < 0 || event >= this.pane.run.events) return;
    this.pane.choose(event, still);
    this.show();
  }

  // Zooms to an event and chooses it.
  goTo(event) {
    this.pane.approach(event);
    this.choose(event);
  }

  remark(name) {
    for (const pane of this.panes) {
      pane.causal = name;
      pane.mark();
      pane.list.choseNow(pane.chosen, pane.marks);
    }
    this.show();
  }

  show() {
    const { run, chosen, marks, causal } = this.pane;
    this.inspector.show(run, chosen, marks, causal);
    if (chosen < 0) return;
    this.announce(run.sentence(chosen));
    const place = this.panes.indexOf(this.pane);
    const address = `#e=${numberOf(chosen)}` + (place ? `&d=${place + 1}` : '');
    if (location.hash !== address) history.replaceState(null, '', address);
  }

  announce(text) {
    this.live.textContent = text;
  }

  listen() {
    addEventListener('hashchange', () => {
      const { place, event } = this.addressed();
      if (this.panes[place]) this.turnTo(this.panes[place]);
      this.choose(event);
    });
    const recolor = () => {
      this.paint.forget();
      this.build();
    };
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', recolor);
    addEventListener('beforeprint', () => {
      this.paint.forget();
      this.panes.forEach(pane => pane.timeline.drawNow());
    });
    addEventListener('afterprint', recolor);
    addEventListener('keydown', event => this.key(event));
    // A click elsewhere closes open popups.
    addEventListener('pointerdown', event => {
      for (const open of document.querySelectorAll('details.popup[open]')) {
        if (!open.contains(event.target)) open.open = false;
      }
    });
  }

  key(event) {
    const types = event.target instanceof HTMLInputElement && event.target.type !== 'checkbox';
    if (types || event.ctrlKey || event.metaKey || event.altKey) return;
    const { list, timeline, run } = this.pane;
    const inList = list.box.contains(event.target);
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 }[event.key];
    const zoom = factor => {
      const { view } = timeline;
      view.zoom(factor, this.pane.chosen < 0 ? undefined : view.x(run.at[this.pane.chosen]));
      timeline.draw();
    };
    const does = {
      ArrowLeft: () => this.choose(event.shiftKey ? this.pane.along(by) : list.step(by)),
      ArrowUp: () => this.choose(inList ? list.step(by) : this.pane.across(by)),
      PageUp: () => this.choose(list.step(-20)),
      PageDown: () => this.choose(list.step(20)),
      Home: () => this.choose(list.listed[0] ?? -1),
      End: () => this.choose(list.listed[list.listed.length - 1] ?? -1),
      '+': () => zoom(0.625), '=': () => zoom(0.625), '-': () => zoom(1.6),
      0: () => { timeline.view.fit(); timeline.draw(); },
      v: () => run.violation && this.goTo(run.violation.event),
      r: () => this.turnOn(),
      c: () => this.remark({ past: 'both', both: 'off', off: 'past' }[this.pane.causal]),
      '/': () => this.search.focus(),
      '?': () => { this.keys.open = !this.keys.open; },
      Escape: () => document.querySelectorAll('details.popup[open]')
        .forEach(open => { open.open = false; }),
    };
    does.ArrowRight = does.ArrowLeft;
    does.ArrowDown = does.ArrowUp;
    if (!does[event.key]) return;
    event.preventDefault();
    does[event.key]();
  }
}

// A cell of at most this many characters, such as a time, stays on one line.
const SHORT_CELL = 12;

function readTable({ note, columns, rows, marked }) {
  return element('div', { class: 'read' }, note ? element('p', { class: 'empty' }, note) : null,
    element('table', {},
      element('thead', {}, element('tr', {}, ...columns.map(title =>
        element('th', { scope: 'col' }, title)))),
      element('tbody', {}, ...rows.map((row, place) =>
        element('tr', { class: place === marked ? 'wrong' : null },
          ...row.map(cell =>
            element('td', { class: cell.length <= SHORT_CELL ? 'short' : null }, cell)))))));
}

function readFacts(facts) {
  return element('dl', { class: 'facts' }, ...facts.flatMap(({ label, value, code }) => [
    element('dt', {}, label),
    element('dd', {}, code ? element('code', {}, value) : value),
  ]));
}

// Builds the page with every run.
async function buildPage() {
  if (!self.DecompressionStream || !CanvasRenderingContext2D.prototype.roundRect) {
    throw new Error('this browser is too old: use Chrome 99, Firefox 113, Safari 16.4 or later');
  }
  const scripts = [...document.querySelectorAll('script.document')];
  const documents = await Promise.all(scripts.map(script => readDocument(script.textContent)));
  return new Page(documents.map(document => new Run(document)));
}

// For the browser console, with `await`: the page with every run and its drawing.
window.quorate = buildPage().catch(error => {
  document.body.append(element('p', { class: 'broken', role: 'alert' },
    `This page cannot be shown: ${error.message}`));
  throw error;
});

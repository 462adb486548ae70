// Details of the chosen event: its causes and effects, its node's state and log or its operation,
// and the states of all nodes.
const LINKS_MAX = 8;
const LOG_ROWS_MAX = 14;

class Inspector {
  constructor(choose, remark) {
    Object.assign(this, { choose, remark });
    this.box = element('aside', { class: 'inspector', 'aria-label': 'Chosen event' });
  }

  show(run, event, marks, causal) {
    if (event < 0) return this.box.replaceChildren(...this.nothing(run));
    const node = nodeOf(run.lane[event]);
    const sections = [
      this.head(run, event),
      this.causal(run, event, marks, causal),
      node >= 0 ? this.node(run, event, node) : this.operation(run, event),
      run.nodes.length ? this.allNodes(run, event) : null,
    ];
    this.box.replaceChildren(...sections.filter(section => section !== null));
    this.box.scrollTop = 0;
  }

  nothing(run) {
    if (!run.events) return [element('p', { class: 'empty' }, 'This run has no events.')];
    return [element('p', { class: 'empty' },
      'Choose an event: click on a lane, drag the strip below, or press an arrow key.')];
  }

  head(run, event) {
    const { at, kind } = run;
    const before = event > 0 ? at[event] - at[event - 1] : 0;
    return element('section', {},
      element('div', { class: 'row' },
        element('span', { class: 'number' }, `#${numberOf(event)}`),
        element('span', { class: 'chip' }, run.where(event)),
        element('span', { class: 'chip faint' }, KINDS[kind[event]])),
      element('p', { class: 'description' }, run.describe(event)),
      element('p', { class: 'when' }, instant(run, at[event]),
        run.ordered ? '' : ` · ${span(run, before)} after the previous event`));
  }

  causal(run, event, marks, causal) {
    const [causes, effects] = [run.causesOf(event), run.effectsOf(event)];
    const list = (title, events) => events.length ? element('div', {},
      element('h3', {}, title),
      element('ul', { class: 'links' }, ...events.slice(0, LINKS_MAX).map(other =>
        element('li', {}, button([
          element('span', { class: 'id' }, `#${numberOf(other)}`),
          element('span', { class: 'lane' }, run.where(other)),
          element('span', { class: 'text' }, run.describe(other)),
        ], () => this.choose(other), { class: 'link', title: run.describe(other) })))),
      events.length > LINKS_MAX
        ? element('p', { class: 'empty' }, `and ${count(events.length - LINKS_MAX)} more`) : null,
    ) : null;
    if (!run.nodes.length || (!causes.length && !effects.length)) return null;
    const countOf = mark => marks ? marks.reduce((sum, one) => sum + (one === mark ? 1 : 0), 0) : 0;
    const choice = (name, label) => button(label, () => this.remark(name), {
      'aria-pressed': String(causal === name),
    });
    const sum = !marks ? null : element('p', { class: 'empty' },
      `caused by ${counted(countOf(1), 'event')}`
      + (causal === 'both' ? `, caused ${counted(countOf(2), 'event')}` : ''));
    return element('section', {},
      element('div', { class: 'row' }, element('h3', { class: 'grow' }, 'Causes'),
        element('div', { class: 'choices', role: 'group', 'aria-label': 'Highlight' },
          choice('off', 'off'), choice('past', 'past'), choice('both', 'past and future'))),
      sum, list('caused by', causes), list('led to', effects));
  }

  operation(run, event) {
    const one = run.operationOf(event);
    if (!one) return null;
    const part = ['', 'part of the evidence', 'not explained by any order'][one.relevance];
    const rows = [
      ['request', one.call], ['result', one.outcome === RETURNED ? one.result || 'done'
        : one.outcome === FAILED ? 'no effect' : 'unknown'],
      ['duration', one.returned === Infinity || run.ordered ? ''
        : span(run, one.returned - one.invoked)],
      ['order', one.place > 0
        ? `number ${one.place} in the longest order that explains the results` : ''],
      ['relevance', part],
    ];
    return element('section', {}, element('h3', {}, 'Operation'),
      element('dl', { class: 'facts' }, ...rows.filter(([, words]) => words).flatMap(
        ([label, words]) => [element('dt', {}, label), element('dd', {}, words)])));
  }

  node(run, event, node) {
    const state = run.stateAt(node, event);
    const name = run.nodes[node];
    if (!state) return element('section', {}, element('h3', {}, `${name} has no state yet`));
    const all = run.nodes.map((_, other) => run.stateAt(other, event)).filter(one => one);
    const low = Math.min(...all.map(one => one.base));
    const high = Math.max(low + 1, ...all.map(one => one.last));
    const leads = state.leader < 0 ? 'no leader' : state.leader === node ? 'itself'
      : run.nodes[state.leader];
    return element('section', {},
      element('div', { class: 'row' }, element('h3', { class: 'grow' }, name),
        roleBadge(state), element('span', { class: 'faint' }, `leader: ${leads}`)),
      ladder(state, low, high), figures(state),
      state.detail ? element('p', { class: 'detail' }, state.detail) : null,
      this.log(run, event, node, state));
  }

  // The node's log beside the leader's log, with the equal part folded.
  log(run, event, node, state) {
    const leads = run.leaderAt(event);
    const other = leads === node || leads < 0 ? -1 : leads;
    const mine = run.logs.at(node, event);
    const theirs = other < 0 ? null : run.logs.at(other, event);
    const their = other < 0 ? null : run.stateAt(other, event);
    const last = Math.max(mine.last, theirs ? theirs.last : 0);
    if (!mine.entries.size && !(theirs && theirs.entries.size)) return null;
    const equal = index => {
      const [one, two] = [mine.entries.get(index), theirs.entries.get(index)];
      return one && two && one.term === two.term;
    };
    const base = Math.max(state.base, their ? their.base : 0);
    let first = base + 1;
    if (theirs) while (first <= last && equal(first)) first++;
    const differs = theirs ? Math.max(0, last - first + 1) : 0;
    const start = theirs && differs ? Math.max(base + 1, first - 2)
      : Math.max(base + 1, last - LOG_ROWS_MAX + 1);
    const until = Math.min(last, start + LOG_ROWS_MAX - 1);
    const rows = [];
    for (let index = start; index <= until; index++) {
      rows.push(this.logRow(index, mine.entries.get(index),
        theirs && theirs.entries.get(index), theirs !== null, state));
    }
    const folded = start - base - 1;
    const title = !theirs ? 'Log' : differs
      ? `Log beside leader ${run.nodes[other]}: different from index ${count(first)} on`
      : `Log: equal to the log of leader ${run.nodes[other]}`;
    const head = ['index', run.nodes[node], theirs ? run.nodes[other] : null]
      .filter(one => one !== null);
    return element('div', { class: 'log' }, element('h3', {}, title),
      element('table', {},
        element('thead', {}, element('tr', {}, ...head
          .map(one => element('th', { scope: 'col' }, one)))),
        element('tbody', {},
          folded > 0 ? element('tr', { class: 'fold' }, element('td', { colspan: head.length },
            `${counted(folded, 'entry', 'entries')} before, ${theirs ? 'equal' : 'folded'}`))
            : null,
          ...rows,
          until < last ? element('tr', { class: 'fold' }, element('td', { colspan: head.length },
            `${count(last - until)} more`)) : null)));
  }

  logRow(index, mine, theirs, both, state) {
    const cell = entry => entry
      ? element('td', { title: entry.text },
        element('i', { class: 'dot', paint: { background: color(termColor(entry.term)) } }),
        element('b', {}, `t${entry.term}`), ` ${entry.text}`)
      : element('td', { class: 'none' }, '–');
    const same = !both || (mine && theirs && mine.term === theirs.term);
    const mark = index === state.committed ? ' ← committed' : '';
    return element('tr', { class: same ? null : 'differs' },
      element('th', { scope: 'row', title: mark ? 'committed up to this index' : null },
        count(index), mark ? element('span', { class: 'sign' }, '✓') : null),
      cell(mine), both ? cell(theirs) : null);
  }

  allNodes(run, event) {
    return element('section', {}, element('h3', {}, 'All nodes at this event'),
      element('table', { class: 'nodes' },
        element('thead', {}, element('tr', {}, ...['', 'role', 'applied', 'committed', 'last']
          .map((title, i) => element('th', {
            scope: 'col', class: i > 1 ? 'right' : null,
          }, title)))),
        element('tbody', {}, ...run.nodes.map((name, node) => {
          const state = run.stateAt(node, event);
          const figure = field => element('td', { class: 'right' },
            state ? count(state[field]) : '–');
          const here = nodeOf(run.lane[event]) === node;
          return element('tr', { class: here ? 'here' : null },
            element('th', { scope: 'row' }, button(name, () => {
              if (state) this.choose(state.since);
            }, { class: 'link', title: `Latest event of ${name}` })),
            element('td', {}, state ? roleBadge(state) : 'not started'),
            figure('applied'), figure('committed'), figure('last'));
        }))));
  }
}

// A badge with role and term, in the colours of the lanes.
function roleBadge({ condition, role, term }) {
  const names = { [DOWN]: 'down', [PAUSED]: `paused, t${term}`, [NOT_RECORDED]: 'not recorded' };
  const text = names[condition] || `t${term} ${ROLES[role]}`;
  const leads = condition === UP && role === LEADER;
  const paint = condition !== UP ? {} : leads
    ? { background: color(termColor(term)), color: color('on-term') }
    : { borderColor: color(termColor(term)) };
  return element('span', { class: 'badge' + (condition !== UP ? ' away' : ''), paint }, text);
}

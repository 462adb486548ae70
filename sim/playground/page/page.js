// The whole playground: the choice of the run, the editor, the verdict, and the stage.
class Playground {
  constructor(simulator, catalog) {
    Object.assign(this, { simulator, catalog, drawn: null, shown: null, running: false });
    const byId = id => document.getElementById(id);
    this.parts = Object.fromEntries(['seed', 'profile', 'strategy', 'example', 'canary', 'verdict',
      'run', 'stop', 'share', 'state', 'draw', 'previous', 'next'].map(id => [id, byId(id)]));
    this.editor = new Editor(byId('editor'), () => this.edited());
    this.stage = new Stage(byId('stage'));
    this.player = new Player(byId('play'), this.stage);
    this.palette = new Palette(byId('faults'), this.stage, catalog.faults, line => this.add(line));
    this.fill();
    this.listen();
    this.begin();
  }

  fill() {
    const { profile, strategy, example } = this.parts;
    const options = (choices, chosen) => choices.map(({ name, text }) =>
      element('option', { value: name, title: text, selected: name === chosen }, name));
    profile.append(...options(this.catalog.profiles, 'default'));
    strategy.append(...options(this.catalog.strategies, this.catalog.strategy));
    const heading = element('option', { value: '', selected: true }, 'Examples …');
    const titled = this.catalog.examples.map(({ name, text }) =>
      element('option', { value: name, title: text }, name.replaceAll('_', ' ')));
    example.append(heading, ...titled);
    document.getElementById('verbs').append(...this.catalog.verbs.flatMap(({ name, text }) =>
      [element('dt', {}, element('code', {}, name)), element('dd', {}, text)]));
  }

  listen() {
    const { parts } = this;
    parts.seed.addEventListener('paste', () => setTimeout(() => this.readSeed()));
    parts.seed.addEventListener('keydown', event => event.key === 'Enter' && this.draw());
    parts.draw.addEventListener('click', () => this.draw());
    parts.previous.addEventListener('click', () => this.draw(-1n));
    parts.next.addEventListener('click', () => this.draw(1n));
    parts.example.addEventListener('change', () => this.pick(parts.example.value));
    parts.run.addEventListener('click', () => this.runText());
    parts.stop.addEventListener('click', () => this.simulator.stop());
    parts.share.addEventListener('click', () => this.share());
    parts.canary.addEventListener('change', () => this.runText());
    addEventListener('keydown', event => {
      if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      this.runText();
    });
    addEventListener('hashchange', () => this.open());
  }

  // Runs the run in the address, or else the first example.
  begin() {
    return this.open().then(opened => opened || this.pick(this.catalog.examples[0].name));
  }

  async open() {
    const { profile, strategy } = this.parts;
    const defaults = { profile: profile.value, strategy: strategy.value };
    try {
      const read = await readFragment(location.hash, defaults);
      if (!read) return false;
      const { wanted: { from, canary }, event } = read;
      this.parts.canary.checked = canary;
      if (from.seed) this.showSeed(from.seed);
      else this.editor.value = from.scenario;
      await this.run(from, { event });
    } catch (error) {
      this.complain(error.message);
    }
    return true;
  }

  showSeed({ seed, profile, strategy }) {
    Object.entries({ seed, profile, strategy }).forEach(([name, word]) => {
      this.parts[name].value = word;
    });
  }

  readSeed() {
    const { seed, ...flags } = readSeed(this.parts.seed.value);
    this.parts.seed.value = seed;
    for (const [name, word] of Object.entries(flags)) if (word) this.parts[name].value = word;
  }

  draw(by = 0n) {
    this.readSeed();
    const { seed, profile, strategy } = this.parts;
    if (by && /^\d+$/.test(seed.value)) {
      const next = BigInt(seed.value) + by;
      seed.value = String(next < 0n ? 0n : next);
    }
    return this.run({ seed: {
      seed: seed.value, profile: profile.value, strategy: strategy.value,
    } }, {});
  }

  pick(name) {
    const example = this.catalog.examples.find(one => one.name === name);
    if (!example) return null;
    this.parts.example.value = '';
    this.editor.value = example.text;
    return this.run({ scenario: example.text }, {});
  }

  // Runs the text; an unedited text that a seed has drawn is the run of the seed.
  runText() {
    const text = this.editor.value;
    const same = this.drawn && this.drawn.text === text;
    return this.run(same ? { seed: this.drawn.seed } : { scenario: text }, { keep: true });
  }

  add(line) {
    this.player.stop();
    const added = this.editor.insert(line);
    this.edited();
    return this.run({ scenario: this.editor.value }, { keep: true, added });
  }

  edited() {
    this.parts.state.textContent = 'edited, not run yet';
  }

  async run(from, { event = -1, keep = false, added = 0 }) {
    if (this.running) this.simulator.stop();
    this.player.stop();
    const wanted = { from, canary: this.parts.canary.checked };
    const turn = this.turn = {};
    this.busy();
    const begun = performance.now();
    const reply = await this.simulator.ask({ run: wanted });
    if (turn !== this.turn) return;
    this.running = false;
    this.parts.stop.hidden = true;
    const took = Math.round(performance.now() - begun);
    try {
      if (!reply) this.complain('stopped');
      else if (reply.syntax) this.showSyntax(reply.syntax);
      else if (reply.run) await this.showRun(wanted, reply, { turn, event, keep, added, took });
      else this.complain(reply.error ?? `the run panics: ${reply.panic}`);
    } catch (error) {
      if (turn === this.turn) this.complain(error.message);
    }
    if (turn === this.turn) document.body.classList.remove('busy');
  }

  busy() {
    this.running = true;
    document.body.classList.add('busy');
    this.parts.stop.hidden = false;
    this.parts.state.textContent = 'running …';
  }

  async showRun(wanted, reply, { turn, event, keep, added, took }) {
    const { run, panic, last } = reply;
    if (wanted.from.seed) {
      this.editor.value = run.lines.join('\n') + '\n';
      this.drawn = { seed: wanted.from.seed, text: this.editor.value };
    }
    this.parts.state.textContent = `ran in ${(took / 1000).toFixed(2)} s`;
    const unmet = panic ? [] : run.unmet.filter(({ line }) => line);
    const marks = unmet.map(({ line }) => ({ line, kind: 'wrong' }));
    this.editor.mark(added ? [...marks, { line: added, kind: 'added' }] : marks);
    const planted = wanted.canary
      ? [element('p', { class: 'faint' }, 'With a planted bug: the disks skip flushes.')] : [];
    this.parts.verdict.replaceChildren(...(panic ? panicVerdict(panic, last) : verdict(run)),
      ...planted);
    this.shown = wanted;
    // A run that begins meanwhile has the stage.
    if (!await this.stage.show(run.page, event, keep, () => turn === this.turn)) return;
    const fragment = await fragmentOf(wanted, event);
    if (turn !== this.turn) return;
    history.replaceState(null, '', fragment);
    document.body.dataset.digest = panic ? '' : run.digest;
  }

  showSyntax({ line, column, text }) {
    this.parts.state.textContent = 'not run';
    this.editor.mark([{ line, kind: 'wrong' }]);
    this.editor.reveal(line);
    this.parts.verdict.replaceChildren(element('p', { class: 'headline bad', role: 'alert' },
      button(`line ${line}, column ${column}`, () => this.editor.select(line, column)),
      `: ${text}`));
  }

  complain(text) {
    this.parts.state.textContent = '';
    this.parts.verdict.replaceChildren(
      element('p', { class: 'headline bad', role: 'alert' }, text));
  }

  // Puts the address of the shown run and its chosen event into the clipboard.
  async share() {
    if (!this.shown) return;
    history.replaceState(null, '', await fragmentOf(this.shown, this.stage.chosen));
    const { share } = this.parts;
    const copied = await Promise.resolve(navigator.clipboard?.writeText(location.href))
      .then(() => Boolean(navigator.clipboard), () => false);
    share.textContent = copied ? 'Copied' : 'It is in the address bar';
    setTimeout(() => { share.textContent = 'Share'; }, 2000);
  }
}

function verdict({ failure, explanation, counts, digest, as_expected: expected, unmet }) {
  const word = failure ? (expected ? 'Fails, as expected' : 'Fails')
    : (expected ? 'Passes' : 'Not as expected');
  const mood = expected ? 'good' : failure ? 'bad' : 'warn';
  const others = failure && !expected ? [] : unmet;
  return [
    element('p', { class: `headline ${mood}` }, element('b', {}, word),
      failure ? `: ${failure}` : ''),
    ...others.map(({ line, text }) =>
      element('p', { class: 'bad' }, line ? `line ${line}: ${text}` : text)),
    explanation ? element('details', {}, element('summary', {}, 'Why'),
      element('pre', {}, explanation)) : null,
    element('p', { class: 'faint' }, counts),
    element('p', { class: 'faint' }, 'digest ', element('code', { id: 'digest' }, digest)),
  ].filter(one => one);
}

function panicVerdict(panic, last) {
  return [
    element('p', { class: 'headline bad' }, element('b', {}, 'Panics'), `: ${panic}`),
    element('p', { class: 'faint' }, `The page shows the ${last} events before it.`),
  ];
}

async function begin() {
  const content = id => document.getElementById(id).textContent;
  const simulator = new Simulator(await moduleOf(content('wasm')), content('worker'));
  const { catalog, error } = await simulator.ask('catalog');
  if (error) throw new Error(error);
  return new Playground(simulator, catalog);
}

// For the browser console, with `await`.
window.playground = begin().catch(error => {
  document.getElementById('verdict').append(element('p', { class: 'headline bad', role: 'alert' },
    `The simulator cannot run in this browser: ${error.message}`));
  throw error;
});

// Tests the built page in headless Chromium, and compares it with the command.
//
//     node sim/playground/test/test.mjs PAGE [COMMAND] [FOLDER]
//
// PAGE is the page that build.sh made, COMMAND the path of a built `quorate-sim`; without it the
// comparisons with the command are skipped. Screenshots go to FOLDER.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import { Browser, found } from './browser.mjs';

const [file, command, folder] = process.argv.slice(2);
const BYTES_MAX = 3_000_000;
const TWO_SIDES = 'nodes 3\nsurvivor after 1.2s\nat 1s isolate leader for 4s\n';

const skip = reason => {
  console.log(`SKIPPED playground: ${reason}`);
  process.exit(0);
};
if (!file || !existsSync(file)) skip('no page: build it with sim/playground/build.sh');
const name = found();
if (!name) skip('no chromium');
if (!command) console.log('SKIPPED playground comparisons: no path of quorate-sim is given');

const page = pathToFileURL(resolve(file)).href;
const browser = await Browser.open(name);
const native = (...words) => {
  const { stdout, stderr } = spawnSync(command, words, { encoding: 'utf8' });
  return stdout || stderr;
};
const idle = () => browser.until('!document.body.classList.contains("busy")');
const ran = () => browser.run('return document.body.dataset.digest');
const verdict = () => browser.run('return document.getElementById("verdict").innerText');
const scenario = () => browser.run('return document.getElementById("scenario").value');
const picture = label => folder ? browser.picture(join(folder, `${label}.png`)) : null;

// Runs `statements`, and waits until a run has replaced the verdict.
const act = async statements => {
  await browser.run(`document.getElementById('verdict').replaceChildren(); ${statements}`);
  await browser.until('document.getElementById("verdict").children.length');
  await idle();
  await browser.run('await playground');
};
const click = id => `document.getElementById('${id}').click();`;
const paste = text => `const text = document.getElementById('scenario');
  text.value = ${JSON.stringify(text)};
  text.dispatchEvent(new Event('input'));`;
const visit = async fragment => {
  await browser.visit(page + fragment);
  await browser.until('document.getElementById("verdict").children.length');
  await idle();
};

const tests = {
  async 'the page is small'() {
    assert.ok(statSync(file).size <= BYTES_MAX, `${statSync(file).size} bytes`);
  },

  async 'a seed has the digest of the command, and so has its scenario'() {
    await visit('');
    await act(`document.getElementById('seed').value = '1'; ${click('draw')}`);
    const digest = await ran();
    if (command) assert.match(native('--seed', '1'), new RegExp(`digest +${digest}\\n`));
    await act(`${paste(await scenario() + '# the same')} ${click('run')}`);
    assert.equal(await ran(), digest);
  },

  async 'a replay line is read as a seed'() {
    const line = 'cargo sim --seed 7 --profile no-faults --strategy swarm';
    await act(`document.getElementById('seed').value = '${line}'; ${click('draw')}`);
    const address = await browser.run('return location.hash');
    assert.equal(address, '#seed=7&profile=no-faults&strategy=swarm');
    const words = line.split(' ').slice(2);
    if (command) assert.match(native(...words), new RegExp(`digest +${await ran()}\\n`));
  },

  async 'a pasted scenario runs, and an edited line runs anew'() {
    await act(`${paste('nodes 5\nfault phase 2s\nat 1s crash n2 for 500ms\n')} ${click('run')}`);
    const digest = await ran();
    assert.match(await verdict(), /^Passes/);
    await act(`${paste('nodes 5\nfault phase 2s\nat 1s crash n3 for 500ms\n')} ${click('run')}`);
    assert.notEqual(await ran(), digest);
    const faults = await browser.run(
      'return (await playground).stage.run.faults.map(({ text }) => text).join()');
    assert.equal(faults, 'crash n3 for 500ms');
  },

  async 'an error names its line, and a click selects it'() {
    await act(`${paste('nodes 3\nat 1s crush n1\n')} ${click('run')}`);
    assert.match(await verdict(), /^line 2, column 7: .*crush/);
    const marked = await browser.run('return document.querySelector(".numbers .wrong").innerText');
    assert.equal(marked, '2');
    const selected = await browser.run(`document.querySelector('#verdict button').click();
      const { value, selectionStart, selectionEnd } = document.activeElement;
      return value.slice(selectionStart, selectionEnd);`);
    assert.equal(selected, 'crush n1');
    // The column counts characters, also after one of two UTF-16 units.
    const after = await browser.run(`${paste('nodes 3\nat 1s crush \u{1f600} n1\n')}
      (await playground).editor.select(2, 15);
      return text.value.slice(text.selectionStart, text.selectionEnd);`);
    assert.equal(after, 'n1');
  },

  async 'an expectation that is not met is named with its line'() {
    await act(`${paste('nodes 3\nfault phase 1s\nexpect elections >= 99\n')} ${click('run')}`);
    assert.match(await verdict(), /^Not as expected\s+line 3: expected `elections >= 99`/);
    const marked = await browser.run('return document.querySelector(".numbers .wrong").innerText');
    assert.equal(marked, '3');
  },

  async 'a fault that is dropped on the time line is a line of the scenario'() {
    await act(`${paste('nodes 5\nfault phase 3s\nexpect pass\n')} ${click('run')}`);
    const [from, to] = await browser.run(`
      const { stage } = await playground;
      await new Promise(next => setTimeout(next, 300));
      const chips = [...document.querySelectorAll('.fault')];
      const chip = chips.find(one => one.textContent === 'crash').getBoundingClientRect();
      const { timeline, frame } = stage;
      timeline.drawNow();
      const [outer, inner] = [frame, timeline.canvas].map(one => one.getBoundingClientRect());
      const lane = timeline.scene.lanes.nodes[1];
      return [{ x: chip.x + 9, y: chip.y + 9 },
        { x: outer.x + inner.x + timeline.view.x(2e9), y: outer.y + inner.y + lane.bar }];`);
    const release = await browser.drag(from, to);
    await picture('drag');
    await browser.run('document.getElementById("verdict").replaceChildren()');
    await release();
    await browser.until('document.getElementById("verdict").children.length');
    const lines = (await scenario()).split('\n');
    assert.match(lines[2], /^at (1\.9\d*|2|2\.0\d*)s crash n2 for 500ms$/);
    assert.equal(lines[3], 'expect pass');
  },

  async 'a run in the address is shown again'() {
    const commented = 'nodes 5\nfault phase 2s\nat 1s isolate n2 for 1s  # schlüssel\n';
    await act(`${paste(commented)} ${click('run')}`);
    await browser.run(`(await playground).stage.page.choose(41); ${click('share')}`);
    await browser.until('location.hash.includes("event=42")');
    const [digest, text, fragment] = [await ran(), await scenario(),
      await browser.run('return location.hash')];
    await visit(fragment);
    assert.deepEqual([await ran(), await scenario()], [digest, text]);
    await browser.until('(await playground).stage.chosen === 41');
    await visit('#scenario=damaged');
    assert.match(await verdict(), /cut off, damaged or too long/);
  },

  async 'a failing scenario has the sentences of the command'() {
    await act(`${paste(TWO_SIDES)} ${click('run')}`);
    assert.match(await verdict(), /^Fails: S10 leader-completeness at /);
    const why = await browser.run('return document.querySelector("#verdict pre").textContent');
    assert.match(why, /\ncause: /);
    if (!command) return;
    const path = join(tmpdir(), `quorate-playground-${process.pid}.scenario`);
    writeFileSync(path, TWO_SIDES);
    assert.equal(native('explain', '--scenario', path).trimEnd(), why);
  },

  async 'a planted bug fails'() {
    await visit('#seed=0&profile=default&strategy=nemeses&bug=lying-disks');
    assert.match(await verdict(), /^(Fails|Panics): [^]*planted bug/);
    await browser.run("document.getElementById('canary').checked = false");
  },

  async 'of a run that panics, the worker finds the longest part without the panic'() {
    const reply = await browser.run(`
      const script = document.getElementById('worker').textContent
        + 'asked = async ({ run }) => (run.events_max ?? Infinity) > 1234'
        + ' ? { panic: "no quorum" } : { run: run.events_max };';
      const worker = new Worker(URL.createObjectURL(new Blob([script])));
      worker.postMessage({ id: 1, request: { run: { from: {} } } });
      return new Promise(settle => { worker.onmessage = ({ data }) => settle(data.reply); });`);
    assert.deepEqual(reply, { panic: 'no quorum', run: 1234, last: 1234 });
  },

  async 'it plays forward and back'() {
    await act(`${paste('nodes 3\nfault phase 2s\n')} ${click('run')}`);
    const play = title => browser.run(`document.querySelector('button[title="${title}"]').click()`);
    const chosen = '(await playground).stage.chosen';
    await play('Play');
    await browser.until(`${chosen} > 100`);
    await play('Play');
    const middle = await browser.run(`return ${chosen}`);
    await play('Play back');
    await browser.until(`${chosen} < ${middle}`);
    await play('Play back');
  },

  async 'every screen has room for the page'() {
    await act(`${paste(TWO_SIDES)} ${click('run')}`);
    const failing = await browser.run('return location.hash');
    const screens = [['desktop', 1400, 860], ['small', 1024, 700], ['phone', 390, 844]];
    for (const [label, width, height] of screens) {
      for (const dark of [false, true]) {
        await browser.screen(width, height, dark);
        await visit(failing);
        const [wide, room] = await browser.run(
          'return [document.documentElement.scrollWidth, innerWidth]');
        assert.ok(wide <= room, `${label}: ${wide} of ${room} pixels`);
        await new Promise(next => setTimeout(next, 400));
        const shot = `${label}-${dark ? 'dark' : 'light'}`;
        await picture(shot);
        if (label !== 'phone') continue;
        await browser.run("document.querySelector('.show').scrollIntoView()");
        await new Promise(next => setTimeout(next, 400));
        await picture(`${shot}-run`);
      }
    }
  },

  async 'nothing is loaded from elsewhere, and nothing is thrown'() {
    const elsewhere = browser.requests.filter(url => !/^(file|blob|data|about):/.test(url));
    assert.deepEqual(elsewhere, []);
    assert.deepEqual(browser.errors, []);
    assert.doesNotMatch(readFileSync(file, 'utf8'), /(src|href)="?https?:/);
  },
};

let failed = 0;
await browser.screen(1400, 860, false);
for (const [title, test] of Object.entries(tests)) {
  try {
    await test();
    console.log(`ok      ${title}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${title}\n${error.stack}`);
    await picture('failed');
  }
}
await browser.close();
console.log(failed ? `${failed} tests failed` : `${Object.keys(tests).length} tests passed`);
process.exit(failed ? 1 : 0);

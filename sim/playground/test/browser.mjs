// A headless Chromium, driven by the DevTools protocol over a pipe.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];
// The maximum time until a condition holds, in milliseconds: runs on a slow machine take long.
const PATIENCE = 120_000;

// The name of a browser of this machine, or undefined.
export const found = () =>
  NAMES.find(name => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0);

export class Browser {
  static async open(name) {
    const browser = new Browser();
    browser.profile = mkdtempSync(join(tmpdir(), 'quorate-playground-'));
    browser.child = spawn(name, ['--headless', '--no-sandbox', '--disable-gpu',
      '--remote-debugging-pipe', `--user-data-dir=${browser.profile}`],
    { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
    Object.assign(browser, { sent: 0, waiting: new Map(), errors: [], requests: [] });
    browser.listen();
    const { targetId } = await browser.send('Target.createTarget', { url: 'about:blank' });
    const target = { targetId, flatten: true };
    browser.session = (await browser.send('Target.attachToTarget', target)).sessionId;
    for (const part of ['Page', 'Runtime', 'Log', 'Network']) await browser.send(`${part}.enable`);
    return browser;
  }

  listen() {
    let text = '';
    this.child.stdio[4].setEncoding('utf8').on('data', part => {
      const messages = (text + part).split('\0');
      text = messages.pop();
      messages.forEach(message => this.take(JSON.parse(message)));
    });
  }

  take({ id, method, params, error, result }) {
    if (id) {
      const [settle, reject] = this.waiting.get(id);
      this.waiting.delete(id);
      if (error) reject(new Error(error.message));
      else settle(result);
    } else if (method === 'Runtime.exceptionThrown') {
      const { exception, text } = params.exceptionDetails;
      this.errors.push(exception?.description ?? text);
    } else if (method === 'Log.entryAdded' && params.entry.level === 'error') {
      this.errors.push(params.entry.text);
    } else if (method === 'Network.requestWillBeSent') {
      this.requests.push(params.request.url);
    }
  }

  send(method, params = {}) {
    const id = ++this.sent;
    const message = JSON.stringify({ id, method, params, sessionId: this.session });
    this.child.stdio[3].write(message + '\0');
    return new Promise((...both) => this.waiting.set(id, both));
  }

  // Runs statements in the page, and returns what they return.
  async run(statements) {
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', {
      expression: `(async () => { ${statements} })()`, awaitPromise: true, returnByValue: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception.description);
    return result.value;
  }

  async until(condition) {
    const over = Date.now() + PATIENCE;
    while (!await this.run(`return Boolean(${condition})`)) {
      if (Date.now() > over) throw new Error(`never: ${condition}; ${this.errors.join('; ')}`);
      await new Promise(next => setTimeout(next, 50));
    }
  }

  async visit(address) {
    // Another fragment alone would not load the page again.
    await this.send('Page.navigate', { url: 'about:blank' });
    await this.send('Page.navigate', { url: address });
    await this.until('window.playground');
  }

  async screen(width, height, dark, mobile = width < 600) {
    await this.send('Emulation.setDeviceMetricsOverride',
      { width, height, mobile, deviceScaleFactor: mobile ? 2 : 1 });
    const scheme = { name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' };
    await this.send('Emulation.setEmulatedMedia', { features: [scheme] });
  }

  // Drags with the mouse from one point to another; returns a function that drops there.
  async drag(from, to) {
    const mouse = (type, { x, y }, buttons) =>
      this.send('Input.dispatchMouseEvent', { type, x, y, button: 'left', buttons, clickCount: 1 });
    await mouse('mousePressed', from, 1);
    for (const share of [0.3, 0.6, 0.9, 1]) {
      const between = name => from[name] + (to[name] - from[name]) * share;
      await mouse('mouseMoved', { x: between('x'), y: between('y') }, 1);
    }
    return () => mouse('mouseReleased', to, 0);
  }

  async picture(file) {
    const { data } = await this.send('Page.captureScreenshot', { format: 'png' });
    writeFileSync(file, Buffer.from(data, 'base64'));
  }

  close() {
    return new Promise(settle => {
      this.child.on('exit', () => {
        rmSync(this.profile, { recursive: true, force: true, maxRetries: 9, retryDelay: 200 });
        settle();
      });
      this.child.kill();
    });
  }
}

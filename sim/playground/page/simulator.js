// The simulator in its worker, and the module in the page.
async function moduleOf(text) {
  const bytes = Uint8Array.from(atob(text.trim()), letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Response(stream).arrayBuffer();
}

class Simulator {
  constructor(wasm, script) {
    this.wasm = wasm;
    this.script = URL.createObjectURL(new Blob([script], { type: 'text/javascript' }));
    this.asked = 0;
    this.start();
  }

  start() {
    this.waiting = new Map();
    this.worker = new Worker(this.script);
    this.worker.onmessage = ({ data: { id, reply } }) => {
      const settle = this.waiting.get(id);
      this.waiting.delete(id);
      // The reply of a worker that was stopped meanwhile is ignored.
      settle?.(reply);
    };
    this.worker.onerror = event => {
      this.waiting.forEach(settle => settle({ error: `the worker failed: ${event.message}` }));
      this.waiting.clear();
    };
    this.worker.postMessage({ wasm: this.wasm });
  }

  // The reply to a request, or null if it was stopped.
  ask(request) {
    const id = ++this.asked;
    return new Promise(settle => {
      this.waiting.set(id, settle);
      this.worker.postMessage({ id, request });
    });
  }

  stop() {
    const { waiting } = this;
    this.worker.terminate();
    this.start();
    waiting.forEach(settle => settle(null));
  }
}

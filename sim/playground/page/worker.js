// Runs the simulator beside the page. Every request has a new instance of the module, because a
// panic leaves one that cannot be used again.
let compiled;

self.onmessage = async ({ data: { wasm, id, request } }) => {
  if (wasm) {
    compiled = WebAssembly.compile(wasm);
    return;
  }
  const reply = await answered(request).catch(error => ({ error: error.message }));
  self.postMessage({ id, reply });
};

async function answered(request) {
  const reply = await asked(request);
  if (!reply.panic) return reply;
  const { run, last } = await upToPanic(request);
  return { ...reply, run, last };
}

async function asked(request) {
  const { exports } = await WebAssembly.instantiate(await compiled, {});
  const bytes = new TextEncoder().encode(JSON.stringify(request));
  const begin = exports.request_room(bytes.length);
  new Uint8Array(exports.memory.buffer, begin, bytes.length).set(bytes);
  let trap = null;
  try {
    exports.answer();
  } catch (error) {
    trap = error;
  }
  const length = exports.reply_bytes();
  if (!length) throw new Error(`the simulator stopped without a message (${trap.message}): it may `
    + 'be out of memory');
  const reply = new Uint8Array(exports.memory.buffer, exports.reply_begin(), length);
  return JSON.parse(new TextDecoder().decode(reply));
}

// Runs the longest part of a run without its panic; `last` is the number of events of that part.
async function upToPanic({ run: wanted }) {
  const part = events => asked({ run: { ...wanted, events_max: events } });
  let [last, from, over] = [await part(0), 0, 64];
  for (;;) {
    const reply = await part(over);
    if (reply.panic) break;
    [last, from, over] = [reply, over, over * 2];
  }
  while (over - from > 1) {
    const middle = Math.floor((from + over) / 2);
    const reply = await part(middle);
    if (reply.panic) over = middle;
    else [last, from] = [reply, middle];
  }
  return { run: last.run, last: from };
}

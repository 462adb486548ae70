// The run in the page's address: a seed with its profile and strategy, or a compressed scenario.
async function squeezed(text) {
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream('deflate-raw'));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const letters = Array.from(bytes, byte => String.fromCharCode(byte)).join('');
  return btoa(letters).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
}

// The maximum length of a scenario in an address, in bytes.
const SCENARIO_BYTES_MAX = 1 << 20;

// The text, or null if it is too long.
async function unsqueezed(text) {
  const letters = atob(text.replace(/-/g, '+').replace(/_/g, '/'));
  const bytes = Uint8Array.from(letters, letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
  const [decoder, parts] = [new TextDecoder(), []];
  let length = 0;
  for (const reader = stream.getReader();;) {
    const { done, value } = await reader.read();
    if (done) return parts.join('') + decoder.decode();
    length += value.length;
    if (length > SCENARIO_BYTES_MAX) return null;
    parts.push(decoder.decode(value, { stream: true }));
  }
}

// The fragment of the address for a run: `{ from, canary }`, as in a request.
async function fragmentOf({ from, canary }, event) {
  const words = new URLSearchParams();
  if (from.seed) {
    const { seed, profile, strategy } = from.seed;
    Object.entries({ seed, profile, strategy }).forEach(([name, word]) => words.set(name, word));
  } else {
    words.set('scenario', await squeezed(from.scenario));
  }
  if (canary) words.set('bug', 'lying-disks');
  if (event >= 0) words.set('event', event + 1);
  return `#${words}`;
}

// The run in a fragment, or null if it has none.
async function readFragment(fragment, defaults) {
  const words = new URLSearchParams(fragment.replace(/^#/, ''));
  const canary = words.get('bug') === 'lying-disks';
  const event = Math.trunc(Number(words.get('event')) || 0) - 1;
  if (words.has('scenario')) {
    const scenario = await unsqueezed(words.get('scenario')).catch(() => null);
    if (scenario === null) throw new Error('the scenario in the address is cut off, damaged or too long');
    return { wanted: { from: { scenario }, canary }, event };
  }
  if (!words.has('seed')) return null;
  const { profile, strategy } = defaults;
  const seed = {
    seed: words.get('seed'), profile: words.get('profile') ?? profile,
    strategy: words.get('strategy') ?? strategy,
  };
  return { wanted: { from: { seed }, canary }, event };
}

// Reads a seed, or a whole replay line: `cargo sim --seed 7 --profile no-faults`.
function readSeed(text) {
  const flag = name => text.match(new RegExp(`--${name}[ =](\\S+)`))?.[1];
  const seed = flag('seed') ?? text.trim();
  return { seed, profile: flag('profile'), strategy: flag('strategy') };
}

// What a pen paints with. Every colour is one of the style sheet, for light, dark and print.
const TERM_COLORS = 8;
const color = name => `var(--${name})`;
const termColor = term => `term-${term % TERM_COLORS}`;

class Paint {
  constructor() {
    this.forget();
  }

  // Reads the colours anew, since the page may have become dark.
  forget() {
    this.style = getComputedStyle(document.documentElement);
    this.known = new Map();
  }

  ink(name) {
    if (!this.known.has(name)) {
      this.known.set(name, this.style.getPropertyValue('--' + name).trim());
    }
    return this.known.get(name);
  }

  // Stripes of a colour on a ground: `slope` 1 rises, -1 falls, 0 stands upright.
  stripes(pen, name, slope, gap, ground) {
    const key = [name, slope, gap, ground].join(' ');
    if (!this.known.has(key)) this.known.set(key, pen.createPattern(
      this.tile(name, slope, gap, ground), 'repeat'));
    return this.known.get(key);
  }

  tile(name, slope, gap, ground) {
    const tile = document.createElement('canvas');
    tile.width = tile.height = gap;
    const pen = tile.getContext('2d');
    pen.fillStyle = this.ink(ground);
    pen.fillRect(0, 0, gap, gap);
    pen.strokeStyle = this.ink(name);
    pen.lineWidth = gap / 4;
    pen.beginPath();
    for (const shift of [-gap, 0, gap]) {
      if (slope === 0) {
        pen.moveTo(shift + gap / 2, -1);
        pen.lineTo(shift + gap / 2, gap + 1);
      } else {
        pen.moveTo(shift - 1, slope > 0 ? gap + 1 : -1);
        pen.lineTo(shift + gap + 1, slope > 0 ? -1 : gap + 1);
      }
    }
    pen.stroke();
    return tile;
  }

  // What a node's bar is filled with: the colour says the term, the filling the role.
  role(pen, condition, role, term) {
    if (condition === DOWN) return this.stripes(pen, 'hatch', 1, 8, 'ground');
    if (condition === PAUSED) return this.stripes(pen, 'hatch', 0, 6, 'ground');
    const name = termColor(term);
    if (role === LEADER) return this.ink(name);
    if (role === CANDIDATE) return this.stripes(pen, name, -1, 6, 'card');
    if (role === PRE_CANDIDATE) return this.stripes(pen, name, -1, 12, 'card');
    return this.mixed(name, 'card', 0.24);
  }

  // So much of one colour, the rest of another.
  mixed(name, ground, share) {
    const key = [name, ground, share].join(' ');
    if (!this.known.has(key)) {
      const [one, two] = [name, ground].map(of => this.parts(of));
      const part = i => Math.round(one[i] * share + two[i] * (1 - share));
      this.known.set(key, `rgb(${part(0)}, ${part(1)}, ${part(2)})`);
    }
    return this.known.get(key);
  }

  parts(name) {
    const digits = this.ink(name).slice(1);
    return [0, 2, 4].map(at => parseInt(digits.slice(at, at + 2), 16));
  }
}

// Makes a canvas as fine as the screen, and as large as `width` and `height` say.
function fitted(canvas, width, height) {
  const ratio = devicePixelRatio || 1;
  const [across, down] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== across || canvas.height !== down) {
    canvas.width = across;
    canvas.height = down;
    canvas.style.width = width + 'px';
    canvas.style.height = height + 'px';
  }
  const pen = canvas.getContext('2d');
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  return pen;
}

// Colours and patterns of the drawings. Every colour comes from the style sheet.
const TERM_COLORS = 8;
const color = name => `var(--${name})`;
const termColor = term => `term-${term % TERM_COLORS}`;

class Paint {
  constructor() {
    this.forget();
  }

  // Reads the colours again, because the colour scheme may have changed.
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

  // Stripes of a colour on a background: `slope` 1 rises, -1 falls, 0 is vertical.
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

  // The fill of a node's bar: the colour shows the term, the pattern shows the role.
  role(pen, condition, role, term) {
    if (condition === DOWN) return this.stripes(pen, 'hatch', 1, 8, 'ground');
    if (condition === PAUSED) return this.stripes(pen, 'hatch', 0, 6, 'ground');
    if (condition === NOT_RECORDED) return this.ink('ground');
    const name = termColor(term);
    if (role === LEADER) return this.ink(name);
    if (role === CANDIDATE) return this.stripes(pen, name, -1, 6, 'card');
    if (role === PRE_CANDIDATE) return this.stripes(pen, name, -1, 12, 'card');
    return this.mixed(name, 'card', 0.24);
  }

  // A mixture of two colours, with `share` of the first.
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

// Sets a canvas to `width` and `height` at the resolution of the screen.
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

// The visible part of the time, and the position of a time on the canvas.
const GUTTER = 84;
const EDGE = 14;

class View {
  constructor(begin, end) {
    const air = (end - begin) * 0.01;
    [this.begin, this.end] = [begin - air, end + air];
    [this.from, this.until] = [this.begin, this.end];
    this.width = 800;
  }

  get room() {
    return Math.max(50, this.width - GUTTER - EDGE);
  }

  x(time) {
    return GUTTER + (time - this.from) / (this.until - this.from) * this.room;
  }

  time(x) {
    return this.from + (x - GUTTER) / this.room * (this.until - this.from);
  }

  // The time that one pixel covers.
  get grain() {
    return (this.until - this.from) / this.room;
  }

  show(from, until) {
    const least = Math.max(1, (this.end - this.begin) * 1e-9);
    const width = Math.min(Math.max(until - from, least), this.end - this.begin);
    const start = Math.min(Math.max(from, this.begin), this.end - width);
    [this.from, this.until] = [start, start + width];
  }

  zoom(factor, x) {
    const fixed = this.time(x === undefined ? GUTTER + this.room / 2 : x);
    this.show(fixed - (fixed - this.from) * factor, fixed + (this.until - fixed) * factor);
  }

  pan(pixels) {
    const by = pixels * this.grain;
    this.show(this.from + by, this.until + by);
  }

  // Pans just enough to keep a time away from the edges.
  reveal(time) {
    const air = (this.until - this.from) * 0.12;
    if (time < this.from + air) this.pan((time - this.from - air) / this.grain);
    if (time > this.until - air) this.pan((time - this.until + air) / this.grain);
  }

  fit() {
    this.show(this.begin, this.end);
  }
}

// Round times that divide the view, at least `apart` pixels from each other.
function ticks(view, whole, apart) {
  const least = view.grain * apart;
  const power = 10 ** Math.floor(Math.log10(least));
  let step = [1, 2, 5, 10].map(one => one * power).find(one => one >= least);
  if (whole) step = Math.max(1, Math.round(step));
  const times = [];
  for (let time = Math.ceil(view.from / step) * step; time <= view.until; time += step) {
    times.push(time);
  }
  return { step, times };
}

// The label of a time on the ruler, as precise as the step.
function tickLabel(run, time, step) {
  if (run.ordered) return '';
  const digits = Math.min(9, Math.max(0, -Math.floor(Math.log10(step / 1e9) + 1e-9)));
  return (Math.abs(time) < step / 2 ? 0 : time / 1e9).toFixed(digits) + ' s';
}

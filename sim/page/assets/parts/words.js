// Formats numbers and times.
const count = number => Number(number).toLocaleString('en');

function short(number) {
  if (!Number.isFinite(number)) return '–';
  if (Number.isInteger(number) && number < 1e4) return count(number);
  if (number >= 1e6) return (number / 1e6).toFixed(1) + 'M';
  if (number >= 1e4) return (number / 1e3).toFixed(1) + 'k';
  return number >= 100 ? number.toFixed(0) : number >= 10 ? number.toFixed(1)
    : number === 0 ? '0' : number.toFixed(2);
}

// A number with its noun, in singular or plural.
const counted = (number, one, many) => `${count(number)} ${number === 1 ? one : many || one + 's'}`;

// A time: seconds to the microsecond, or a position in an order.
function instant(run, time) {
  return run.ordered ? `position ${count(time)}` : `${(time / 1e9).toFixed(6)} s`;
}

// A duration in a fitting unit, from nanoseconds.
function span(run, time) {
  if (run.ordered) return counted(time, 'position');
  if (time >= 1e9) return `${(time / 1e9).toFixed(3)} s`;
  return time >= 1e6 ? `${(time / 1e6).toFixed(2)} ms` : `${(time / 1e3).toFixed(0)} µs`;
}

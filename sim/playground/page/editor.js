// The scenario's text with line numbers and marked lines.
class Editor {
  constructor(box, changed) {
    this.text = element('textarea', {
      spellcheck: 'false', autocapitalize: 'off', autocomplete: 'off', wrap: 'off',
      'aria-label': 'Scenario, one statement a line', id: 'scenario',
      oninput: () => {
        this.mark([]);
        changed();
      },
      onscroll: () => this.scroll(),
    });
    this.numbers = element('div', { class: 'numbers', 'aria-hidden': 'true' });
    box.append(this.numbers, this.text);
    this.mark([]);
  }

  get value() { return this.text.value; }

  set value(text) {
    this.text.value = text;
    this.text.scrollTop = 0;
    this.mark([]);
  }

  // Marks lines, counted from 1: `{ line, kind }`.
  mark(marks) {
    const lines = this.text.value.split('\n').length;
    const kinds = new Map(marks.map(({ line, kind }) => [line, kind]));
    this.numbers.replaceChildren(...Array.from({ length: lines }, (_, place) =>
      element('span', { class: kinds.get(place + 1) }, String(place + 1))));
    this.scroll();
  }

  scroll() {
    this.numbers.style.transform = `translateY(${-this.text.scrollTop}px)`;
  }

  // Selects a line, from a column on that counts characters, and scrolls to it.
  select(line, column = 1) {
    const lines = this.text.value.split('\n');
    const before = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
    const selected = lines[line - 1] ?? '';
    const from = before + [...selected].slice(0, column - 1).join('').length;
    this.text.focus({ preventScroll: true });
    this.text.setSelectionRange(from, before + selected.length);
    this.reveal(line);
  }

  reveal(line) {
    const height = parseFloat(getComputedStyle(this.text).lineHeight);
    this.text.scrollTop = (line - 1) * height - this.text.clientHeight / 2;
  }

  // Inserts a line after the last one with a time or trigger, or else before the expectations or at
  // the end; returns its number.
  insert(added) {
    const lines = this.text.value.replace(/\n+$/, '').split('\n');
    const timed = lines.findLastIndex(line => /^\s*(at|from|to|when|whenever)\s/.test(line));
    const expects = lines.findIndex(line => /^\s*expect\s/.test(line));
    const place = timed >= 0 ? timed + 1 : expects >= 0 ? expects : lines.length;
    lines.splice(place, 0, added);
    this.text.value = lines.filter((line, at) => line || at).join('\n') + '\n';
    const number = this.text.value.split('\n').lastIndexOf(added) + 1;
    this.mark([{ line: number, kind: 'added' }]);
    this.reveal(number);
    return number;
  }
}

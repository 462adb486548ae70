// Decodes numbers and texts from a document's bytes: the counterpart of src/encode/writer.rs.
class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.next = 0;
    const letters = new TextDecoder();
    this.patterns = Array.from({ length: this.number() }, () =>
      Array.from({ length: this.number() }, () => {
        const length = this.number();
        this.next += length;
        return letters.decode(bytes.subarray(this.next - length, this.next));
      }));
    this.lasts = this.patterns.map(pieces => new Array(pieces.length - 1).fill(0));
  }

  number() {
    let [number, scale] = [0, 1];
    for (;;) {
      const byte = this.bytes[this.next++];
      if (byte === undefined) throw new Error('the document is truncated');
      number += (byte & 0x7f) * scale;
      if (byte < 0x80) return number;
      scale *= 128;
    }
  }

  signed() {
    const folded = this.number();
    return folded % 2 ? -(folded + 1) / 2 : folded / 2;
  }

  // Reads a number that may be missing; -1 if it is.
  option() {
    return this.number() - 1;
  }

  list(each) {
    return Array.from({ length: this.number() }, (_, place) => each(place));
  }

  text() {
    const pattern = this.number();
    return this.joined(pattern, this.numbersOf(pattern));
  }

  // The numbers of a text with this pattern, from their differences to the previous text.
  numbersOf(pattern) {
    const lasts = this.lasts[pattern];
    for (let i = 0; i < lasts.length; i++) lasts[i] += this.signed();
    return lasts;
  }

  joined(pattern, numbers, from = 0) {
    const pieces = this.patterns[pattern];
    let text = pieces[0];
    for (let i = 1; i < pieces.length; i++) text += numbers[from + i - 1] + pieces[i];
    return text;
  }
}

// Many texts, each decoded only when it is needed.
class Texts {
  constructor(reader) {
    this.reader = reader;
    this.patterns = [];
    this.starts = [];
    this.numbers = [];
  }

  // Takes the next text from the reader.
  take() {
    const pattern = this.reader.number();
    this.patterns.push(pattern);
    this.starts.push(this.numbers.length);
    for (const number of this.reader.numbersOf(pattern)) this.numbers.push(number);
    return this.patterns.length - 1;
  }

  at(place) {
    return this.reader.joined(this.patterns[place], this.numbers, this.starts[place]);
  }
}

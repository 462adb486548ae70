// The log of every node at every event. Of the logs computed so far, one is kept every KEPT_EVERY
// changes.
const KEPT_EVERY = 256;

class Log {
  constructor(entries = [], last = 0) {
    this.entries = new Map(entries);
    this.last = last;
  }

  // Replaces the entries after index `keep`.
  replace({ keep, entries }) {
    for (; this.last > keep; this.last--) this.entries.delete(this.last);
    this.last = keep;
    for (const entry of entries) this.entries.set(++this.last, entry);
  }
}

class Logs {
  constructor(run) {
    this.changes = run.nodes.map(() => []);
    this.kept = run.nodes.map(() => new Map());
    for (const change of run.logChanges) {
      this.changes[nodeOf(run.lane[change.event])].push(change);
    }
  }

  // The log of a node after `event`.
  at(node, event) {
    const changes = this.changes[node];
    const kept = this.kept[node];
    const until = firstWhere(changes.length, i => changes[i].event > event);
    let start = until - until % KEPT_EVERY;
    while (start > 0 && !kept.has(start)) start -= KEPT_EVERY;
    const from = kept.get(start);
    const log = from ? new Log(from.entries, from.last) : new Log();
    for (let i = start; i < until; i++) {
      if (i > start && i % KEPT_EVERY === 0) kept.set(i, new Log(log.entries, log.last));
      log.replace(changes[i]);
    }
    return log;
  }
}

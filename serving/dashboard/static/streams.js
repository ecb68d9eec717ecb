// Streams of topics over one WebSocket: it comes back by itself, and goes on where it was, without gap or double.

const WAIT_FIRST_MS = 500;
const WAIT_MOST_MS = 15_000;
// The server says something at least so often; silence for longer is a lost connection that nobody has closed.
const SILENCE_MS = 25_000;
const RATE_OVER_MS = 5_000;

/** All streams of the page. `onState` is called with "live" or "lost", and the time since when. */
export class Streams {
  constructor(onState) {
    this.onState = onState;
    this.subscriptions = new Map();
    this.named = 0;
    this.attempts = 0;
    this.reconnections = -1;
    this.counts = [];
    this.lastRow = null;
    this.lostSince = null;
    this.onOffline = () => this.socket?.close();
    this.onOnline = () => this.#connect();
    addEventListener("offline", this.onOffline);
    addEventListener("online", this.onOnline);
    this.watch = setInterval(() => this.#checkSilence(), 1000);
    this.#connect();
  }

  /**
   * Rows of a topic, from now until closed.
   *
   * @param keys only rows of these keys; all where there are none
   * @param everyMs 0 for every row; else the newest of each group, so often at most
   * @param newest whether the newest rows that there are come first
   * @param onRows called with rows, in order
   * @param onBegin called when it begins anew: at first, and where what was missed is not kept any more
   */
  subscribe({ topic, keys = [], everyMs = 0, newest = false, onRows, onBegin = () => {} }) {
    const id = `s${++this.named}`;
    const one = { id, topic, keys, everyMs, newest, onRows, onBegin, position: null };
    this.subscriptions.set(id, one);
    if (this.#isOpen()) this.#ask(one);
    return { close: () => this.#drop(id) };
  }

  /** Rows a second of late, milliseconds since the last row, and how often it was connected again. */
  figures() {
    const since = performance.now() - RATE_OVER_MS;
    this.counts = this.counts.filter(([at]) => at >= since);
    const rows = this.counts.reduce((total, [, count]) => total + count, 0);
    return {
      rowsPerSecond: rows / (RATE_OVER_MS / 1000),
      sinceRowMs: this.lastRow === null ? null : performance.now() - this.lastRow,
      reconnections: Math.max(0, this.reconnections),
    };
  }

  /** End all. */
  close() {
    clearInterval(this.watch);
    clearTimeout(this.timer);
    removeEventListener("offline", this.onOffline);
    removeEventListener("online", this.onOnline);
    this.subscriptions.clear();
    this.closed = true;
    this.socket?.close();
  }

  #isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  #connect() {
    if (this.closed || (this.socket && this.socket.readyState <= WebSocket.OPEN)) return;
    clearTimeout(this.timer);
    const address = new URL("v1/stream", document.baseURI);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    const socket = (this.socket = new WebSocket(address));
    socket.addEventListener("open", () => this.#opened());
    socket.addEventListener("message", (event) => this.#said(event.data));
    socket.addEventListener("close", () => this.#lost(socket));
  }

  #opened() {
    this.attempts = 0;
    this.reconnections += 1;
    this.heard = performance.now();
    this.lostSince = null;
    for (const one of this.subscriptions.values()) this.#ask(one);
    this.onState("live", new Date());
  }

  #lost(socket) {
    if (this.closed || socket !== this.socket) return;
    this.lostSince ??= new Date();
    this.onState("lost", this.lostSince);
    // Half of it by chance: a server that comes back is not asked by all pages at once.
    const most = Math.min(WAIT_MOST_MS, WAIT_FIRST_MS * 2 ** this.attempts);
    this.attempts += 1;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#connect(), most / 2 + (Math.random() * most) / 2);
  }

  #checkSilence() {
    if (this.#isOpen() && performance.now() - this.heard > SILENCE_MS) this.socket.close();
  }

  #ask(one) {
    const wanted = { topic: one.topic, format: "json" };
    if (one.keys.length) wanted.keys = one.keys;
    if (one.everyMs) wanted.interval_ms = one.everyMs;
    if (one.position !== null) wanted.position = one.position;
    else if (one.newest) wanted.snapshot = true;
    this.#send({ subscribe: { id: one.id, ...wanted } });
    if (one.position === null) one.onBegin();
  }

  #drop(id) {
    if (this.subscriptions.delete(id) && this.#isOpen()) this.#send({ unsubscribe: { id } });
  }

  #send(message) {
    this.socket.send(JSON.stringify(message));
  }

  #said(text) {
    this.heard = performance.now();
    const message = JSON.parse(text);
    const one = this.subscriptions.get(message.id);
    if (!one) return;
    if (message.position !== undefined) one.position = message.position;
    if (message.rows?.length) {
      this.lastRow = this.heard;
      this.counts.push([this.heard, message.rows.length]);
      one.onRows(message.rows);
    }
    if (message.end) this.#ended(one, message.end);
  }

  #ended(one, end) {
    // Behind what was kept, or too slow for every row: begin anew with what is there.
    if (end.kind === "trimmed") one.position = null;
    this.#ask(one);
  }
}

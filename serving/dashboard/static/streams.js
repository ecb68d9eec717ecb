// Streams of topics over one WebSocket: it comes back by itself, and goes on where it was, without gap or double.

import { Problem } from "./api.js";

const WAIT_FIRST_MS = 500;
const WAIT_MOST_MS = 15_000;
// Silent for so long, the server is asked whether it is there; silent for twice as long, it is not.
const SILENCE_MS = 10_000;
// Codes of the server's own reasons to close, beside those of the protocol.
const TRIMMED = 4010;
// A position as the server writes it, such as 0:1200,1:88.40.
const POSITION = /\d+:\d+(?:\.\d+)?(?:,\d+:\d+(?:\.\d+)?)*/;
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
    this.arrow = null;
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
   * @param onArrow in place of it: called with rows as Arrow streams; one such stream at a time
   * @param onBegin called when it begins anew: at first, and where what was missed is not kept any more
   */
  subscribe({ topic, keys = [], everyMs = 0, newest = false, onRows, onArrow, onBegin = () => {} }) {
    const id = `s${++this.named}`;
    const one = { id, topic, keys, everyMs, newest, onRows, onArrow, onBegin, position: null, begun: false };
    this.subscriptions.set(id, one);
    if (this.#isOpen()) this.#ask(one);
    return { close: () => this.#drop(id) };
  }

  /** Call `onBegin` of a topic's streams once more: there is more to ask for than when they began. */
  beginAgain(topic) {
    for (const one of this.subscriptions.values()) if (one.topic === topic && one.begun) this.#begin(one);
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
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () => this.#opened());
    socket.addEventListener("message", (event) => this.#heard(event.data));
    socket.addEventListener("close", (event) => this.#lost(socket, event.code));
  }

  #opened() {
    this.attempts = 0;
    this.reconnections += 1;
    this.heard = performance.now();
    this.lostSince = null;
    for (const one of this.subscriptions.values()) this.#ask(one);
    this.onState("live", new Date());
  }

  #lost(socket, code) {
    if (this.closed || socket !== this.socket) return;
    if (code === TRIMMED) this.#beginAnew();
    for (const one of this.subscriptions.values()) one.begun &&= one.position !== null;
    this.lostSince ??= new Date();
    this.onState("lost", this.lostSince);
    // Half of it by chance: a server that comes back is not asked by all pages at once.
    const most = Math.min(WAIT_MOST_MS, WAIT_FIRST_MS * 2 ** this.attempts);
    this.attempts += 1;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#connect(), most / 2 + (Math.random() * most) / 2);
  }

  #checkSilence() {
    if (!this.#isOpen()) return;
    const silent = performance.now() - this.heard;
    if (silent > 2 * SILENCE_MS) this.socket.close();
    // Nothing has this name: the answer is that, and that the server is there.
    else if (silent > SILENCE_MS) this.#send({ unsubscribe: "?" });
  }

  #beginAnew() {
    for (const one of this.subscriptions.values()) Object.assign(one, { position: null, begun: false });
  }

  #ask(one) {
    const wanted = { id: one.id, topic: one.topic, conflate_ms: one.everyMs, format: one.onArrow ? "arrow" : "json" };
    if (one.keys.length) wanted.keys = one.keys;
    wanted.begin = one.position ?? (one.newest ? "latest" : "now");
    this.#send({ subscribe: wanted });
  }

  #drop(id) {
    if (this.subscriptions.delete(id) && this.#isOpen()) this.#send({ unsubscribe: id });
  }

  #send(message) {
    this.socket.send(JSON.stringify(message));
  }

  #heard(data) {
    this.heard = performance.now();
    if (data instanceof ArrayBuffer) {
      this.#takeArrow(data);
      return;
    }
    const message = JSON.parse(data);
    if (message.subscribed) this.#subscribed(this.subscriptions.get(message.subscribed), message.position);
    else if (message.rows) this.#take(this.subscriptions.get(message.id), message);
    else if (message.error) this.#refused(message.error);
  }

  #subscribed(one, position) {
    if (!one) return;
    // The newest rows are still to come where they are wanted: without them there is no place to go on from.
    if (!one.newest) one.position ??= position;
    if (one.onArrow) this.arrow = one;
    if (!one.begun) this.#begin(one);
  }

  async #begin(one) {
    one.begun = true;
    try {
      await one.onBegin();
    } catch (error) {
      if (error instanceof Problem) console.warn(`${one.topic}: ${error.message}`);
      else if (!(error instanceof TypeError)) throw error;
      // What could not be asked now is asked once the connection is there again.
      one.begun = false;
    }
  }

  #take(one, { position, rows }) {
    if (!one) return;
    one.position = position;
    this.#count(rows.length);
    one.onRows(rows);
  }

  #takeArrow(buffer) {
    const one = this.arrow;
    if (!one || !this.subscriptions.has(one.id)) return;
    // Text in the metadata of the schema, at its head: so the page needs no reader of Arrow of its own.
    const head = new TextDecoder("latin1").decode(buffer.slice(0, 16_384));
    one.position = POSITION.exec(head)?.[0] ?? null;
    this.#count(1);
    one.onArrow(buffer);
  }

  #count(rows) {
    this.lastRow = this.heard;
    this.counts.push([this.heard, rows]);
  }

  #refused({ kind, detail }) {
    if (kind === "id") return;
    if (kind === "position") {
      // Another log than before: whatever was seen of the old one is no place in it.
      this.#beginAnew();
      this.socket.close();
      return;
    }
    console.warn(`stream refused: ${detail}`);
  }
}

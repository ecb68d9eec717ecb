// The desk of somebody who is signed in: the panels, and which streams feed them.
import { get } from "./api.js";
import { Alerts } from "./alerts.js";
import { Blotter } from "./blotter.js";
import { Chart } from "./chart.js";
import { byId, make } from "./dom.js";
import { Explore } from "./explore.js";
import { count, moment, seconds } from "./format.js";
import { Ladder } from "./ladder.js";
import { Positions } from "./positions.js";
import { Streams } from "./streams.js";
import { System } from "./system.js";
import { Ticket } from "./ticket.js";
import { Watchlist } from "./watchlist.js";

const SYMBOL_KEY = "tapeflow.symbol";
// People see no difference below this; a busy topic is conflated to it by the server.
const CALM_MS = 250;

/** What a signed-in user works at. `me` is who that is, as the API says it. */
export class Desk {
  constructor(me) {
    this.me = me;
    this.shown = [];
    this.watched = [];
    this.marketTime = null;
  }

  /** Make the panels, and begin to stream. */
  async open() {
    const { me } = this;
    const [symbols, topics] = await Promise.all([knownSymbols(), readableTopics()]);
    byId("symbols").replaceChildren(...symbols.map((symbol) => make("option", { value: symbol })));
    this.streams = new Streams((state, since) => this.#connection(state, since));
    this.chart = new Chart();
    this.ladder = new Ladder((price) => this.ticket.setPrice(price));
    this.blotter = new Blotter((account) => me.trades.includes(account));
    this.ticket = new Ticket((order, answer) => this.blotter.sent(order, answer));
    this.ticket.setAccounts(me.trades);
    this.positions = new Positions();
    this.alerts = new Alerts(topics.filter((name) => name.startsWith("alerts")));
    this.explore = new Explore(this.streams, topics);
    this.system = new System(() => this.#measured(), me.scopes.includes("operations:read"));
    this.watchlist = new Watchlist(symbols, (symbol) => this.show(symbol), (watched) => this.#watch(watched));
    byId("symbol-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.show(byId("symbol").value.trim().toUpperCase());
    });
    byId("chart-interval").addEventListener("change", () => this.show(this.symbol));
    this.#follow(topics);
    this.#watch(this.watchlist.symbols);
    this.show(localStorage.getItem(SYMBOL_KEY) ?? this.watchlist.symbols[0] ?? "");
  }

  /** End the streams. */
  close() {
    this.system?.stop();
    this.streams?.close();
  }

  /** Show a symbol in chart, depth and ticket. */
  show(symbol) {
    for (const subscription of this.shown) subscription.close();
    this.shown = [];
    this.symbol = symbol;
    this.chart.clear();
    this.chart.symbol = symbol;
    this.chart.draw();
    this.ladder.clear();
    if (!symbol) return;
    localStorage.setItem(SYMBOL_KEY, symbol);
    byId("symbol").value = symbol;
    byId("chart-title").textContent = `Chart: ${symbol}`;
    byId("ladder-title").textContent = `Depth: ${symbol}`;
    this.ticket.setSymbol(symbol);
    this.watchlist.setShown(symbol);
    const keys = [symbol];
    const of = (topic, options) => this.streams.subscribe({ topic, keys, ...options });
    this.shown = [
      of("bars", { onRows: (rows) => this.chart.takeBars(rows), onBegin: () => this.chart.load(symbol) }),
      of("indicators", { onRows: (rows) => this.chart.takeIndicators(rows) }),
      of("trades", { onRows: (rows) => this.#tick(rows, () => this.chart.takeTrades(rows)) }),
      of("quotes", {
        everyMs: CALM_MS,
        onRows: (rows) => this.#tick(rows, () => this.ladder.takeQuotes(rows)),
        onBegin: async () => this.#onShown(symbol, await get("v1/quotes", { symbol }), (found) => this.ladder.takeQuotes(found.quotes)),
      }),
      of("book_top", {
        everyMs: CALM_MS,
        onRows: (rows) => this.#tick(rows, () => this.ladder.takeBooks(rows)),
        onBegin: async () => this.#onShown(symbol, await get(`v1/book/${encodeURIComponent(symbol)}`), (found) => this.ladder.takeBooks(found.venues)),
      }),
    ];
  }

  #onShown(symbol, found, take) {
    if (symbol === this.symbol) take(found);
  }

  #follow(topics) {
    const { scopes } = this.me;
    if (scopes.includes("orders:read")) {
      this.streams.subscribe({ topic: "order_events", onRows: (rows) => this.blotter.take(rows), onBegin: () => this.blotter.load() });
    }
    if (scopes.includes("accounts:read")) {
      this.streams.subscribe({ topic: "positions", everyMs: CALM_MS, onRows: (rows) => this.positions.take(rows), onBegin: () => this.positions.load() });
    }
    for (const topic of topics.filter((name) => name.startsWith("alerts"))) {
      this.streams.subscribe({ topic, onRows: (rows) => this.alerts.take(topic, rows) });
    }
  }

  #watch(symbols) {
    for (const subscription of this.watched) subscription.close();
    this.watched = [];
    if (!symbols.length) return;
    this.watched = [
      this.streams.subscribe({
        topic: "marks",
        keys: symbols,
        everyMs: CALM_MS,
        onRows: (rows) => this.#tick(rows, () => this.watchlist.takeMarks(rows)),
        onBegin: async () => this.watchlist.takeMarks((await get("v1/marks", { symbols: symbols.join(",") })).marks),
      }),
      this.streams.subscribe({
        topic: "indicators",
        keys: symbols,
        everyMs: CALM_MS,
        onRows: (rows) => this.watchlist.takeIndicators(rows),
      }),
    ];
  }

  #tick(rows, take) {
    const newest = rows.reduce((most, row) => (row.ts_event > most ? row.ts_event : most), this.marketTime ?? "");
    if (newest && newest !== this.marketTime) {
      this.marketTime = newest;
      byId("market-time").textContent = `Market ${moment(newest)} UTC`;
    }
    take();
  }

  #connection(state, since) {
    const pill = byId("connection");
    pill.dataset.state = state;
    pill.textContent = { live: "Live", lost: "Stale", off: "Not connected" }[state];
    byId("banner").hidden = state !== "lost";
    byId("banner").textContent = `The connection to Tapeflow was lost at ${since.toLocaleTimeString()}. What you see is stale; connecting again…`;
    if (state === "lost") document.body.dataset.stale = "";
    else delete document.body.dataset.stale;
    this.watchlist?.setLive(state === "live");
  }

  #measured() {
    const { rowsPerSecond, sinceRowMs, reconnections } = this.streams.figures();
    return [
      ["Rows/s here", count(rowsPerSecond)],
      ["Last row", sinceRowMs === null ? "none yet" : `${seconds(sinceRowMs / 1000)} ago`],
      ["Reconnections", count(reconnections)],
    ];
  }
}

async function readableTopics() {
  return (await get("v1/topics")).topics.map((one) => one.name);
}

async function knownSymbols() {
  return [...new Set((await get("v1/marks")).marks.map((row) => row.symbol))].sort();
}

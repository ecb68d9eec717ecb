// The desk of somebody who is signed in: the panels, and which streams feed them.
import { Problem, get } from "./api.js";
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
const SLOW_MS = 2000;
const ENOUGH_SYMBOLS = 50;
// The account that stands for all of them: what holds for the firm.
const EVERY_ACCOUNT = "*";

/** What a signed-in user works at. `me` is who that is, as the API says it. */
export class Desk {
  constructor(me) {
    this.me = me;
    this.shown = [];
    this.watched = [];
    this.accounts = new Set(me.sees ?? []);
    this.marketTime = null;
  }

  /** Make the panels, and begin to stream. */
  async open() {
    const { me } = this;
    const topics = (await get("v1/topics")).topics.map((one) => one.name);
    this.streams = new Streams((state, since) => this.#connection(state, since));
    this.chart = new Chart();
    this.ladder = new Ladder((price) => this.ticket.setPrice(price));
    this.blotter = new Blotter((account) => this.#mayTrade(account));
    this.ticket = new Ticket((order, answer) => this.blotter.sent(order, answer));
    this.ticket.setAccounts(me.trades ?? []);
    this.positions = new Positions();
    this.alerts = new Alerts(topics.filter((name) => name.startsWith("alerts")));
    this.explore = new Explore(this.streams, topics);
    this.system = new System(() => this.#measured(), me.scopes.includes("operations:read"));
    this.watchlist = new Watchlist((symbol) => this.show(symbol), (watched) => this.#watch(watched));
    byId("symbol-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.show(byId("symbol").value.trim().toUpperCase());
    });
    byId("chart-interval").addEventListener("change", () => this.#feed());
    this.#follow(topics);
    this.#watch(this.watchlist.symbols);
    this.show(localStorage.getItem(SYMBOL_KEY) ?? this.watchlist.symbols[0] ?? "");
    this.#findSymbols();
  }

  /** End the streams. */
  close() {
    this.system?.stop();
    this.streams?.close();
  }

  /** Show a symbol in chart, depth and ticket; one that nobody chose leaves what somebody has begun to type. */
  show(symbol, { chosen = true } = {}) {
    this.symbol = symbol;
    this.#feed();
    if (!symbol) return;
    localStorage.setItem(SYMBOL_KEY, symbol);
    for (const field of [byId("symbol"), this.ticket.symbol]) {
      if (chosen || !(field.value || field === document.activeElement)) field.value = symbol;
    }
    byId("chart-title").textContent = `Chart: ${symbol}`;
    byId("ladder-title").textContent = `Depth: ${symbol}`;
    this.watchlist.setShown(symbol);
  }

  /** Begin chart and depth of the symbol anew. */
  #feed() {
    for (const subscription of this.shown) subscription.close();
    this.shown = [];
    this.chart.clear();
    this.chart.symbol = this.symbol;
    this.chart.draw();
    this.ladder.clear();
    if (!this.symbol) return;
    const keys = [this.symbol];
    const of = (topic, options) => this.streams.subscribe({ topic, keys, ...options });
    this.shown = [
      of("bars", { newest: true, onRows: (rows) => this.chart.takeBars(rows), onBegin: () => this.chart.load() }),
      of("indicators", { newest: true, onRows: (rows) => this.chart.takeIndicators(rows) }),
      of("trades", { onRows: (rows) => this.#tick(rows, () => this.chart.takeTrades(rows)) }),
      // Every row: some venues tell one side at a time, so that the newest row is not all that holds.
      of("quotes", { newest: true, onRows: (rows) => this.#tick(rows, () => this.ladder.takeQuotes(rows)) }),
      of("book_top", { everyMs: CALM_MS, newest: true, onRows: (rows) => this.#tick(rows, () => this.ladder.takeBooks(rows)) }),
    ];
  }

  #mayTrade(account) {
    return this.me.scopes.includes("orders:write") && (this.me.trades === null || this.me.trades.includes(account));
  }

  #follow(topics) {
    const follow = (topic, take, options = {}) => {
      if (topics.includes(topic)) this.streams.subscribe({ topic, newest: true, onRows: take, ...options });
    };
    const loads = (panel) => ({ onBegin: () => Promise.all([...this.accounts].map((account) => panel.load(account))) });
    // Who sees all accounts learns from the rows which there are; then their orders and positions are followed.
    if (this.me.sees === null) follow("accounts", (rows) => this.#openAccounts(rows));
    follow("order_events", (rows) => this.blotter.take(rows), loads(this.blotter));
    follow("positions", (rows) => this.positions.take(rows), { everyMs: CALM_MS, ...loads(this.positions) });
    for (const topic of this.alerts.topics) follow(topic, (rows) => this.alerts.take(topic, rows));
  }

  #openAccounts(rows) {
    for (const { account } of rows) {
      if (account === EVERY_ACCOUNT || this.accounts.has(account)) continue;
      this.accounts.add(account);
      this.streams.beginAgain("order_events");
      this.streams.beginAgain("positions");
    }
    if (this.me.trades === null) this.ticket.setAccounts([...this.accounts].sort());
  }

  /** Learn which symbols there are, until there are enough to begin with. */
  #findSymbols() {
    const found = new Set();
    const stream = this.streams.subscribe({
      topic: "marks",
      everyMs: SLOW_MS,
      newest: true,
      onRows: (rows) => {
        for (const row of rows) found.add(row.symbol);
        const symbols = [...found].sort();
        byId("symbols").replaceChildren(...symbols.map((symbol) => make("option", { value: symbol })));
        this.watchlist.offer(symbols);
        if (!this.symbol) this.show(this.watchlist.symbols[0] ?? "", { chosen: false });
        if (found.size >= ENOUGH_SYMBOLS) stream.close();
      },
    });
  }

  #watch(symbols) {
    for (const subscription of this.watched) subscription.close();
    this.watched = [];
    if (!symbols.length) return;
    const of = (topic, onRows) => this.streams.subscribe({ topic, keys: symbols, everyMs: CALM_MS, newest: true, onRows });
    this.watched = [
      of("marks", (rows) => this.#tick(rows, () => this.watchlist.takeMarks(rows))),
      of("indicators", (rows) => this.watchlist.takeIndicators(rows)),
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
    byId("banner").textContent = `The connection to Tapeflow was lost at ${moment(since.toISOString())} UTC. What you see is stale; connecting again…`;
    if (state === "lost") document.body.dataset.stale = "";
    else delete document.body.dataset.stale;
    this.watchlist?.setLive(state === "live");
    this.#checkRights();
  }

  /** Streams end with rights, too: whose session is over signs in again, and whose rights have changed begins anew. */
  async #checkRights() {
    try {
      const me = await get("v1/me");
      if (JSON.stringify(me) !== JSON.stringify(this.me)) location.reload();
    } catch (error) {
      // The connection is lost, or the server is too busy: it is asked again when the next attempt to connect has failed.
      if (!(error instanceof TypeError) && !(error instanceof Problem)) throw error;
    }
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

// The watchlist: best prices, last trade and indicators of chosen symbols, in a grid of Perspective.
import { byId, make } from "./dom.js";
import { milliseconds } from "./format.js";
import { hasPerspective, makeGrid, tellAbsent } from "./perspective.js";

const KEY = "tapeflow.watchlist";
const SYMBOLS_MAX = 100;
const USUAL = 8;
const INTERVAL = "1m";
const SCHEMA = {
  symbol: "string",
  bid: "float",
  ask: "float",
  last: "float",
  spread: "float",
  rsi_14: "float",
  sma_20: "float",
  state: "string",
  market_time: "datetime",
};
const CONFIG = {
  plugin: "Datagrid",
  title: "Watchlist",
  columns: ["symbol", "bid", "ask", "last", "spread", "rsi_14", "sma_20", "state"],
  sort: [["symbol", "asc"]],
  columns_config: { rsi_14: { number_format: { minimumFractionDigits: 2, maximumFractionDigits: 2 } } },
  plugin_config: { edit_mode: "READ_ONLY" },
};

/** The watchlist. `onShow` is called with a symbol that was chosen, `onChange` with all that are watched. */
export class Watchlist {
  constructor(onShow, onChange) {
    this.onShow = onShow;
    this.onChange = onChange;
    this.symbols = saved() ?? [];
    this.chosen = saved() !== null;
    this.rows = new Map();
    this.live = false;
    byId("watch-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#add(byId("watch-symbol").value.trim().toUpperCase());
    });
    byId("watch-remove").addEventListener("click", () => this.#remove(this.shown));
    this.grid = this.#makeGrid();
    this.#chips();
  }

  async #makeGrid() {
    if (!hasPerspective()) {
      tellAbsent(byId("watch-grid"));
      return null;
    }
    const grid = await makeGrid(byId("watch-grid"), SCHEMA, { index: "symbol" }, CONFIG);
    grid.viewer.addEventListener("perspective-click", (event) => {
      const symbol = event.detail?.row?.symbol;
      if (symbol) this.onShow(symbol);
    });
    return grid;
  }

  /** Symbols that there are: the first of them are watched by whoever has not chosen any. */
  offer(known) {
    if (this.chosen || this.symbols.length >= USUAL) return;
    const more = known.filter((symbol) => !this.symbols.includes(symbol)).slice(0, USUAL - this.symbols.length);
    if (!more.length) return;
    this.symbols = [...this.symbols, ...more];
    this.#chips();
    this.onChange(this.symbols);
  }

  /** Mark the symbol that is shown elsewhere. */
  setShown(symbol) {
    this.shown = symbol;
    this.#chips();
  }

  /** Rows of `marks`. */
  takeMarks(rows) {
    this.#update(rows, (row) => ({
      bid: row.bid,
      ask: row.ask,
      last: row.last,
      spread: row.bid !== null && row.ask !== null ? row.ask - row.bid : null,
      market_time: milliseconds(row.ts_event),
    }));
  }

  /** Rows of `indicators`. */
  takeIndicators(rows) {
    const wanted = rows.filter((row) => row.interval === INTERVAL && row.name in SCHEMA);
    this.#update(wanted, (row) => ({ [row.name]: row.value }));
  }

  /** Whether what comes is live; what came before is stale otherwise, and says so. */
  setLive(live) {
    if (this.live === live) return;
    this.live = live;
    this.#send([...this.rows.keys()]);
  }

  #update(rows, values) {
    const changed = new Set();
    for (const row of rows) {
      if (!this.symbols.includes(row.symbol)) continue;
      this.rows.set(row.symbol, { ...this.rows.get(row.symbol), symbol: row.symbol, ...values(row) });
      changed.add(row.symbol);
    }
    this.#send([...changed]);
  }

  async #send(symbols) {
    if (!symbols.length) return;
    const grid = await this.grid;
    const state = this.live ? "live" : "stale";
    grid?.update(symbols.map((symbol) => ({ ...this.rows.get(symbol), state })));
  }

  #add(symbol) {
    byId("watch-symbol").value = "";
    if (!symbol || this.symbols.includes(symbol) || this.symbols.length >= SYMBOLS_MAX) return;
    this.symbols.push(symbol);
    this.#changed();
  }

  async #remove(symbol) {
    if (!this.symbols.includes(symbol)) return;
    this.symbols = this.symbols.filter((one) => one !== symbol);
    this.rows.delete(symbol);
    this.#changed();
    (await this.grid)?.remove([symbol]);
  }

  #changed() {
    this.chosen = true;
    localStorage.setItem(KEY, JSON.stringify(this.symbols));
    this.#chips();
    this.onChange(this.symbols);
  }

  #chips() {
    const chips = this.symbols.map((symbol) => {
      const chip = make("button", { type: "button", "aria-pressed": String(symbol === this.shown) }, symbol);
      chip.addEventListener("click", () => this.onShow(symbol));
      return chip;
    });
    const focused = document.activeElement?.closest("#watch-buttons") ? document.activeElement.textContent : null;
    byId("watch-buttons").replaceChildren(...chips);
    chips.find((chip) => chip.textContent === focused)?.focus();
  }
}

function saved() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "null");
    return Array.isArray(found) ? found.filter((symbol) => typeof symbol === "string").slice(0, SYMBOLS_MAX) : null;
  } catch (error) {
    // Whatever another page of this origin has put there, it is no list of symbols.
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

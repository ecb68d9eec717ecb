// The chart of the shown symbol: its bars and indicators as they come, and the bar that is still open.
import { Problem, get } from "./api.js";
import { atNextFrame, byId, make } from "./dom.js";
import { Candles } from "./candles.js";
import { computed, milliseconds, moment, price, size } from "./format.js";
import { onTheme, theme } from "./theme.js";

const KEY = "tapeflow.chart";
const BARS_MAX = 500;
const ROWS_MAX = 10_000;
// What was closed or computed just before has landed after the first of these, at busy times after the second.
const LANDED_MS = [5_000, 20_000];
const SPANS_MS = { "1s": 1000, "1m": 60_000, "5m": 300_000, "1h": 3_600_000, "1d": 86_400_000 };
const COLOURS = {
  dark: { sma_20: "#e3b341", ema_20: "#d2a8ff", bands: "#79c0ff", vwap_session: "#ffa657" },
  light: { sma_20: "#8a6100", ema_20: "#7d3fc0", bands: "#0a6bb8", vwap_session: "#b04a00" },
};
const LINES = [
  { id: "sma_20", label: "SMA 20", names: ["sma_20"] },
  { id: "ema_20", label: "EMA 20", names: ["ema_20"] },
  { id: "bands", label: "Bollinger", names: ["bbands_20_2_upper", "bbands_20_2_lower"] },
  { id: "vwap_session", label: "VWAP", names: ["vwap_session"] },
  { id: "rsi_14", label: "RSI 14", names: [] },
];

/** The chart. */
export class Chart {
  constructor() {
    this.candles = new Candles(byId("chart"));
    this.chosen = new Set(saved());
    this.symbol = "";
    this.clear();
    this.draw = atNextFrame(() => this.#draw());
    byId("chart-lines").append(...LINES.map((line) => this.#choice(line)));
    byId("chart").addEventListener("keydown", (event) => this.#onKey(event));
    byId("chart").addEventListener("pointermove", (event) => this.#point(this.candles.barAt(event.offsetX)));
    byId("chart").addEventListener("pointerleave", () => this.#point(null));
    onTheme(this.draw);
  }

  /** Length of the bars that are shown. */
  get interval() {
    return byId("chart-interval").value;
  }

  /** Forget all: another symbol or interval. */
  clear() {
    this.bars = new Map();
    this.values = new Map();
    this.open = null;
    this.first = null;
  }

  /** Bars and indicators that there are already, up to the newest. */
  async load() {
    // Trades may have been missed, too.
    this.first = null;
    this.open = null;
    const { symbol, interval } = this;
    const newest = (await get("v1/bars", { symbol, interval })).rows.at(-1);
    if (!newest || !this.#isShown(symbol, interval)) return;
    this.takeBars([newest]);
    await this.#loadHistory(newest);
    for (const later of LANDED_MS) {
      setTimeout(() => this.#loadAgain(newest), later);
    }
  }

  async #loadHistory({ symbol, interval, ts_event: end }) {
    const from = new Date(milliseconds(end) - BARS_MAX * SPANS_MS[interval]).toISOString();
    const asked = { symbol, interval, from, limit: ROWS_MAX };
    const [bars, indicators] = await Promise.all([get("v1/bars", asked), get("v1/indicators", asked)]);
    if (!this.#isShown(symbol, interval)) return;
    this.takeBars(bars.rows);
    this.takeIndicators(indicators.rows);
  }

  async #loadAgain(newest) {
    if (!this.#isShown(newest.symbol, newest.interval)) return;
    try {
      await this.#loadHistory(newest);
    } catch (error) {
      // The connection was lost meanwhile, or the server is too busy: what is shown stays.
      if (!(error instanceof TypeError) && !(error instanceof Problem)) throw error;
    }
  }

  #isShown(symbol, interval) {
    return symbol === this.symbol && interval === this.interval;
  }

  /** Rows of `bars`. */
  takeBars(rows) {
    for (const row of rows) {
      if (row.symbol !== this.symbol || row.interval !== this.interval) continue;
      const end = milliseconds(row.ts_event);
      this.bars.set(end, { ...row, time: milliseconds(row.ts_start), end });
      if (this.open && this.open.time < end) this.open = null;
    }
    for (const end of [...this.bars.keys()].sort((a, b) => a - b).slice(0, -BARS_MAX)) {
      this.bars.delete(end);
      this.values.delete(end);
    }
    this.draw();
  }

  /** Rows of `indicators`. */
  takeIndicators(rows) {
    for (const row of rows) {
      if (row.symbol !== this.symbol || row.interval !== this.interval) continue;
      const end = milliseconds(row.ts_event);
      const held = this.values.get(end) ?? {};
      held[row.name] = row.value;
      this.values.set(end, held);
    }
    this.draw();
  }

  /** Rows of `trades`: they make the bar that is not closed yet, so it is drawn hollow. */
  takeTrades(rows) {
    const span = SPANS_MS[this.interval];
    for (const row of rows) {
      if (row.symbol !== this.symbol || row.action !== "new") continue;
      const at = milliseconds(row.ts_event);
      this.first ??= at;
      const start = Math.floor(at / span) * span;
      if (this.bars.has(start + span) || (this.open && start < this.open.time)) continue;
      if (!this.open || start > this.open.time) this.#begin(start, start + span);
      this.#trade(this.open, row);
    }
    this.draw();
  }

  #begin(time, end) {
    // What was traded in it before the first trade that came, nobody has told.
    const since = time <= this.first ? this.first : null;
    this.open = { time, end, open: null, high: null, low: null, close: null, volume: 0, open_still: true, since };
  }

  /** As the flow `bars` takes a trade: by what it may set. */
  #trade(bar, { price: at, size: traded, updates_last, updates_high_low, updates_volume }) {
    if (updates_last) {
      bar.open ??= at;
      bar.close = at;
    }
    if (updates_last || updates_high_low) {
      bar.high = Math.max(bar.high ?? at, at);
      bar.low = Math.min(bar.low ?? at, at);
    }
    if (updates_volume) bar.volume += traded;
  }

  #draw() {
    const bars = [...this.bars.values()].sort((a, b) => a.end - b.end);
    if (this.open) bars.push(this.open);
    const series = (name) => bars.map((bar) => this.values.get(bar.end)?.[name] ?? null);
    const colours = COLOURS[theme()];
    const lines = LINES.filter((line) => this.chosen.has(line.id)).flatMap((line) =>
      line.names.map((name) => ({ name, colour: colours[line.id], values: series(name) })),
    );
    const foot = this.chosen.has("rsi_14") ? { name: "RSI 14", values: series("rsi_14"), low: 0, high: 100, marks: [30, 70] } : null;
    this.candles.show({ bars, lines, foot });
    this.#tell();
  }

  #tell() {
    const bars = this.candles.bars;
    const at = this.candles.cursor ?? bars.length - 1;
    const bar = bars[at];
    const what = `${this.symbol || "No symbol"}, bars of ${this.interval}`;
    if (!bar) {
      byId("chart").setAttribute("aria-label", `Candlestick chart of ${what}: no bars yet`);
      byId("chart-readout").textContent = this.symbol ? "No bars yet." : "";
      return;
    }
    const values = this.values.get(bar.end) ?? {};
    const indicators = LINES.filter((line) => this.chosen.has(line.id))
      .flatMap((line) => (line.id === "rsi_14" ? ["rsi_14"] : line.names))
      .filter((name) => values[name] !== null && values[name] !== undefined)
      .map((name) => `${name} ${computed(values[name])}`);
    const text = [
      `${moment(new Date(bar.time).toISOString())}${told(bar)}`,
      `O ${price(bar.open)} H ${price(bar.high)} L ${price(bar.low)} C ${price(bar.close)}`,
      `V ${size(bar.volume)}`,
      ...indicators,
    ].join(" · ");
    byId("chart-readout").textContent = text;
    byId("chart").setAttribute("aria-label", `Candlestick chart of ${what}, ${bars.length} bars; the shown one: ${text}. Left and right arrow keys move through the bars.`);
  }

  #point(at) {
    if (at === this.candles.cursor) return;
    this.candles.cursor = at;
    this.candles.draw();
    this.#tell();
  }

  #onKey(event) {
    const last = this.candles.bars.length - 1;
    const now = this.candles.cursor ?? last;
    const to = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: this.candles.sight.first, End: last }[event.key];
    if (event.key === "Escape") this.#point(null);
    if (to === undefined || last < 0) return;
    event.preventDefault();
    this.#point(Math.max(this.candles.sight.first, Math.min(last, to)));
  }

  #choice(line) {
    const box = make("input", { type: "checkbox", checked: this.chosen.has(line.id) });
    box.addEventListener("change", () => {
      if (box.checked) this.chosen.add(line.id);
      else this.chosen.delete(line.id);
      localStorage.setItem(KEY, JSON.stringify([...this.chosen]));
      this.draw();
    });
    return make("label", {}, box, line.label);
  }
}

function told({ open_still, since }) {
  if (!open_still) return "";
  return since === null ? " (open still)" : ` (open still; trades since ${moment(new Date(since).toISOString()).slice(11)} only)`;
}

function saved() {
  const found = localStorage.getItem(KEY);
  return found === null ? ["sma_20", "bands", "rsi_14"] : found.match(/[a-z_0-9]+/g) ?? [];
}

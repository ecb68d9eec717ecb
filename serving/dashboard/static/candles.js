// Draws bars: candles with lines over them, volume beneath, and an oscillator at the foot. Knows no topic.
import { price as priceText, size } from "./format.js";

const RIGHT = 62; // for the prices
const FOOT = 20; // for the times
const WIDTH_MIN = 3;
const WIDTH_MAX = 14;

/** A candlestick chart on a canvas. */
export class Candles {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.bars = [];
    this.lines = [];
    this.foot = null;
    this.cursor = null;
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /**
   * What to show: bars ({time, open, high, low, close, volume, open_still}, in order of time), lines over them
   * ({name, colour, values}, a value a bar or null), and an oscillator ({name, values, low, high, marks}) or null.
   */
  show({ bars, lines, foot }) {
    this.bars = bars;
    this.lines = lines;
    this.foot = foot;
    if (this.cursor !== null && this.cursor >= bars.length) this.cursor = null;
    this.draw();
  }

  /** How many bars there is room for. */
  get room() {
    return Math.max(10, Math.floor((this.canvas.clientWidth - RIGHT) / 8));
  }

  /** The bars in sight, and the place of the first of them. */
  get sight() {
    const first = Math.max(0, this.bars.length - this.room);
    return { first, bars: this.bars.slice(first) };
  }

  /** The bar at a place on the canvas, by its x in CSS pixels; null beside all. */
  barAt(x) {
    const { first, bars } = this.sight;
    const at = first + Math.floor(x / this.#step(bars.length));
    return at < this.bars.length && x >= 0 ? at : null;
  }

  draw() {
    const { canvas, context } = this;
    const ratio = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width || !height) return;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const style = getComputedStyle(document.documentElement);
    this.colour = (name) => style.getPropertyValue(`--${name}`).trim();
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    const { first, bars } = this.sight;
    if (!bars.length) return;
    const parts = this.#parts(width, height);
    this.#grid(parts.price, range(bars, this.lines, first));
    this.#volume(parts.volume, bars);
    this.#candles(parts.price, bars, first);
    if (this.foot) this.#oscillator(parts.foot, first, bars.length);
    this.#times(parts, bars);
    this.#crosshair(parts, first, bars.length);
  }

  #parts(width, height) {
    const usable = height - FOOT;
    const foot = this.foot ? usable * 0.2 : 0;
    const volume = usable * 0.16;
    const right = width - RIGHT;
    return {
      price: { top: 6, bottom: usable - foot - volume - 8, right },
      volume: { top: usable - foot - volume, bottom: usable - foot - 4, right },
      foot: { top: usable - foot + 4, bottom: usable - 2, right },
      bottom: height,
    };
  }

  #step(count) {
    const right = this.canvas.clientWidth - RIGHT;
    return Math.min(WIDTH_MAX, Math.max(WIDTH_MIN, right / Math.max(1, count)));
  }

  #grid(area, [low, high]) {
    const { context } = this;
    this.y = (value) => area.bottom - ((value - low) / (high - low)) * (area.bottom - area.top);
    const step = niceStep((high - low) / 5);
    const places = Math.max(2, Math.min(12, Math.ceil(-Math.log10(step))));
    context.strokeStyle = this.colour("line");
    context.fillStyle = this.colour("muted");
    context.lineWidth = 1;
    for (let value = Math.ceil(low / step) * step; value <= high; value += step) {
      const y = Math.round(this.y(value)) + 0.5;
      context.beginPath();
      context.moveTo(0, y);
      context.lineTo(area.right, y);
      context.stroke();
      context.fillText(value.toFixed(places), area.right + 5, y, RIGHT - 7);
    }
  }

  #candles(area, bars, first) {
    const { context } = this;
    const step = this.#step(bars.length);
    const body = Math.max(1, Math.floor(step * 0.7));
    bars.forEach((bar, at) => {
      if (bar.close === null) return;
      const x = at * step + step / 2;
      const rises = bar.close >= bar.open;
      context.strokeStyle = context.fillStyle = this.colour(rises ? "up" : "down");
      context.beginPath();
      context.moveTo(Math.round(x) + 0.5, this.y(bar.high));
      context.lineTo(Math.round(x) + 0.5, this.y(bar.low));
      context.stroke();
      const top = this.y(Math.max(bar.open, bar.close));
      const height = Math.max(1, Math.abs(this.y(bar.open) - this.y(bar.close)));
      if (bar.open_still) context.strokeRect(x - body / 2, top, body, height);
      else context.fillRect(x - body / 2, top, body, height);
    });
    for (const line of this.lines) this.#line(line.values.slice(first), line.colour, this.y, step);
    const last = bars[bars.length - 1];
    if (last.close !== null) this.#tag(area.right, this.y(last.close), last.close, last.close >= last.open ? "up" : "down");
  }

  #line(values, colour, y, step) {
    const { context } = this;
    context.strokeStyle = colour;
    context.lineWidth = 1.5;
    context.beginPath();
    let drawn = false;
    values.forEach((value, at) => {
      if (value === null || value === undefined) {
        drawn = false;
        return;
      }
      const x = at * step + step / 2;
      if (drawn) context.lineTo(x, y(value));
      else context.moveTo(x, y(value));
      drawn = true;
    });
    context.stroke();
    context.lineWidth = 1;
  }

  #tag(right, y, value, name) {
    const { context } = this;
    context.fillStyle = this.colour(name);
    context.fillRect(right + 2, y - 8, RIGHT - 4, 16);
    context.fillStyle = this.colour("page");
    context.fillText(priceText(value), right + 6, y + 0.5, RIGHT - 12);
  }

  #volume(area, bars) {
    const { context } = this;
    const most = Math.max(...bars.map((bar) => bar.volume ?? 0));
    const step = this.#step(bars.length);
    bars.forEach((bar, at) => {
      const height = ((bar.volume ?? 0) / (most || 1)) * (area.bottom - area.top);
      context.fillStyle = this.colour((bar.close ?? 0) >= (bar.open ?? 0) ? "up-soft" : "down-soft");
      context.fillRect(at * step + step * 0.15, area.bottom - height, Math.max(1, step * 0.7), height);
    });
    context.fillStyle = this.colour("muted");
    context.fillText(`Volume, most ${size(most)}`, 4, area.top + 7);
  }

  #oscillator(area, first, count) {
    const { context, foot } = this;
    const y = (value) => area.bottom - ((value - foot.low) / (foot.high - foot.low)) * (area.bottom - area.top);
    context.strokeStyle = this.colour("line");
    for (const mark of foot.marks) {
      context.beginPath();
      context.moveTo(0, y(mark));
      context.lineTo(area.right, y(mark));
      context.stroke();
      context.fillStyle = this.colour("muted");
      context.fillText(String(mark), area.right + 5, y(mark));
    }
    this.#line(foot.values.slice(first), this.colour("accent"), y, this.#step(count));
    context.fillStyle = this.colour("muted");
    context.fillText(foot.name, 4, area.top + 6);
  }

  #times({ price, bottom }, bars) {
    const { context } = this;
    const step = this.#step(bars.length);
    const every = Math.max(1, Math.ceil(90 / step));
    context.fillStyle = this.colour("muted");
    const daily = bars.length > 1 && bars[1].time - bars[0].time >= 20 * 3600 * 1000;
    for (let at = 0; at < bars.length; at += every) {
      const text = new Date(bars[at].time).toISOString();
      const x = at * step;
      if (x < price.right - 40) context.fillText(daily ? text.slice(0, 10) : text.slice(11, 16), x, bottom - FOOT / 2);
    }
  }

  #crosshair(parts, first, count) {
    if (this.cursor === null || this.cursor < first) return;
    const { context } = this;
    const x = Math.round((this.cursor - first + 0.5) * this.#step(count)) + 0.5;
    context.strokeStyle = this.colour("accent");
    context.setLineDash([3, 3]);
    context.beginPath();
    context.moveTo(x, parts.price.top);
    context.lineTo(x, parts.bottom - FOOT);
    context.stroke();
    context.setLineDash([]);
  }
}

function range(bars, lines, first) {
  const values = bars.flatMap((bar) => (bar.close === null ? [] : [bar.low, bar.high]));
  for (const line of lines) values.push(...line.values.slice(first).filter((value) => value !== null && value !== undefined));
  if (!values.length) return [0, 1];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const edge = (high - low) * 0.06 || Math.abs(high) * 0.001 || 1;
  return [low - edge, high + edge];
}

function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((step) => step >= rough);
}

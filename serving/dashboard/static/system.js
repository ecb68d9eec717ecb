// How the platform does, and how this page does: lags, rows a second, delays, processor and memory.
import { Problem, get } from "./api.js";
import { byId, cell, fill, make } from "./dom.js";
import { bytes, count, seconds } from "./format.js";

const EVERY_MS = 3000;

/** The system panel. `here` tells what the page itself has measured, as pairs of name and text. */
export class System {
  constructor(here, mayAsk) {
    this.here = here;
    this.mayAsk = mayAsk;
    if (!mayAsk) byId("system-problem").textContent = "What the platform itself measures needs the right operations:read.";
    this.tables = mayAsk
      ? {
          programs: table("Programs", ["Program", "CPU", "Memory"]),
          topics: table("Topics", ["Topic", "Rows/s", "Behind market", "Watermark delay"]),
          readers: table("Flows", ["Flow", "Lag (records)", "Held", "Late"]),
        }
      : {};
    byId("system-there").hidden = !mayAsk;
    byId("system-there").replaceChildren(...Object.values(this.tables).map((one) => one.table));
    this.timer = setInterval(() => this.#refresh(), EVERY_MS);
    this.#refresh();
  }

  stop() {
    clearInterval(this.timer);
  }

  async #refresh() {
    byId("system-here").replaceChildren(
      ...this.here().map(([name, text]) => make("div", {}, make("dt", {}, name), make("dd", {}, text))),
    );
    if (!this.mayAsk) return;
    try {
      this.#show(await get("v1/system"));
      byId("system-problem").textContent = "";
    } catch (error) {
      if (!(error instanceof Problem) && !(error instanceof TypeError)) throw error;
      byId("system-problem").textContent = error instanceof Problem ? error.message : "The server cannot be reached.";
    }
  }

  #show({ programs, topics, readers }) {
    fill(this.tables.programs.body, programs, (one) => String(one.pid), (one) => [
      cell(one.program),
      cell(`${one.cpu_percent.toFixed(0)} %`, "number"),
      cell(bytes(one.memory_bytes), "number"),
    ]);
    // What flows read most, first.
    const busiest = topics.toSorted((a, b) => (b.rows_per_second ?? -1) - (a.rows_per_second ?? -1));
    fill(this.tables.topics.body, busiest, (one) => one.topic, (one) => [
      cell(one.topic),
      cell(count(one.rows_per_second), "number"),
      cell(seconds(one.behind_s), "number"),
      cell(seconds(one.watermark_delay_s), "number"),
    ]);
    fill(this.tables.readers.body, byFlow(readers), (one) => one.flow, (one) => [
      cell(one.flow),
      cell(count(one.lag), "number"),
      cell(count(one.held), "number"),
      cell(count(one.late), "number"),
    ]);
  }
}

function table(title, columns) {
  const heads = columns.map((name, at) => make("th", { scope: "col", className: at ? "number" : "" }, name));
  const body = make("tbody", {});
  return { table: make("table", {}, make("caption", { className: "unseen" }, title), make("thead", {}, make("tr", {}, ...heads)), body), body };
}

/** Readers of all shards and inputs of a flow as one: lags add up; rows held and late are told once an input. */
function byFlow(readers) {
  const flows = new Map();
  const counted = new Set();
  for (const one of readers) {
    const flow = flows.get(one.flow) ?? { flow: one.flow, lag: 0, held: 0, late: 0 };
    flow.lag += one.lag;
    const input = `${one.flow} ${one.shard} ${one.topic}`;
    if (!counted.has(input)) {
      flow.held += one.held;
      flow.late += one.late;
      counted.add(input);
    }
    flows.set(one.flow, flow);
  }
  return [...flows.values()].sort((a, b) => b.lag - a.lag || a.flow.localeCompare(b.flow));
}

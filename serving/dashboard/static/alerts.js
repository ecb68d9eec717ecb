// Alerts: rows of every topic whose name begins with "alerts", the newest first.
import { announce, byId, make } from "./dom.js";
import { moment } from "./format.js";

const SHOWN_MAX = 100;
// Said in the line's head, so not once more in its details.
const HEAD = new Set(["ts_event", "symbol", "account", "rule", "severity"]);

/** The alerts panel. */
export class Alerts {
  /** `topics` are the names of the topics that alerts are in. */
  constructor(topics) {
    this.topics = topics;
    byId("alerts-empty").textContent = topics.length
      ? `No alerts yet. Shown are: ${topics.join(", ")}.`
      : "There is no topic of alerts on this platform yet. Rows of any topic whose name begins with “alerts” will be shown here.";
  }

  /** Rows of a topic of alerts, the oldest first. */
  take(topic, rows) {
    const list = byId("alerts");
    byId("alerts-empty").hidden = byId("alerts-empty").hidden || rows.length > 0;
    for (const row of rows) list.prepend(line(topic, row));
    while (list.children.length > SHOWN_MAX) list.lastElementChild.remove();
    if (rows.length) announce(`${rows.length} new alert${rows.length > 1 ? "s" : ""}`);
  }
}

function line(topic, row) {
  const head = [row.severity, row.rule ?? topic, row.symbol, row.account].filter(Boolean).join(" · ");
  const details = Object.entries(row).filter(([name, value]) => !HEAD.has(name) && !name.startsWith("_") && value !== null && value !== "");
  return make(
    "li",
    {},
    make("strong", {}, head),
    make("span", { className: "muted small" }, ` ${moment(row.ts_event)}`),
    make("div", { className: "small" }, details.map(([name, value]) => `${name} ${value}`).join(", ")),
  );
}

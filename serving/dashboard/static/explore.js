// Any topic in Perspective: its rows as Arrow, as they come, to be grouped, filtered and charted at will.
import { byId, make } from "./dom.js";
import { hasPerspective, makeGrid, tellAbsent } from "./perspective.js";

const ROWS_MAX = 20_000;

/** The panel that streams any topic. */
export class Explore {
  constructor(streams, topics) {
    this.streams = streams;
    this.grid = null;
    this.subscription = null;
    byId("explore-topic").replaceChildren(...topics.map((name) => make("option", {}, name)));
    byId("explore-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#begin(byId("explore-topic").value, byId("explore-key").value.trim());
    });
    byId("explore-stop").addEventListener("click", () => this.stop());
    if (!hasPerspective()) {
      tellAbsent(byId("explore-grid"));
      for (const control of byId("explore-form").elements) control.disabled = true;
    }
  }

  /** End the stream; what has come stays. */
  stop() {
    this.subscription?.close();
    this.subscription = null;
    byId("explore-stop").disabled = true;
  }

  #begin(topic, key) {
    this.stop();
    this.grid?.then((grid) => grid.close());
    this.grid = null;
    const waiting = make("p", { className: "muted" }, `Waiting for rows of ${topic}…`);
    byId("explore-grid").replaceChildren(waiting);
    byId("explore-stop").disabled = false;
    this.subscription = this.streams.subscribe({
      topic,
      keys: key ? [key] : [],
      format: "arrow",
      onArrow: (bytes) => this.#take(topic, bytes),
    });
  }

  async #take(topic, bytes) {
    if (this.grid === null) {
      // The first rows bring the columns; Perspective keeps so many of the newest.
      this.grid = makeGrid(byId("explore-grid"), bytes, { limit: ROWS_MAX }, { plugin: "Datagrid", title: topic });
      return;
    }
    (await this.grid).update(bytes);
  }
}

// The orders: how each stands, by its newest event, and what can still be done with it.
import { Problem, ask, get } from "./api.js";
import { announce, atNextFrame, byId, cell, fill, make } from "./dom.js";
import { decimal, moment, typed, words } from "./format.js";

const OPEN = new Set(["received", "accepted", "working", "partially_filled"]);
const ROWS_MAX = 300;
const LISTED = 200;
const OPEN_LISTED = 1000;

/** The blotter. */
export class Blotter {
  constructor(mayTrade) {
    this.mayTrade = mayTrade;
    this.orders = new Map();
    // How often events have come: what came while a list was asked for is newer than the list.
    this.turn = 0;
    // Accounts of which not all open orders are listed.
    this.uncertain = new Set();
    this.draw = atNextFrame(() => this.#draw());
    byId("blotter-open").addEventListener("change", this.draw);
    byId("replace-close").addEventListener("click", () => byId("replace-dialog").close());
    byId("replace-form").addEventListener("submit", (event) => this.#replace(event));
    this.draw();
  }

  /** Orders of an account as the API lists them: they hold for whatever no event has come of since it was asked. */
  async load(account) {
    const since = this.turn;
    const { orders: newest } = await get("v1/orders", { account, limit: LISTED });
    // What is open still may be older than all of these.
    const { orders: open, cursor } = await get("v1/orders", { account, status: "open", limit: OPEN_LISTED });
    const orders = [...newest, ...open];
    for (const order of orders) this.#know(order, since);
    if (cursor === null) this.uncertain.delete(account);
    else this.uncertain.add(account);
    this.draw();
    // Where a stream begins anew, events were missed: what is held as open may have ended, however old it is.
    const listed = new Set(orders.map((order) => order.order_id));
    const held = [...this.orders.values()].filter((order) => order.account === account && OPEN.has(order.status));
    for (const { order_id: id, heard } of held) {
      if (heard <= since && !listed.has(id)) this.#know(await get(`v1/orders/${id}`), since);
    }
    this.draw();
  }

  #know(order, since) {
    const held = this.orders.get(order.order_id);
    const isNewer = held && held.heard > since;
    const [older, newer] = isNewer ? [order, held] : [held, order];
    const { sequence = 0, heard = 0 } = held ?? {};
    this.orders.set(order.order_id, { ...older, ...newer, sequence, heard, received: order.ts_received ?? held?.received ?? "" });
  }

  /** Rows of `order_events`: the one with the greatest number says how its order stands. */
  take(rows) {
    this.turn += 1;
    const heard = this.turn;
    for (const row of rows) {
      // Without a side it answers a command of an order that is not known (any more): how that stands, it does not say.
      if (row.side === null) continue;
      const held = this.orders.get(row.order_id);
      if (held && held.sequence >= row.sequence) continue;
      this.orders.set(row.order_id, { received: new Date().toISOString(), ...held, ...row, heard });
      if (held && held.status !== row.status) announce(`${words(row.side)} ${row.symbol}: ${words(row.status)}`);
    }
    this.#forget();
    this.draw();
  }

  /** An order that the API has acknowledged, before the first event of it. */
  sent(order, answer) {
    if (this.orders.has(answer.order_id)) return;
    const received = new Date().toISOString();
    const row = { ...order, order_id: answer.order_id, status: "received", received, sequence: 0, filled_quantity: "0", ts_event: null };
    this.orders.set(answer.order_id, row);
    this.draw();
  }

  /** When an order was received; an exit, which nobody sent, came with its parent. */
  #received(order) {
    return order.received || this.orders.get(order.parent_order_id)?.received || order.ts_event || "";
  }

  #forget() {
    const ended = [...this.orders.values()].filter((order) => !OPEN.has(order.status));
    ended.sort((a, b) => compared(this.#received(a), this.#received(b)));
    for (const order of ended.slice(0, Math.max(0, this.orders.size - ROWS_MAX))) this.orders.delete(order.order_id);
  }

  #draw() {
    const only = byId("blotter-open").checked;
    const shown = [...this.orders.values()].filter((order) => !only || OPEN.has(order.status));
    shown.sort((a, b) => compared(this.#received(b), this.#received(a)));
    byId("blotter-empty").hidden = shown.length > 0;
    byId("blotter-empty").textContent = only ? "No open orders." : "No orders yet.";
    const more = [
      shown.length > ROWS_MAX && `The newest ${ROWS_MAX} of ${shown.length} orders.`,
      this.uncertain.size > 0 && `Of ${[...this.uncertain].join(", ")} there may be older open orders than these.`,
    ].filter(Boolean);
    byId("blotter-more").hidden = more.length === 0;
    byId("blotter-more").textContent = more.join(" ");
    fill(byId("blotter"), shown.slice(0, ROWS_MAX), (order) => order.order_id, (order) => this.#cells(order));
  }

  #cells(order) {
    const status = make("span", { className: "status", data: { status: order.status } }, words(order.status));
    const first = make("td", {}, status);
    if (order.reason) first.append(make("span", { className: "reason" }, [order.check && words(order.check), order.reason].filter(Boolean).join(": ")));
    return [
      first,
      cell(order.symbol),
      cell(words(order.side), order.side === "buy" ? "up" : "down"),
      cell(`${words(order.order_type)}, ${words(order.time_in_force)}`, "wraps"),
      cell(`${decimal(order.filled_quantity)} / ${decimal(order.quantity)}`, "number"),
      cell(decimal(order.limit_price, 2), "number"),
      cell(decimal(order.stop_price, 2), "number"),
      cell(decimal(order.average_price, 2), "number"),
      cell(order.account),
      cell(moment(order.ts_event), "wraps"),
      this.#actions(order),
    ];
  }

  #actions(order) {
    const actions = make("td", { className: "wraps" });
    if (!OPEN.has(order.status) || !this.mayTrade(order.account)) return actions;
    const what = `${words(order.side)} ${decimal(order.quantity)} ${order.symbol}`;
    const replace = make("button", { type: "button", name: "replace", "aria-label": `Replace ${what}` }, "Replace");
    replace.addEventListener("click", () => this.#open(order.order_id));
    const cancel = make("button", { type: "button", name: "cancel", "aria-label": `Cancel ${what}` }, "Cancel");
    cancel.addEventListener("click", () => this.#cancel(order.order_id, cancel));
    actions.append(replace, " ", cancel);
    return actions;
  }

  async #cancel(orderId, button) {
    button.disabled = true;
    try {
      await ask("DELETE", `v1/orders/${orderId}`);
      announce("The cancellation was sent.");
    } catch (error) {
      this.#tell(orderId, error);
    } finally {
      button.disabled = false;
    }
  }

  #tell(orderId, error) {
    if (!(error instanceof Problem) && !(error instanceof TypeError)) throw error;
    const reason = error instanceof Problem ? error.message : "the server cannot be reached";
    this.orders.set(orderId, { ...this.orders.get(orderId), reason, check: null });
    this.draw();
  }

  #open(orderId) {
    const order = this.orders.get(orderId);
    const { elements } = byId("replace-form");
    byId("replace-order").textContent = `${words(order.side)} ${order.symbol}, ${words(order.order_type)}, filled ${decimal(order.filled_quantity)}`;
    byId("replace-form").dataset.order = orderId;
    byId("replace-problem").textContent = "";
    for (const name of ["quantity", "limit_price", "stop_price"]) {
      const priced = name === "quantity" || (order[name] !== null && order[name] !== undefined);
      elements[name].value = priced ? typed(order[name]) : "";
      elements[name].closest("label").hidden = !priced;
    }
    byId("replace-dialog").showModal();
  }

  async #replace(event) {
    event.preventDefault();
    const form = byId("replace-form");
    const order = this.orders.get(form.dataset.order);
    const body = {};
    for (const name of ["quantity", "limit_price", "stop_price"]) {
      const value = form.elements[name].value.trim();
      if (value && !form.elements[name].closest("label").hidden) body[name] = value;
    }
    try {
      await ask("PUT", `v1/orders/${order.order_id}`, { body });
      byId("replace-dialog").close();
      announce("The replacement was sent.");
    } catch (error) {
      if (!(error instanceof Problem) && !(error instanceof TypeError)) throw error;
      byId("replace-problem").textContent = error instanceof Problem ? error.message : "The server cannot be reached.";
    }
  }
}

function compared(a, b) {
  return a < b ? -1 : Number(a > b);
}

// The order ticket: what may be said of each kind of order, the dry run's answer, and placing it once.
import { Problem, ask } from "./api.js";
import { announce, byId, make } from "./dom.js";
import { words } from "./format.js";

const TAKEN = 409;

/** The order ticket. */
export class Ticket {
  /** `onPlaced` is called with what was sent and the API's answer. */
  constructor(onPlaced) {
    this.form = byId("ticket");
    this.answer = byId("ticket-answer");
    this.onPlaced = onPlaced;
    // A retry of what may or may not have arrived keeps its identifier: then it cannot become a second order.
    this.clientOrderId = newId();
    this.form.addEventListener("change", (event) => this.#arrange(event.target));
    // A browser stops at a wrong value that it cannot show, and says nothing: what is folded is opened first.
    this.form.addEventListener("invalid", (event) => event.target.closest("details")?.setAttribute("open", ""), true);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#place();
    });
    byId("check-order").addEventListener("click", () => {
      if (this.form.reportValidity()) this.#check();
    });
    this.#arrange(null);
  }

  /** The accounts that may be chosen. */
  setAccounts(accounts) {
    const select = this.form.elements.account;
    const none = accounts.length === 0;
    const chosen = select.value;
    select.replaceChildren(...accounts.map((name) => make("option", { value: name, selected: name === chosen }, name)));
    for (const control of [select, byId("place-order"), byId("check-order")]) control.disabled = none;
    if (none || select.dataset.none) this.#say(none ? "bad" : "", none ? "There is no account that you may trade." : "");
    select.dataset.none = none ? "1" : "";
  }

  /** The field of the symbol. */
  get symbol() {
    return this.form.elements.symbol;
  }

  /** A price that was pressed elsewhere: a market order becomes a limit order. */
  setPrice(price) {
    if (this.form.elements.order_type.value === "market") this.form.elements.order_type.value = "limit";
    this.#arrange(this.form.elements.order_type);
    this.form.elements.limit_price.value = price;
    announce(`Limit price ${price}`);
  }

  /** What the form says, as the API takes it. */
  order() {
    const said = new FormData(this.form);
    const order = { client_order_id: this.clientOrderId };
    for (const [name, value] of said) if (value.trim() !== "") order[name] = value.trim();
    order.symbol = order.symbol?.toUpperCase();
    if (order.ts_expire) order.ts_expire = `${order.ts_expire.length === 16 ? order.ts_expire + ":00" : order.ts_expire}Z`;
    return order;
  }

  #arrange(target) {
    const { order_type: type, time_in_force: tif, order_class: kind, algorithm } = this.form.elements;
    const chosen = { for: type.value, tif: tif.value, class: kind.value, algorithm: algorithm.value };
    for (const label of this.form.querySelectorAll("label")) {
      for (const [name, value] of Object.entries(chosen)) {
        if (label.dataset[name] === undefined) continue;
        label.hidden = !label.dataset[name].split(" ").includes(value);
        // For the same reason: what is disabled is neither sent nor checked.
        label.control.disabled = label.hidden;
      }
    }
    this.#require();
    if (target === algorithm) {
      // Something to begin with; the answer of a check names what is wrong.
      this.form.elements.algorithm_params.value = algorithm.selectedOptions[0].dataset.params ?? "";
    }
  }

  #require() {
    const { order_type: type, order_class: kind } = this.form.elements;
    const required = {
      limit_price: ["limit", "stop_limit"].includes(type.value),
      stop_price: ["stop", "stop_limit"].includes(type.value),
      ts_expire: this.form.elements.time_in_force.value === "gtd",
      take_profit_price: kind.value !== "simple",
      stop_loss_price: kind.value !== "simple",
    };
    for (const [name, wanted] of Object.entries(required)) this.form.elements[name].required = wanted;
  }

  async #check() {
    await this.#busy(async () => {
      this.#tellCheck(await ask("POST", "v1/orders/check", { body: this.order() }));
    });
  }

  #tellCheck({ passes, rejection }) {
    if (passes) {
      this.#say("good", "All checks pass; nothing was sent.");
      return;
    }
    const bounds = ["limit", "value"].filter((name) => rejection[name]).map((name) => `${name} ${rejection[name]}`);
    this.#say("bad", `Would be refused by the check ${words(rejection.check)}: ${rejection.reason}`, bounds);
  }

  async #place() {
    const order = this.order();
    await this.#busy(async () => {
      const answer = await ask("POST", "v1/orders", { body: order });
      this.clientOrderId = newId();
      this.#say("good", `${words(order.side)} ${order.quantity} ${order.symbol} was sent.`);
      this.onPlaced(order, answer);
    });
  }

  async #busy(work) {
    const buttons = [byId("check-order"), byId("place-order")];
    const focused = document.activeElement;
    for (const button of buttons) button.disabled = true;
    try {
      await work();
    } catch (error) {
      if (error instanceof Problem) {
        // Another order has the identifier; no other refusal says that what was sent before has not arrived.
        if (error.status === TAKEN) this.clientOrderId = newId();
        this.#say("bad", error.message, error.faults.map((fault) => `${fault.at}: ${fault.fault}`));
      } else if (error instanceof TypeError) {
        this.#say("bad", "The server cannot be reached. Placing it again is safe: the same order is taken once.");
      } else {
        throw error;
      }
    } finally {
      for (const button of buttons) button.disabled = false;
      if (buttons.includes(focused)) focused.focus();
    }
  }

  #say(kind, text, items = []) {
    this.answer.dataset.kind = kind;
    const listed = items.filter(Boolean).map((item) => make("li", {}, item));
    this.answer.replaceChildren(text, ...(listed.length ? [make("ul", {}, ...listed)] : []));
  }
}

/** 96 random bits in hexadecimal: unlike crypto.randomUUID, also there on a page without TLS. */
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return "web-" + [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

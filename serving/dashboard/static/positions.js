// The positions, with profit and loss to the cent; totals a currency, exact.
import { get } from "./api.js";
import { atNextFrame, byId, cell, fill, make } from "./dom.js";
import { decimal, money, sign, sum } from "./format.js";

/** The positions panel. */
export class Positions {
  constructor() {
    this.positions = new Map();
    this.draw = atNextFrame(() => this.#draw());
    this.draw();
  }

  /** Positions of an account as the API lists them. */
  async load(account) {
    this.take((await get("v1/positions", { account, flat: true })).positions);
  }

  /** Rows of `positions`: the one with the greatest number says how its position stands. */
  take(rows) {
    for (const row of rows) {
      const key = [row.account, row.strategy, row.symbol].join("\n");
      const held = this.positions.get(key);
      if (!held || held.sequence < row.sequence) this.positions.set(key, row);
    }
    this.draw();
  }

  #draw() {
    const shown = [...this.positions.values()].sort((a, b) => name(a).localeCompare(name(b)));
    byId("positions-empty").hidden = shown.length > 0;
    byId("positions-total").replaceChildren(...this.#totals(shown));
    fill(byId("positions"), shown, (row) => name(row) + row.strategy, (row) => [
      cell(row.strategy ? `${row.account} (${row.strategy})` : row.account),
      cell(row.symbol),
      cell(decimal(row.quantity), "number"),
      cell(decimal(row.average_cost, 2), "number"),
      cell(decimal(row.mark, 2), "number"),
      cell(money(row.value), "number"),
      cell(money(row.unrealised, { signed: true }), `number ${sign(row.unrealised)}`),
      cell(money(row.realised, { signed: true }), `number ${sign(row.realised)}`),
    ]);
  }

  #totals(shown) {
    const currencies = [...new Set(shown.map((row) => row.currency))].sort();
    return currencies.flatMap((currency) => {
      const rows = shown.filter((row) => row.currency === currency);
      const of = (field) => sum(rows.map((row) => row[field] ?? "0"));
      const [unrealised, realised, fees] = [of("unrealised"), of("realised"), of("fees")];
      const unknown = rows.filter((row) => row.unrealised === null).map((row) => row.symbol);
      return [
        `${currency}: unrealised `,
        make("strong", { className: sign(unrealised) }, money(unrealised, { signed: true })),
        unknown.length ? ` (without ${[...new Set(unknown)].join(", ")}: no price yet), realised ` : ", realised ",
        make("strong", { className: sign(realised) }, money(realised, { signed: true })),
        `, fees ${money(fees)}. `,
      ];
    });
  }
}

function name(row) {
  return `${row.account} ${row.symbol} `;
}

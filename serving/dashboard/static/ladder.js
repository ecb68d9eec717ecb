// The depth of the shown symbol: price levels of the venues' books, or their best quotes where there is no book.
import { atNextFrame, byId, fill, make } from "./dom.js";
import { price, size } from "./format.js";

const LEVELS = 10;

/** The depth ladder. `onPrice` is called with a price, as text, that was pressed. */
export class Ladder {
  constructor(onPrice) {
    this.onPrice = onPrice;
    this.draw = atNextFrame(() => this.#draw());
    this.clear();
  }

  /** Forget all venues: another symbol, or rows were missed. */
  clear() {
    this.books = new Map();
    this.quotes = new Map();
    this.draw();
  }

  /** Rows of `book_top`: the newest of a venue is its book. */
  takeBooks(rows) {
    for (const row of rows) this.books.set(row.venue, row);
    this.draw();
  }

  /** Rows of `quotes`: a side that a row does not speak of stays as it was. */
  takeQuotes(rows) {
    for (const row of rows) {
      const held = this.quotes.get(row.venue) ?? { bid: null, bid_size: 0, bid_time: "", ask: null, ask_size: 0, ask_time: "" };
      for (const side of ["bid", "ask"]) {
        if (row[`${side}_size`] === 0) held[side] = null;
        else if (row[side] !== null) {
          held[side] = row[side];
          held[`${side}_size`] = row[`${side}_size`];
          held[`${side}_time`] = row.ts_event;
        }
      }
      this.quotes.set(row.venue, held);
    }
    this.draw();
  }

  #draw() {
    const booked = this.books.size > 0;
    const source = booked ? this.books : this.quotes;
    byId("ladder-source").textContent = source.size
      ? `${booked ? "Order books" : "Best quotes"} of ${source.size} venue${source.size > 1 ? "s" : ""}: ${[...source.keys()].sort().join(", ")}`
      : "No quotes of this symbol yet.";
    const of = (name) => [...source.values()].flatMap((row) => side(row, name, booked));
    const { bids, asks } = uncrossed(of("bid"), of("ask"));
    const most = Math.max(0, ...[...asks.slice(0, LEVELS), ...bids.slice(0, LEVELS)].map((one) => one.size)) || 1;
    const rows = [
      ...asks.slice(0, LEVELS).reverse().map((one, at, all) => ({ ...one, kind: "ask", touch: at === all.length - 1 })),
      ...bids.slice(0, LEVELS).map((one, at) => ({ ...one, kind: "bid", touch: at === 0 })),
    ];
    fill(byId("ladder"), rows, (row) => `${row.kind} ${row.price}`, (row) => this.#cells(row, most));
    for (const line of byId("ladder").children) {
      const row = rows.find((one) => `${one.kind} ${one.price}` === line.dataset.key);
      line.className = row.touch ? `touch-${row.kind}` : "";
    }
  }

  #cells(row, most) {
    const sized = make("td", { className: `number ${row.kind}` }, size(row.size));
    sized.style.setProperty("--share", `${Math.round((row.size / most) * 100)}%`);
    const empty = make("td", {});
    const button = make("button", {
      type: "button",
      name: "price",
      className: `${row.kind}-price`,
      "aria-label": `${row.kind} ${price(row.price)}, size ${size(row.size)}: take into the order ticket`,
    }, price(row.price));
    button.addEventListener("click", () => this.onPrice(price(row.price).replaceAll(",", "")));
    const middle = make("td", { className: "number" }, button);
    return row.kind === "bid" ? [sized, middle, empty] : [empty, middle, sized];
  }
}

function side(row, name, booked) {
  if (!booked) return row[name] === null ? [] : [{ price: row[name], size: row[`${name}_size`] ?? 0, time: row[`${name}_time`] }];
  const found = [];
  for (let level = 1; level <= LEVELS; level++) {
    const at = row[`${name}_${level}`];
    if (at !== null && at !== undefined) found.push({ price: at, size: row[`${name}_size_${level}`] ?? 0, time: row.ts_event });
  }
  return found;
}

/**
 * The levels of both sides, the best first. Where a venue's bid is at or above another's ask, one of them holds no
 * more, though the venue has not said so: the older one is left out.
 */
function uncrossed(bids, asks) {
  const [below, above] = [bids.sort((a, b) => b.price - a.price), asks.sort((a, b) => a.price - b.price)];
  while (below.length && above.length && below[0].price >= above[0].price) {
    if (below[0].time < above[0].time) below.shift();
    else above.shift();
  }
  return { bids: levels(below), asks: levels(above) };
}

function levels(points) {
  const sizes = new Map();
  for (const point of points) sizes.set(point.price, (sizes.get(point.price) ?? 0) + point.size);
  return [...sizes].map(([at, size]) => ({ price: at, size }));
}

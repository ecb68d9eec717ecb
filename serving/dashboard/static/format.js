// Values as people read them. Exact decimals come as text and stay text: they are never made floats.

const GROUPS = /\B(?=(\d{3})+(?!\d))/g;
const DECIMAL = /^(-?)(\d+)(?:\.(\d*))?(?:E([+-]?\d+))?$/;

/** Sign, digits before and digits behind the point of an exact decimal; null where it is none. */
function parts(text) {
  const found = DECIMAL.exec(String(text));
  if (!found) return null;
  const [, minus, whole, rest = "", power = "0"] = found;
  // Small ones come with a power of ten: the point is moved, whatever the digits are.
  const digits = whole + rest;
  const point = whole.length + Number(power);
  const before = point > 0 ? digits.slice(0, point).padEnd(point, "0") : "0";
  const behind = point > 0 ? digits.slice(point) : "0".repeat(-point) + digits;
  return { minus: minus !== "" && /[1-9]/.test(digits), whole: before, rest: behind };
}

/** An exact decimal without needless zeros, at least so many places, in groups of thousands. */
export function decimal(text, places = 0) {
  if (text === null || text === undefined || text === "") return "–";
  const found = parts(text);
  if (found === null) return String(text);
  const kept = found.rest.replace(/0+$/, "").padEnd(places, "0");
  return (found.minus ? "−" : "") + found.whole.replace(GROUPS, ",") + (kept ? "." + kept : "");
}

/** Money: two places at least, with its sign where it is a profit or a loss. */
export function money(text, { signed = false } = {}) {
  const shown = decimal(text, 2);
  return signed && !shown.startsWith("−") && /[1-9]/.test(shown) ? "+" + shown : shown;
}

/** Class of a profit or a loss. */
export function sign(text) {
  const found = parts(text ?? "");
  if (found === null || !/[1-9]/.test(found.whole + found.rest)) return "";
  return found.minus ? "down" : "up";
}

/** The sum of exact decimals, exact: integers of 10^-10. */
export function sum(texts) {
  const total = texts.reduce((so_far, text) => so_far + scaled(text), 0n);
  const digits = (total < 0n ? -total : total).toString().padStart(11, "0");
  return `${total < 0n ? "-" : ""}${digits.slice(0, -10)}.${digits.slice(-10)}`;
}

function scaled(text) {
  const found = parts(text);
  if (found === null || found.rest.length > 10) throw new RangeError(`not a decimal of ten places: ${text}`);
  const size = BigInt(found.whole) * 10_000_000_000n + BigInt(found.rest.padEnd(10, "0"));
  return found.minus ? -size : size;
}

/** An exact decimal as a person would type it. */
export function typed(text) {
  return decimal(text).replaceAll(",", "").replace("−", "-");
}

// Market prices and sizes are floats: noise of their last digits lies behind these.
const PLACES_MAX = 10;

/** A market price, a float: all places that it has, two at least. Ticks may be a hundredth, or 10^-8. */
export function price(value) {
  return number(value, 2, PLACES_MAX);
}

/** The size of an order or a trade, or a volume: whole shares, or 10^-8 of a coin. */
export function size(value) {
  return number(value, 0, PLACES_MAX);
}

/** What was computed of prices: six digits at least, and four places. */
export function computed(value) {
  const digitsBefore = Math.ceil(Math.log10(Math.abs(value) || 1));
  return number(value, 2, Math.min(20, Math.max(4, 6 - digitsBefore)));
}

/** A count, or a rate of them. */
export function count(value) {
  return number(value, 0, 2);
}

function number(value, minimumFractionDigits, maximumFractionDigits) {
  if (value === null || value === undefined) return "–";
  return Number(value).toLocaleString("en-US", { minimumFractionDigits, maximumFractionDigits });
}

/** Milliseconds since 1970 of a time as the API writes it (ISO 8601, UTC, up to nanoseconds). */
export function milliseconds(iso) {
  return Date.parse(iso.replace(/(\.\d{3})\d+/, "$1"));
}

/** Date and time of day in UTC, to the second. */
export function moment(iso) {
  return iso ? iso.slice(0, 19).replace("T", " ") : "–";
}

/** Bytes in a unit that people read. */
export function bytes(value) {
  const units = ["B", "kB", "MB", "GB"];
  const at = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, value)) / 3));
  return `${(value / 1000 ** at).toFixed(at ? 1 : 0)} ${units[at]}`;
}

/** Seconds in a unit that people read. */
export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  return value < 120 ? `${value.toFixed(1)} s` : `${count(Math.round(value / 60))} min`;
}

/** Words of an identifier such as stop_limit. */
export function words(name) {
  return String(name).replaceAll("_", " ");
}

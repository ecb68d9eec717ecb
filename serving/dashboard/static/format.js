// Values as people read them. Exact decimals come as text and stay text: they are never made floats.

const GROUPS = /\B(?=(\d{3})+(?!\d))/g;

/** An exact decimal without needless zeros, at least so many places, in groups of thousands. */
export function decimal(text, places = 0) {
  if (text === null || text === undefined || text === "") return "–";
  const [, sign, whole, rest = ""] = /^(-?)(\d+)(?:\.(\d*))?$/.exec(String(text)) ?? [];
  if (whole === undefined) return String(text);
  const kept = rest.replace(/0+$/, "").padEnd(places, "0");
  return (sign ? "−" : "") + whole.replace(GROUPS, ",") + (kept ? "." + kept : "");
}

/** Money: two places at least, with its sign where it is a profit or a loss. */
export function money(text, { signed = false } = {}) {
  const shown = decimal(text, 2);
  return signed && !shown.startsWith("−") && /[1-9]/.test(shown) ? "+" + shown : shown;
}

/** Class of a profit or a loss. */
export function sign(text) {
  if (text === null || text === undefined || !/[1-9]/.test(text)) return "";
  return String(text).startsWith("-") ? "down" : "up";
}

/** The sum of exact decimals, exact: integers of 10^-10. */
export function sum(texts) {
  const total = texts.reduce((so_far, text) => so_far + scaled(text), 0n);
  const digits = (total < 0n ? -total : total).toString().padStart(11, "0");
  return `${total < 0n ? "-" : ""}${digits.slice(0, -10)}.${digits.slice(-10)}`;
}

function scaled(text) {
  const [, minus, whole, rest = ""] = /^(-?)(\d+)(?:\.(\d{0,10}))?$/.exec(String(text)) ?? [];
  if (whole === undefined) throw new RangeError(`not a decimal of ten places: ${text}`);
  const size = BigInt(whole) * 10_000_000_000n + BigInt(rest.padEnd(10, "0"));
  return minus ? -size : size;
}

/** A market price, a float: as many places as it needs, two to four. */
export function price(value) {
  if (value === null || value === undefined) return "–";
  return Number(value).toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 4 });
}

/** A count or a size. */
export function count(value) {
  return value === null || value === undefined ? "–" : Number(value).toLocaleString("en-US", { maximumFractionDigits: 2 });
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

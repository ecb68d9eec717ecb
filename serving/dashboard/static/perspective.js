// Perspective, from the wheel of perspective-python: loaded when a panel first needs it, from this server.
import { make } from "./dom.js";
import { onTheme, theme } from "./theme.js";

// Perspective's own are two places, which of a rate of exchange is another number, and the browser's time zone.
const FORMATS = {
  float: { number_format: { minimumFractionDigits: 2, maximumFractionDigits: 10 } },
  datetime: { date_format: { timeZone: "UTC", dateStyle: "short", timeStyle: "long" } },
};
const THEMES = { dark: "Pro Dark", light: "Pro Light" };
let engine = null;
let named = 0;

/** Whether the server has Perspective. */
export function hasPerspective() {
  return base() !== "";
}

function base() {
  return document.querySelector('meta[name="perspective"]').content;
}

/** The engine, a worker of this page; made once. */
function loadEngine() {
  engine ??= (async () => {
    document.head.append(make("link", { rel: "stylesheet", href: `${base()}/perspective-anywidget.css` }));
    const module = await import(new URL(`${base()}/perspective-anywidget.js`, document.baseURI).href);
    return module.worker();
  })();
  return engine;
}

/**
 * A grid (or whatever chart a person makes of it) over rows.
 *
 * @param host the element that it fills
 * @param rows a schema ({column: type}) or an Arrow stream that has one
 * @param options of the table: index (newest row of each), or limit (so many newest rows)
 * @param config of the viewer: plugin, columns, title, …; with columns_config where a column is not shown as its type is
 */
export async function makeGrid(host, rows, options, config) {
  const client = await loadEngine();
  const name = `rows_${++named}`;
  const table = await client.table(rows, { name, ...options });
  const viewer = document.createElement("perspective-viewer");
  host.replaceChildren(viewer);
  await viewer.load(client);
  const columns_config = { ...formats(await table.schema()), ...config.columns_config };
  await viewer.restore({ table: name, theme: THEMES[theme()], settings: false, ...config, columns_config });
  const leave = onTheme((chosen) => viewer.restore({ theme: THEMES[chosen] }));
  return {
    viewer,
    update: (more) => table.update(more),
    remove: (keys) => table.remove(keys),
    async close() {
      leave();
      await viewer.delete();
      viewer.remove();
      await table.delete();
    },
  };
}

function formats(schema) {
  const formatted = Object.entries(schema).filter(([, type]) => type in FORMATS);
  return Object.fromEntries(formatted.map(([column, type]) => [column, FORMATS[type]]));
}

/** Say in a panel why it has no grid. */
export function tellAbsent(host) {
  host.replaceChildren(
    make("p", { className: "muted" }, "Perspective is not installed where Tapeflow runs, so there is no grid here: "),
    make("p", {}, make("code", {}, "pip install 'tapeflow[dashboard]'")),
  );
}

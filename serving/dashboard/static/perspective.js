// Perspective, from the wheel of perspective-python: loaded when a panel first needs it, from this server.
import { make } from "./dom.js";
import { onTheme, theme } from "./theme.js";

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
 * @param config of the viewer: plugin, columns, title, …
 */
export async function makeGrid(host, rows, options, config) {
  const client = await loadEngine();
  const name = `rows_${++named}`;
  const table = await client.table(rows, { name, ...options });
  const viewer = document.createElement("perspective-viewer");
  host.replaceChildren(viewer);
  await viewer.load(client);
  await viewer.restore({ table: name, theme: THEMES[theme()], settings: false, ...config });
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

/** Say in a panel why it has no grid. */
export function tellAbsent(host) {
  host.replaceChildren(
    make("p", { className: "muted" }, "Perspective is not installed where Tapeflow runs, so there is no grid here: "),
    make("p", {}, make("code", {}, "pip install 'tapeflow[dashboard]'")),
  );
}

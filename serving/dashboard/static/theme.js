// Dark or light: what was chosen, else what the system prefers.
import { byId } from "./dom.js";

const KEY = "tapeflow.theme";
const listeners = new Set();

/** The theme in use, "dark" or "light". */
export function theme() {
  return document.documentElement.dataset.theme;
}

/** Call with the theme whenever it changes; returns what ends that. */
export function onTheme(call) {
  listeners.add(call);
  return () => listeners.delete(call);
}

/** Set the theme up, and its button. */
export function startTheme() {
  const preferred = matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
  apply(localStorage.getItem(KEY) ?? preferred);
  byId("theme").addEventListener("click", () => {
    apply(theme() === "dark" ? "light" : "dark");
    localStorage.setItem(KEY, theme());
  });
}

function apply(name) {
  document.documentElement.dataset.theme = name === "light" ? "light" : "dark";
  byId("theme").textContent = theme() === "dark" ? "Light" : "Dark";
  byId("theme").setAttribute("aria-label", `Use the ${theme() === "dark" ? "light" : "dark"} theme`);
  for (const call of listeners) call(theme());
}

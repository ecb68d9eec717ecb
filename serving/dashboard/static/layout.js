// The panels' places: moved by dragging the handle or with the arrow keys on it, and remembered by the browser.
import { announce, byId, make } from "./dom.js";

const KEY = "tapeflow.layout";
const SPANS = ["3", "4", "5", "6", "7", "8", "9", "12"];
const EARLIER = ["ArrowLeft", "ArrowUp"];
const LATER = ["ArrowRight", "ArrowDown"];

let grid;
let usual;

/** Give every panel its tools, and the place that it had. */
export function startLayout() {
  grid = byId("panels");
  for (const panel of panels()) panel.querySelector("header").append(tools(panel));
  usual = snapshot();
  restore(saved());
  byId("reset-layout").addEventListener("click", () => {
    localStorage.removeItem(KEY);
    restore(usual);
    announce("The layout is as it came.");
  });
}

function panels() {
  return [...grid.querySelectorAll(".panel")];
}

function titleOf(panel) {
  return panel.querySelector("h2").textContent;
}

function tools(panel) {
  const title = titleOf(panel);
  const fold = make("button", { type: "button", className: "fold", textContent: "▾" });
  fold.addEventListener("click", () => {
    setFolded(panel, !("folded" in panel.dataset));
    changed(panel, "folded" in panel.dataset ? "is folded" : "is open");
  });
  const handle = make("button", {
    type: "button",
    className: "handle",
    textContent: "⠿",
    title: "Drag to move; or arrow keys to move, Shift and arrow keys to change the width",
    "aria-label": `Move ${title}: arrow keys; with Shift, change its width`,
  });
  handle.addEventListener("keydown", (event) => onKey(event, panel));
  handle.addEventListener("pointerdown", (event) => drag(event, panel, handle));
  const group = make("div", { className: "panel-tools" }, fold, handle);
  queueMicrotask(() => setFolded(panel, "folded" in panel.dataset));
  return group;
}

function onKey(event, panel) {
  const way = EARLIER.includes(event.key) ? -1 : LATER.includes(event.key) ? 1 : 0;
  if (!way) return;
  event.preventDefault();
  if (event.shiftKey) {
    const at = SPANS.indexOf(panel.dataset.span) + way;
    panel.dataset.span = SPANS[Math.max(0, Math.min(SPANS.length - 1, at))];
    changed(panel, `is ${panel.dataset.span} of 12 columns wide`);
    return;
  }
  const all = panels();
  const at = all.indexOf(panel);
  const to = Math.max(0, Math.min(all.length - 1, at + way));
  if (to === at) return;
  if (way < 0) all[to].before(panel);
  else all[to].after(panel);
  // Moving an element takes the focus from what is in it.
  event.target.focus();
  changed(panel, `is at place ${to + 1} of ${all.length}`);
}

function drag(event, panel, handle) {
  if (event.button !== 0) return;
  event.preventDefault();
  handle.focus();
  handle.setPointerCapture(event.pointerId);
  panel.classList.add("dragged");
  const onMove = (move) => {
    const over = document.elementFromPoint(move.clientX, move.clientY)?.closest(".panel");
    if (!over || over === panel) return;
    const all = panels();
    if (all.indexOf(over) < all.indexOf(panel)) over.before(panel);
    else over.after(panel);
    handle.setPointerCapture(event.pointerId);
  };
  const onEnd = () => {
    panel.classList.remove("dragged");
    handle.removeEventListener("pointermove", onMove);
    handle.removeEventListener("pointerup", onEnd);
    handle.removeEventListener("pointercancel", onEnd);
    changed(panel, `is at place ${panels().indexOf(panel) + 1} of ${panels().length}`);
  };
  handle.addEventListener("pointermove", onMove);
  handle.addEventListener("pointerup", onEnd);
  handle.addEventListener("pointercancel", onEnd);
}

function setFolded(panel, folded) {
  if (folded) panel.dataset.folded = "";
  else delete panel.dataset.folded;
  const button = panel.querySelector(".fold");
  button.textContent = folded ? "▸" : "▾";
  button.setAttribute("aria-label", `${folded ? "Open" : "Fold"} ${titleOf(panel)}`);
  button.setAttribute("aria-expanded", String(!folded));
}

function changed(panel, what) {
  localStorage.setItem(KEY, JSON.stringify(snapshot()));
  announce(`${titleOf(panel)} ${what}.`);
}

function snapshot() {
  return panels().map((panel) => ({
    name: panel.dataset.panel,
    span: panel.dataset.span,
    folded: "folded" in panel.dataset,
  }));
}

function saved() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "null");
    return Array.isArray(found) ? found : usual;
  } catch (error) {
    // Whatever another page of this origin has put there, it is not a layout.
    if (error instanceof SyntaxError) return usual;
    throw error;
  }
}

function restore(places) {
  for (const place of places) {
    const panel = panels().find((one) => one.dataset.panel === place?.name);
    if (!panel) continue;
    // In order, to the end: a panel that the saved layout does not know yet stays in front.
    grid.append(panel);
    if (SPANS.includes(place.span)) panel.dataset.span = place.span;
    setFolded(panel, place.folded === true);
  }
}

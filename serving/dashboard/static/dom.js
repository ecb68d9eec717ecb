// The page's elements. Text from outside goes in as text only: nothing here makes HTML of a string.

/** The element of an id. */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element ${id}`);
  return found;
}

/** A new element with properties, and children that are elements or texts. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "data") Object.assign(element.dataset, value);
    else if (name.startsWith("aria-") || name === "role" || name === "scope") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

/** Say something to who listens to the page. */
export function announce(text) {
  byId("announcer").textContent = text;
}

/** Put rows into a table body so that rows of the same key keep their element, and with it the focus. */
export function fill(body, rows, key, cells) {
  const held = new Map([...body.children].map((row) => [row.dataset.key, row]));
  let at = body.firstElementChild;
  for (const row of rows) {
    const name = key(row);
    const kept = held.get(name);
    const line = kept ?? make("tr", { data: { key: name } });
    held.delete(name);
    const made = cells(row);
    if (!kept) line.append(...made);
    else update(line, made);
    if (line === at) at = at.nextElementSibling;
    else body.insertBefore(line, at);
  }
  for (const gone of held.values()) gone.remove();
}

function update(line, made) {
  made.forEach((cell, at) => {
    const old = line.children[at];
    if (!old) line.append(cell);
    else if (!old.isEqualNode(cell) || old.style.cssText !== cell.style.cssText) {
      const focused = old.contains(document.activeElement) ? document.activeElement.name : null;
      old.replaceWith(cell);
      if (focused) cell.querySelector(`[name="${focused}"]`)?.focus();
    }
  });
}

/** A cell of a table. */
export function cell(text, className = "") {
  return make("td", { className }, text);
}

/** A call that is made once, at the next frame, however often it is asked for meanwhile. */
export function atNextFrame(call) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      call();
    });
  };
}

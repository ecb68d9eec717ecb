// Requests to the API of this server: cookies say who asks, and problems become errors.

const CSRF_COOKIE = "tapeflow_csrf";
const CSRF_HEADER = "X-CSRF-Token";

/** What the API answered in place of what was asked (RFC 9457). */
export class Problem extends Error {
  constructor(status, document) {
    super(document.detail ?? document.title ?? `status ${status}`);
    this.status = status;
    this.kind = (document.type ?? "").split(":").pop();
    this.document = document;
    this.faults = document.errors ?? [];
  }
}

let expired = () => {};

/** Say what is called when the session turns out to be over. */
export function onExpired(call) {
  expired = call;
}

/** Ask, and get the answer's JSON. `entering` says that a refusal is no end of a session. */
export async function ask(method, path, { body, entering = false } = {}) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET") headers[CSRF_HEADER] = cookie(CSRF_COOKIE);
  const answer = await fetch(new URL(path, document.baseURI), {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    credentials: "same-origin",
    cache: "no-store",
  });
  const text = await answer.text();
  const value = parsed(text);
  if (answer.status === 401 && !entering) expired();
  if (!answer.ok) throw new Problem(answer.status, value ?? { title: answer.statusText });
  return value;
}

/** Ask for something with query parameters; those that are null or empty are left out. */
export function get(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, value);
  }
  return ask("GET", query.size ? `${path}?${query}` : path);
}

function parsed(text) {
  if (!text) return null;
  try {
    return JSON.parse(text);
  } catch (error) {
    // A proxy's own error page is no JSON; the status says enough.
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

function cookie(name) {
  const found = document.cookie.split("; ").find((one) => one.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
}

// Who is signed in. The session is in a cookie that scripts cannot read; the API says who that is.
import { Problem, ask, get, onExpired } from "./api.js";
import { byId } from "./dom.js";

const LEFT_KEY = "tapeflow.left";
const INSIDE = ["panels", "symbol-form", "market-time", "connection", "reset-layout", "who", "sign-out"];

/** Signing in and out. `onIn` is called with who is in. */
export class Session {
  constructor(onIn) {
    this.onIn = onIn;
    this.me = null;
    // What still runs behind somebody who signs out is refused: that is no news.
    this.signingOut = false;
    byId("sign-in-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#signIn();
    });
    byId("sign-out").addEventListener("click", () => this.#signOut());
    onExpired(() => {
      if (!this.signingOut) this.#leave("Your session is over. Sign in again.");
    });
  }

  /** Go on with a session that there is, or ask for one. */
  async start() {
    const left = sessionStorage.getItem(LEFT_KEY) ?? "";
    sessionStorage.removeItem(LEFT_KEY);
    try {
      await this.#enter(await ask("GET", "v1/me", { entering: true }));
    } catch (error) {
      if (error instanceof TypeError) this.#leave("Tapeflow cannot be reached. Try again.");
      else if (!(error instanceof Problem)) throw error;
      else this.#leave(error.status === 401 ? left : error.message);
    }
  }

  async #signIn() {
    const form = byId("sign-in-form");
    const said = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, value]));
    const claim = { user: said.user.trim().toLowerCase(), password: said.password, cookie: true };
    if (said.code.trim()) claim.code = said.code.replaceAll(" ", "");
    if (said.token.trim()) claim.one_time_token = said.token.trim();
    const button = form.querySelector("[type=submit]");
    button.disabled = true;
    byId("sign-in-problem").textContent = "";
    try {
      await ask("POST", "v1/sign-in", { body: claim, entering: true });
      form.reset();
      await this.#enter(await get("v1/me"));
    } catch (error) {
      if (!(error instanceof Problem) && !(error instanceof TypeError)) throw error;
      this.#tell(error);
    } finally {
      button.disabled = false;
    }
  }

  #tell(error) {
    const faults = error instanceof Problem ? error.faults.map((one) => one.fault).join("; ") : "";
    byId("sign-in-problem").textContent =
      error instanceof Problem ? [error.message, faults].filter(Boolean).join(" ") : "Tapeflow cannot be reached.";
    byId(error.kind === "second-factor" ? "code" : "password").focus();
  }

  async #enter(me) {
    this.me = me;
    byId("sign-in").hidden = true;
    byId("who").textContent = me.user;
    for (const id of INSIDE) byId(id).hidden = false;
    await this.onIn(me);
  }

  async #signOut() {
    this.signingOut = true;
    try {
      await ask("POST", "v1/sign-out");
    } catch (error) {
      // A session that is over already was what was wanted.
      if (!(error instanceof Problem) || error.status !== 401) {
        this.signingOut = false;
        throw error;
      }
    }
    this.#leave("You are signed out.");
  }

  #leave(reason) {
    if (this.me !== null) {
      // Loading the page again forgets all that the last user saw.
      sessionStorage.setItem(LEFT_KEY, reason);
      location.reload();
      return;
    }
    for (const id of INSIDE) byId(id).hidden = true;
    byId("sign-in").hidden = false;
    byId("sign-in-problem").textContent = reason;
    byId("user").focus();
  }
}

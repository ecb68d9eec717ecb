// The page put together: themes, places of the panels, and the desk of whoever signs in.
import { byId } from "./dom.js";
import { startLayout } from "./layout.js";
import { Session } from "./session.js";
import { startTheme } from "./theme.js";

let desk = null;

startTheme();
startLayout();
await new Session(enter).start();

async function enter(me) {
  // Loaded once somebody is in: the sign-in form needs none of it.
  const { Desk } = await import("./desk.js");
  desk = new Desk(me);
  await desk.open();
  byId("panels").focus({ preventScroll: true });
}

addEventListener("pagehide", () => desk?.close());

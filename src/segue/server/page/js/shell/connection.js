/** Notices that the server is away, says so, and notices that it is back. */

import { h, replaceChildren } from "../dom.js";

const POLL_MS = 2_000;

/**
 * @param {import("../api.js").Api} api
 * @param {HTMLElement} banner
 * @param {() => void} returned is called once the server answers again
 */
export function watchServer(api, banner, returned) {
  let isAway = false;
  const poll = () => {
    if (isAway) api.get("/v1/models").catch(() => setTimeout(poll, POLL_MS));
  };
  api.watchConnection((error) => {
    if (error !== null && !isAway) {
      isAway = true;
      replaceChildren(banner, h("strong", {}, error.message), " ", error.hint);
      banner.hidden = false;
      setTimeout(poll, POLL_MS);
    } else if (error === null && isAway) {
      isAway = false;
      banner.hidden = true;
      queueMicrotask(returned);
    }
  });
}

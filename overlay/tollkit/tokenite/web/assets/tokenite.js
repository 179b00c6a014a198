// @ts-check
/**
 * Sign-in and top-up with Tokenite in a window or an overlay. Served by tollkit's routes; nothing to build.
 *
 *   import { signIn, topUp } from "/auth/tokenite.js";
 *   button.onclick = async () => {
 *     const result = await signIn({ mode: "window", next: "/home" });
 *     if (result.ok) location.assign(result.next);
 *   };
 *
 * or, without a script of your own, <script type="module" src="/auth/tokenite.js?attach"></script> and
 *   <a href="/auth/login?next=/home" data-tokenite-sign-in="window" data-tokenite-next="/home">Sign in</a>
 *
 * Content-Security-Policy: script-src 'self'; connect-src 'self'; for overlays frame-src with Tokenite's origin.
 * Call from a click: browsers open windows only then. The token never comes here, only a code goes through.
 *
 * @typedef {{mode?: "redirect"|"window"|"popup"|"iframe", budget?: number|string, prompt?: string, next?: string,
 *   base?: string}} SignInOptions
 * @typedef {{mode?: "redirect"|"window"|"popup", suggestedAmount?: number|string, next?: string,
 *   base?: string}} TopUpOptions
 * @typedef {{ok: false, reason: string, message?: string}} Failure
 *   reason: "cancelled", "closed" (the window), "blocked" (top-up: "popup-blocked"), "redirected" (this page is being
 *   left), "network", "replaced" (by a later call), or a word of the server's such as "invalid_state"
 * @typedef {{url: string, state: string, origin: string, redirectUri: string}} Started
 * @typedef {{window: () => (Window|null), closed: () => boolean, go: (url: string) => void, remove: () => void,
 *   dismissed: Promise<void>}} Surface
 * @typedef {{code?: string, newLimit?: unknown, remaining?: unknown, failure?: Failure}} Outcome
 */

/** What Tokenite's pages post to the page that opened them; change a member if your platform's level differs. */
export const messages = {
  signedIn: "tokenite:auth-success",
  signInFailed: "tokenite:auth-error",
  toppedUp: "tokenite:topup-success",
  topUpCancelled: "tokenite:topup-cancelled",
};

const SOURCE = new URL(import.meta.url);
const BASE = new URL(".", SOURCE).href;
const POLL_MS = 200;

/** Ends the conversation that is open; there is one at a time. */
let replace = () => {};

/**
 * @param {SignInOptions} [options]
 * @returns {Promise<{ok: true, next: string} | Failure>}
 */
export async function signIn({ mode = "redirect", budget, prompt, next, base = BASE } = {}) {
  if (mode === "redirect") return leave(base, "login", { budget, prompt, next });
  const overlay = mode === "iframe";
  const request = { what: "sign-in", mode: overlay ? "iframe" : "popup", budget, prompt, next };
  const surface = overlay ? openOverlay(480, 620, "Sign in with Tokenite") : openWindow(480, 620);
  return converse(surface, base, request, understandSignIn, (started, { code }) =>
    post(base, "callback", { code, state: started.state }),
  );
}

/**
 * @param {TopUpOptions} [options]
 * @returns {Promise<{ok: true, newLimit: number, remaining: number} | Failure>} the numbers are the platform's word
 *   through the browser: show them, do not account with them
 */
export async function topUp({ mode = "window", suggestedAmount, next, base = BASE } = {}) {
  if (mode === "redirect") return leave(base, "top-up", { amount: suggestedAmount, next });
  const request = { what: "top-up", mode: "popup", suggestedAmount, next };
  const result = await converse(openWindow(480, 560), base, request, understandTopUp, async (_, outcome) => ({
    ok: true,
    newLimit: numberOf(outcome.newLimit),
    remaining: numberOf(outcome.remaining),
  }));
  return result.reason === "blocked" ? { ...result, reason: "popup-blocked" } : result;
}

/**
 * Makes elements with data-tokenite-sign-in or data-tokenite-top-up work when clicked. Their value is the mode;
 * data-tokenite-budget, -prompt, -next, -amount are the options. Then the element gets a "tokenite:result" event with
 * the result as its detail; unless it is cancelled (preventDefault), the page goes to where the user wanted to go,
 * and a link whose window was blocked is followed.
 * @param {Document|Element} [root]
 * @returns {() => void} undoes it
 */
export function attach(root = document) {
  /** @param {Event} event */
  const onClick = async (event) => {
    const target = event.target instanceof Element ? event.target : null;
    const element = target?.closest("[data-tokenite-sign-in], [data-tokenite-top-up]");
    if (!(element instanceof HTMLElement) || event.defaultPrevented) return;
    event.preventDefault();
    const data = element.dataset;
    const next = data.tokeniteNext;
    const result = await ("tokeniteSignIn" in data
      ? signIn({ mode: /** @type {any} */ (data.tokeniteSignIn || "window"), budget: data.tokeniteBudget,
          prompt: data.tokenitePrompt, next })
      : topUp({ mode: /** @type {any} */ (data.tokeniteTopUp || "window"), suggestedAmount: data.tokeniteAmount, next }));
    const told = new CustomEvent("tokenite:result", { detail: result, bubbles: true, cancelable: true });
    if (!element.dispatchEvent(told)) return;
    const blocked = !result.ok && /blocked$/.test(result.reason);
    if (result.ok) location.assign("next" in result ? result.next : (next ?? location.href));
    else if (blocked && element instanceof HTMLAnchorElement) location.assign(element.href);
  };
  root.addEventListener("click", onClick);
  return () => root.removeEventListener("click", onClick);
}

/**
 * Opens the page in a surface, waits for what comes of it, and finishes. Whatever happens, nothing stays behind.
 * @param {Surface|null} surface
 * @param {string} base
 * @param {object} request for `start`
 * @param {(data: Record<string, unknown>) => Outcome|null} understand a message, or the query of the redirect
 * @param {(started: Started, outcome: Outcome) => Promise<any>} finish
 * @returns {Promise<any>}
 */
async function converse(surface, base, request, understand, finish) {
  replace();
  if (!surface) return { ok: false, reason: "blocked" };
  const ended = new AbortController();
  const replaced = new Promise((resolve) => {
    replace = () => resolve({ failure: { ok: false, reason: "replaced" } });
  });
  const dismissed = surface.dismissed.then(() => ({ failure: { ok: false, reason: "cancelled" } }));
  try {
    const started = await Promise.race([post(base, "start", request), replaced, dismissed]);
    if (started.failure) return started.failure;
    if (!started.url) return started;
    const heard = listen(surface, started, understand, ended.signal);
    surface.go(started.url);
    const outcome = await Promise.race([heard, replaced, dismissed]);
    surface.remove();
    return outcome.failure ?? (await finish(started, outcome));
  } finally {
    ended.abort();
    surface.remove();
  }
}

/**
 * @param {Surface} surface
 * @param {Started} started
 * @param {(data: Record<string, unknown>) => Outcome|null} understand
 * @param {AbortSignal} signal
 * @returns {Promise<Outcome>}
 */
function listen(surface, started, understand, signal) {
  return new Promise((resolve) => {
    addEventListener("message", (event) => {
      // anyone may post to us: only the window that we opened counts, and only while it shows Tokenite
      if (event.origin !== started.origin || event.source === null || event.source !== surface.window()) return;
      const data = event.data;
      if (typeof data !== "object" || data === null) return;
      if (data.state !== undefined && data.state !== started.state) return;
      const outcome = understand(data);
      if (outcome) resolve(outcome);
    }, { signal });
    let closedBefore = false;
    const timer = setInterval(() => {
      const query = landed(surface.window(), started.redirectUri);
      if (query) {
        const right = query.getAll("state").length === 1 && query.get("state") === started.state;
        resolve((right && understand(Object.fromEntries(query))) || failure("invalid_state"));
      }
      // the second time round: a message may still be on its way when the window is seen to be gone
      if (closedBefore) resolve(failure("closed"));
      closedBefore = surface.closed();
    }, POLL_MS);
    signal.addEventListener("abort", () => clearInterval(timer));
  });
}

/**
 * The query of the redirect, once the window shows it; until then it is on another origin and cannot be read.
 * @param {Window|null} view
 * @param {string} redirectUri
 */
function landed(view, redirectUri) {
  try {
    const place = new URL(view?.location.href ?? "");
    const wanted = new URL(redirectUri);
    return place.origin === wanted.origin && place.pathname === wanted.pathname ? place.searchParams : null;
  } catch {
    return null;
  }
}

/** @param {Record<string, unknown>} data @returns {Outcome|null} */
function understandSignIn(data) {
  if ((data.type === messages.signedIn || data.type === undefined) && typeof data.code === "string" && data.code)
    return { code: data.code };
  if (data.type === messages.signInFailed || (data.type === undefined && "error" in data))
    return /denied|cancel/.test(String(data.error)) ? failure("cancelled") : failure("oauth_error");
  return null;
}

/** @param {Record<string, unknown>} data @returns {Outcome|null} */
function understandTopUp(data) {
  if (data.type === messages.toppedUp) return { newLimit: data.newLimit, remaining: data.remaining };
  if (data.type === undefined && data.topup === "success") return { newLimit: data.new_limit, remaining: data.remaining };
  return data.type === messages.topUpCancelled || data.topup !== undefined ? failure("cancelled") : null;
}

/** @param {unknown} value */
const numberOf = (value) => (value === undefined || value === null || value === "" ? NaN : Number(value));

/** @param {string} reason @returns {Outcome} */
const failure = (reason) => ({ failure: { ok: false, reason } });

/**
 * @param {string} base
 * @param {string} route
 * @param {Record<string, unknown>} fields
 * @returns {Promise<Failure>}
 */
async function leave(base, route, fields) {
  const url = new URL(route, new URL(base, location.href));
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) url.searchParams.set(name, String(value));
  location.assign(url);
  return { ok: false, reason: "redirected" };
}

/** @param {string} base @param {string} route @param {object} body @returns {Promise<any>} */
async function post(base, route, body) {
  try {
    const answer = await fetch(new URL(route, new URL(base, location.href)), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const told = await answer.json();
    if (answer.ok || told.ok === false) return told;
  } catch {
    // no answer, or none of ours
  }
  return { ok: false, reason: "network" };
}

/** @param {number} width @param {number} height @returns {Surface|null} null when the browser blocks it */
function openWindow(width, height) {
  const left = Math.max(0, screenX + (outerWidth - width) / 2);
  const top = Math.max(0, screenY + (outerHeight - height) / 2);
  // at once and empty: after anything that takes time the browser would not believe in the click any more
  const view = window.open("about:blank", "_blank", `popup,width=${width},height=${height},left=${left},top=${top}`);
  if (!view || view.closed) return null;
  return {
    window: () => view,
    closed: () => view.closed,
    go: (url) => view.location.replace(url),
    remove: () => view.close(),
    dismissed: new Promise(() => {}),
  };
}

/** @param {number} width @param {number} height @param {string} label @returns {Surface} */
function openOverlay(width, height, label) {
  const dialog = document.createElement("dialog");
  const frame = document.createElement("iframe");
  const close = document.createElement("button");
  dialog.setAttribute("role", "dialog");
  dialog.setAttribute("aria-modal", "true");
  dialog.setAttribute("aria-label", label);
  dialog.className = "tokenite-overlay";
  frame.title = label;
  close.type = "button";
  close.textContent = "×";
  close.setAttribute("aria-label", "Close");
  // set by script, property by property: that is what style-src 'self' allows
  Object.assign(dialog.style, {
    boxSizing: "border-box", width: `min(${width}px, 100vw)`, height: `min(${height + 44}px, 100dvh)`, maxWidth: "100vw",
    maxHeight: "100dvh", margin: "auto", padding: "0", border: "0", borderRadius: "12px", overflow: "hidden",
    background: "Canvas", color: "CanvasText", boxShadow: "0 0 0 100vmax rgb(0 0 0 / .45), 0 12px 48px rgb(0 0 0 / .4)",
  });
  Object.assign(frame.style, { display: "block", width: "100%", height: "calc(100% - 44px)", border: "0" });
  Object.assign(close.style, {
    display: "block", width: "44px", height: "44px", marginLeft: "auto", border: "0", background: "none",
    color: "inherit", font: "24px/1 system-ui, sans-serif", cursor: "pointer",
  });
  dialog.append(close, frame);
  const dismissed = new Promise((resolve) => {
    dialog.addEventListener("cancel", (event) => (event.preventDefault(), resolve(undefined)));
    close.addEventListener("click", resolve);
    dialog.addEventListener("click", (event) => {
      const box = dialog.getBoundingClientRect();
      const beside = event.clientX < box.left || event.clientX > box.right ||
        event.clientY < box.top || event.clientY > box.bottom;
      if (event.target === dialog && beside) resolve(undefined);
    });
  });
  document.body.append(dialog);
  dialog.showModal(); // the rest of the page is inert from here on, and gets its focus back at the end
  return {
    window: () => frame.contentWindow,
    closed: () => !dialog.isConnected,
    go: (url) => { frame.src = url; },
    remove: () => (dialog.close(), dialog.remove()),
    dismissed,
  };
}

if (SOURCE.searchParams.has("attach")) attach();

// All that the browser does by itself: open Tokenite in a window or an overlay, and go on with what comes of it.
import { attach } from "/auth/tokenite.js";

const told = {
  cancelled: "You cancelled. Nothing has changed.",
  closed: "You closed the window. Nothing has changed.",
  blocked: "Your browser blocked the window.",
  "popup-blocked": "Your browser blocked the window.",
  network: "This site cannot be reached. Please try again.",
};

attach(); // makes the links with data-tokenite-... work

document.addEventListener("tokenite:result", (event) => {
  const result = event.detail;
  if (result.ok && "newLimit" in result) {
    // the limit is raised: repeat the question that could not be paid for
    event.preventDefault();
    const form = document.getElementById("again");
    form.elements.limit.value = result.newLimit;
    form.elements.remaining.value = result.remaining;
    form.submit();
  } else if (!result.ok && !["redirected", "replaced"].includes(result.reason)) {
    document.getElementById("notice").textContent = told[result.reason] ?? result.message ?? "That did not work.";
  }
});

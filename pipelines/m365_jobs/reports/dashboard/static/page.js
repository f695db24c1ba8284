// Draws the page anew by itself, and says when what is shown is old or cut off. Without it the page works as it is.
"use strict";
(() => {
  const main = document.getElementById("main");
  const every = () => Number(document.getElementById("drawn").dataset.every) * 1000;
  const times = part => ({sent: Number(part.dataset.sent), drawn: Number(part.dataset.drawn)});
  let {sent, drawn} = times(document.getElementById("drawn"));
  // The age at which the page came, by the server's clock, and since then by the browser's.
  let last = Date.now() - (sent - drawn), busy = false;

  const words = ms => ms < 90000 ? Math.round(ms / 1000) + " s" : ms < 5400000 ? Math.round(ms / 60000) + " min"
    : Math.round(ms / 3600000) + " h";

  const tell = text => {
    const note = document.getElementById("stale");
    if (note.textContent !== text) note.textContent = text;
    note.hidden = !text;
  };

  const check = reason => {
    const age = Date.now() - last;
    if (age > 2.5 * every()) tell(reason || "This page is " + words(age) + " old. Waiting for the dashboard.");
  };

  const swap = text => {
    const fresh = new DOMParser().parseFromString(text, "text/html").getElementById("main");
    if (!fresh || !fresh.querySelector("#drawn")) throw new Error("another page came");
    const came = times(fresh.querySelector("#drawn"));
    // Something on the way keeps pages.
    if (came.sent === sent) return;
    const open = new Set([...main.querySelectorAll("details[open][data-keep]")].map(part => part.dataset.keep));
    const scrolled = new Map([...main.querySelectorAll(".scroll")].map(part => [part.getAttribute("aria-label"), part.scrollLeft]));
    const focus = document.activeElement && main.contains(document.activeElement) ? path(document.activeElement) : null;
    main.replaceChildren(...fresh.childNodes);
    main.querySelectorAll("details[data-keep]").forEach(part => { part.open = open.has(part.dataset.keep); });
    main.querySelectorAll(".scroll").forEach(part => { part.scrollLeft = scrolled.get(part.getAttribute("aria-label")) || 0; });
    if (focus) { const again = main.querySelector(focus); if (again) again.focus({preventScroll: true}); }
    ({sent, drawn} = came);
    last = Date.now() - (sent - drawn);
    document.querySelectorAll(".expires").forEach(part => part.remove());
  };

  // The way from the main element down to a part, so that the part has the focus again after the page was drawn.
  const path = part => {
    const steps = [];
    for (; part !== main; part = part.parentElement) {
      steps.unshift(":nth-child(" + (1 + [...part.parentElement.children].indexOf(part)) + ")");
    }
    return ":scope > " + steps.join(" > ");
  };

  const refresh = async () => {
    if (busy) return;
    busy = true;
    try {
      const answer = await fetch(location.href, {cache: "no-store", credentials: "same-origin",
        headers: {"X-Refresh": "1"}, signal: AbortSignal.timeout(30000)});
      if (!answer.ok) throw new Error("HTTP " + answer.status);
      swap(await answer.text());
      tell("");
      check();
    } catch (error) {
      check("Cut off from the dashboard. This page is " + words(Date.now() - last) + " old.");
    } finally {
      busy = false;
    }
  };

  const begin = document.getElementById("drawn");
  if (!begin) return;
  document.querySelectorAll(".expires").forEach(part => part.remove());
  setInterval(refresh, every());
  setInterval(() => check(), 1000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
  window.addEventListener("pageshow", event => { if (event.persisted) refresh(); });
})();

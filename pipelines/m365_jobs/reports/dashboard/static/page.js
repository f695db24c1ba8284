// Refresh the page, and tell the user if it is old or the dashboard is unreachable. The page works without this script.
"use strict";
(() => {
  const main = document.getElementById("main");
  const refreshMs = () => Number(document.getElementById("drawn").dataset.every) * 1000;
  // Unix times in ms by the server's clock: of the response, and of the data on the page.
  const times = element => ({sent: Number(element.dataset.sent), drawn: Number(element.dataset.drawn)});
  let {sent, drawn} = times(document.getElementById("drawn"));
  // The time of the data by the browser's clock, which may differ from the server's.
  let drawnHere = Date.now() - (sent - drawn), refreshing = false;

  const formatAge = ms => ms < 90000 ? Math.round(ms / 1000) + " s" : ms < 5400000 ? Math.round(ms / 60000) + " min"
    : Math.round(ms / 3600000) + " h";

  const showNote = text => {
    const note = document.getElementById("stale");
    if (note.textContent !== text) note.textContent = text;
    note.hidden = !text;
  };

  const checkAge = reason => {
    const age = Date.now() - drawnHere;
    if (age > 2.5 * refreshMs()) showNote(reason || "This page is " + formatAge(age) + " old. Waiting for the dashboard.");
  };

  const replacePage = text => {
    const received = new DOMParser().parseFromString(text, "text/html").getElementById("main");
    if (!received || !received.querySelector("#drawn")) throw new Error("response is not a page of the dashboard");
    const receivedTimes = times(received.querySelector("#drawn"));
    // A cache between dashboard and browser sent an old response: the page must not look newer than it is.
    if (receivedTimes.sent === sent) return;
    const open = new Set([...main.querySelectorAll("details[open][data-keep]")].map(element => element.dataset.keep));
    const scrolled = new Map([...main.querySelectorAll(".scroll")].map(element => [element.getAttribute("aria-label"), element.scrollLeft]));
    const focusPath = document.activeElement && main.contains(document.activeElement) ? pathOf(document.activeElement) : null;
    main.replaceChildren(...received.childNodes);
    main.querySelectorAll("details[data-keep]").forEach(element => { element.open = open.has(element.dataset.keep); });
    main.querySelectorAll(".scroll").forEach(element => { element.scrollLeft = scrolled.get(element.getAttribute("aria-label")) || 0; });
    if (focusPath) { const focused = main.querySelector(focusPath); if (focused) focused.focus({preventScroll: true}); }
    ({sent, drawn} = receivedTimes);
    drawnHere = Date.now() - (sent - drawn);
    document.querySelectorAll(".expires").forEach(element => element.remove());
  };

  // Return the CSS selector of an element below the main element, which finds it again after a refresh.
  const pathOf = element => {
    const steps = [];
    for (; element !== main; element = element.parentElement) {
      steps.unshift(":nth-child(" + (1 + [...element.parentElement.children].indexOf(element)) + ")");
    }
    return ":scope > " + steps.join(" > ");
  };

  const refresh = async () => {
    if (refreshing) return;
    refreshing = true;
    try {
      const response = await fetch(location.href, {cache: "no-store", credentials: "same-origin",
        headers: {"X-Refresh": "1"}, signal: AbortSignal.timeout(30000)});
      if (!response.ok) throw new Error("HTTP " + response.status);
      replacePage(await response.text());
      showNote("");
      checkAge();
    } catch (error) {
      checkAge("Cut off from the dashboard. This page is " + formatAge(Date.now() - drawnHere) + " old.");
    } finally {
      refreshing = false;
    }
  };

  const drawnElement = document.getElementById("drawn");
  if (!drawnElement) return;
  document.querySelectorAll(".expires").forEach(element => element.remove());
  setInterval(refresh, refreshMs());
  setInterval(() => checkAge(), 1000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
  window.addEventListener("pageshow", event => { if (event.persisted) refresh(); });
})();

// Renews the figures of a page from its live stream. Everything works without it, except being live.
"use strict";
(() => {
  const RETRY_MS = [1000, 2000, 5000, 10000, 30000];
  const RELATIVE_S_MAX = 30 * 86400; // older times stay as dates
  const path = document.body.dataset.live;
  const marker = document.getElementById("live");
  let source = null;
  let failures = 0;
  let timer = 0;

  const mark = (state) => {
    if (!marker || marker.dataset.state === state) return;
    marker.hidden = false;
    marker.dataset.state = state;
    marker.textContent = state;
  };

  const ago = (date) => {
    const seconds = Math.round((Date.now() - date) / 1000);
    if (Math.abs(seconds) > RELATIVE_S_MAX) return null;
    const [size, unit] = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]].find(([size]) => Math.abs(seconds) >= size) || [1, "s"];
    const count = Math.floor(Math.abs(seconds) / size);
    return seconds < 0 ? `in ${count} ${unit}` : `${count} ${unit} ago`;
  };

  const renewTimes = () => {
    for (const time of document.querySelectorAll("time[data-ago]")) {
      const date = Date.parse(time.dateTime);
      if (Number.isNaN(date)) continue;
      const text = ago(date);
      if (text && time.textContent !== text) time.textContent = text;
    }
  };

  // A part that has the keyboard's focus waits until it is left, one with a picture until that is here, so that none flickers.
  const waiting = new Map();
  const latest = new Map();
  const put = async (id, html) => {
    latest.set(id, html);
    const made = document.createElement("div");
    made.innerHTML = html;
    const pictures = [...made.querySelectorAll("img")];
    if (pictures.length > 0) await Promise.allSettled(pictures.map((picture) => picture.decode()));
    const element = document.getElementById(id);
    if (!element || latest.get(id) !== html) return;
    if (element.contains(document.activeElement)) waiting.set(id, html);
    else element.replaceChildren(...made.childNodes);
    renewTimes();
  };
  const renew = () => {
    for (const [id, html] of waiting) {
      const element = document.getElementById(id);
      if (element && element.contains(document.activeElement)) continue;
      waiting.delete(id);
      put(id, html);
    }
  };

  const close = () => {
    clearTimeout(timer);
    if (source) source.close();
    source = null;
  };

  const open = () => {
    close();
    source = new EventSource(path);
    source.onopen = () => { failures = 0; mark("live"); };
    source.onmessage = (event) => {
      for (const [id, html] of Object.entries(JSON.parse(event.data))) waiting.set(id, html);
      renew();
    };
    source.onerror = () => {
      mark("offline");
      close();
      timer = setTimeout(open, RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)]);
    };
  };

  // Browsers give pages without TLS no clipboard but this one.
  const copySelected = (element) => {
    getSelection().selectAllChildren(element);
    return document.execCommand("copy");
  };

  const copy = async (element) => {
    if (!navigator.clipboard) return copySelected(element);
    try {
      await navigator.clipboard.writeText(element.textContent);
      return true;
    } catch {
      return copySelected(element);
    }
  };

  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const copied = await copy(document.getElementById(button.dataset.copy));
      button.textContent = copied ? "Copied" : "Selected";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }

  renewTimes();
  setInterval(renewTimes, 1000);
  if (path && window.EventSource) {
    document.addEventListener("focusout", () => setTimeout(renew));
    document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
    if (!document.hidden) open();
  }
})();

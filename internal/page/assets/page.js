// The page is whole without this script; with it, it is live.
"use strict";

// live takes fresh sections from the server and morphs them into the page:
// focus, scroll position and opened details stay.
const live = {
  source: null,
  paused: false,
  lost: false, // the connection broke; false before the first
  waiting: new Map(), // sections that came while they could not be shown

  start() {
    const url = document.body.dataset.live;
    if (!url) return;
    this.source = new EventSource(url);
    for (const section of ["head", "main"]) {
      this.source.addEventListener(section, (e) => this.take(section, e.data));
    }
    this.source.addEventListener("samples", (e) => plots.add(JSON.parse(e.data)));
    this.source.onopen = () => {
      this.lost = false;
      this.tell();
    };
    this.source.onerror = () => {
      this.lost = true;
      // The browser tries again by itself unless it was refused for good.
      if (this.source.readyState === EventSource.CLOSED) setTimeout(() => this.start(), 5000);
      this.tell();
    };
    document.addEventListener("selectionchange", () => this.show());
    document.addEventListener("focusout", () => setTimeout(() => this.show()));
  },

  take(section, html) {
    this.waiting.set(section, html);
    this.show();
  },

  // busy: somebody marks text, or has a list open, which an update would undo.
  busy() {
    const marked = document.getSelection();
    return this.paused || (marked && !marked.isCollapsed && marked.type === "Range") ||
      document.activeElement?.tagName === "SELECT";
  },

  show() {
    if (this.busy()) return;
    for (const [section, html] of this.waiting) {
      const target = document.getElementById(section);
      htmx.swap({ target, text: html, swap: "innerMorph", sourceElement: target });
    }
    this.waiting.clear();
  },

  toggle() {
    this.paused = !this.paused;
    this.tell();
    this.show();
  },

  tell() {
    const button = document.getElementById("pause");
    if (!button) return;
    const open = this.source?.readyState === EventSource.OPEN;
    button.dataset.state = this.paused ? "paused" : open ? "live" : this.lost ? "lost" : "begun";
    button.querySelector(".label").textContent = this.paused ? "paused" : open ? "live" : "connecting";
    button.setAttribute("aria-pressed", String(this.paused));
  },
};

// plots are the last hour, in the colours of the scheme.
const plots = {
  data: null,
  drawn: new Map(),
  hour: 3600,

  add(columns) {
    if (!this.data) this.data = Object.fromEntries(Object.keys(columns).map((k) => [k, []]));
    for (const [name, values] of Object.entries(columns)) this.data[name].push(...values);
    const from = this.data.at.at(-1) - this.hour;
    const old = this.data.at.findIndex((t) => t >= from);
    for (const values of Object.values(this.data)) values.splice(0, old);
    this.draw();
  },

  // x is what is known of the last hour, ten minutes at least.
  range() {
    const at = plots.data.at;
    return [Math.min(at[0], at.at(-1) - 600), at.at(-1)];
  },

  colour(name) { return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim(); },

  draw() {
    if (!this.data) return;
    for (const box of document.querySelectorAll(".plot")) {
      const series = box.dataset.series.split(" ");
      const data = [this.data.at, ...series.map((s) => this.data[s])];
      const drawn = this.drawn.get(box.id);
      if (drawn) drawn.setData(data);
      else this.drawn.set(box.id, new uPlot(this.options(box, series), data, box));
    }
  },

  options(box, series) {
    const names = box.dataset.names.split(", ");
    const colours = box.dataset.colours.split(" ");
    const number = (u, v) => (v == null ? "–" : v >= 100 ? v.toFixed(0) : v.toFixed(1));
    const axis = { stroke: this.colour("muted"), grid: { stroke: this.colour("line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
    return {
      width: box.clientWidth, height: 150, legend: { live: true }, padding: [8, 4, 0, 0],
      cursor: { sync: { key: "hour" }, drag: { x: false, y: false }, points: { size: 5 } },
      scales: { x: { range: this.range }, y: { range: (u, min, max) => [0, Math.max(1, (max || 0) * 1.1)] } },
      axes: [
        { ...axis, size: 24, space: 60, values: (u, ticks) => ticks.map((t) => new Date(t * 1000).toTimeString().slice(0, 5)) },
        { ...axis, size: 38, space: 28 },
      ],
      series: [
        { label: "time", value: (u, v) => (v == null ? "–" : new Date(v * 1000).toTimeString().slice(0, 8)) },
        ...series.map((s, i) => ({
          label: names[i], stroke: this.colour(colours[i]), fill: i ? undefined : this.colour(colours[i]) + "22",
          width: 1.5, points: { show: false }, value: number,
        })),
      ],
    };
  },

  again() {
    for (const plot of this.drawn.values()) plot.destroy();
    this.drawn.clear();
    this.draw();
  },

  resize() {
    for (const plot of this.drawn.values()) {
      plot.setSize({ width: plot.root.parentElement.clientWidth, height: 150 });
    }
  },
};

const theme = {
  names: ["system", "light", "dark"],
  now() { return document.documentElement.dataset.theme || "system"; },
  next() {
    const next = this.names[(this.names.indexOf(this.now()) + 1) % this.names.length];
    if (next === "system") {
      delete document.documentElement.dataset.theme;
      localStorage.removeItem("flask2ban-theme");
    } else {
      document.documentElement.dataset.theme = next;
      localStorage.setItem("flask2ban-theme", next);
    }
    this.tell();
    plots.again();
  },
  tell() { document.getElementById("theme").textContent = "theme: " + this.now(); },
};

// rows moves the focus among the links of a table.
function rows(step) {
  const links = [...document.querySelectorAll("main a.row")];
  if (!links.length) return;
  const at = links.indexOf(document.activeElement);
  const next = at < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + step, 0), links.length - 1);
  links[next].focus();
}

const help = () => document.getElementById("help");

const keys = {
  "/": () => document.getElementById("find")?.focus(),
  "?": () => (help().open ? help().close() : help().showModal()),
  p: () => live.toggle(),
  t: () => theme.next(),
  j: () => rows(1),
  k: () => rows(-1),
};

document.addEventListener("keydown", (e) => {
  const typing = e.target.closest?.("input, select, textarea");
  if (typing && e.key === "Escape") return e.target.blur();
  if (typing || e.ctrlKey || e.metaKey || e.altKey) return;
  const tab = /^[1-9]$/.test(e.key) && document.querySelector(`nav a[data-key="${e.key}"]`);
  if (tab) return tab.click();
  if (keys[e.key]) {
    e.preventDefault();
    keys[e.key]();
  }
});

document.addEventListener("click", (e) => {
  const button = e.target.closest("button");
  if (button?.id === "pause") live.toggle();
  if (button?.id === "theme") theme.next();
  if (button?.id === "keys") keys["?"]();
});

// A one-time link has its code behind the #, where no server or log sees it.
function signIn() {
  const form = document.getElementById("signin");
  const code = location.hash.slice(1);
  if (!form || !code) return;
  history.replaceState(null, "", location.pathname);
  form.elements.secret.value = code;
  form.submit();
}

for (const id of ["pause", "theme", "keys"]) document.getElementById(id)?.removeAttribute("hidden");
theme.tell();
signIn();
live.start();
live.tell();
addEventListener("resize", () => plots.resize());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots.again());

// Figures that move without a kernel. Each <figure class="moving-figure"> holds a still picture and,
// as JSON, what was computed when the book was built; here the picture is replaced by one that
// follows a slider. Nothing is computed but positions on the screen, and nothing is fetched.
(() => {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";
  const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

  function element(parent, name, attributes = {}, text = "") {
    const node = SVG_NAMES.has(name)
      ? document.createElementNS(SVG, name)
      : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text) node.textContent = text;
    parent.append(node);
    return node;
  }
  const SVG_NAMES = new Set(
    "svg g path line circle text rect polygon ellipse title".split(" ")
  );

  function extent(values, margin = 0.05) {
    const low = Math.min(...values), high = Math.max(...values);
    const room = (high - low || 1) * margin;
    return [low - room, high + room];
  }

  function ticks([low, high], count = 4) {
    const step = 10 ** Math.floor(Math.log10((high - low) / count));
    const size = [1, 2, 5, 10].map((k) => k * step).find((s) => (high - low) / s <= count + 1);
    const first = Math.ceil(low / size);
    return Array.from({ length: Math.floor(high / size) - first + 1 }, (_, k) => (first + k) * size);
  }

  function logTicks([low, high]) {
    const found = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
      for (const k of [1, 2, 5]) found.push(k * 10 ** e);
    const inside = found.filter((v) => v >= low && v <= high);
    return inside.length > 6 ? inside.filter((v) => /^1(e|0*$|$)|^0\.0*1$/.test(String(v))) : inside;
  }

  // A panel with axes; x and y map data to its coordinates.
  class Panel {
    constructor(parent, { x, y, xlabel, ylabel, log = "", title, wide = 320, high = 240 }) {
      const left = 52, bottom = 40, top = 24, right = 10;
      const box = element(parent, "div", { class: "moving-panel" });
      this.svg = element(box, "svg", { viewBox: `0 0 ${wide} ${high}`, "aria-hidden": "true" });
      const scale = ([low, high], from, to, isLog) => {
        const f = isLog ? Math.log10 : (v) => v;
        const a = f(low), b = f(high);
        return (v) => from + ((f(v) - a) / (b - a)) * (to - from);
      };
      this.x = scale(x, left, wide - right, log.includes("x"));
      this.y = scale(y, high - bottom, top, log.includes("y"));
      this.box = { left, right: wide - right, top, bottom: high - bottom };
      const axes = element(this.svg, "g", { class: "moving-axes" });
      for (const v of log.includes("x") ? logTicks(x) : ticks(x)) {
        const at = this.x(v);
        element(axes, "line", { x1: at, x2: at, y1: top, y2: high - bottom });
        element(axes, "text", { x: at, y: high - bottom + 14, "text-anchor": "middle" }, number.format(v));
      }
      for (const v of log.includes("y") ? logTicks(y) : ticks(y)) {
        const at = this.y(v);
        element(axes, "line", { x1: left, x2: wide - right, y1: at, y2: at });
        element(axes, "text", { x: left - 5, y: at + 4, "text-anchor": "end" }, number.format(v));
      }
      element(axes, "text", { x: (left + wide - right) / 2, y: high - 6, "text-anchor": "middle" }, xlabel);
      element(axes, "text", {
        x: 0, y: 0, "text-anchor": "middle",
        transform: `translate(12 ${(top + high - bottom) / 2}) rotate(-90)`,
      }, ylabel);
      if (title) element(axes, "text", { x: left, y: 15, class: "moving-title" }, title);
      this.clear();
    }
    clear() {
      this.live?.remove();
      this.live = element(this.svg, "g");
    }
    path(points, attributes, parent = this.live) {
      const d = points.map(([x, y], k) => `${k ? "L" : "M"}${this.x(x).toFixed(1)} ${this.y(y).toFixed(1)}`);
      return element(parent, "path", { d: d.join(""), fill: "none", ...attributes });
    }
    dot(x, y, attributes, parent = this.live) {
      return element(parent, "circle", { cx: this.x(x), cy: this.y(y), r: 3, ...attributes });
    }
    band(points, attributes) {
      const d = points.map(([x, y], k) => `${k ? "L" : "M"}${this.x(x).toFixed(1)} ${this.y(y).toFixed(1)}`);
      return element(this.live, "path", { d: `${d.join("")}Z`, stroke: "none", ...attributes });
    }
  }

  // A labelled slider over the frames, with a button that plays them where motion is welcome.
  function slider(parent, label, count, start, say, draw) {
    const row = element(parent, "div", { class: "moving-controls" });
    const name = element(row, "label", {}, `${label} `);
    const input = element(name, "input", { type: "range", min: 0, max: count - 1, step: 1, value: start });
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    let timer = 0;
    const button = calm ? null : element(row, "button", { type: "button" }, "Play");
    const output = element(parent, "output", { class: "moving-values", "aria-live": "off" });
    const update = () => {
      const text = say(+input.value);
      input.setAttribute("aria-valuetext", text);
      output.textContent = text;
      draw(+input.value);
    };
    const stop = () => {
      clearInterval(timer);
      timer = 0;
      if (button) button.textContent = "Play";
    };
    input.addEventListener("input", () => (stop(), update()));
    button?.addEventListener("click", () => {
      if (timer) return stop();
      if (+input.value === count - 1) input.value = 0;
      button.textContent = "Pause";
      timer = setInterval(() => {
        input.value = +input.value + 1;
        update();
        if (+input.value >= count - 1) stop();
      }, 4000 / Math.max(count, 16));
    });
    update();
    return { input, update };
  }

  function strength(root, data) {
    const panels = element(root, "div", { class: "moving-panels" });
    const { frames, colors } = data;
    const xs = extent([...data.base.map((p) => p[0])], 0);
    const fit = new Panel(panels, {
      x: xs, y: extent([...data.points.map((p) => p[1]), ...data.base.map((p) => p[1])]),
      xlabel: "input x", ylabel: "output", title: "Fitted function and its regions",
    });
    const slopesOf = (line) => line.slice(1).map(([x, y], k) => (y - line[k][1]) / (x - line[k][0]));
    const steepest = Math.max(...frames.map((f) => f.bound));
    const steps = new Panel(panels, {
      x: xs, y: [-1.1 * steepest, 1.1 * steepest],
      xlabel: "input x", ylabel: "slope", title: "Slope in each region, between ±L",
    });
    const trade = new Panel(panels, {
      x: extent(frames.map((f) => f.bound)), y: extent(frames.map((f) => f.loss)),
      xlabel: "certified bound L", ylabel: "loss", title: "What the strength buys",
    });
    const still = (panel) => element(panel.svg, "g", { class: "moving-still-part" });
    const behind = still(fit);
    for (const [x, y] of data.points) fit.dot(x, y, { class: "moving-data" }, behind);
    fit.path(data.base, { stroke: colors.base, "stroke-width": 1.2, opacity: 0.8 }, behind);
    trade.path(frames.map((f) => [f.bound, f.loss]), { stroke: colors.joint, "stroke-width": 1.5 }, still(trade));
    const say = (k) => {
      const f = frames[k];
      return `λ = ${number.format(f.strength)}   loss ${number.format(f.loss)}   ` +
        `L = ${number.format(f.bound)}   objective ${number.format(f.objective)}`;
    };
    slider(root, "strength λ", frames.length, data.start, say, (k) => {
      const { line, bound, loss } = frames[k];
      fit.clear(), steps.clear(), trade.clear();
      const slopes = slopesOf(line);
      slopes.forEach((slope, i) => {
        const [a, b] = [Math.max(line[i][0], xs[0]), Math.min(line[i + 1][0], xs[1])];
        for (const panel of [fit, steps])
          if (i % 2) element(panel.live, "rect", {
            class: "moving-cell", x: panel.x(a), width: Math.max(panel.x(b) - panel.x(a), 0),
            y: panel.box.top, height: panel.box.bottom - panel.box.top,
          });
        steps.path([[a, slope], [b, slope]], { stroke: colors.joint, "stroke-width": 3 });
      });
      for (const side of [-1, 1])
        steps.path([[xs[0], side * bound], [xs[1], side * bound]], {
          stroke: colors.base, "stroke-width": 1.5, "stroke-dasharray": "5 3",
        });
      fit.path(line, { stroke: colors.joint, "stroke-width": 2.5 });
      trade.dot(bound, loss, { r: 6, fill: colors.joint });
    });
  }

  function certificate(root, data) {
    const panels = element(root, "div", { class: "moving-panels" });
    const { frames, colors } = data;
    const plane = new Panel(panels, {
      x: [-1.35, 1.35], y: [-1.2, 1.2], xlabel: "first input", ylabel: "second input",
      title: "Slopes, and P as an ellipse", wide: 320, high: 300,
    });
    const values = new Panel(panels, {
      x: [0, frames.length - 1], y: extent(frames.flatMap((f) => [f.lower, f.upper]), 0.15),
      xlabel: "step", ylabel: "bound", title: "The certificate lies between", high: 300,
    });
    const behind = element(plane.svg, "g");
    for (const [x, y] of data.slopes) {
      plane.path([[0, 0], [x, y]], { class: "moving-slope" }, behind);
      plane.dot(x, y, { class: "moving-data", r: 2.5 }, behind);
    }
    const [a, b] = data.steepest;
    plane.path([[-a, -b], [a, b]], {
      stroke: colors.joint, "stroke-width": 1.5, "stroke-dasharray": "5 3",
    }, behind);
    values.path([[0, data.formal], [frames.length - 1, data.formal]], {
      stroke: colors.joint, "stroke-width": 1.5, "stroke-dasharray": "5 3",
    }, element(values.svg, "g"));
    const say = (k) => {
      const { lower, upper } = frames[k];
      return `step ${k}   lower ${lower.toFixed(4)}   upper ${upper.toFixed(4)}   ` +
        `apart by ${number.format((100 * (upper - lower)) / lower)} %`;
    };
    slider(root, "step of the ascent", frames.length, data.start, say, (k) => {
      plane.clear(), values.clear();
      const [p, q, r] = frames[k].P;
      // P = A diag(l) A': the ellipse is A diag(sqrt l) of the circle
      const middle = (p + r) / 2, half = Math.hypot((p - r) / 2, q);
      const turn = Math.atan2(2 * q, p - r) / 2;
      const [long, short] = [middle + half, Math.max(middle - half, 0)].map(Math.sqrt);
      const outline = Array.from({ length: 97 }, (_, i) => {
        const t = (2 * Math.PI * i) / 96;
        const [u, v] = [long * Math.cos(t), short * Math.sin(t)];
        return [u * Math.cos(turn) - v * Math.sin(turn), u * Math.sin(turn) + v * Math.cos(turn)];
      });
      plane.band(outline, { fill: colors.alternating, opacity: 0.2 });
      plane.path(outline, { stroke: colors.alternating, "stroke-width": 2.5 });
      for (const [name, color] of [["upper", colors.base], ["lower", colors.alternating]]) {
        const seen = frames.slice(0, k + 1).map((f, i) => [i, f[name]]);
        values.path(seen, { stroke: color, "stroke-width": 2 });
        values.dot(k, frames[k][name], { r: 5, fill: color });
      }
      const gap = [frames[k].lower, frames[k].upper].map((v) => [k, v]);
      values.path(gap, { class: "moving-slope" });
    });
  }

  const quantile = (sorted, p) => {
    const at = (sorted.length - 1) * p, low = Math.floor(at);
    return sorted[low] + ((sorted[low + 1] ?? sorted[low]) - sorted[low]) * (at - low);
  };

  function attack(root, data) {
    const choice = element(root, "div", { class: "moving-controls" });
    const select = element(element(choice, "label", {}, "data and base "), "select");
    data.panels.forEach((p, k) => element(select, "option", { value: k }, `${p.dataset}, ${p.base}`));
    const panels = element(root, "div", { class: "moving-panels" });
    const { radii, styles } = data;
    let curves, strip, panel;
    const show = () => {
      panels.replaceChildren();
      panel = data.panels[+select.value];
      panel.names = Object.keys(panel.models);
      panel.sorted = Object.fromEntries(panel.names.map((name) =>
        [name, panel.models[name].map((row) => [...row].sort((a, b) => a - b))]));
      const all = [panel.models, panel.certified].map(Object.values).flat(3).filter((v) => v !== null);
      const y = [Math.min(...all) * 0.9, Math.max(...all) * 1.1];
      curves = new Panel(panels, {
        x: extent(radii, 0.03), y, log: "y", xlabel: "attack radius", ylabel: "test MSE",
        title: "Median and quartiles over the trials", high: 280,
      });
      strip = new Panel(panels, {
        x: [-0.6, panel.names.length - 0.4], y, log: "y", xlabel: "", ylabel: "test MSE",
        title: "Each trial at this radius", high: 280,
      });
      strip.svg.querySelectorAll(".moving-axes text").forEach((t) => {
        if (+t.getAttribute("y") === strip.box.bottom + 14) t.remove();
      });
      strip.svg.querySelectorAll(".moving-axes line").forEach((l) => {
        if (l.getAttribute("x1") === l.getAttribute("x2")) l.remove();
      });
      const behind = element(curves.svg, "g");
      curves.live.before(behind);
      panel.names.forEach((name, k) => {
        const { color, dash } = styles[name];
        const at = (p) => panel.sorted[name].map((row, i) => [radii[i], quantile(row, p)]);
        curves.band([...at(0.25), ...at(0.75).reverse()], { fill: color, opacity: 0.13 });
        behind.append(curves.live.lastChild);
        curves.path(at(0.5), { stroke: color, "stroke-width": 2, "stroke-dasharray": dash }, behind);
        element(strip.svg, "text", {
          x: strip.x(k), y: strip.box.bottom + 15, "text-anchor": "middle", class: "moving-name",
        }, name);
      });
    };
    show();
    const say = (k) => {
      const middle = panel.names.map((name) => [quantile(panel.sorted[name][k], 0.5), name]).sort((a, b) => a[0] - b[0]);
      return `radius ${number.format(radii[k])}   ` + middle.map(([v, name]) => `${name} ${number.format(v)}`).join("   ");
    };
    const control = slider(root, "attack radius", radii.length, data.start, say, (k) => {
      curves.clear(), strip.clear();
      element(curves.live, "line", {
        class: "moving-cursor", x1: curves.x(radii[k]), x2: curves.x(radii[k]),
        y1: curves.box.top, y2: curves.box.bottom,
      });
      panel.names.forEach((name, i) => {
        const row = panel.sorted[name][k], { color } = styles[name];
        curves.dot(radii[k], quantile(row, 0.5), { r: 4.5, fill: color });
        panel.models[name][k].forEach((v, j) => {
          const x = i + ((j % 3) - 1) * 0.13, most = panel.certified[name][k][j];
          strip.dot(x, v, { fill: color, opacity: 0.65 });
          if (most === null) return;
          strip.path([[x, v], [x, most], [x - 0.1, most], [x + 0.1, most]], { stroke: color, "stroke-width": 1.5 });
        });
        const m = quantile(row, 0.5);
        strip.path([[i - 0.3, m], [i + 0.3, m]], { stroke: color, "stroke-width": 2.5 });
      });
    });
    select.addEventListener("change", () => (show(), control.update()));
  }

  const KINDS = { strength, certificate, attack };
  function start() {
    for (const figure of document.querySelectorAll("figure.moving-figure")) {
      const source = figure.querySelector('script[type="application/json"]');
      const root = document.createElement("div");
      root.className = "moving-live";
      root.setAttribute("role", "group");
      root.setAttribute("aria-label", figure.dataset.label);
      figure.querySelector(".moving-still").replaceWith(root);
      KINDS[figure.dataset.kind](root, JSON.parse(source.textContent));
    }
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();

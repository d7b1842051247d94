/* What every figure is made of: elements, scales, axes, markers, legends, the tip. */
const DATA = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const COLOURS = 7;
const DASHES = ["", "7 3", "2 3", "9 3 2 3", "14 4", "4 2", "1 4"];
const WIDE = 20;

/* Arms that a legend has switched off, for all figures alike. */
const hidden = new Set();
const redraws = [];
const redraw = () => redraws.forEach((again) => again());
const shownArm = (arm) => !hidden.has(arm);
const better = (a, b) => (DATA.goal === "min" ? a < b : a > b);

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children.flat(9).filter((child) => child !== null && child !== undefined));
  return node;
}
/* Children that are text stay text, whatever it says. */
const h = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const s = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

/* A name that may be broken after its commas, and anywhere only where it must. */
const breakable = (text) => String(text).split(/(?<=,)/).flatMap((part, k) => (k ? [h("wbr"), part] : [part]));
/* The label of an arm, where it is too long without what all have alike, and without its middle. */
const brief = (() => {
  const parts = DATA.arms.map((arm) => arm.label.split(",")), wide = parts[0]?.length ?? 0;
  const like = (k) => parts.every((own) => own.length === wide && own[k] === parts[0][k]);
  const drop = parts.length > 1 ? [...Array(wide).keys()].filter(like) : [];
  const short = (k) => (drop.length ? [...parts[k].filter((_, j) => !drop.includes(j)), "…"].join(",") : DATA.arms[k].label);
  return (arm, length) => (DATA.arms[arm].label.length <= length ? DATA.arms[arm].label : clip(short(arm), length));
})();
/* A name with its middle left out: names that begin alike end unlike. */
function clip(text, length) {
  if (text.length <= length) return text;
  const tail = Math.floor((length - 1) * 0.4);
  return `${text.slice(0, length - 1 - tail)}…${text.slice(text.length - tail)}`;
}
const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
function number(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(Math.min(2, digits - 1)).replace("e+", "e").replace(/\.?0+e/, "e");
  return String(Number(value.toPrecision(size >= 10 ** digits ? Math.ceil(Math.log10(size)) : digits)));
}
/* As many significant digits in every row, so that a column of them can be compared. */
const figure = (value, digits = 3) =>
  typeof value !== "number" ? number(value) : Math.abs(value) >= 10 ** digits || (value && Math.abs(value) < 1e-3) ? number(value, digits) : value.toPrecision(digits);
function duration(hours) {
  if (hours === null || hours === undefined) return "–";
  const seconds = Math.round(hours * 3600), minutes = Math.round(hours * 60);
  if (seconds < 120) return `${seconds} s`;
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")}`;
}

/* Scales: from numbers to pixels, with the ticks that fit. */
function linear([low, high], [start, end]) {
  if (low === high) { const pad = Math.abs(low) / 10 || 1; low -= pad; high += pad; }
  const scale = (value) => start + ((value - low) / (high - low)) * (end - start);
  scale.ticks = (count) => {
    const rough = (high - low) / Math.max(1, count), power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * power).find((m) => m >= rough * 0.999);
    const ticks = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) ticks.push(Number((k * step).toPrecision(12)));
    return ticks;
  };
  return scale;
}
function logarithmic([low, high], range) {
  if (low === high) { low /= 2; high *= 2; }
  const inner = linear([Math.log10(low), Math.log10(high)], range);
  const scale = (value) => inner(Math.log10(value));
  scale.ticks = (count) => {
    const decades = Math.log10(high / low);
    const multiples = decades < 0.7 ? [1, 1.5, 2, 3, 4, 5, 6, 8] : decades * 3 <= count + 2 ? [1, 2, 5] : [1];
    const every = Math.max(1, Math.round(decades / Math.max(1, count)));
    const ticks = [];
    for (let p = Math.floor(Math.log10(low)); p <= Math.ceil(Math.log10(high)); p++) {
      if (multiples.length === 1 && p % every) continue;
      for (const m of multiples) {
        const tick = Number((m * 10 ** p).toPrecision(12));
        if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick);
      }
    }
    return ticks.length > 1 ? ticks : [...new Set([...ticks, low, high])];
  };
  return scale;
}
function scaleOf(values, range, { log = null, pad = 0.04 } = {}) {
  const finite = values.filter((v) => v !== null && Number.isFinite(v));
  let low = Math.min(...finite), high = Math.max(...finite);
  if (!finite.length) return linear([0, 1], range);
  if (log ?? (low > 0 && high / low >= WIDE)) {
    const room = (high / low) ** pad;
    return logarithmic([low / room, high * room], range);
  }
  const room = (high - low) * pad;
  return linear([low >= 0 ? Math.max(0, low - room) : low - room, high + room], range);
}

/* A figure that is drawn again when its width, the theme or the legend changes. */
function chart(host, height, draw, label) {
  const root = s("svg", { role: "img", "aria-label": label });
  host.append(root);
  let points = [];
  const again = () => {
    const width = Math.max(200, root.parentElement.clientWidth - 2 * parseFloat(getComputedStyle(root.parentElement).paddingLeft));
    const tall = typeof height === "function" ? height(width) : height;
    root.setAttribute("viewBox", `0 0 ${width} ${tall}`);
    root.replaceChildren();
    points = [];
    draw(root, width, tall, (x, y, lines) => points.push({ x, y, lines }));
    ring = s("circle", { class: "ring", r: 7, visibility: "hidden" });
    root.append(ring);
  };
  let ring = null;
  const point = (event) => {
    const box = root.getBoundingClientRect(), zoom = root.viewBox.baseVal.width / box.width;
    const x = (event.clientX - box.left) * zoom, y = (event.clientY - box.top) * zoom;
    let near = null, least = 28 ** 2;
    for (const p of points) {
      const d = (p.x - x) ** 2 + (p.y - y) ** 2;
      if (d < least) { least = d; near = p; }
    }
    ring.setAttribute("visibility", near ? "visible" : "hidden");
    if (!near) return hideTip();
    ring.setAttribute("cx", near.x);
    ring.setAttribute("cy", near.y);
    showTip(box.left + near.x / zoom, box.top + near.y / zoom, near.lines);
  };
  root.addEventListener("pointermove", point);
  root.addEventListener("pointerdown", point);
  root.addEventListener("pointerleave", () => { ring.setAttribute("visibility", "hidden"); hideTip(); });
  let last = 0;
  new ResizeObserver(([entry]) => {
    const width = Math.round(entry.contentRect.width);
    if (width && width !== last) { last = width; again(); }
  }).observe(host);
  redraws.push(again);
  return again;
}
function showTip(x, y, lines) {
  const tip = $("tip");
  tip.replaceChildren(...lines.filter(Boolean).map((line, k) => h(k ? "div" : "strong", {}, line)));
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(8, Math.min(x - width / 2, innerWidth - width - 8))}px`;
  tip.style.top = `${y - height - 14 < 8 ? y + 16 : y - height - 14}px`;
}
const hideTip = () => { $("tip").hidden = true; };

function axes(root, box, x, y, { xTitle, yTitle, xTicks, yTicks, xText = number }) {
  const across = xTicks ?? x.ticks(Math.max(3, Math.floor((box.right - box.left) / 80)));
  const up = yTicks ?? y.ticks(Math.max(3, Math.floor((box.bottom - box.top) / 45)));
  for (const tick of up) {
    root.append(
      s("line", { class: "grid", x1: box.left, x2: box.right, y1: y(tick), y2: y(tick) }),
      s("text", { class: "tick", x: box.left - 8, y: y(tick) + 4, "text-anchor": "end" }, number(tick)));
  }
  for (const tick of across) {
    root.append(
      s("line", { class: "mark", x1: x(tick), x2: x(tick), y1: box.bottom, y2: box.bottom + 4 }),
      s("text", { class: "tick", x: x(tick), y: box.bottom + 18, "text-anchor": "middle" }, xText(tick)));
  }
  root.append(s("line", { class: "axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }));
  if (xTitle) root.append(s("text", { class: "title", x: box.right, y: box.bottom + 36, "text-anchor": "end" }, xTitle));
  if (yTitle) root.append(s("text", { class: "title", x: 2, y: box.top - 12 }, yTitle));
}
const path = (points) => points.map(([x, y], k) => `${k ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

/* Colour, dash and shape of an arm; any two arms differ in more than colour. */
const colour = (arm) => `c${arm % COLOURS}`;
const dash = (arm) => DASHES[arm % DASHES.length] || null;
const SHAPES = [
  (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
  (r) => `M${-r} ${-r}h${2 * r}v${2 * r}h${-2 * r}z`,
  (r) => `M0 ${-1.3 * r}L${1.25 * r} ${r}H${-1.25 * r}z`,
  (r) => `M0 ${-1.45 * r}L${1.45 * r} 0L0 ${1.45 * r}L${-1.45 * r} 0z`,
  (r) => `M0 ${1.3 * r}L${1.25 * r} ${-r}H${-1.25 * r}z`,
  (r) => { const a = r / 2.4; return `M${-a} ${-r * 1.2}h${2 * a}v${r * 1.2 - a}h${r * 1.2 - a}v${2 * a}h${a - r * 1.2}v${r * 1.2 - a}h${-2 * a}v${a - r * 1.2}h${a - r * 1.2}v${-2 * a}h${r * 1.2 - a}z`; },
  (r) => `M0 ${-1.3 * r}L${1.25 * r} ${-0.4 * r}L${0.8 * r} ${r}H${-0.8 * r}L${-1.25 * r} ${-0.4 * r}z`,
];
const marker = (arm, x, y, r, extra = "") =>
  s("path", { class: `dot ${colour(arm)} ${extra}`, d: SHAPES[(arm + Math.floor(arm / COLOURS)) % SHAPES.length](r), transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` });
const swatch = (arm) =>
  s("svg", { class: "swatch", viewBox: "0 0 30 14", "aria-hidden": "true" },
    s("line", { class: `line ${colour(arm)}`, x1: 0, x2: 30, y1: 7, y2: 7, "stroke-dasharray": dash(arm) }), marker(arm, 15, 7, 4));

function legend(host) {
  const box = h("div", { class: "legend", role: "group", "aria-label": "Arms shown" });
  host.append(box);
  const buttons = DATA.arms.map((arm, k) =>
    h("button", { type: "button", title: "Show or hide this arm everywhere", onclick: () => { hidden.has(k) ? hidden.delete(k) : hidden.add(k); redraw(); } }, swatch(k), h("span", {}, breakable(arm.label))));
  const all = h("button", { type: "button", class: "all", onclick: () => { hidden.clear(); redraw(); } }, "show all");
  box.append(...buttons, all);
  const again = () => {
    buttons.forEach((button, k) => button.setAttribute("aria-pressed", String(shownArm(k))));
    all.hidden = !hidden.size;
  };
  redraws.push(again);
  again();
}
/* One of several: buttons that say which is pressed. */
function choice(host, options, chosen, onchoose, label) {
  const box = h("div", { class: "choice", role: "group", "aria-label": label });
  const buttons = options.map(([value, text]) =>
    h("button", { type: "button", "data-value": value, "aria-pressed": String(value === chosen), onclick: () => {
      buttons.forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.value === value)));
      onchoose(value);
    } }, text));
  box.append(...buttons);
  host.append(box);
}
const select = (options, chosen, onchoose, label) =>
  h("label", { class: "select" }, `${label} `, h("select", { onchange: (event) => onchoose(event.target.value) },
    options.map(([value, text]) => h("option", { value, selected: value === chosen }, text))));
/* A section is shown, with its lead; on paper nobody clicks or hovers. */
const reveal = (id, lead, how = "") => {
  $(id).hidden = false;
  if (lead) $(`${id}-lead`).replaceChildren(lead, how && h("span", { class: "screen" }, ` ${how}`));
};

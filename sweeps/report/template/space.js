/* The search space: parallel coordinates, and any two of its dimensions against each other. */
const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
const FATES = ["healthy", "converged", "slow", "collapsed", "over_generalising", "memorising", "discriminator_won", "diverged", "failed"];
const SOUND = ["healthy", "converged"];

/* Viridis, so turned that the best stands out from the page and the worst sinks into it. */
function shade(share) {
  const dark = document.documentElement.dataset.theme === "dark" && !matchMedia("print").matches;
  const at = (dark ? share : 0.88 * (1 - share)) * (RAMP.length - 1), k = Math.min(RAMP.length - 2, Math.floor(at));
  return `rgb(${RAMP[k].map((c, j) => Math.round(c + (RAMP[k + 1][j] - c) * (at - k))).join(" ")})`;
}
/* 1 for the best score, 0 for the worst, by rank: one run that exploded does not grey the rest. */
function goodness(trials) {
  const order = [...trials].sort((a, b) => (better(a.best, b.best) ? 1 : -1));
  return new Map(order.map((t, k) => [t, order.length > 1 ? k / (order.length - 1) : 1]));
}
/* An axis of a dimension: its scale, and a place apart for trials that do not have it. */
function axisOf(dimension, start, end) {
  const gap = Math.sign(end - start) * 18;
  const missing = start, from = start + gap;
  if (dimension.choices) {
    const step = (end - from) / Math.max(1, dimension.choices.length - 1);
    const place = (value) => (dimension.choices.length === 1 ? (from + end) / 2 : from + step * dimension.choices.indexOf(value));
    return Object.assign((v) => (v === null ? missing : place(v)), { ticks: () => dimension.choices, missing });
  }
  const scale = scaleOf([dimension.low, dimension.high], [from, end], { log: dimension.log, pad: 0.02 });
  return Object.assign((v) => (v === null ? missing : scale(v)), { ticks: (n) => scale.ticks(n), missing });
}
function scoreDimension(trials) {
  const scores = trials.map((t) => t.best), low = Math.min(...scores), high = Math.max(...scores);
  return { path: DATA.objective, low, high, log: low > 0 && high / low >= WIDE };
}

function space() {
  const trials = DATA.trials.filter((t) => t.best !== null && t.phase === "explore");
  if (!DATA.dimensions.length || trials.length < 2) return;
  const score = scoreDimension(trials);
  const dimensions = [...DATA.dimensions, score];
  const value = (t, k) => (k < DATA.dimensions.length ? t.values[k] : t.best);
  const rank = goodness(trials);
  reveal("space", `Every trial of the search, coloured by the rank of its best ${DATA.objective}. A trial without a dimension stands at its foot; trials at one point stand side by side.`);
  const host = $("space-chart"), controls = h("div", { class: "controls" }), frame = h("div", { class: "scroll" });
  host.append(controls, frame);
  let view = DATA.dimensions.length > 1 ? "parallel" : "scatter", across = 0, up = DATA.dimensions.length;
  const pickers = h("span", { class: "pickers" },
    select(dimensions.map((d, k) => [String(k), d.path]), "0", (v) => { across = Number(v); again(); }, "across"),
    select(dimensions.map((d, k) => [String(k), d.path]), String(up), (v) => { up = Number(v); again(); }, "up"));
  if (view === "parallel") choice(controls, [["parallel", "parallel"], ["scatter", "scatter"]], view, (v) => { view = v; again(); }, "View");
  controls.append(pickers);
  legend(controls);
  const inner = h("div", { class: "inner" });
  frame.append(inner);
  const drawn = () => trials.filter((t) => shownArm(t.arm)).sort((a, b) => rank.get(a) - rank.get(b));
  const again = chart(inner, 360, (root, width, height, add) => {
    pickers.hidden = view !== "scatter";
    inner.style.minWidth = view === "parallel" ? `${110 * dimensions.length}px` : "";
    (view === "parallel" ? parallel : (...rest) => scatter(...rest, dimensions, value, across, up, (mark, t) => { mark.style.fill = shade(rank.get(t)); }))(root, width, height, add, drawn());
    key(root);
  }, "The search space coloured by score");

  function parallel(root, width, height, add, shown) {
    const left = 60, right = width - 60;
    const at = (k) => left + ((right - left) * k) / (dimensions.length - 1);
    const scales = dimensions.map((d) => axisOf(d, height - 26, 62));
    for (const t of shown) {
      const points = dimensions.map((d, k) => [at(k), scales[k](value(t, k))]);
      const line = s("path", { class: "line parallel", d: path(points), opacity: 0.35 + 0.6 * rank.get(t) ** 2 });
      line.style.stroke = shade(rank.get(t));
      root.append(line);
      points.forEach(([x, y], k) => add(x, y, [...told(t), `${dimensions[k].path} ${number(value(t, k)) ?? "–"}`]));
    }
    dimensions.forEach((d, k) => {
      root.append(s("line", { class: "axis", x1: at(k), x2: at(k), y1: 62, y2: height - 44 }),
        s("text", { class: "name", x: at(k), y: 46, "text-anchor": "middle" }, clip(d.path, 18)));
      for (const tick of scales[k].ticks(4))
        root.append(s("text", { class: "tick halo", x: at(k) - 7, y: scales[k](tick) + 4, "text-anchor": "end" }, clip(number(tick), 12)));
      if (shown.some((t) => value(t, k) === null)) root.append(s("text", { class: "tick halo", x: at(k) - 7, y: scales[k].missing + 4, "text-anchor": "end" }, "none"));
    });
  }
  function key(root) {
    /* On the left, where a narrow screen shows it too. */
    for (let k = 0; k < 24; k++) root.append(s("rect", { x: 38 + k * 4, y: 6, width: 4.5, height: 8, fill: shade(k / 23) }));
    root.append(s("text", { class: "tick", x: 2, y: 14 }, "worst"), s("text", { class: "tick", x: 140, y: 14 }, "best"));
  }
}

function scatter(root, width, height, add, shown, dimensions, value, across, up, paint) {
  const box = { left: 62, right: width - 14, top: 44, bottom: height - 44 };
  const x = axisOf(dimensions[across], box.left + 8, box.right), y = axisOf(dimensions[up], box.bottom - 4, box.top);
  const text = (tick) => clip(number(tick), 12);
  axes(root, box, x, y, { xTitle: dimensions[across].path, yTitle: dimensions[up].path, xTicks: x.ticks(Math.max(2, Math.floor(width / 110))), yTicks: y.ticks(6), xText: text });
  const taken = new Map();
  for (const t of shown) {
    const py = y(value(t, up));
    let px = x(value(t, across));
    const spot = `${Math.round(px)} ${Math.round(py)}`, before = taken.get(spot) ?? 0;
    taken.set(spot, before + 1);
    px += 7 * Math.ceil(before / 2) * (before % 2 ? 1 : -1);
    const mark = marker(t.arm, px, py, 5, "scored");
    paint(mark, t);
    root.append(mark);
    add(px, py, [...told(t), `${dimensions[across].path} ${number(value(t, across))}`, `${dimensions[up].path} ${number(value(t, up))}`, `${t.verdict.replaceAll("_", " ")}${t.reason ? `: ${t.reason}` : ""}`]);
  }
  return { x, y };
}

/* A dimension cut into cells on the page: its choices, or so many stretches of one width. */
function cellsOf(dimension, axis, most) {
  if (dimension.choices) {
    const places = dimension.choices.map(axis), half = places.length > 1 ? Math.abs(places[1] - places[0]) / 2 : 40;
    const low = Math.min(...places) - 14, high = Math.max(...places) + 14;
    const edge = (at) => Math.min(high, Math.max(low, at));
    return {
      of: (value) => dimension.choices.indexOf(value),
      span: (k) => [edge(places[k] - half), edge(places[k] + half) - edge(places[k] - half)],
    };
  }
  const from = axis(dimension.low), step = (axis(dimension.high) - from) / most;
  return {
    of: (value) => (value === null ? -1 : Math.min(most - 1, Math.max(0, Math.floor((axis(value) - from) / step)))),
    span: (k) => [Math.min(from + k * step, from + (k + 1) * step), Math.abs(step)],
  };
}
/* The share of ill trials in each cell of the space, as a tint behind their marks. */
function heat(root, trials, across, up, { x, y }) {
  const most = Math.max(2, Math.min(8, Math.round(Math.sqrt(trials.length / 3))));
  const columns = cellsOf(DATA.dimensions[across], x, most), rows = cellsOf(DATA.dimensions[up], y, most);
  const cells = new Map();
  for (const t of trials) {
    const column = columns.of(t.values[across]), row = rows.of(t.values[up]);
    if (column < 0 || row < 0) continue;
    const cell = cells.get(`${column} ${row}`) ?? { column, row, all: 0, ill: 0 };
    cell.all += 1;
    cell.ill += !SOUND.includes(t.verdict);
    cells.set(`${column} ${row}`, cell);
  }
  for (const { column, row, all, ill } of cells.values()) {
    const [left, width] = columns.span(column), [top, height] = rows.span(row);
    root.prepend(s("rect", { class: "cell", x: left, y: top, width, height, "fill-opacity": (0.6 * ill) / all }, s("title", {}, `${ill} of ${all} fell ill`)));
  }
}

/* Where in the space each verdict lives. */
function failureMap() {
  const trials = DATA.trials.filter((t) => t.state !== "waiting" && t.phase === "explore");
  const verdicts = [...new Set(trials.map((t) => t.verdict))].sort((a, b) => FATES.indexOf(a) - FATES.indexOf(b));
  if (DATA.dimensions.length < 2 || verdicts.every((v) => SOUND.includes(v))) { $("failures-chart").remove(); return; }
  const host = $("failures-chart"), controls = h("div", { class: "controls" });
  host.append(controls);
  let across = 0, up = 1;
  const off = new Set();
  const options = DATA.dimensions.map((d, k) => [String(k), d.path]);
  const chips = h("div", { class: "legend", role: "group", "aria-label": "Verdicts shown" }, verdicts.map((v, k) =>
    h("button", { type: "button", "aria-pressed": "true", onclick: (event) => {
      off.has(v) ? off.delete(v) : off.add(v);
      event.currentTarget.setAttribute("aria-pressed", String(!off.has(v)));
      again();
    } }, s("svg", { class: "swatch", viewBox: "0 0 14 14", "aria-hidden": "true" }, fateMark(verdicts, v, 7, 7)), v.replaceAll("_", " "))));
  controls.append(h("span", { class: "pickers" }, select(options, "0", (v) => { across = Number(v); again(); }, "across"), select(options, "1", (v) => { up = Number(v); again(); }, "up")), chips);
  const again = chart(host, 360, (root, width, height, add) => {
    const shown = trials.filter((t) => shownArm(t.arm) && !off.has(t.verdict)).sort((a, b) => verdicts.indexOf(a.verdict) - verdicts.indexOf(b.verdict));
    const bare = [];
    const scales = scatter(root, width, height, (x, y, lines) => { add(x, y, lines); bare.push([x, y]); }, shown, DATA.dimensions, (t, k) => t.values[k], across, up, (mark) => { mark.style.visibility = "hidden"; });
    heat(root, trials.filter((t) => shownArm(t.arm)), across, up, scales);
    shown.forEach((t, k) => root.append(fateMark(verdicts, t.verdict, ...bare[k])));
  }, "Verdicts over the search space");
  host.append(h("p", { class: "note" }, "A mark is a trial of the search. The stronger its cell's tint, the more of the trials there fell ill; switching verdicts off leaves the cells as they are."));
}
/* Sound trials are small and grey; each ailment has a colour and a shape. */
function fateMark(verdicts, verdict, x, y) {
  if (SOUND.includes(verdict)) return s("circle", { class: "sound", cx: x, cy: y, r: 3 });
  const ills = verdicts.filter((v) => !SOUND.includes(v));
  return marker(ills.indexOf(verdict) + 1, x, y, 5);
}

/* The figures of scores: against the budget, seed by seed, epoch by epoch. */
const told = (trial) => [
  `${DATA.arms[trial.arm].label}`,
  trial.uid + (trial.phase === "confirm" ? `, seed ${trial.seed}` : ""),
  `best ${DATA.objective} ${number(trial.best)}${trial.best_epoch ? ` at epoch ${trial.best_epoch}` : ""}`,
];

/* Ticks of what is counted. */
const wholeTicks = (x, box) => x.ticks(Math.max(3, Math.floor((box.right - box.left) / 80))).filter(Number.isInteger);

function budget() {
  const curves = Object.entries(DATA.budget)
    .map(([label, units]) => ({ arm: DATA.arms.findIndex((a) => a.label === label), units }))
    .filter((c) => c.arm >= 0);
  const units = ["trials", "epochs", "hours"].filter((unit) => curves.some((c) => c.units[unit]?.x.length > 1));
  if (!units.length) return;
  reveal("budget", `The best ${DATA.objective} to expect after this much of the search was spent on an arm. ${DATA.about.budget ?? ""}`);
  const host = $("budget-chart");
  let unit = units[0];
  const controls = h("div", { class: "controls" });
  host.append(controls);
  if (units.length > 1) choice(controls, units.map((u) => [u, `in ${u}`]), unit, (u) => { unit = u; again(); }, "Budget in");
  legend(controls);
  const again = chart(host, (width) => (width < 520 ? 300 : 400), (root, width, height, add) => {
    const drawn = curves.filter((c) => c.units[unit] && shownArm(c.arm));
    const all = (key) => drawn.flatMap((c) => c.units[unit][key] ?? []);
    const box = { left: 54, right: width - 14, top: 34, bottom: height - 44 };
    /* A band that begins at 0 has no end on a logarithmic axis: it is cut a little below the curves. */
    const means = all("mean").filter(Number.isFinite), least = Math.min(...means, ...all("low").filter(Number.isFinite));
    const floor = least === 0 ? Math.min(...means.filter((v) => v > 0)) / 1.3 : least;
    const low = (v) => Math.max(v, floor);
    const y = scaleOf([...means.map(low), ...all("low").filter(Number.isFinite).map(low), ...all("high")], [box.bottom, box.top]);
    const x = scaleOf(all("x"), [box.left, box.right], { log: false, pad: 0 });
    axes(root, box, x, y, { xTicks: unit === "hours" ? null : wholeTicks(x, box), xTitle: `${unit} per arm`, yTitle: `expected best ${DATA.objective}` });
    const whole = ({ x: xs, low, high }) => xs.map((at, k) => [at, low?.[k], high?.[k]]).filter((p) => Number.isFinite(p[1]) && Number.isFinite(p[2]));
    for (const { arm, units: u } of drawn) {
      const band = whole(u[unit]);
      if (band.length) root.append(s("path", { class: `band ${colour(arm)}`, d: `${path(band.map((p) => [x(p[0]), y(p[2])]))}L${path(band.reverse().map((p) => [x(p[0]), y(low(p[1]))])).slice(1)}z` }));
    }
    for (const { arm, units: u } of drawn) {
      const line = u[unit].x.map((at, k) => [x(at), u[unit].mean[k] === null ? NaN : y(u[unit].mean[k]), k]).filter((p) => Number.isFinite(p[1]));
      root.append(s("path", { class: `line thick ${colour(arm)}`, d: path(line), "stroke-dasharray": dash(arm) }));
      const every = Math.max(1, Math.ceil(line.length / 8));
      line.forEach(([px, py, k], place) => {
        if (place % every === 0 || place === line.length - 1) root.append(marker(arm, px, py, 4));
        const { x: xs, mean, low, high } = u[unit];
        add(px, py, [DATA.arms[arm].label, `${number(xs[k])} ${unit}: ${number(mean[k])}`, Number.isFinite(low?.[k]) && `${number(low[k])} – ${number(high[k])}`]);
      });
    }
  }, "Expected best score against budget");
}

function seeds() {
  const confirmed = DATA.trials.filter((t) => t.phase === "confirm");
  const dots = (confirmed.length ? confirmed : DATA.trials).filter((t) => t.best !== null);
  if (!dots.length) return;
  reveal("seeds", confirmed.length ? "Each mark is a fresh seed of an arm's best point, at its best epoch; the long stroke is their median, the bar the interval of the interquartile mean."
    : "No arm has been confirmed on fresh seeds yet: each mark is a trial of the search, at its best epoch; the stroke is their median.");
  const host = $("seeds-chart");
  const controls = h("div", { class: "controls" });
  host.append(controls);
  legend(controls);
  const arms = () => [...DATA.arms.keys()].filter((k) => shownArm(k) && dots.some((t) => t.arm === k)).sort((a, b) => DATA.arms[a].rank - DATA.arms[b].rank);
  chart(host, () => 60 + 44 * Math.max(1, arms().length), (root, width, height, add) => {
    const rows = arms(), narrow = width < 560;
    const longest = Math.max(...rows.map((k) => DATA.arms[k].label.length), 4);
    const box = { left: narrow ? 12 : Math.min(262, 24 + longest * 8.1), right: width - 16, top: 12, bottom: height - 44 };
    const own = dots.filter((t) => rows.includes(t.arm));
    const bars = confirmed.length ? rows.flatMap((k) => [DATA.arms[k].low, DATA.arms[k].high]).filter(Number.isFinite) : [];
    const x = scaleOf([...own.map((t) => t.best), ...bars], [box.left, box.right]);
    axes(root, box, x, linear([0, 1], [0, 1]), { xTitle: DATA.objective, yTicks: [] });
    rows.forEach((k, place) => {
      const y = box.top + 44 * (place + 0.5) + (narrow ? 9 : 0), arm = DATA.arms[k];
      root.append(s("line", { class: "grid", x1: box.left, x2: box.right, y1: y, y2: y }),
        s("text", narrow ? { class: "name", x: box.left, y: y - 17 } : { class: "name", x: box.left - 14, y: y + 4, "text-anchor": "end" }, brief(k, narrow ? Math.floor(width / 8.1) : 29)));
      if (confirmed.length && Number.isFinite(arm.low) && Number.isFinite(arm.high))
        root.append(s("rect", { class: `band ${colour(k)}`, x: x(arm.low), width: Math.max(2, x(arm.high) - x(arm.low)), y: y - 11, height: 22, rx: 4 }));
      const mine = own.filter((t) => t.arm === k);
      const sorted = mine.map((t) => t.best).sort((a, b) => a - b), m = sorted.length / 2;
      if (m) {
        const mid = m % 1 ? sorted[Math.floor(m)] : (sorted[m - 1] + sorted[m]) / 2;
        root.append(s("line", { class: `line thick ${colour(k)}`, x1: x(mid), x2: x(mid), y1: y - 15, y2: y + 15 }));
      }
      mine.forEach((t, j) => {
        const at = y + (((j * 0.618) % 1) - 0.5) * Math.min(18, mine.length * 2);
        root.append(marker(k, x(t.best), at, 5, "seed"));
        add(x(t.best), at, told(t));
      });
    });
  }, "Scores seed by seed");
}

/* The best up to each epoch; a network that grew starts anew, for its pictures are others. */
function bestSoFar(trial) {
  let best = null, stage = 0;
  return trial.scores.map((score, k) => {
    const now = trial.stages?.[k] ?? 0;
    if (now !== stage) { stage = now; best = null; }
    if (score !== null && (best === null || better(score, best))) best = score;
    return best;
  });
}

function curves() {
  const trials = DATA.trials.filter((t) => t.scores.some((v) => v !== null));
  if (!trials.length) return;
  const halted = trials.filter((t) => t.state === "stopped").length, fell = trials.filter((t) => t.state === "diverged" || t.state === "failed").length;
  const marks = [halted && `⨯ marks where the schedule stopped a trial (${halted} of ${trials.length})`, fell && `▲ where one diverged or failed (${fell})`].filter(Boolean);
  reveal("curves", `One panel an arm, one line a trial, the arm's ${trials.some((t) => t.phase === "confirm") ? "best fresh seed" : "best"} in bold${marks.length ? `; ${marks.join(", ")}` : ""}.`, marks.length ? "Hover or tap for the reason." : "");
  const host = $("curves-chart");
  let raw = false;
  const controls = h("div", { class: "controls" });
  const panels = h("div", { class: "panels" });
  host.append(controls, panels);
  choice(controls, [["best", "best so far"], ["raw", "as measured"]], "best", (v) => { raw = v === "raw"; drawn.forEach((again) => again()); }, "Scores drawn");
  legend(controls);
  const arms = new Set(trials.map((t) => t.arm)).size;
  if (arms === 2 || arms === 4) panels.classList.add("wide");
  const last = Math.max(...trials.map((t) => t.epochs.at(-1)));
  const every = trials.flatMap((t) => t.scores).filter((v) => v !== null);
  const positive = every.every((v) => v > 0);
  const drawn = [...DATA.arms.keys()].sort((a, b) => DATA.arms[a].rank - DATA.arms[b].rank).map((arm) => {
    const own = trials.filter((t) => t.arm === arm).sort((a, b) => (better(a.best ?? Infinity, b.best ?? Infinity) ? 1 : -1));
    if (!own.length) return () => {};
    const panel = h("div", { class: "panel" }, h("h4", {}, swatch(arm), h("span", {}, breakable(DATA.arms[arm].label))));
    panels.append(panel);
    redraws.push(() => { panel.hidden = !shownArm(arm); });
    return chart(panel, 230, (root, width, height, add) => {
      const box = { left: 46, right: width - 10, top: 26, bottom: height - 40 };
      const x = linear(last === 1 ? [0.5, 1.5] : [1 - (last - 1) * 0.04, last], [box.left, box.right]);
      const y = scaleOf(every, [box.bottom, box.top], { log: positive && Math.max(...every) / Math.min(...every) > 4 });
      axes(root, box, x, y, { xTitle: "epoch", yTitle: DATA.objective, xTicks: wholeTicks(x, box) });
      const crowd = own.length > 30 ? "crowd" : "", r = crowd ? 2.4 : 3.5;
      const confirming = own.some((t) => t.phase === "confirm");
      const bold = own.filter((t) => !confirming || t.phase === "confirm").at(-1);
      const ends = []; // Above all lines, or the bold one would hide them.
      for (const t of [...own.filter((o) => o !== bold), bold]) {
        const values = raw ? t.scores : bestSoFar(t);
        const line = t.epochs.map((e, k) => [x(e), values[k] === null ? NaN : y(values[k]), k]).filter((p) => Number.isFinite(p[1]));
        if (t === bold) root.append(s("path", { class: "line under", d: path(line) }));
        root.append(s("path", { class: `line ${t === bold ? "thick" : `thin ${crowd}`} ${colour(arm)}`, d: path(line), "stroke-dasharray": t.phase === "confirm" && t !== bold && !crowd ? "3 2" : null }));
        line.forEach(([px, py, k]) => add(px, py, [t.uid, `epoch ${t.epochs[k]}: ${number(values[k])}`, k === line.at(-1)[2] && `${t.state}${t.reason ? `: ${t.reason}` : ""}`]));
        const end = line.at(-1);
        if (!end) continue;
        if (line.length === 1 && t.state === "completed") ends.push(marker(arm, end[0], end[1], t === bold ? 5 : 3.5));
        if (t.state === "stopped") ends.push(s("path", { class: `stop ${crowd}`, d: `M${end[0] - r} ${end[1] - r}l${2 * r} ${2 * r}m0 ${-2 * r}l${-2 * r} ${2 * r}` }, s("title", {}, `${t.uid}: ${t.reason}`)));
        if (t.state === "diverged" || t.state === "failed") ends.push(s("path", { class: `fell ${crowd}`, d: `M${end[0]} ${end[1] - 1.4 * r}l${1.3 * r} ${2.4 * r}h${-2.6 * r}z` }, s("title", {}, `${t.uid}: ${t.reason}`)));
      }
      root.append(...ends);
    }, `Learning curves of ${DATA.arms[arm].label}`);
  });
}

function importance() {
  const rows = DATA.importance;
  if (!rows.length) return;
  reveal("importance", `How much each hyper-parameter decides about the score. ${DATA.about.importance ?? ""}`);
  const of = (row) => row.arm ?? row.sweep ?? "";
  const groups = [...new Set(rows.map(of))];
  const most = Math.max(...rows.map((row) => row.share), 0.01); // One scale for all panels.
  for (const group of groups) {
    const own = rows.filter((row) => of(row) === group).sort((a, b) => b.share - a.share);
    const arm = DATA.arms.findIndex((a) => a.label === group);
    const panel = h("div", { class: "panel" }, groups.length > 1 || group ? h("h4", {}, arm < 0 ? null : swatch(arm), group || "all arms") : null);
    $("importance-chart").append(panel);
    redraws.push(() => { panel.hidden = arm >= 0 && !shownArm(arm); });
    chart(panel, 40 * own.length, (root, width, height, add) => {
      const x = linear([0, most], [0, width - 64]);
      own.forEach((row, k) => {
        const y = 22 + 40 * k;
        root.append(s("text", { class: "name", x: 0, y: y - 6 }, row.path),
          s("rect", { class: `block ${arm < 0 ? "every" : colour(arm)} ${row.p > 0.05 ? "pale" : ""}`, x: 0, y, width: Math.max(1, x(row.share)), height: 12, rx: 3 }),
          s("text", { class: "tick", x: x(row.share) + 8, y: y + 10 }, row.share > 0 && row.share < 0.005 ? "< 1 %" : percent(row.share)));
        add(x(row.share), y + 6, [row.path, `${(row.share * 100).toFixed(1)} %`, typeof row.p === "number" && `p = ${number(row.p, 2)}`]);
      });
    }, `Importance of hyper-parameters ${group}`);
  }
  if (groups.length > 1) $("importance-chart").classList.add("panels");
}

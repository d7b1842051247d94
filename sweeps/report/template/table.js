/* Tables whose headings sort them, by click or key. */
function table(host, columns, rows, { sort, caption, down = false }) {
  let [key, falling] = [sort, down];
  const body = h("tbody"), heads = [];
  const value = (column, row) => (column.value ? column.value(row) : row[column.key]);
  const order = () => {
    const column = columns.find((c) => c.key === key);
    const sorted = [...rows].sort((a, b) => {
      const [x, y] = [value(column, a), value(column, b)];
      if ((x ?? null) === null || (y ?? null) === null) return ((x ?? null) === null) - ((y ?? null) === null);
      const by = typeof x === "number" ? x - y : String(x).localeCompare(String(y));
      return falling ? -by : by;
    });
    body.replaceChildren(...sorted.map((row) => h("tr", {}, columns.map((column, k) =>
      h(k === columns.lead ? "th" : "td", { class: column.text ? "text" : "figure", scope: k === columns.lead ? "row" : null },
        column.show ? column.show(row) : column.score ? figure(value(column, row)) : number(value(column, row)))))));
    heads.forEach((head, k) => head.setAttribute("aria-sort", columns[k].key !== key ? "none" : falling ? "descending" : "ascending"));
  };
  columns.forEach((column) => {
    const button = h("button", { type: "button", title: column.about, onclick: () => {
      falling = column.key === key ? !falling : false;
      key = column.key;
      order();
    } }, column.title);
    heads.push(h("th", { scope: "col", class: column.text ? "text" : "figure" }, button));
  });
  order();
  host.append(h("table", {}, h("caption", { class: "unseen" }, caption), h("thead", {}, h("tr", {}, heads)), body));
}

/* An arm in a table, by its place in the plan; a label of no arm has no mark. */
const named = (index, label) => h("span", { class: "arm" }, index < 0 ? null : swatch(index), h("span", {}, breakable(label)));
const KNOWN = ["label", "sweep", "protocol", "trials", "confirmed", "n", "best", "best_trial", "median", "iqm", "low", "high", "mean", "mean_low", "mean_high", "epochs", "hours", "stopped", "ill", "rank"];

function league() {
  const arms = DATA.arms.map((arm, index) => ({ ...arm, index }));
  const some = (key) => arms.some((arm) => typeof arm[key] === "number");
  const confirmed = arms.some((arm) => arm.confirmed);
  const level = DATA.level ? `${Math.round(DATA.level * 100)} % interval` : "interval";
  const columns = [
    { key: "rank", title: "#", about: "Rank" },
    { key: "label", title: "Arm", text: true, show: (arm) => named(arm.index, arm.label) },
    DATA.protocols.length > 1 && { key: "protocol", title: "Protocol", about: "Arms of unlike protocols are not comparable", value: (arm) => arm.protocol + 1 },
    { key: "n", title: "n", about: confirmed ? "Confirmed seeds with a score" : "Trials with a score" },
    { key: "best", title: `Best ${DATA.objective}`, show: (arm) => h("span", { title: arm.best_trial }, figure(arm.best)) },
    { key: "median", title: "Median", score: true, about: confirmed ? "Of the confirmed seeds" : "Of the trials' best scores" },
    some("iqm") && { key: "iqm", title: "IQM", score: true, about: "Interquartile mean" },
    some("low") && { key: "low", title: level, show: (arm) => interval(arm, arms.filter((other) => other.protocol === arm.protocol)) },
    ...[...new Set(arms.flatMap(Object.keys))].filter((key) => !KNOWN.includes(key) && key !== "index" && some(key)).map((key) => ({ key, title: key[0].toUpperCase() + key.slice(1).replaceAll("_", " "), score: true })),
    { key: "epochs", title: "Epochs", about: "Trained by all trials of the arm", show: (arm) => arm.epochs.toLocaleString("en") },
    { key: "hours", title: "Time", about: "Training and scoring, summed over trials", show: (arm) => duration(arm.hours) },
    { key: "stopped", title: "Stopped", about: "Trials that the schedule ended early", show: (arm) => `${arm.stopped}/${arm.trials}` },
    { key: "ill", title: "Ill", about: "Trials that failed or have a verdict other than healthy or converged" },
  ].filter(Boolean);
  columns.lead = 1;
  reveal("league", `${DATA.goal === "min" ? "Lower" : "Higher"} ${DATA.objective} is better. ` +
    (confirmed ? "n counts the seeds that each arm's best point was trained again on." + (arms.every((arm) => arm.confirmed) ? "" : " Arms that were not confirmed come below, n their trials: the best of a search flatters.") : "n counts the trials of the search; no arm has been confirmed on fresh seeds.") +
    (DATA.protocols.length > 1 ? " Arms of unlike protocols are not comparable." : ""), "Click a heading to sort.");
  table($("league-table"), columns, arms, { sort: "rank", caption: "League table of the arms" });
  pairs();
  const notes = DATA.notes.map((note) => h("p", { class: "note" }, note));
  if (notes.length > 2) $("notes").append(h("details", {}, h("summary", {}, "Methods and their sources"), notes));
  else $("notes").append(...notes);
}
function interval(arm, peers) {
  if (typeof arm.low !== "number" || typeof arm.high !== "number") return "–";
  const ends = peers.flatMap((p) => [p.low, p.high, p.iqm]).filter((v) => typeof v === "number");
  const x = scaleOf(ends, [3, 87], { pad: 0 });
  return h("span", { class: "interval" },
    s("svg", { viewBox: "0 0 90 16", "aria-hidden": "true" },
      s("line", { class: "grid", x1: 0, x2: 90, y1: 8, y2: 8 }),
      s("line", { class: `line bar ${colour(arm.index)}`, x1: x(arm.low), x2: x(arm.high), y1: 8, y2: 8 }),
      typeof arm.iqm === "number" ? marker(arm.index, x(arm.iqm), 8, 4) : null),
    `${figure(arm.low)} – ${figure(arm.high)}`);
}
const percent = (share) => `${Math.round(100 * share)} %`;
function pairs() {
  if (!DATA.pairs.length) return;
  const some = (key) => DATA.pairs.some((pair) => (pair[key] ?? null) !== null);
  const index = (label) => DATA.arms.findIndex((arm) => arm.label === label);
  const of = (label) => named(index(label), label);
  const columns = [
    { key: "a", title: "Arm", text: true, show: (pair) => of(pair.a) },
    { key: "b", title: "Against", text: true, show: (pair) => of(pair.b) },
    some("difference") && { key: "difference", title: "Difference", show: (pair) => figure(pair.difference) + (typeof pair.low === "number" ? ` [${figure(pair.low)}, ${figure(pair.high)}]` : "") },
    some("effect") && { key: "effect", title: "Effect", show: (pair) => figure(pair.effect) },
    some("improvement") && { key: "improvement", title: "Wins", about: "Probability that a run of the first arm beats one of the second", show: (pair) => percent(pair.improvement) + (typeof pair.improvement_low === "number" ? ` [${percent(pair.improvement_low)}, ${percent(pair.improvement_high)}]` : "") },
    some("p") && { key: "p", title: "p", show: (pair) => number(pair.p, 2) },
    some("corrected_p") && { key: "corrected_p", title: "Corrected p", show: (pair) => number(pair.corrected_p, 2) },
    some("verdict") && { key: "verdict", title: "Told apart", about: "And if not, about how many seeds of each arm would", text: true, show: (pair) => h("span", { class: "words" }, pair.verdict ?? "") },
  ].filter(Boolean);
  columns.lead = 0;
  const card = h("div", { class: "card scroll tall" });
  $("pairs").append(h("h3", {}, "Arm against arm"), card);
  table(card, columns, DATA.pairs, { sort: some("corrected_p") ? "corrected_p" : "a", caption: "Comparisons of arms" });
}

/* A row a verdict, a column an arm: the more trials, the darker. */
function failures() {
  const rows = DATA.failures, total = DATA.trials.filter((t) => t.state !== "waiting").length;
  const ill = DATA.arms.reduce((sum, arm) => sum + arm.ill, 0);
  reveal("failures", ill ? `${plural(ill, "trial")} of ${total} failed or fell ill. A cell counts an arm's trials of that verdict.`
    : `No trial of ${total} failed or fell ill.`);
  if (!rows.length) { $("failures-table").remove(); return; }
  const several = DATA.sweeps.length > 1, common = rows.some((row) => row.where.length);
  const arms = DATA.arms.map((arm, k) => k).filter((k) => rows.some((row) => row.arms[k]));
  const cell = (row, k) => {
    const count = row.arms[k] ?? 0, share = count / DATA.arms[k].trials;
    return h("td", { class: `heat ${count ? `h${Math.max(1, Math.ceil(share * 4))}` : ""} ${row.verdict === "converged" ? "good" : ""}`, title: `${count} of ${DATA.arms[k].trials}` }, count || "·");
  };
  $("failures-table").append(h("table", {},
    h("caption", { class: "unseen" }, "Verdicts by arm"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "text" }, "Verdict"), several ? h("th", { scope: "col", class: "text" }, "Sweep") : null,
      arms.map((k) => h("th", { scope: "col", class: "heat" }, named(k, DATA.arms[k].label))),
      common ? h("th", { scope: "col", class: "text" }, "What they have in common") : null)),
    h("tbody", {}, rows.map((row) => h("tr", {}, h("th", { scope: "row", class: "text" }, row.verdict.replaceAll("_", " ")), several ? h("td", { class: "text" }, row.sweep) : null,
      arms.map((k) => cell(row, k)), common ? h("td", { class: "text where" }, row.where.map((line) => h("div", {}, line))) : null)))));
}

/* The sample wall: one slider moves all pictures through the epochs. */
function wall() {
  const { epochs, tiles, note } = JSON.parse($("pictures").textContent);
  if (!tiles.length) return;
  reveal("samples", `The same latents in every tile, the best trial of each arm first. ${note}`, "Move the slider to watch them learn; click a tile to look closer.");
  const host = $("wall"), FIRST = 3;
  let place = epochs.length - 1, arm = "", verdict = "", everything = false, timer = null;
  const verdicts = [...new Set(tiles.map((t) => DATA.trials[t.trial].verdict))];
  const slider = h("input", { type: "range", id: "epoch", min: 0, max: epochs.length - 1, value: place, "aria-label": "Epoch", oninput: () => { stop(); go(Number(slider.value)); } });
  const at = h("output", { for: "epoch", class: "epoch" });
  const play = h("button", { type: "button", class: "play", "aria-label": "Play", onclick: () => (timer ? stop() : start()) }, "▶");
  const more = h("button", { type: "button", class: "more", onclick: () => { everything = !everything; arrange(); } });
  const grid = h("div", { class: "tiles" });
  host.append(
    h("div", { class: "controls sticky" }, play, slider, at,
      h("span", { class: "pickers" },
        select([["", "all arms"], ...DATA.arms.map((a, k) => [String(k), a.label])], "", (v) => { arm = v; arrange(); }, "arm"),
        select([["", "all verdicts"], ...verdicts.map((v) => [v, v.replaceAll("_", " ")])], "", (v) => { verdict = v; arrange(); }, "verdict"))),
    grid, more);

  /* Decoding costs: only what is in view follows the slider, the rest when it comes in view. */
  const inView = new Set();
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) { inView.add(target.tile); target.tile.show(); } else inView.delete(target.tile);
    }
  }, { rootMargin: "200px" });
  const made = tiles.map(({ trial: index, frames }) => {
    const trial = DATA.trials[index], own = Object.keys(frames).map(Number).sort((a, b) => a - b);
    const image = h("img", { alt: "", draggable: "false" });
    const score = h("span", { class: "score" }), badge = h("span", { class: "badge" });
    const node = h("button", { type: "button", class: "tile", onclick: () => closer(tile) }, image,
      h("span", { class: "label" }, swatch(trial.arm), h("span", { class: "label-text" }, DATA.arms[trial.arm].label)),
      h("span", { class: "under" }, score, badge));
    const tile = { node, trial, frames, own, image,
      frameAt: (epoch) => own.filter((e) => e <= epoch).at(-1) ?? own[0],
      show: () => {
        const epoch = epochs[place], frame = tile.frameAt(epoch);
        if (image.dataset.epoch !== String(frame)) { image.dataset.epoch = frame; image.src = frames[frame]; }
        const k = trial.epochs.findLastIndex((e) => e <= frame);
        score.textContent = k < 0 ? "untrained" : `${DATA.objective} ${figure(trial.scores[k])}`;
        const over = epoch > own.at(-1);
        node.classList.toggle("over", over && trial.state !== "completed");
        badge.textContent = over && trial.state !== "completed" ? `${trial.state} at ${trial.epochs.at(-1) ?? 0}` : frame !== epoch ? `epoch ${frame}` : "";
        image.alt = `Samples of ${DATA.arms[trial.arm].label}, trial ${trial.uid}, epoch ${frame}`;
      } };
    node.tile = tile;
    return tile;
  });
  let columnsNow = "";
  function arrange() {
    const fitting = made.filter((t) => shownArm(t.trial.arm) && (arm === "" || t.trial.arm === Number(arm)) && (verdict === "" || t.trial.verdict === verdict));
    const arms = [...DATA.arms.keys()].filter((k) => fitting.some((t) => t.trial.arm === k)).sort((a, b) => DATA.arms[a].rank - DATA.arms[b].rank);
    const room = Math.max(2, Math.floor(grid.clientWidth / 150));
    const aside = arms.length > 1 && arms.length <= room && arms.length <= 6;
    const few = aside ? FIRST : FIRST * room;
    const count = new Map();
    const shown = fitting.filter((t, k) => {
      const rank = count.get(t.trial.arm) ?? 0;
      count.set(t.trial.arm, rank + 1);
      t.node.style.gridColumn = aside ? String(arms.indexOf(t.trial.arm) + 1) : "";
      t.node.style.gridRow = aside ? String(rank + 1) : "";
      return everything || (aside ? rank < few : k < few);
    });
    columnsNow = aside ? `repeat(${arms.length}, minmax(0, 1fr))` : `repeat(auto-fill, minmax(${grid.clientWidth < 480 ? 140 : 160}px, 1fr))`;
    grid.style.gridTemplateColumns = columnsNow;
    grid.style.maxWidth = aside ? `${arms.length * 290}px` : "";
    watcher.disconnect();
    inView.clear();
    grid.replaceChildren(...shown.map((t) => t.node));
    if (!shown.length) grid.append(h("p", { class: "note" }, "No trial on the wall is of this arm and verdict."));
    shown.forEach((t) => watcher.observe(t.node));
    more.hidden = !everything && shown.length === fitting.length;
    more.textContent = everything ? "Show fewer" : `Show all ${fitting.length} trials`;
  }
  let asked = false;
  function go(to) {
    place = to;
    slider.value = to;
    at.textContent = `epoch ${epochs[to]}`;
    slider.setAttribute("aria-valuetext", at.textContent);
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; inView.forEach((t) => t.show()); });
  }
  function start() {
    play.textContent = "❚❚";
    play.setAttribute("aria-label", "Pause");
    if (place === epochs.length - 1) go(0);
    timer = setInterval(() => (place < epochs.length - 1 ? go(place + 1) : stop()), 600);
  }
  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "▶";
    play.setAttribute("aria-label", "Play");
  }
  function closer(tile) {
    const dialog = $("closer"), { trial, frames, own } = tile;
    const image = h("img", { alt: "" }), line = h("p", { class: "score" });
    const range = h("input", { type: "range", min: 0, max: own.length - 1, value: own.indexOf(tile.frameAt(epochs[place])), "aria-label": "Epoch of this trial", oninput: () => turn() });
    const turn = () => {
      const epoch = own[Number(range.value)], k = trial.epochs.indexOf(epoch);
      image.src = frames[epoch];
      line.textContent = `epoch ${epoch}${k < 0 ? "" : `, ${DATA.objective} ${number(trial.scores[k])}`}`;
    };
    const facts = [["trial", trial.uid], ["seed", trial.seed], ["phase", trial.phase], ["state", trial.state], ["verdict", trial.verdict.replaceAll("_", " ")], ["why", trial.reason],
      ["best", `${number(trial.best)}${trial.best_epoch ? ` at epoch ${trial.best_epoch}` : ""}`], ...DATA.dimensions.map((d, k) => [d.path, trial.values[k] === null ? "" : number(trial.values[k])])];
    dialog.replaceChildren(
      h("div", { class: "head" }, h("h3", {}, swatch(trial.arm), DATA.arms[trial.arm].label), h("button", { type: "button", "aria-label": "Close", onclick: () => dialog.close() }, "✕")),
      image, range, line, h("dl", {}, facts.filter(([, v]) => v !== "" && v !== null).map(([k, v]) => [h("dt", {}, k), h("dd", {}, String(v))])));
    turn();
    dialog.showModal();
  }
  $("closer").addEventListener("click", (event) => { if (event.target === $("closer")) $("closer").close(); });
  go(place);
  arrange();
  redraws.push(arrange);
  let width = grid.clientWidth;
  new ResizeObserver(() => { if (Math.abs(grid.clientWidth - width) > 20) { width = grid.clientWidth; arrange(); } }).observe(grid);
  addEventListener("beforeprint", () => made.forEach((t) => t.show()));
}

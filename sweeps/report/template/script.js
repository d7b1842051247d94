/* Top, protocol and foot of the page; then everything is drawn. */
function top() {
  const sweeps = DATA.sweeps, sum = (key) => sweeps.reduce((total, one) => total + one[key], 0);
  const date = (ms) => (ms ? new Date(ms).toISOString().slice(0, 10) : null);
  $("eyebrow").textContent = [sweeps.length > 1 ? `${sweeps.length} sweeps` : "sweep", DATA.objective, date(sweeps[0].began_ms)].filter(Boolean).join(" · ");
  const hours = DATA.arms.reduce((total, arm) => total + arm.hours, 0);
  const facts = [
    [DATA.arms.length, DATA.arms.length === 1 ? "arm" : "arms"],
    [sum("trials"), `${sum("trials") === 1 ? "trial" : "trials"}, ${sum("ended") === sum("trials") ? "all ended" : `${sum("ended")} ended`}`],
    [sum("epochs_done").toLocaleString("en"), `of ${plural(sum("epochs_planned"), "epoch")} trained`],
    [duration(hours), "of trial time"],
  ];
  $("facts").append(...facts.map(([value, name]) => h("div", {}, h("dt", {}, name), h("dd", {}, String(value)))));
  for (const one of sweeps.filter((w) => w.state !== "finished"))
    $("facts").after(h("p", { class: "note warning" }, `${one.name} is ${one.state}: ${one.ended} of ${plural(one.trials, "trial")} have ended.`));
}

function protocol() {
  reveal("protocol");
  const body = $("protocol-body");
  const list = (facts) => h("dl", { class: "passport" }, Object.entries(facts).map(([key, value]) => [h("dt", {}, key.replaceAll("_", " ")), h("dd", {}, value === null ? "none" : typeof value === "object" ? JSON.stringify(value) : String(value))]));
  DATA.protocols.forEach(({ digest, passport, arms }, k) => {
    const whose = DATA.protocols.length > 1 ? `Protocol ${k + 1}: ${arms.map((a) => DATA.arms[a].label).join("; ")}` : "Passport of every score";
    body.append(h("div", { class: "card" }, h("h3", {}, whose), list({ ...passport, passport: digest })));
  });
  for (const machine of DATA.machines) {
    const { attempts, ...facts } = machine;
    body.append(h("div", { class: "card" }, h("h3", {}, `Ran ${plural(attempts, "attempt")} on`), list(facts)));
  }
  for (const one of DATA.sweeps) {
    body.append(h("div", { class: "card" }, h("h3", {}, `Sweep ${one.name}`),
      list({ state: one.state, trials: `${one.ended} of ${one.trials} ended`, epochs: `${one.epochs_done} of ${one.epochs_planned}`, schedule: one.schedule, "resources of a trial": one.resources, repeats: one.repeats, plan: one.digest }),
      one.text ? h("details", { open: true }, h("summary", {}, "sweep.yaml"), h("pre", {}, one.text)) : null));
  }
}

function foot() {
  $("footer").append(h("p", {}, "Beside this page: ", DATA.files.map((file, k) => [k ? ", " : "", h("a", { href: file, download: true }, file)]), "."),
    h("p", { class: "note" }, "One file, no network: everything on this page is in it."));
  const sections = [...document.querySelectorAll("main > section")].filter((section) => !section.hidden);
  $("nav").append(...sections.map((section) => h("a", { href: `#${section.id}` }, section.dataset.name)));
  const links = new Map(sections.map((section, k) => [section, $("nav").children[k]]));
  const watcher = new IntersectionObserver((entries) => entries.forEach(({ target, isIntersecting }) => links.get(target).classList.toggle("here", isIntersecting)), { rootMargin: "-45% 0px -50%" });
  sections.forEach((section) => watcher.observe(section));
}

$("theme").addEventListener("click", () => chooseTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
matchMedia("print").addEventListener("change", redraw);
top(); league(); budget(); seeds(); curves(); importance(); space(); wall(); failures(); failureMap(); protocol(); foot();

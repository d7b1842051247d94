/* Before the first paint: light or dark, as was chosen here before or as the system has it. */
(() => {
  let chosen = null;
  try { chosen = localStorage.getItem("gansweep-theme"); } catch { /* A sandbox keeps nothing. */ }
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => {
    document.documentElement.dataset.theme = chosen ?? (dark.matches ? "dark" : "light");
  };
  follow();
  dark.addEventListener("change", follow);
  window.chooseTheme = (theme) => {
    chosen = theme;
    follow();
    try { localStorage.setItem("gansweep-theme", theme); } catch { /* It holds for this visit. */ }
  };
})();

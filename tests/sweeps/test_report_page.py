"""The report in headless Chromium: every interactive part used, no network asked for anything."""

import asyncio
import json
import re
import shutil
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from evil_sweep import PAYLOADS, write_evil_sweep
from scripted_sweep import LOSSES, analysis_of, script_sweep

from sweeps import planfile
from sweeps.compare.analysis import analysis
from sweeps.report import write_report
from sweeps.results import Results

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
aiohttp = pytest.importorskip("aiohttp")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")

Act = Callable[["Page"], Awaitable[None]]


class Page:
    """A tab of Chromium, spoken to over its debugging socket."""

    def __init__(self, socket: Any) -> None:
        self.socket, self.sent = socket, 0
        self.faults: list[str] = []
        self.requests: list[str] = []

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.sent += 1
        await self.socket.send_json({"id": self.sent, "method": method, "params": parameters})
        while True:
            answer = json.loads((await self.socket.receive()).data)
            if answer.get("id") == self.sent:
                assert "error" not in answer, answer["error"]
                return dict(answer["result"])
            self._note(answer.get("method", ""), answer.get("params", {}))

    def _note(self, event: str, told: dict[str, Any]) -> None:
        if event == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif event in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
            self.faults.append(json.dumps(told))
        elif event == "Page.javascriptDialogOpening":
            self.faults.append("a label opened a dialog")

    async def open(self, file: Path, *, width: int = 1280, dark: bool = False) -> None:
        for domain in ("Runtime", "Log", "Page", "Network"):
            await self.call(f"{domain}.enable")
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        await self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        await self.call("Page.navigate", url=file.as_uri())
        await self.until("document.readyState === 'complete' && !!document.querySelector('td')")

    async def eval(self, script: str) -> Any:
        told = await self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    async def until(self, script: str) -> None:
        for _ in range(200):
            if await self.eval(script):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"never came true: {script}")

    async def place(self, selector: str) -> tuple[float, float]:
        where = await self.eval(
            f"(() => {{ const e = document.querySelector({selector!r});"
            "e.scrollIntoView({block: 'center', behavior: 'instant'});"
            "const b = e.getBoundingClientRect(); return [b.x + b.width/2, b.y + b.height/2]; })()"
        )
        return where[0], where[1]

    async def move(self, kind: str, x: float, y: float) -> None:
        pressed = {"button": "none" if kind == "mouseMoved" else "left", "clickCount": 1}
        await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **pressed)

    async def click(self, selector: str) -> None:
        x, y = await self.place(selector)
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            await self.move(kind, x, y)

    async def press(self, key: str, code: int, text: str = "") -> None:
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        await self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    async def choose(self, label: str, value: str) -> None:
        await self.eval(
            f"(() => {{ const s = [...document.querySelectorAll('#wall label')]"
            f".find((l) => l.textContent.startsWith({label!r})).querySelector('select');"
            f"s.value = {value!r}; s.dispatchEvent(new Event('change')); }})()"
        )

    async def texts(self, selector: str) -> list[str]:
        return list(
            await self.eval(
                f"[...document.querySelectorAll({selector!r})].map((e) => e.textContent)"
            )
        )


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    profile = tmp_path_factory.mktemp("profile")
    command = [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu"]
    command += ["--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        port = profile / "DevToolsActivePort"
        for _ in range(600):
            if port.is_file() and port.read_text().count("\n"):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port.read_text().splitlines()[0]}"
        process.terminate()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    place = script_sweep(folder / "scripted", each=6, grids=4)
    told = analysis_of(LOSSES)
    told["importance"].append({"path": "batch", "share": 0.2, "arm": LOSSES[0]})
    return write_report([Results.read(place)], folder / "report", told)


def use(browser: str, file: Path, act: Act, **how: Any) -> Page:
    """Opens a page in a tab of its own and does something there; faults and requests are kept."""

    async def visit() -> Page:
        async with aiohttp.ClientSession() as session:
            async with session.put(f"{browser}/json/new?about:blank") as answer:
                tab = await answer.json(content_type=None)
            async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Page(socket)
                await page.open(file, **how)
                await act(page)
                await page.call("Page.close")
                return page

    page = asyncio.run(visit())
    assert page.faults == []
    assert [url for url in page.requests if not url.startswith(("data:", file.as_uri()))] == []
    return page


def test_headings_sort_by_click_and_by_key(browser: str, report: Path) -> None:
    async def act(page: Page) -> None:
        names = "#league-table tbody th"
        assert await page.texts(names) == list(LOSSES)
        await page.click("#league-table thead th:nth-child(1) button")
        assert await page.texts(names) == list(LOSSES)[::-1]
        await page.eval("document.querySelector('#league-table th:nth-child(2) button').focus()")
        await page.press("Enter", 13, "\r")
        assert await page.texts(names) == sorted(LOSSES)
        sorts = "[...document.querySelectorAll('#league-table thead th')].map((t) => t.ariaSort)"
        assert (await page.eval(sorts))[:3] == ["none", "ascending", "none"]

    use(browser, report, act)


def test_a_legend_switches_an_arm_off_everywhere(browser: str, report: Path) -> None:
    async def act(page: Page) -> None:
        def lines(chart: str) -> str:
            return f"document.querySelectorAll('#{chart} svg[role] .c1').length"

        await page.until(f"{lines('budget-chart')} > 0 && {lines('seeds-chart')} > 0")
        await page.click("#budget-chart .legend button:nth-child(2)")
        await page.until(f"{lines('budget-chart')} + {lines('seeds-chart')} === 0")
        shown = "[...document.querySelectorAll('#curves-chart .panel')].map((p) => p.hidden)"
        assert await page.eval(shown) == [False, True, False, False, False]
        assert "hinge" not in await page.texts("#wall .label-text")
        await page.click("#seeds-chart .legend .all")
        await page.until(f"{lines('budget-chart')} > 0 && {lines('seeds-chart')} > 0")

    use(browser, report, act)


def test_the_slider_moves_every_picture_in_view(browser: str, report: Path) -> None:
    async def act(page: Page) -> None:
        await page.place("#epoch")
        epochs = (
            "[...document.querySelectorAll('.tile img')].slice(0, 5).map((i) => i.dataset.epoch)"
        )
        await page.until(f"JSON.stringify({epochs}) === JSON.stringify(['3','3','3','3','3'])")
        await page.eval("document.querySelector('#epoch').focus({preventScroll: true})")
        await page.press("Home", 36)
        await page.until(f"JSON.stringify({epochs}) === JSON.stringify(['0','0','0','0','0'])")
        assert await page.texts("output.epoch") == ["epoch 0"]
        loaded = (
            "[...document.querySelectorAll('.tile img')].slice(0, 5).every((i) => i.naturalWidth)"
        )
        await page.until(loaded)
        assert set((await page.texts(".tile .score"))[:5]) == {"untrained"}
        await page.press("ArrowRight", 39)
        await page.until(f"JSON.stringify({epochs}) === JSON.stringify(['1','1','1','1','1'])")

    use(browser, report, act)


def test_the_wall_filters_by_arm_and_verdict(browser: str, report: Path) -> None:
    async def act(page: Page) -> None:
        await page.choose("arm", "2")
        assert set(await page.texts("#wall .label-text")) == {"wasserstein_gp"}
        await page.choose("arm", "")
        await page.choose("verdict", "collapsed")
        await page.click("#wall .tile")
        await page.until("document.querySelector('#closer').open")
        facts = await page.texts("#closer dd")
        assert "collapsed" in facts
        await page.press("Escape", 27)
        await page.until("!document.querySelector('#closer').open")

    use(browser, report, act)


def test_a_stop_says_why(browser: str, report: Path) -> None:
    async def act(page: Page) -> None:
        await page.until("!!document.querySelector('#curves-chart .stop')")
        x, y = await page.place("#curves-chart .stop")
        await page.move("mouseMoved", x, y)
        await page.until("!document.querySelector('#tip').hidden")
        assert "stopped: asha, rung 3" in (await page.texts("#tip"))[0]

    use(browser, report, act)


def test_views_change(browser: str, report: Path) -> None:
    async def act(page: Page) -> None:
        await page.until("document.querySelectorAll('#space-chart .parallel').length === 30")
        await page.click("#space-chart [data-value=scatter]")
        await page.until("document.querySelectorAll('#space-chart .scored').length === 30")
        before = await page.texts("#budget-chart .title")
        await page.click("#budget-chart [data-value=epochs]")
        after = await page.texts("#budget-chart .title")
        assert (before[0], after[0]) == ("trials per arm", "epochs per arm")
        first = "document.querySelector('#curves-chart .line.thin').getAttribute('d')"
        best = await page.eval(first)
        await page.click("#curves-chart [data-value=raw]")
        assert await page.eval(first) != best
        cells = "[...document.querySelectorAll('#failures-chart .cell title')]"
        told = [text.split() for text in await page.eval(f"{cells}.map((t) => t.textContent)")]
        assert sum(int(words[2]) for words in told) == 30
        assert sum(int(words[0]) for words in told) == await page.eval(
            "document.querySelectorAll('#failures-chart .dot:not(.scored)').length"
            " - document.querySelectorAll('#failures-chart .legend .dot').length"
        )
        await page.click("#failures-chart .legend button")
        await page.until(
            "document.querySelectorAll('#failures-chart svg[role] .sound').length === 0"
        )

    use(browser, report, act)


@pytest.mark.parametrize("dark", [False, True])
def test_the_theme_follows_the_system_until_it_is_chosen(
    browser: str, report: Path, dark: bool
) -> None:
    async def act(page: Page) -> None:
        await page.eval("localStorage.clear()")
        theme = "document.documentElement.dataset.theme"
        assert await page.eval(theme) == ("dark" if dark else "light")
        paper = "getComputedStyle(document.body).backgroundColor"
        before = await page.eval(paper)
        await page.click("#theme")
        assert await page.eval(theme) == ("light" if dark else "dark")
        assert await page.eval(paper) != before
        await page.eval("localStorage.clear()")

    use(browser, report, act, dark=dark)


def test_nothing_is_wider_than_a_phone(browser: str, report: Path) -> None:
    async def act(page: Page) -> None:
        await page.until("!!document.querySelector('#space-chart .parallel')")
        assert await page.eval("document.documentElement.scrollWidth") == 390

    use(browser, report, act, width=390)


@pytest.fixture(scope="module")
def wordy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on ten arms of long names that begin alike."""
    folder = tmp_path_factory.mktemp("wordy")
    place = script_sweep(folder / "scripted", each=3, epochs=4)
    plan = planfile.read(place)
    for trial in plan["trials"]:
        more = "batch" if trial["draw"] % 2 else "layer"
        trial["arm"] = f"progressive,norm=spectral,{trial['arm']},conditioning=projection,{more}"
    planfile.write(place, plan)
    results = [Results.read(place)]
    return write_report(results, folder / "report", analysis(results))


@pytest.mark.parametrize(("width", "media"), [(390, "screen"), (718, "print")])
def test_long_names_make_no_page_wider(browser: str, wordy: Path, width: int, media: str) -> None:
    async def act(page: Page) -> None:
        await page.until("!!document.querySelector('#space-chart .parallel')")
        await page.call("Emulation.setEmulatedMedia", media=media)
        await page.until(f"matchMedia('{media}').matches")
        paper = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert await page.eval(paper) == 0
        out = "[...document.querySelectorAll('#seeds-chart svg[role] .name')]"
        out += ".filter((t) => t.getBoundingClientRect().x < 0 || t.getBBox().x < 0).length"
        assert await page.eval(out) == 0
        clicks = "[...document.querySelectorAll('.screen')].map((e) => e.offsetParent !== null)"
        assert set(await page.eval(clicks)) == {media == "screen"}

    use(browser, wordy, act, width=width)


def test_arms_whose_names_are_cut_are_told_apart(browser: str, wordy: Path) -> None:
    async def act(page: Page) -> None:
        await page.until("document.querySelectorAll('#seeds-chart svg[role] .name').length > 0")
        shown = await page.texts("#seeds-chart svg[role] .name")
        assert len(shown) == len(set(shown)) > 3
        assert max(map(len, shown)) < 30

    use(browser, wordy, act)


def test_what_is_counted_has_whole_ticks_and_shares_one_scale(browser: str, report: Path) -> None:
    async def act(page: Page) -> None:
        await page.until("document.querySelectorAll('#importance-chart .block').length > 2")
        bottom = "[...document.querySelectorAll('#budget-chart .tick[text-anchor=middle]')]"
        ticks = await page.eval(f"{bottom}.map((t) => t.textContent)")
        assert all(float(tick).is_integer() for tick in ticks)
        assert len(ticks) > 2
        widths = "[...document.querySelectorAll('#importance-chart .block')]"
        drawn = await page.eval(f"{widths}.map((b) => Number(b.getAttribute('width')))")
        shares = [share / 0.61 for share in (0.61, 0.3, 0.09, 0.2)]  # The last is of one arm.
        assert [w / drawn[0] for w in drawn] == pytest.approx(shares)

    use(browser, report, act)


def test_no_line_hides_where_a_trial_was_stopped(browser: str, report: Path) -> None:
    async def act(page: Page) -> None:
        await page.until("!!document.querySelector('#curves-chart .stop')")
        order = "[...document.querySelectorAll('#curves-chart svg[role]')].map((svg) => {"
        order += "const all = [...svg.children], is = (name) => (e) => e.classList.contains(name);"
        order += "return [all.findLastIndex(is('line')), all.findIndex(is('stop'))]; })"
        for line, stop in await page.eval(order):
            assert 0 < line < stop

    use(browser, report, act)


def test_labels_are_text(browser: str, tmp_path: Path) -> None:
    evil = ("<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>")
    place = script_sweep(tmp_path / "evil", losses=("hinge", "minimax"), each=3, grids=2)
    plan = json.dumps(planfile.read(place))
    for loss, label in zip(("hinge", "minimax"), evil, strict=True):
        plan = re.sub(f'"arm": ?"{loss}"', lambda _, told=label: f'"arm": {json.dumps(told)}', plan)
    planfile.write(place, json.loads(plan))
    file = write_report([Results.read(place)], tmp_path / "report", analysis_of(evil))

    async def act(page: Page) -> None:
        assert await page.texts("#league-table tbody th") == list(evil)
        assert set(await page.texts("#wall .label-text")) == set(evil)
        await page.click("#wall .tile")
        await page.until("document.querySelector('#closer').open")
        assert await page.eval("document.querySelectorAll('img:not([alt])').length") == 0

    use(browser, file, act)


def test_thirty_payloads_are_text_everywhere(browser: str, tmp_path: Path) -> None:
    results = Results.read(write_evil_sweep(tmp_path / "evil"))
    file = write_report([results], tmp_path / "report", analysis([results]))

    async def act(page: Page) -> None:
        assert set(await page.texts("#league-table tbody th")) <= set(PAYLOADS)
        await page.click("#wall .tile")
        await page.until("document.querySelector('#closer').open")
        assert await page.eval("typeof fired") == "undefined"
        acts = "[...document.querySelectorAll('*')].flatMap((e) => [...e.attributes])"
        acts += ".filter((a) => /^on/.test(a.name) || (/^(href|src|action|data)$/.test(a.name)"
        acts += " && /script:/.test(a.value))).length"
        assert await page.eval(acts) == 0

    use(browser, file, act)


@pytest.mark.slow
def test_five_hundred_trials_are_light_quick_and_fluent(browser: str, tmp_path: Path) -> None:
    place = script_sweep(tmp_path / "many", each=97, epochs=13, grids=13)
    results = Results.read(place)
    file = write_report([results], tmp_path / "report", analysis_of(LOSSES))
    assert len(results.trials) == 500
    assert file.stat().st_size < 20_000_000

    async def act(page: Page) -> None:
        await page.place("#epoch")
        await page.until("[...document.querySelectorAll('.tile img')].some((i) => i.naturalWidth)")
        longest = await page.eval(
            """(async () => {
              const slider = document.querySelector("#epoch"), times = [];
              const frame = () => new Promise((done) => requestAnimationFrame(done));
              for (let k = 0; k <= Number(slider.max); k++) {
                const before = performance.now();
                slider.value = k;
                slider.dispatchEvent(new Event("input"));
                await frame(); await frame();
                times.push(performance.now() - before);
              }
              return times.sort((a, b) => a - b)[Math.floor(times.length * 0.8)];
            })()"""
        )
        assert longest < 100

    use(browser, file, act)

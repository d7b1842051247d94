"""A finished sweep with a text that would act in every place where a text can be."""

from __future__ import annotations

import json
from pathlib import Path

from scripted_sweep import LOSSES, script_sweep

from sweeps import journal, planfile
from sweeps.journal import Journal

HTML = (
    "<script>fired=1</script>",
    "</script><script>fired=1</script>",
    "<img src=x onerror=fired=1>",
    '"><svg onload=fired=1>',
    "' onmouseover='fired=1",
    "<iframe src='javascript:parent.fired=1'></iframe>",
    "<a href='javascript:fired=1'>x</a>",
    "--><script>fired=1</script><!--",
    "]]><script>fired=1</script>",
    "</style><style>*{display:none}</style>",
    "</title></textarea><script>fired=1</script>",
    "<base href='http://evil.example/'><meta http-equiv=refresh content=0;url=//evil.example>",
    "{{SCRIPT}}{{DATA}}",
    "${fired=1}`;fired=1//",
    "\u2028fired=1\u2029\\u003cscript\\u003e",
)
FORMULAS = ("=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "\t=1+1", ' =HYPERLINK("http://e")')
LATEX = (r"\input{/etc/passwd}", r"\write18{id}", "100% $x^2$ & #1 ~_{}", r"^^5cinput{x}")
MARKDOWN = (
    "[x](javascript:fired=1)",
    "![x](http://evil.example/p.png)",
    "```\n<script>fired=1</script>\n```",
    "| a |\n\n# heading <b>x</b> https://evil.example",
)
PATHS = ("../../escaped", "\x1b]0;fired\x07\x1b[2Jfired")
PAYLOADS = (*HTML[:14], HTML[14], *FORMULAS[:5], FORMULAS[5], *LATEX, *MARKDOWN[:3], *PATHS[:1])
PAYLOADS = (*PAYLOADS, MARKDOWN[3], PATHS[1])
"""A row of the table each."""


PASSPORT = {
    "accuracy": None,
    "real": 10,
    "data_name": PAYLOADS[0],
    "split": "train",
    "resolution": 8,
    "shown_at": 8,
    "channels": 1,
    "weights": PAYLOADS[2],
    "features_digest": PAYLOADS[3],
}


def write_evil_sweep(place: Path) -> Path:
    """Thirty payloads over names, values, reasons, verdicts, machines and the sweep file."""
    script_sweep(place, each=6, seeds=2, grids=2)
    plan = planfile.read(place)
    label = {arm: PAYLOADS[number] for number, arm in enumerate(LOSSES)}
    payload = {}
    for number, trial in enumerate(plan["trials"]):
        own = payload[trial["uid"]] = PAYLOADS[number % len(PAYLOADS)]
        trial["arm"] = label[trial["arm"]]
        trial["varied"] = {**trial["varied"], own: own, "loss.name": own}
    plan["arms"] = [{**arm, "label": label[arm["label"]]} for arm in plan["arms"]]
    plan["name"] = PAYLOADS[1]
    # With a checksum that is right: a stranger can make one too.
    planfile.write(place, json.loads(json.dumps(plan).replace("fid1k", "$x$<b>_fid1k")))
    for writer in (*journal.writers(place), journal.DRIVER):
        _rewrite(place, writer, payload)
    (place / "sweep.yaml").write_text("".join(f"# {' '.join(p.split())}\n" for p in PAYLOADS))
    with (place / "sweep.yaml").open("a") as stream:
        stream.write("base: {}\n" + "\n".join(PAYLOADS))
    return place


def _rewrite(place: Path, writer: str, payload: dict[str, str]) -> None:
    """The same records with payloads in their texts."""
    records = journal.read(place, writer)
    (journal.journal_folder(place) / f"{writer}.jsonl").unlink()
    with Journal(place, writer) as log:
        for record in records:
            own = payload.get(record.get("trial", ""), PAYLOADS[0])
            texts = ("node", "device", "code_version", "verdict", "evidence", "reason")
            told = {key: own if key in texts else value for key, value in record.items()}
            if "versions" in told:
                told["versions"] = {own: own}
                told["passport"] = {**told["passport"], **PASSPORT, own: own, "features": own}
            if "values" in told:
                told["values"] = {
                    k.replace("fid1k", "$x$<b>_fid1k"): v for k, v in told["values"].items()
                }
                told["values"][own] = 1.0
            kind = told.pop("kind")
            log.append(
                kind, **{k: v for k, v in told.items() if k not in ("time_ms", "seq", "format")}
            )

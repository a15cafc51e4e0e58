"""Tables of what was measured: `python report.py JSON_FILE` prints those of an earlier run."""

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

import jobs
import limits

CLASSES = {
    "fp32": ["ours fp32", "llama.cpp f32", "transformers fp32", "genai fp32"],
    "int8": ["ours int8", "llama.cpp q8_0"],
    "int4": ["ours int4", "llama.cpp q4_0", "genai int4"],
}
"""Engines that are compared: those of like weights, ours first."""
REFERENCE = "transformers fp32"
KINDS = {"cpu": "tokens a CPU second", "wall": "tokens a second"}

Found = dict[str, Any]


def tables(model: str, found: Found) -> str:
    """What one model gave, as Markdown."""
    parts = [f"## {model}, {found['threads']} threads, {len(found['rounds'])} rounds"]
    parts += [_table(found, kind) for kind in KINDS]
    parts.append(_machine(found))
    distances = _distances(found)
    for name, settings in found["settings"].items():
        parts.append(f"- {name}: {settings}{distances.get(name, '')}")
    return "\n\n".join(parts[:4]) + "\n\n" + "\n".join(parts[4:]) + "\n"


def _table(found: Found, kind: str) -> str:
    """Rates by engine and measure, and how ours compare."""
    measures = [name for name, spent in found["rounds"][0].items() if spent]
    lines = [f"| {KINDS[kind]} | {' | '.join(measures)} |", "| --- " * (len(measures) + 1) + "|"]
    for engines in CLASSES.values():
        present = [name for name in engines if name in found["settings"]]
        for name in present:
            cells = [_number(_rate(found, measure, name, kind)) for measure in measures]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        if len(present) > 1 and present[0].startswith("ours"):
            cells = [_beside(found, measure, present, kind) for measure in measures]
            lines.append(f"| *{present[0]} / best peer* | {' | '.join(cells)} |")
    best = _possible(found, kind)
    cells = [_number(best[measure]) for measure in measures]
    lines.append(f"| *possible, fp32* | {' | '.join(cells)} |")
    if "ours fp32" in found["settings"]:
        rates = {measure: _rate(found, measure, "ours fp32", kind) for measure in measures}
        cells = [f"{100 * rates[measure] / best[measure]:.0f} %" for measure in measures]
        lines.append(f"| *ours fp32 of it* | {' | '.join(cells)} |")
    return "\n".join(lines)


def _rates(found: Found, measure: str, engine: str, kind: str) -> list[float]:
    """Tokens a second, a number a round; none where noise ate the difference of two runs."""
    spent = [row[measure][engine] for row in found["rounds"] if engine in row[measure]]
    return [cost["tokens"] / cost[kind] if cost[kind] > 0 else float("nan") for cost in spent]


def _rate(found: Found, measure: str, engine: str, kind: str) -> float:
    return median(_rates(found, measure, engine, kind))


def _beside(found: Found, measure: str, engines: list[str], kind: str) -> str:
    """The median over the rounds of ours / the best peer's, and which that is."""
    ours, *peers = engines
    best = max(peers, key=lambda peer: _rate(found, measure, peer, kind))
    pairs = zip(_rates(found, measure, ours, kind), _rates(found, measure, best, kind), strict=True)
    return f"{median(a / b for a, b in pairs):.2f} ({best.split()[0]})"


def _possible(found: Found, kind: str) -> dict[str, float]:
    """The best possible rates of fp32, by the medians of what the machine did."""
    place = 0 if kind == "wall" else 1
    does = {
        name: median(row[name][place] for row in found["machine"]) for name in found["machine"][0]
    }
    multiply = {rows: does[f"multiply{rows}"] for rows in limits.ROWS}
    of = limits.Limits(limits.Model(found["config"]), does["read"], multiply)
    work = found["work"]
    prompts = [row["prompt"] for row in work["job"]]
    common = jobs.common(prompts[0], prompts[-1]) if len(prompts) > 1 else 0
    return of.rates(work, jobs.DECODES) | {"job": of.job(work, jobs.DRAWS, common)}


def _distances(found: Found) -> dict[str, str]:
    """How far each engine's letters are from those of transformers: half the sum of differences."""
    spent = found["rounds"][0].get("job", {})
    if REFERENCE not in spent:
        return {}
    said = {}
    for name, cost in spent.items():
        pairs = zip(cost["letters"], spent[REFERENCE]["letters"], strict=True)
        far = max(sum(abs(a - b) for a, b in zip(*pair, strict=True)) / 2 for pair in pairs)
        said[name] = f"; letters within {far:.1e} of {REFERENCE}"
    return said


def _machine(found: Found) -> str:
    rows = found["machine"]
    lines = []
    for place, kind in enumerate(("wall second", "CPU second")):
        does = {name: median(row[name][place] for row in rows) / 1e9 for name in rows[0]}
        shown = ", ".join(
            f"M={name.removeprefix('multiply')} {value:.0f}" for name, value in does.items()
            if name != "read"
        )  # fmt: skip
        lines.append(f"A {kind} reads {does['read']:.1f} GB, and multiplies in GFLOP: {shown}.")
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


if __name__ == "__main__":
    for name, content in json.loads(Path(sys.argv[1]).read_text()).items():
        print(tables(name, content))

"""Loss curves as an SVG picture, a panel a measure."""

from xml.sax.saxutils import escape

MEASURES = ("loss", "rewards/accuracies", "rewards/margins", "reward")
WIDTH, HEIGHT, MARGIN = 640, 200, 44

STYLE = (
    "text{font:12px sans-serif;fill:#444}"
    "polyline{fill:none;stroke:#2563eb;stroke-width:1.5}"
    "path{stroke:#bbb;fill:none}"
)


def draw(lines: list[dict[str, float]]) -> str:
    """The picture of logged lines; measures that were never logged get no panel."""
    shown = [name for name in MEASURES if any(name in line for line in lines)]
    panels = [_panel(name, lines, number * HEIGHT) for number, name in enumerate(shown)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT * len(shown)}">'
        f"<style>{STYLE}</style>{''.join(panels)}</svg>\n"
    )


def _panel(name: str, lines: list[dict[str, float]], top: int) -> str:
    points = [(line["step"], line[name]) for line in lines if name in line]
    steps, values = zip(*points, strict=True)
    right, bottom = WIDTH - MARGIN, top + HEIGHT - MARGIN
    xs = _scaled(steps, MARGIN, right)
    ys = _scaled(values, bottom, top + MARGIN)
    curve = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
    return (
        f'<path d="M{MARGIN} {top + MARGIN}V{bottom}H{right}"/><polyline points="{curve}"/>'
        f'<text x="{MARGIN}" y="{top + MARGIN - 12}">{escape(name)}</text>'
        f'<text x="4" y="{top + MARGIN + 4}">{max(values):.3g}</text>'
        f'<text x="4" y="{bottom + 4}">{min(values):.3g}</text>'
        f'<text x="{right - 40}" y="{bottom + 18}">step {steps[-1]:.0f}</text>'
    )


def _scaled(values: tuple[float, ...], low: float, high: float) -> list[float]:
    """The values mapped so that the smallest comes to `low` and the largest to `high`."""
    smallest, span = min(values), max(values) - min(values)
    return [low + (value - smallest) / (span or 1.0) * (high - low) for value in values]

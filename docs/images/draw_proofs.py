"""Draws proving beside EZKL into `docs/images/proofs.svg`, from the bench's result file.

Usage: `python docs/images/draw_proofs.py docs/images/proofs.json` (or `make bench-ezkl`).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final, cast

PICTURE: Final = Path(__file__).resolve().parent / "proofs.svg"

PANELS: Final = (
    ("prove_ms", "proving, ms"),
    ("verify_ms", "verifying, ms"),
    ("proof_bytes", "proof, bytes"),
    ("rss_bytes", "peak memory, MiB"),
)
SERIES: Final = (("plain", "Maxwell, plain", "C0"), ("zk", "Maxwell, zero-knowledge", "C2"))


def shown(key: str, figures: dict[str, Any]) -> float:
    """Returns a figure in the unit of its panel."""
    return figures[key] / (2**20 if key == "rss_bytes" else 1)


def draw(results: list[dict[str, Any]], picture: Path) -> None:
    """Draws one panel a figure: cases downwards, figures on a logarithmic axis."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "maxwell"
    from matplotlib import pyplot, ticker

    plt = cast(Any, pyplot)  # its types are incomplete

    names = [result["case"].partition("_")[2] for result in results]
    figure, axes = plt.subplots(1, len(PANELS), figsize=(12, 0.42 * len(names) + 1.4), sharey=True)
    for axis, (key, title) in zip(axes, PANELS, strict=True):
        for row, result in enumerate(results):
            peer = result["ezkl"]
            if peer is not None:
                axis.plot(
                    shown(key, peer), row, "s", color="C3", label="EZKL" if row == 0 else None
                )
            for mode, label, colour in SERIES:
                if mode in result["ours"]:
                    value = shown(key, result["ours"][mode])
                    axis.plot(value, row, "o", color=colour, label=label if row == 0 else None)
        axis.set_xscale("log")
        axis.xaxis.set_minor_formatter(ticker.NullFormatter())
        axis.set_title(title, fontsize=10)
        axis.grid(axis="x", alpha=0.3)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].invert_yaxis()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=3, fontsize=9, frameon=False)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    figure.savefig(picture, metadata={"Date": None})
    plt.close(figure)


def main(arguments: list[str]) -> int:
    """Draws the result file of the one argument; returns the exit code."""
    if len(arguments) != 1:
        sys.stderr.write(f"usage: {Path(__file__).name} RESULT.json\n")
        return 2
    results = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))["results"]
    draw(results, PICTURE)
    sys.stderr.write(f"wrote {PICTURE}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

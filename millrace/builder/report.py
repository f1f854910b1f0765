"""What came of a build: for the terminal's table, for JSON, and as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from html import escape
from typing import Any

from ..engines import Built
from .candidates import LeftOut
from .measure import By
from .trial import Trial

HEAD = (
    "engine",
    "pictures/s",
    "gain",
    "CPU ms",
    "alone ms",
    "load s",
    "largest error",
    "mean error",
    "agreement",
    "AP",
    "",
)
_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:76em;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;width:100%;font-size:13px}th,td{padding:.35em .6em;text-align:right;border-bottom:1px
solid #ddd}th:first-child,td:first-child,td:last-child{text-align:left}tr.chosen{background:#e6f4ea;font-weight:600}
tr.refused{color:#999}.bar{display:inline-block;height:.7em;background:#4363d8;margin-right:.4em}
tr.refused .bar{background:#ccc}dt{float:left;width:10em;color:#666}dd{margin-left:10em}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A finished build. `chosen` is the place of the engine in `trials`; the default is the first of them.

    `noise`: what the measurement cannot tell apart, a share of 1. `cached`: nothing was measured now.
    """

    model: str
    device: str
    kind: str
    judged_on: str
    tuned_on: str
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    settings: Mapping[str, Any]
    trials: Sequence[Trial]
    left_out: Sequence[LeftOut]
    noise: float
    by: By
    chosen: int
    rounds: int
    took: float = 0.0
    built: Built | None = None
    cached: bool = False

    @property
    def best(self) -> Trial:
        return self.trials[self.chosen]

    @property
    def verdict(self) -> str:
        """The choice, in a sentence."""
        if self.chosen == 0:
            return f"the default stays: nothing that is allowed is faster by more than the noise ({self.noise:.1%})"
        return f"{self.best.engine.label}: {self.best.gain:.2f} times the default (noise {self.noise:.1%})"

    def rows(self) -> list[tuple[Trial, list[str]]]:
        """The table's rows, the fastest first."""
        ordered = sorted(self.trials, key=lambda trial: (trial.rate == 0, -trial.gain))
        return [(trial, self._row(trial)) for trial in ordered]

    def _row(self, trial: Trial) -> list[str]:
        if trial.accuracy is None:
            return [trial.engine.label, *[""] * 9, trial.refused or ""]
        judged = trial.accuracy
        said = "chosen" if trial is self.best else trial.refused or ("" if trial.final else "not among the fastest")
        return [
            trial.engine.label,
            f"{trial.rate:.1f}",
            f"{trial.gain:.3f}",
            f"{trial.cpu * 1e3:.2f}",
            f"{trial.latency * 1e3:.2f}",
            f"{trial.load:.2f}",
            f"{judged.largest:.2g}",
            f"{judged.mean:.2g}",
            f"{judged.agreement:.4f}",
            "" if judged.ap is None else f"{judged.ap:.4f}",
            said,
        ]

    def facts(self) -> list[tuple[str, str]]:
        """What the figures are of, and how they were measured."""
        judged = next((trial.accuracy for trial in self.trials if trial.accuracy), None)
        how = {"F1": "F1 of detections at IoU 0.5", "top-1": "same class, attributes at 0.5", "cosine": "least cosine"}
        rests = f", {judged.evidence} {'detections' if judged.how == 'F1' else 'pictures'}" if judged else ""
        busy = "; the machine is busy, so processor time a picture was compared" if self.by == "cpu" else ""
        within = self.settings.get("within")
        goal = "pictures a second on all cores" if self.settings["goal"] == "throughput" else "time of one picture"
        return [
            ("model", f"{self.model} on {self.device}"),
            ("machine", f"{self.machine['cpu']}, {self.machine['cores']} cores, {self.machine['system']}"),
            ("libraries", ", ".join(f"{name} {version}" for name, version in self.versions.items())),
            ("judged on", self.judged_on),
            ("tuned on", self.tuned_on),
            ("agreement", f"{how.get(judged.how, judged.how) if judged else '-'} with the default in FP32{rests}; "
                          f"at least {self.settings['accuracy']:g} is asked for"),
            *((("labels", f"AP of {self.settings['labels']}, no more than {self.settings['map_loss']:g} may be lost"),)
              if self.settings["labels"] else ()),
            ("goal", f"{goal}; finalists in turns, {self.rounds} rounds, medians; others compared once, briefly"),
            ("noise", f"{self.noise:.1%}: how far two measurements of the default differ{busy}"),
            ("took", f"{self.took:.0f} s" + (f" of {within:g}" if within else "")),
        ]  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        out = {field.name: getattr(self, field.name) for field in fields(self)}
        del out["built"], out["cached"]
        out["trials"] = [trial.to_dict() for trial in self.trials]
        out["left_out"] = [[each.what, each.why] for each in self.left_out]
        return out

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Report:
        trials = [Trial.from_dict(each) for each in values["trials"]]
        left_out = [LeftOut(*each) for each in values["left_out"]]
        return Report(**{**values, "trials": trials, "left_out": left_out})

    def html(self) -> str:
        """The report as a page of its own."""
        most = max(trial.gain for trial in self.trials) or 1.0
        body = []
        for trial, cells in self.rows():
            kind = "chosen" if trial is self.best else "refused" if trial.refused else ""
            bar = f'<span class="bar" style="width:{60 * trial.gain / most:.0f}px"></span>' if trial.gain else ""
            texts = [escape(cell) for cell in cells]
            texts[2] = bar + texts[2]
            body.append(f'<tr class="{kind}">{"".join(f"<td>{text}</td>" for text in texts)}</tr>')
        facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in self.facts())
        missing = "".join(f"<li>{escape(each.what)}: {escape(each.why)}</li>" for each in self.left_out)
        head = "".join(f"<th>{escape(name)}</th>" for name in HEAD)
        return (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(self.model)}: engine</title>'
            f"<style>{_STYLE}</style><h1>The engine of {escape(self.model)}</h1><p>{escape(self.verdict)}</p>"
            f"<dl>{facts}</dl><table><tr>{head}</tr>{''.join(body)}</table>"
            f"<h2>Not tried</h2><ul>{missing}</ul></html>\n"
        )

"""An operating-limit card from measured results: how bad each condition may get before a task is no longer done.

Invariant: nothing is on the card that was not measured, and what was not measured is on it as that. A severity counts
only where every milder one does, and by the lower end of its interval, so that few trials give narrow limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from forearm.cell.perturbations import perturbation_named
from forearm.cell.perturbations.interface import SEVERITIES
from forearm.cell.tasks import TASKS
from forearm.errors import InputError, listing
from forearm.evaluation.statistics import wilson_interval
from forearm.evaluation.trial import TrialResult
from forearm.runtime.card import FORMAT
from forearm.runtime.simulation import LATENCY_S

# What a person asks about, and the perturbations that answer it, each with the unit of its amounts.
CONDITIONS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "light": {
            "brightness": "times brighter or darker",
            "colour-temperature": "K",
            "shadows": "of the light from one side",
            "glare": "of white",
            "exposure": "f-stops",
            "noise": "of full scale",
        },
        "table": {
            "table-colour": "of full scale, darker",
            "texture": "contrast",
            "clutter": "things",
            "neighbour": "m apart",
            "table-height": "m up or down",
        },
        "occlusion": {"occlusion": "m radius of a pole"},
        "camera shift": {
            "top-shift": "m",
            "top-turn": "degrees",
            "wrist-shift": "m",
            "wrist-turn": "degrees",
        },
        "depth": {"depth-dropouts": "of the pixels", "depth-holes": "of the image"},
        "payload": {"mass": "times as heavy"},
        "friction": {"friction": "coefficient", "finger-wear": "coefficient"},
        "size": {"size": "times larger or smaller"},
        "colour": {"colour": "of full scale"},
        "fixtures": {"fixture-shift": "m"},
        "gripper": {"opening": "of the stroke"},
        "latency": {
            "latency": "s more than usual",
            "jitter": "s at the most",
            "image-delay": "s",
            "image-jitter": "s at the most",
        },
    }
)
OTHER = ("cell", "sku", "phrasing", "absent", "another-task")  # perturbations whose levels are kinds, not severities
LANGUAGE = "language"  # the other object's word in the sentence, `--words swap`
Results = tuple[Mapping[str, Any], Sequence[TrialResult]]
Json = dict[str, Any]


def card_of(files: Sequence[Results], rate: float) -> Json:
    """The card as a JSON object, from the headings and trials of result files.

    Raises:
        InputError: for a rate that is none, results of several models or none, changed plans, or no clean scenes.
    """
    if not 0.0 < rate < 1.0:
        raise InputError(f"rate: got {rate}, allowed is more than 0 and less than 1; write 0.9 for 90 %")
    digests = {str(heading["model_digest"]) for heading, _ in files}
    if len(digests) != 1 or "" in digests or any(heading["intervene"] for heading, _ in files):
        raise InputError(
            f"results: got models {listing(sorted(digest[:12] or 'none' for digest in digests))}, allowed are results "
            "of one model whose plan was left alone; name other files"
        )
    trials = [trial for _, results in files for trial in results if not trial.is_error]
    unique = list({trial.trial: trial for trial in trials}.values())
    tasks = list(dict.fromkeys(trial.task for trial in unique if not trial.variation and trial.words == "asked"))
    if not tasks:
        raise InputError("results: got none of clean scenes, they are needed; add the result of `forearm eval`")
    measured = {task: _task(task, [trial for trial in unique if trial.task == task], rate) for task in tasks}
    return {
        "format": FORMAT,
        "model_digest": digests.pop(),
        "commits": sorted({str(heading["commit"]) for heading, _ in files}),
        "rate": rate,
        "light": _light(unique, measured),
        "tasks": measured,
        "not_measured": _not_measured(measured.values()),
    }


def _task(task: str, trials: Sequence[TrialResult], rate: float) -> Json:
    clean = _counted(trial for trial in trials if not trial.variation and trial.words == "asked")
    words = [trial for trial in trials if not trial.variation and trial.words == "swap"]
    conditions = {
        condition: {name: _graded(name, unit, trials, rate) for name, unit in names.items()}
        for condition, names in CONDITIONS.items()
    }
    kinds = sorted({trial.variation for trial in trials if trial.variation.partition(":")[0] in OTHER})
    refusal = ""
    if clean["ci95"][0] < rate:
        refusal = (
            f"the card has {task} at {clean['successes']} of {clean['trials']}, which may be only "
            f"{clean['ci95'][0]:.0%}, and {rate:.0%} are needed"
        )
    return {
        "instructions": [sentence for each in TASKS if each.name == task for sentence in each.instructions()],
        "refusal": refusal,
        "latency_s": _latency_s(conditions["latency"]["latency"]),
        "clean": clean,
        LANGUAGE: _counted(words) if words else None,
        "conditions": conditions,
        "kinds": {kind: _counted(trial for trial in trials if trial.variation == kind) for kind in kinds},
    }


def _graded(name: str, unit: str, trials: Sequence[TrialResult], rate: float) -> Json | None:
    """How far one perturbation may go; None where it was not measured."""
    levels: Json = {}
    for level in SEVERITIES:
        counted = _counted(trial for trial in trials if trial.variation == f"{name}:{level}")
        if counted["trials"]:
            levels[level] = {"amount": perturbation_named(name).amounts[level], **counted}
    if not levels:
        return None
    held = None
    for level in SEVERITIES:
        if level not in levels or levels[level]["ci95"][0] < rate:
            break
        held = level
    return {"unit": unit, "up_to": held, "amount": levels[held]["amount"] if held else None, "levels": levels}


def _latency_s(graded: Json | None) -> float | None:
    """S up to which a decision may take; the usual where nothing beyond was good enough, None where nobody looked."""
    if graded is None:
        return None
    return round(LATENCY_S + (graded["amount"] or 0.0), 6)


def _counted(trials: Iterable[TrialResult]) -> Json:
    successes = [trial.success for trial in trials]
    return {
        "trials": len(successes),
        "successes": sum(successes),
        "ci95": list(wilson_interval(sum(successes), len(successes))),
    }


def _light(trials: Sequence[TrialResult], measured: Mapping[str, Json]) -> list[float] | None:
    """Darkest and brightest picture of the scenes that are within the limits; None where results do not say."""
    within = [trial for trial in trials if trial.task in measured and _within(trial, measured[trial.task])]
    darkest = [trial.darkest for trial in within if trial.darkest is not None]
    brightest = [trial.brightest for trial in within if trial.brightest is not None]
    return [round(min(darkest), 2), round(max(brightest), 2)] if darkest and brightest else None


def _within(trial: TrialResult, task: Json) -> bool:
    if task["refusal"]:
        return False
    if not trial.variation:
        return True
    name, _, level = trial.variation.partition(":")
    graded = next((names[name] for names in task["conditions"].values() if name in names), None)
    if graded is None or graded["up_to"] is None or level not in SEVERITIES:
        return False
    return SEVERITIES.index(level) <= SEVERITIES.index(graded["up_to"])


def _not_measured(tasks: Iterable[Json]) -> list[str]:
    """Every condition that some task was not tried under, and language where it was not."""
    tasks = list(tasks)
    missing = [
        name
        for condition, names in CONDITIONS.items()
        for name in names
        if all(task["conditions"][condition][name] is None for task in tasks)
    ]
    said = [task for task in tasks if task[LANGUAGE] or any(kind.startswith("phrasing") for kind in task["kinds"])]
    return missing if said else [*missing, LANGUAGE]


def in_markdown(document: Json) -> str:
    """The card for people: a table of tasks, and one of what was measured of them beside clean scenes."""
    tasks: Mapping[str, Json] = document["tasks"]
    rate = f"{document['rate']:.0%}"
    lines = [
        "# Operating limits",
        "",
        f"Model `{document['model_digest'][:12]}`, code {', '.join(f'`{each[:12]}`' for each in document['commits'])}.",
        f"Each limit is the worst severity up to which the lower end of the success rate's 95 % interval is at least "
        f"{rate}, for it and for everything milder. What is not here was not measured, and is not allowed.",
        "",
        "| task | clean scenes | 95 % | other object's word | allowed |",
        "|---|---|---|---|---|",
        *(_task_row(name, task) for name, task in tasks.items()),
        "",
        *_conditions(tasks),
        _observed(document),
        "",
        f"Not measured: {', '.join(document['not_measured']) or 'nothing'}.",
    ]
    return "\n".join(lines) + "\n"


def _conditions(tasks: Mapping[str, Json]) -> list[str]:
    """A row for everything that some task was measured under, a column for every such task; nothing for none."""
    rows = [
        (
            condition,
            f"{name}, {unit}",
            {task: each["conditions"][condition][name] for task, each in tasks.items()},
            _cell,
        )
        for condition, names in CONDITIONS.items()
        for name, unit in names.items()
    ] + [
        (*kind.split(":", 1), {task: each["kinds"].get(kind) for task, each in tasks.items()}, _kind)
        for kind in sorted({kind for task in tasks.values() for kind in task["kinds"]})
    ]
    columns = [task for task in tasks if any(measured[task] for _, _, measured, _ in rows)]
    if not columns:
        return []
    return [
        f"| condition | what | {' | '.join(columns)} |",
        f"|---|---|{'---|' * len(columns)}",
        *(
            f"| {condition} | {what} | {' | '.join(said(measured[task]) for task in columns)} |"
            for condition, what, measured, said in rows
            if any(measured.values())
        ),
        "",
    ]


def _task_row(name: str, task: Json) -> str:
    low, high = task["clean"]["ci95"]
    words = task[LANGUAGE]
    said = f"{words['successes']} of {words['trials']}" if words else "not measured"
    counts = f"{task['clean']['successes']} of {task['clean']['trials']}"
    return f"| {name} | {counts} | {low:.0%} – {high:.0%} | {said} | {'no' if task['refusal'] else 'yes'} |"


def _kind(counted: Json | None) -> str:
    return f"{counted['successes']} of {counted['trials']}" if counted else "not measured"


def _cell(graded: Json | None) -> str:
    if graded is None:
        return "not measured"
    if graded["up_to"] is None:
        return "none"
    level = graded["levels"][graded["up_to"]]
    return f"{graded['amount']:g} ({graded['up_to']}, {level['successes']} of {level['trials']})"


def _observed(document: Json) -> str:
    """What is looked at while the model runs."""
    light = document["light"]
    seen = f"a mean of {light[0]:.0f} to {light[1]:.0f} of 255" if light else "not measured"
    times = {name: task["latency_s"] for name, task in document["tasks"].items() if task["latency_s"] is not None}
    late = ", ".join(f"{name} {each:g} s" for name, each in times.items())
    if len(times) < len(document["tasks"]):
        late += ", others not measured" if times else "not measured"
    return f"Held at run time: the main camera's picture ({seen}); an observation's decision within ({late})."

"""The policies a person can name, parsed once: afterwards each is a function that makes the policy for a scene.

Invariant: what `policy_named` returns can be sent to another process, and makes equal policies there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from forearm.cell.setup import Setup
from forearm.cell.simulator import CellRobot
from forearm.cell.tasks import TASKS, scene, taught_phrasings
from forearm.cell.tasks.absence import missing
from forearm.cell.tasks.interface import Task, canonical
from forearm.errors import InputError, InstructionError, listing, unknown
from forearm.model.description import MODEL as MODEL
from forearm.model.description import MODELS, is_released, read_words, shipped
from forearm.model.words import Words
from forearm.policy.baselines import Demonstrator, Hold, Refuse, Replay
from forearm.policy.interface import Policy
from forearm.telemetry.log import read_run
from forearm.telemetry.writer import FILE_NAME

if TYPE_CHECKING:
    from forearm.model.act import ACT
    from forearm.model.checkpoint import Checkpoint
    from forearm.model.reactive import Reactive
    from forearm.model.reasoner import Reasoner
    from forearm.policy.reasoning import Intervention
    from forearm.policy.released import Released

MakePolicy = Callable[[CellRobot], Policy]
MakeIntervention = Callable[[CellRobot], "Intervention"]


def answering(policy: str, ask: Callable[[str], object], models: Sequence[str] = tuple(MODELS)) -> str:
    """The policy that is meant: for "model" the first of `models` that can be asked, any other as it is.

    Reads no weights.

    Args:
        policy: as a person writes it.
        ask: asks the policy of that name; raises InputError where it cannot be asked that.
        models: names or folders, smallest first.

    Raises:
        InputError: of the kind that `ask` raises, with what each model says, when none can be asked.
        CheckpointError: when a model's folder does not say what it was taught.
    """
    if policy != MODEL:
        return policy
    refusals = dict[str, InputError]()
    for name in models:
        try:
            ask(name)
        except InputError as refusal:
            refusals[name] = refusal
        else:
            return name
    *_, last = refusals.values()
    if len({str(refusal) for refusal in refusals.values()}) == 1:
        raise last
    raise type(last)("; ".join(f"model {name}: {refusal}" for name, refusal in refusals.items()))


def policy_named(name: str, *, intervene: MakeIntervention | None = None) -> MakePolicy:
    """What makes the policy called `name`: a shipped model, "demonstrator", "hold", a checkpoint's or a run's folder.

    Args:
        name: as a person writes it; "model" is the smallest of the shipped ones.
        intervene: changes the model's plan between reasoning and acting; only models have one.

    Raises:
        InputError: for any other name, or an intervention on a policy that does not reason.
    """
    folder = Path(name).absolute()  # a worker elsewhere has another current one
    if shipped(name) is not None:
        return partial(reasoning, model=name, intervene=intervene)
    if (folder / FILE_NAME).is_file():
        made: MakePolicy = partial(replay, log=folder / FILE_NAME)
    elif folder.is_dir() and (acting := _acting(folder)) is not None:
        made = partial(acting.make, folder=folder)
    elif folder.is_dir():
        return partial(reasoning, model=str(folder), intervene=intervene)
    elif name == "demonstrator":
        made = demonstrator
    elif name == "hold":
        made = hold
    else:
        allowed = [MODEL, *MODELS, "demonstrator", "hold", "a checkpoint's folder", "a run's folder"]
        raise InputError(unknown("policy", name, allowed))
    if intervene is not None:
        raise InputError(f"intervention: got policy {name!r}, only a model has a plan to change; leave one of them out")
    return made


def about_policy(name: str) -> dict[str, object]:
    """What a result says of the policy called `name`: its digest and recipe, where it has any.

    Raises:
        CheckpointError: when the weights are missing or corrupt.
    """
    checkpoint = checkpoint_named(name)
    if checkpoint is not None:
        return {"model_digest": checkpoint.digest, "recipe": dict(checkpoint.recipe)}
    folder = Path(name).absolute()
    if _holds_weights(name) and (acting := _acting(folder)) is not None:
        other = acting.read(folder)
        return {"model_digest": other.digest, "recipe": dict(other.recipe)}
    return {"model_digest": "", "recipe": None}


def weights_folder(name: str) -> Path | None:
    """Where the weights of the policy called `name` are, and what is known of them; None for one without any."""
    return shipped(name) or (Path(name) if _holds_weights(name) else None)


def tasks_for(name: str) -> tuple[Task, ...]:
    """What the policy called `name` can be asked to do: a model what it was taught, any other everything.

    Reads no weights.

    Raises:
        CheckpointError: when the model's folder does not say what it was taught.
    """
    words = _words(name)
    return TASKS if words is None else tuple(task for task in TASKS if any(_taught(words, task.instructions())))


def scene_for(name: str, said: str, seed: int) -> Setup:
    """The scene of `seed` in which the policy called `name` is to do what was said.

    A model that was taught a sentence in several ways may be asked in others that mean the same, of words it knows.
    Reads no weights.

    Raises:
        InstructionError: for what the policy cannot be asked to do, or not in these words, listing in which.
        CheckpointError: when the model's folder does not say what it was taught.
    """
    setup, words = scene(said, seed, tasks_for(name)), _words(name)
    if words is None or canonical(said) in words.instructions:
        return setup
    taught = _taught(words, [setup.instruction])
    if len(taught) < 2:
        raise InstructionError(unknown("instruction", said, map(repr, taught or words.instructions)))
    words.encode(said)
    return setup


def checkpoint_named(name: str) -> Checkpoint[Reasoner] | None:
    """The reasoner of the policy called `name`, read once per process; None where there is none.

    Raises:
        CheckpointError: when they are missing or corrupt.
    """
    if (folder := shipped(name)) is not None:
        return _checkpoint(folder)
    return None if not _holds_weights(name) or _acting(Path(name)) else _checkpoint(Path(name).absolute())


def reasoning(robot: CellRobot, *, model: str, intervene: MakeIntervention | None) -> Policy:
    """The action reasoning model; the same weights serve every scene of a process.

    Args:
        robot: whose scene it is for.
        model: a shipped one's name, wherever the package lies, or its folder.
        intervene: changes its plan.

    Raises:
        CheckpointError: when the weights are missing or corrupt.
    """
    from forearm.policy.reasoning import ReasoningPolicy  # torch: loaded by those who use it

    checkpoint = _checkpoint(shipped(model) or Path(model))
    return ReasoningPolicy(checkpoint, intervention=None if intervene is None else intervene(robot))


def reactive(robot: CellRobot, *, folder: Path) -> Policy:
    """The model without reasoning; the same weights serve every scene of a process.

    Raises:
        CheckpointError: when the weights are missing or corrupt.
    """
    from forearm.policy.reactive import ReactivePolicy  # torch: loaded by those who use it

    return ReactivePolicy(_reactive(folder))


def act(robot: CellRobot, *, folder: Path) -> Policy:
    """The Action Chunking Transformer, averaged over time; the same weights serve every scene of a process.

    Raises:
        CheckpointError: when the weights are missing or corrupt.
    """
    from forearm.policy.act import ACTPolicy  # torch: loaded by those who use it
    from forearm.policy.ensembling import Ensembling

    return Ensembling(ACTPolicy(_act(folder)))


def released(robot: CellRobot, *, folder: Path) -> Policy:
    """A released MolmoAct2, or one fine-tuned from it; the same weights serve every scene of a process.

    Raises:
        CheckpointError, ConfigError: when the checkpoint is missing, damaged, or not one that runs here.
        InputError: when it does not know a robot like the station's.
    """
    from forearm.policy.released import ReleasedPolicy  # torch: loaded by those who use it

    return ReleasedPolicy(_released(folder))


def demonstrator(robot: CellRobot) -> Policy:
    """The scripted solver's rehearsal of the robot's scene, or its refusal."""
    if absent := missing(robot.setup):
        return Refuse(f"There is no {listing(absent)} here: {robot.setup.spoken!r} cannot be done.")
    return Demonstrator.rehearse(robot.setup)


def hold(robot: CellRobot) -> Policy:
    """Nothing moves."""
    return Hold()


def replay(robot: CellRobot, *, log: Path) -> Policy:
    """The decisions of a recorded run.

    Raises:
        LogError: when the log cannot be read.
        InputError: when it holds no decision.
    """
    return Replay([decided.decision for decided in read_run(log).decisions])


def _holds_weights(name: str) -> bool:
    folder = Path(name)
    return folder.is_dir() and not (folder / FILE_NAME).is_file()


def _words(name: str) -> Words | None:
    """What the policy of that name was taught to read; None for one that reads nothing, or whatever is said."""
    folder = weights_folder(name)
    if folder is None or is_released(folder):
        return None
    return read_words(folder)


def _taught(words: Words, instructions: Iterable[str]) -> list[str]:
    """The ways of saying one of these instructions that were taught."""
    return [each for sentence in instructions for each in taught_phrasings(sentence) if each in words.instructions]


class _Acting(NamedTuple):
    """A kind of model that has no plan: what makes a policy of a folder that holds one, and what reads it."""

    make: Callable[..., Policy]
    read: Callable[[Path], Checkpoint[ACT] | Checkpoint[Reactive] | Released]


def _acting(folder: Path) -> _Acting | None:
    """The kind of a folder's model, None for one that reasons."""
    if is_released(folder):
        return _Acting(released, _released)
    from forearm.model import checkpoint

    if (kind := checkpoint.kind_of(folder)) is checkpoint.ACT:
        return _Acting(act, _act)
    return _Acting(reactive, _reactive) if kind is checkpoint.Reactive else None


@cache
def _released(folder: Path) -> Released:
    from forearm.policy import released

    return released.read(folder)


@cache
def _act(folder: Path) -> Checkpoint[ACT]:
    from forearm.model import checkpoint

    return checkpoint.read_act(folder)


@cache
def _reactive(folder: Path) -> Checkpoint[Reactive]:
    from forearm.model import checkpoint

    return checkpoint.read_reactive(folder)


@cache
def _checkpoint(folder: Path) -> Checkpoint[Reasoner]:
    from forearm.model import checkpoint

    return checkpoint.read(folder)

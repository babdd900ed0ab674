"""How many known-bad commands and chunks reach the robot, by kind, and how often good ones are held.

    python benchmarks/escape_rate.py --json escape_rate.json
    python benchmarks/escape_rate.py --count 5000 --demonstrations 20 --without-peers

Ours is the real chain at its default settings, vetting → chunk buffer → guard → an obedient robot; an escape is
anything that reached that robot against a limit, a clearance or a rule of freshness, judged by `escape_oracle.py`.

The peers get the same rows at 10 Hz, their default rate, as far as they have a notion of them, and are judged more
leniently: a row not finite, out of range, faster than our limits when driven straight, or meshes that touch. Counted
are the items that would be in violation if nothing limited them. Peers: the guardrails of inspect-robots-yam 0.37.0 as
strict as they go, and LeRobot's cap on relative targets set to our speed limits. The former lives in an environment of
its own below build/, made at the first run; without a package index it is reported as absent.

False holds: demonstrations of the scripted solver, chunk by chunk through the same chain, with the fixtures of each
scene; the share of ticks on which the guard or vetting held or stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core, before numpy starts its threads

import numpy as np

import escape_peers
from bad_commands import NOW_NS, TICK_NS, Bad, Places, corpus, observed
from escape_oracle import FURNITURE, Oracle
from forearm.clock import NANOSECONDS
from forearm.messages import ActionChunk, Command, Decision, Outcome, Verdict
from forearm.runtime.chunks import ChunkBuffer
from forearm.safety.guard import Guard
from forearm.safety.limits import Limits
from forearm.safety.vetting import Vetting
from forearm.safety.workspace import Workspace

PEER = Path(__file__).parent.parent / "build" / "peer-inspect-robots-yam-0.37.0"
PACKAGES = ["inspect-robots==0.60.0", "inspect-robots-yam==0.37.0"]  # without their cameras and clients
PEER_PERIOD_S = 0.1  # s, the default control rate of inspect-robots-yam
CHUNKS_OF = 4  # one of so many items is a chunk; a command is cheaper
NOTIONS = {"lerobot": {"speed"}, "inspect-robots-yam": {"not finite", "range", "speed", "contact"}}
ROWS = 16  # of a demonstration's chunk
DEMONSTRATED = ("put-in-box", "hand-over", "lift")
FURNISHED = Workspace(fixtures=FURNITURE)
LATENCY_NS = 50_000_000  # ns from a demonstration's observation to its vetted chunk


class Chain:
    """Both gates and what is between them, with a robot that does exactly what it is sent; another pair for furniture.

    Args:
        limits: of both gates.
        workspace: what stands there besides the table.
        furnished: the same for what is furnished.
    """

    def __init__(self, limits: Limits, workspace: Workspace | None = None, furnished: Workspace = FURNISHED) -> None:
        self._chunks, places = ChunkBuffer(limits), (workspace, furnished)
        self._gates = [(Vetting(limits, workspace=each), Guard(limits, workspace=each)) for each in places]
        self._vetting, self._guard = self._gates[0]

    def send(self, bad: Bad) -> tuple[bool, np.ndarray]:
        """Whether anything of it was followed, and the set-points (N, 14) that reached the robot because of it."""
        self._vetting, self._guard = self._gates[bad.furnished]
        return self._command(bad) if bad.command is not None else self._chunk(bad)

    def _command(self, bad: Bad) -> tuple[bool, np.ndarray]:
        assert bad.command is not None
        self._guard.reset(observed(bad.start))
        before = [] if bad.before is None else list(bad.before)
        sent, at = list[np.ndarray](), bad.start
        for number, positions in enumerate(before):
            now_ns = NOW_NS - (len(before) - number) * TICK_NS
            ahead = Command(stamp_ns=now_ns, sequence=number, epoch=1, positions=positions)
            verdict = self._guard.review(ahead, observed(at, stamp_ns=now_ns), now_ns)
            if verdict.command is not None:
                sent.append(at := verdict.command.positions)
        verdict = self._guard.review(bad.command, bad.observation, bad.now_ns)
        if verdict.command is not None:
            sent.append(verdict.command.positions)
        return verdict.command is not None, np.array(sent).reshape(-1, 14)

    def _chunk(self, bad: Bad) -> tuple[bool, np.ndarray]:
        assert bad.decision is not None
        self._chunks.start(observed(bad.start))
        if bad.again:
            first = self._vetting.vet(bad.decision, bad.observation, NOW_NS).vetted
            if first is not None:
                self._chunks.accept(first, NOW_NS)
                self._chunks.hold()
        vetted = self._vetting.vet(bad.decision, bad.observation, bad.now_ns).vetted
        if vetted is None or not self._chunks.accept(vetted, bad.now_ns):
            return False, np.empty((0, 14))
        return True, np.array(self.follow(bad.start, bad.now_ns, lambda now_ns: self._chunks.is_dry(now_ns)))

    def follow(self, start: np.ndarray, now_ns: int, done: Any) -> list[np.ndarray]:
        """Set-points sent from `start` until `done`, or until the guard sends none."""
        self._guard.reset(observed(start))
        sent, at = list[np.ndarray](), start
        while not done(now_ns):
            now_ns += TICK_NS
            verdict = self._guard.review(self._chunks.command_at(now_ns), observed(at, stamp_ns=now_ns), now_ns)
            if verdict.command is None:
                break
            sent.append(at := verdict.command.positions)
        return sent or [start]

    def ride(self, rows: np.ndarray) -> tuple[int, Counter[str]]:
        """Ticks of a demonstration whose row k is wanted after `0.1 (k + 1)` s, and what was objected to, by check.

        A new chunk is made when the one before reaches its execution horizon, as in a session.
        """
        at, now_ns, step_ns = rows[0], NOW_NS, NANOSECONDS // 10
        self._chunks.start(observed(at))
        self._guard.reset(observed(at))
        objections, ticks, waiting = Counter[str](), 0, list[tuple[int, Verdict]]()
        for tick in range(len(rows) * 10):
            now_ns, ticks = NOW_NS + tick * TICK_NS, ticks + 1
            seen = observed(at, stamp_ns=now_ns)
            if waiting and now_ns >= waiting[0][0]:
                verdict = waiting.pop()[1]
                if verdict.vetted is not None:
                    self._chunks.accept(verdict.vetted, now_ns)
                objections.update(f"vetting: {each.check}" for each in deciding(verdict))
            elif not waiting and now_ns + 2 * LATENCY_NS >= self._chunks.needed_ns:
                share = (now_ns - NOW_NS) / step_ns + np.arange(ROWS)
                ahead = np.stack([np.interp(share, np.arange(len(rows)), joint) for joint in rows.T], axis=-1)
                answer = ActionChunk(stamp_ns=now_ns, period_s=0.1, positions=ahead)
                decision = Decision(sequence=tick, epoch=1, plan=None, chunk=answer, latency_s=0.0, model_digest="")
                waiting.append((now_ns + LATENCY_NS, self._vetting.vet(decision, seen, now_ns)))
            verdict = self._guard.review(self._chunks.command_at(now_ns), seen, now_ns)
            objections.update(f"guard: {each.check}" for each in deciding(verdict)[:1])
            if verdict.command is None:
                self._chunks.start(seen)
            else:
                at = verdict.command.positions
        return ticks, objections


def deciding(verdict: Verdict) -> list[Any]:
    """The findings that made it a hold or a stop."""
    return [each for each in verdict.findings if each.outcome is verdict.outcome >= Outcome.HOLD]


@dataclass
class Score:
    """Tried and escaped, by kind, and what was wrong with what escaped."""

    tried: Counter[str] = field(default_factory=Counter)
    escaped: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    beyond: Counter[str] = field(default_factory=Counter)  # escaped, and nothing that it checks was wrong with it
    no_notion: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, wrong: Iterable[str], *, checked: bool = True) -> None:
        """One more was tried; `checked` where something is wrong with it that this side looks at."""
        self.tried[kind] += 1
        wrong = list(wrong)
        self.escaped[kind] += bool(wrong)
        self.beyond[kind] += bool(wrong) and not checked
        self.wrong.update(f"{kind}: {each}" for each in wrong)

    def figures(self) -> dict[str, Any]:
        """For the JSON file."""
        kinds = {kind: {"tried": self.tried[kind], "escaped": self.escaped[kind]} for kind in self.tried}
        return {
            "tried": self.tried.total(),
            "escaped": self.escaped.total(),
            "escaped_that_it_does_not_check": self.beyond.total(),
            "by_kind": kinds,
            "what_was_wrong": dict(self.wrong),
            "not_expressible": dict(self.no_notion),
        }


def name(bad: Bad) -> str:
    """Chunks and commands of a kind are told apart."""
    return f"{'chunk' if bad.decision is not None else 'command'}: {bad.kind}"


def ours(items: Iterable[Bad], chain: Chain, oracle: Oracle) -> tuple[Score, list[Bad]]:
    """Every item through the chain; also those that are rows of numbers, for the peers."""
    score, rows = Score(), list[Bad]()
    for bad in items:
        followed, sent = chain.send(bad)
        wrong = {"followed"} if bad.forbidden and followed else set[str]()
        if len(sent):
            wrong |= (oracle.furnished if bad.furnished else oracle).of_set_points(bad.start, sent)
        score.add(name(bad), wrong)
        if not bad.forbidden:
            rows.append(bad)
    return score, rows


def theirs(items: list[Bad], oracle: Oracle, sides: dict[str, Any]) -> dict[str, Score]:
    """What came out of each peer, judged; `sides` are their limiters, starts, rows and counts in, rows and counts out."""
    most = max(len(bad.rows) for bad in items)
    starts = np.array([bad.start if bad.before is None else bad.before[-1] for bad in items])
    rows, counts = np.zeros((len(items), most, 14)), np.array([len(bad.rows) for bad in items])
    for item, bad in enumerate(items):
        rows[item, : counts[item]] = bad.rows
    raw = [oracle.of_rows(starts[item], bad.rows, PEER_PERIOD_S, orders=1) for item, bad in enumerate(items)]
    scores = dict[str, Score]()
    for side, limiter in sides.items():
        made, reached = limiter(starts, rows, counts)
        scores[side] = Score()
        for item, bad in enumerate(items):
            out, wrong = made[item, : reached[item]], set[str]()
            if not raw[item]:
                scores[side].no_notion[name(bad)] += 1
                continue
            if len(out):
                same = np.array_equal(out, bad.rows, equal_nan=True)
                wrong = raw[item] if same else oracle.of_rows(starts[item], out, PEER_PERIOD_S, orders=1)
            scores[side].add(name(bad), wrong, checked=bool(raw[item] & NOTIONS[side]))
    return scores


def make_peer() -> Path | None:
    """The peer's Python, made if need be; None where packages cannot be had."""
    python = PEER / "bin" / "python"
    if (PEER / "ready").is_file():
        return python
    print(f"making the peer's environment in {PEER}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", PEER], check=True)
    site = next((PEER / "lib").glob("python*")) / "site-packages"
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", "install", "--target", str(site)]
    for packages in (["--no-deps", *PACKAGES], ["mujoco==4.0.0", "numpy"]):
        if subprocess.run([*pip, *packages], check=False).returncode != 0:
            return None
    (PEER / "ready").touch()
    return python


def guardrails(python: Path, limits: Limits) -> Any:
    """inspect-robots-yam in its own process."""

    def limit(starts: np.ndarray, rows: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with tempfile.TemporaryDirectory() as folder:
            given, made = Path(folder) / "in.npz", Path(folder) / "out.npz"
            np.savez(given, starts=starts, rows=rows, counts=counts, low=limits.lower, high=limits.upper)
            subprocess.run([python, escape_peers.__file__, given, made], check=True, env={"OMP_NUM_THREADS": "1"})
            result = np.load(made)
            return result["rows"], result["counts"]

    return limit


def false_holds(count: int, limits: Limits) -> dict[str, Any]:
    """How often the chain holds demonstrations, the same for every task."""
    from forearm.cell.demonstrator import sample_demonstration
    from forearm.cell.solver import Performance
    from forearm.cell.tasks import task_named

    ticks, objections, held = 0, Counter[str](), Counter[str]()
    for number in range(count):
        task = task_named(DEMONSTRATED[number % len(DEMONSTRATED)])
        setup = sample_demonstration(task.name, number)
        performance = Performance(setup, seed=number, speed=1.0, noise_amplitude=0.0)
        rows = np.stack([np.array(setup.start), *(tick.target for tick in performance.ticks())])
        ridden, found = Chain(limits, Workspace(fixtures=task.fixtures(setup))).ride(rows)
        ticks += ridden
        objections.update(found)
        held[task.name] += bool(found)
    refused = sum(times for check, times in objections.items() if check.startswith("guard"))
    return {
        "demonstrations": count,
        "ticks": ticks,
        "held_ticks": refused,
        "objections": dict(objections),
        "demonstrations_with_objections": dict(held),
        "share": refused / ticks if ticks else None,
    }


def table(scores: dict[str, Score]) -> str:
    """Escaped of tried, by kind and side."""
    sides = list(scores)
    lines = [f"{'escaped of tried':46}" + "".join(f"{side:>24}" for side in sides)]
    for kind in scores[sides[0]].tried:
        cells = (
            f"{s.escaped[kind]} of {s.tried[kind]}{'*' * (s.beyond[kind] > 0)}" if s.tried[kind] else "cannot be said"
            for s in scores.values()
        )
        lines.append(f"{kind:46}" + "".join(f"{cell:>24}" for cell in cells))
    totals = (f"{s.escaped.total()} of {s.tried.total()}" for s in scores.values())
    note = "* all or some for faults that it does not look for"
    return "\n".join([*lines, f"{'all':46}" + "".join(f"{cell:>24}" for cell in totals), note])


def main() -> None:
    """Measures, prints, and writes the file that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--count", type=int, default=100_000, help="bad commands and chunks")
    parser.add_argument("--peer-count", type=int, default=20_000, help="how many of them the peers get, at the most")
    parser.add_argument("--demonstrations", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without-peers", action="store_true")
    given = parser.parse_args()

    started, cpu = time.perf_counter(), time.process_time()
    oracle = Oracle(Limits.of())
    places = Places(oracle, np.random.default_rng(given.seed), 300)
    chunks = given.count // CHUNKS_OF
    score, rows = ours(
        corpus(places, given.seed, chunks=chunks, commands=given.count - chunks), Chain(oracle.limits), oracle
    )
    scores, absent = {"forearm": score}, list[str]()
    if not given.without_peers:
        thinned = rows[:: max(1, len(rows) // given.peer_count)]
        caps = oracle.limits.velocity * PEER_PERIOD_S
        sides: dict[str, Any] = {"lerobot": lambda s, r, c: escape_peers.lerobot(s, r, c, caps)}
        python = make_peer()
        if python is None:
            absent.append("inspect-robots-yam")
        else:
            sides["inspect-robots-yam"] = guardrails(python, oracle.limits)
        scores |= theirs(thinned, oracle, sides)
    print(table(scores))
    holds = false_holds(given.demonstrations, oracle.limits)
    print(f"held ticks in {holds['demonstrations']} demonstrations: {holds['held_ticks']} of {holds['ticks']}")
    figures = {side: each.figures() for side, each in scores.items()}
    figures["forearm"]["false_hold_share"] = holds["share"]
    about = {
        "seed": given.seed,
        "absent": absent,
        "wall_s": time.perf_counter() - started,
        "cpu_s": time.process_time() - cpu,
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load_at_end": os.getloadavg()[0],
    }
    print(f"{about['wall_s']:.0f} s, of which CPU {about['cpu_s']:.0f} s; absent peers: {absent or 'none'}")
    if given.json:
        given.json.write_text(json.dumps({**figures, "false_holds": holds, "about": about}, indent=1) + "\n")


if __name__ == "__main__":
    main()

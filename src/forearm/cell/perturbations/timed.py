"""Perturbations of when things come: pictures and decisions that are late, evenly or not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from forearm.cell.perturbations.interface import graded
from forearm.cell.setup import Setup


def _latency(setup: Setup, rng: np.random.Generator, *, amount: float) -> Setup:
    return replace(setup, pace=replace(setup.pace, answer_s=amount))


def _jitter(setup: Setup, rng: np.random.Generator, *, amount: float) -> Setup:
    return replace(setup, pace=replace(setup.pace, answer_jitter_s=amount))


def _image_delay(setup: Setup, rng: np.random.Generator, *, amount: float) -> Setup:
    return replace(setup, pace=replace(setup.pace, image_s=amount))


def _image_jitter(setup: Setup, rng: np.random.Generator, *, amount: float) -> Setup:
    return replace(setup, pace=replace(setup.pace, image_jitter_s=amount))


TIMED = (
    graded("latency", _latency, (0.05, 0.15, 0.40)),  # s beside the usual 0.05: busy core, small GPU, another machine
    graded("jitter", _jitter, (0.05, 0.15, 0.40)),  # s at the most, drawn for every decision
    graded("image-delay", _image_delay, (0.03, 0.07, 0.15)),  # s: one frame at 30 Hz, USB and decoding, a network
    graded("image-jitter", _image_jitter, (0.03, 0.07, 0.15)),  # s at the most, drawn for every capture
)

"""How much longer than on a punctual machine everything may take here."""

import time

PUNCTUAL_S = 0.02  # s, a machine that wakes a sleeper within it keeps time: half of the slack in the limits
BUSY = 20.0  # times: the least that a machine that does not keep time is given


def stretch() -> float:
    """How many times longer: by the worst wake-up in a second."""
    worst_s, until_s = 0.0, time.monotonic() + 1.0
    while (begun_s := time.monotonic()) < until_s:
        time.sleep(0.001)
        worst_s = max(worst_s, time.monotonic() - begun_s)
    return 1.0 if worst_s <= PUNCTUAL_S else max(BUSY, 4.0 * worst_s / PUNCTUAL_S)

from forearm.clock import PacedClock, SimulatedClock


def seconds(clock: SimulatedClock) -> float:
    return clock.now_ns() / 1e9


def test_a_paced_clock_never_overtakes_the_clock_it_is_paced_by() -> None:
    pace = SimulatedClock(start_ns=7_000_000_000)
    clock = PacedClock(pace)
    for at_ns in (10_000_000, 20_000_000, 2_000_000_000):
        clock.sleep_until(at_ns)
    assert (seconds(clock), seconds(pace)) == (2.0, 9.0)


def test_a_paced_clock_goes_slow_on_a_slow_machine_and_does_not_catch_up() -> None:
    pace = SimulatedClock()
    clock = PacedClock(pace)
    clock.sleep_until(1_000_000_000)
    pace.advance(5.0)
    clock.sleep_until(1_500_000_000)
    assert (seconds(clock), seconds(pace)) == (1.5, 6.0)
    clock.sleep_until(2_000_000_000)
    assert (seconds(clock), seconds(pace)) == (2.0, 6.5)


def test_a_paced_clock_that_is_told_to_wait_for_what_has_passed_does_not_wait() -> None:
    pace = SimulatedClock()
    clock = PacedClock(pace)
    clock.sleep_until(1_000_000_000)
    clock.sleep_until(500_000_000)
    assert (seconds(clock), seconds(pace)) == (1.0, 1.0)

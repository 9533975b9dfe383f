"""How bench.soak judges memory: by the least of each minute."""

import numpy as np
import pytest

from bench.soak import _floors, _slope


def floors(minutes: float, growth: float) -> list[float]:
    """Of a service that holds 1,000 MB, grows by so many MB a minute, and takes 800 MB more every other second."""
    seconds = np.arange(minutes * 60)
    return _floors(seconds, 1000 + growth * seconds / 60 + 800 * (seconds % 2))


def test_a_leak_shows_below_what_batches_take_for_moments() -> None:
    assert _slope(floors(12, growth=10)) == pytest.approx(10)
    assert _slope(floors(12, growth=0)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("minutes", [0.5, 1, 1.5, 2])
def test_a_run_that_is_too_short_says_nothing_of_growth(minutes: float) -> None:
    assert _slope(floors(minutes, growth=10)) is None


def test_a_minute_without_a_sample_is_passed_over() -> None:
    seconds = np.array([0.0, 1, 2, 200, 201, 300])
    assert _floors(seconds, np.array([3.0, 1, 2, 5, 4, 9])) == [1, 4]

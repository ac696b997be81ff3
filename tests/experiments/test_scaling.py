"""The model of the time of a search, by hand."""

import itertools

import pandas as pd
import pytest

from experiments.benchmark._scaling import CONSTANTS, SIZES, fit_constants, predict


def test_a_prediction_by_hand():
    points = pd.DataFrame([[4, 60, 2, 2], [1, 60, 2, 1]], columns=SIZES).assign(seconds=[12, 4.1])
    found = predict(points, pd.Series([5, 0.5, 0.015], CONSTANTS), cv=3)
    # 12 fits in 6 waves, 3 fits in 3; rows 60 * 2 / 3 * 2 epochs + 60 / 3 / 3 = 86.67: 1.8 s a fit
    assert found["predicted"].tolist() == pytest.approx([5 + 6 * 1.8, 3 * 1.8])
    assert found["error"].tolist() == pytest.approx([15.8 / 12 - 1, 5.4 / 4.1 - 1])


def test_the_last_wave_counts_as_a_whole_one():
    points = pd.DataFrame([[n, 60, 1, 2] for n in (2, 3, 4)], columns=SIZES).assign(seconds=1)
    found = predict(points, pd.Series([0, 1, 0], CONSTANTS), cv=3)
    assert found["predicted"].tolist() == [3, 5, 6]


def test_constants_come_back():
    sizes = itertools.product([1, 2, 4], [100, 900], [1, 3], [1, 2])
    points = pd.DataFrame(sizes, columns=SIZES).assign(seconds=1)
    constants = pd.Series([5, 0.5, 0.01], CONSTANTS)
    points["seconds"] = predict(points, constants, cv=3)["predicted"]
    pd.testing.assert_series_equal(fit_constants(points, cv=3), constants, rtol=1e-6)

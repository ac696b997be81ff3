"""Functions of tensors that run as their operators: the same values, and when they are not."""

import pytest
import torch

from fmcam._ensemble.captured import Captured


class Seen:
    """A function that notes its calls, and what it gives depends on."""

    def __init__(self, factor=lambda call: 2):
        self.calls, self.factor = 0, factor

    def __call__(self, numbers, more):
        self.calls += 1
        more["sum"] += numbers.sum()
        return {"scaled": numbers * self.factor(self.calls)}, (more["sum"].clone(),)


def run(function, n_calls, size=3):
    captured, more = Captured(function), {"sum": torch.zeros(())}
    outputs = []
    for call in range(n_calls):
        outputs.append(captured(torch.full((size,), float(call)), more))
    return captured, more, outputs


def test_values_and_effects_are_those_of_the_function():
    function = Seen()
    _, more, outputs = run(function, 150)
    for call, (named, (total,)) in enumerate(outputs):
        assert named["scaled"].tolist() == [2.0 * call] * 3
        assert total == 3 * call * (call + 1) / 2
    assert more["sum"] == 3 * 149 * 150 / 2
    assert function.calls == 102


def test_other_shapes_are_captured_anew():
    function = Seen()
    captured, more, _ = run(function, 150)
    for call in range(150):
        (named, _) = captured(torch.full((2,), float(call)), more)
        assert named["scaled"].tolist() == [2.0 * call] * 2
    assert function.calls == 204


@pytest.mark.parametrize(
    "factor",
    [lambda call: call, lambda call: torch.tensor([call, 1, 1])],
    ids=["operators", "numbers"],
)
def test_a_function_that_changes_goes_on_as_it_is(factor):
    function = Seen(factor)
    _, _, outputs = run(function, 150)
    assert function.calls == 150
    assert [named["scaled"][0].item() for named, _ in outputs] == [
        call * (call + 1) for call in range(150)
    ]

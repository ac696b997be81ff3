"""Ten kinds of garment as outlines and lines with random proportions.

A garment is a list of parts, later ones on top of earlier ones, in drawing units: x to the right,
y down, no fixed scale or origin. Which proportions a class allows, and how far two classes
overlap, is all in its function here.
"""

from typing import NamedTuple

import numpy as np

_STEPS = np.arange(4) / 4
# Catmull-Rom spline: weights of the point before a stretch, of its two ends and of the one after.
_SPLINE = 0.5 * np.stack(
    [
        -_STEPS + 2 * _STEPS**2 - _STEPS**3,
        2 - 5 * _STEPS**2 + 3 * _STEPS**3,
        _STEPS + 4 * _STEPS**2 - 3 * _STEPS**3,
        -(_STEPS**2) + _STEPS**3,
    ]
)


class Part(NamedTuple):
    """A filled outline or, where `width` is given, a line."""

    points: np.ndarray
    shade: float
    width: float | None = None


def _fill(rng, points, shade=0.9):
    """Closed curve through `points`, each moved a little."""
    points = points + rng.normal(0, 0.02, np.shape(points))
    wrapped = np.concatenate([points[-1:], points, points[:2]])
    neighbours = np.stack([wrapped[i : i + len(points)] for i in range(4)])
    return Part(np.einsum("js,jkd->ksd", _SPLINE, neighbours).reshape(-1, 2), shade)


def _line(rng, points, shade, width=0.05):
    """Straight lines through `points`, each moved a little."""
    return Part(points + rng.normal(0, 0.015, np.shape(points)), shade, width)


def _along(line, at):
    """Point of a polyline at the real-valued index `at`."""
    return np.array([np.interp(at, range(len(line)), axis) for axis in line.T])


def _mirror(right_half):
    """Outline symmetric about x = 0; `right_half` runs from the top to the bottom."""
    right_half = np.asarray(right_half, dtype=float)
    return np.concatenate([right_half, right_half[::-1] * (-1, 1)])


def _top(rng, *, length, sleeve, neck, waist=0.95, flare=1.0):
    """Sleeves of length `sleeve`, none for 0, under a body that is `length` long."""
    shoulder, chest = rng.uniform(0.4, 0.5), rng.uniform(0.37, 0.46)
    collar = rng.uniform(0.12, 0.22)
    half = [(0, neck), (0.7 * collar, 0.7 * neck), (collar, -0.02), (shoulder, 0.07)]
    half += [(chest, 0.42), (chest * waist, 0.45 * length + 0.2)]
    half += [(chest * flare, length), (0.4 * chest * flare, length)]
    body = _fill(rng, _mirror(half))
    return [*_arms(rng, shoulder, chest, sleeve), body] if sleeve else [body]


def _arms(rng, shoulder, chest, sleeve):
    hang = rng.uniform(1.0, 1.4) if sleeve > 0.6 else rng.uniform(0.5, 1.1)  # from the horizontal
    along = np.array([np.cos(hang), np.sin(hang)])
    across = np.array([-along[1], along[0]]) * rng.uniform(0.14, 0.24)
    inside, top, armpit = (shoulder - 0.2, 0.2), (shoulder - 0.04, 0.07), (chest - 0.05, 0.45)
    cuff = top + sleeve * along
    arm = np.array([inside, top, (top + cuff) / 2, cuff, cuff + across, armpit])
    shade = rng.uniform(0.7, 0.9)
    return [_fill(rng, arm, shade), _fill(rng, arm * (-1, 1), shade)]


def _t_shirt(rng):
    length = rng.uniform(1.1, 1.4)
    top = _top(rng, length=length, sleeve=rng.uniform(0.15, 0.55), neck=rng.uniform(0.06, 0.28))
    if rng.uniform() < 0.3:
        print_at = rng.uniform(0.45, 0.7)
        top.append(_fill(rng, _mirror([(0.2, print_at), (0.2, print_at + 0.3)]), 0.5))
    return top


def _pullover(rng):
    length = rng.uniform(1.1, 1.4)
    top = _top(rng, length=length, sleeve=rng.uniform(0.8, 1.1), neck=rng.uniform(0.04, 0.18))
    if rng.uniform() < 0.6:
        top.append(_line(rng, [(-0.36, length - 0.12), (0.36, length - 0.12)], 0.6))
    return top


def _shirt(rng):
    length, neck = rng.uniform(1.1, 1.45), rng.uniform(0.06, 0.2)
    sleeve = rng.uniform(0.3, 0.55) if rng.uniform() < 0.35 else rng.uniform(0.75, 1.05)
    top = _top(rng, length=length, sleeve=sleeve, neck=neck)
    if rng.uniform() < 0.95:
        top.append(_line(rng, [(0, neck), (0, length - 0.03)], rng.uniform(0.4, 0.65), 0.06))
    if rng.uniform() < 0.9:
        for side in (-1, 1):
            wing = np.array([(0.2, -0.08), (0.24, 0.12), (0.12, 0.24), (0.0, neck)]) * (side, 1)
            top += [_fill(rng, wing, 1.0), _line(rng, wing[1:], 0.45)]
    return top


def _coat(rng):
    length, neck = rng.uniform(1.25, 1.75), rng.uniform(0.15, 0.5)
    top = _top(
        rng, length=length, sleeve=rng.uniform(0.85, 1.1), neck=0.1, flare=rng.uniform(1.0, 1.2)
    )
    opening = rng.uniform(0.03, 0.1)
    top.append(_line(rng, [(0, neck), (0, length)], rng.uniform(0.15, 0.6), opening))
    for side in (-1, 1):
        top.append(_line(rng, [(0.17 * side, 0), (0, neck)], 0.55))
        if rng.uniform() < 0.5:
            height = rng.uniform(0.55, 0.65) * length
            top.append(_line(rng, [(0.15 * side, height), (0.32 * side, height)], 0.5))
    return top


def _dress(rng):
    length = rng.uniform(1.7, 2.3)
    sleeve = rng.uniform(0.15, 0.5) if rng.uniform() < 0.35 else 0.0
    flare, waist = rng.uniform(0.9, 1.7), rng.uniform(0.65, 0.95)
    neck = rng.uniform(0.1, 0.4)
    top = _top(rng, length=length, sleeve=sleeve, neck=neck, waist=waist, flare=flare)
    if rng.uniform() < 0.4:
        top.append(_line(rng, [(-0.3, 0.85), (0.3, 0.85)], 0.6, 0.07))
    return top


def _trouser(rng):
    length, waist, ankle = rng.uniform(1.8, 2.3), rng.uniform(0.28, 0.42), rng.uniform(0.12, 0.2)
    hip, foot, crotch = waist + 0.05, rng.uniform(0.02, 0.3), rng.uniform(0.5, 0.7)
    half = [(0.3 * waist, 0), (waist, 0), (hip, 0.35), (foot + ankle, length - 0.15)]
    half += [
        (foot + ankle, length),
        (foot, length),
        (foot, length - 0.15),
        (0.02, crotch + 0.05),
        (0.0, crotch),
    ]
    belt = _line(rng, [(-waist, 0.12), (waist, 0.12)], 0.6)
    fly = _line(rng, [(0, 0.12), (0, 0.5)], 0.6, 0.04)
    return [_fill(rng, _mirror(half)), belt, fly]


def _sneaker(rng):
    height, throat = rng.uniform(0.5, 0.95), rng.uniform(-0.15, 0.2)
    upper = [(-1, 0), (-0.97, -0.2), (-0.6, -0.32), (-0.3, -0.42), (throat, -height)]
    upper += [(throat + 0.2, -height), (0.6, -height + 0.1), (0.95, -height), (1, -0.3), (1, 0)]
    sole = [(-1.03, -0.06), (1.03, -0.06), (1.03, 0.1), (-1.0, 0.1)]
    parts = [_fill(rng, upper, rng.uniform(0.6, 0.95)), _fill(rng, sole, rng.uniform(0.4, 1.0))]
    for step in np.linspace(0.15, 0.85, rng.randint(2, 5)):
        x, y = -0.4 + step * (throat + 0.35), -0.35 - step * (height - 0.4)
        parts.append(_line(rng, [(x, y), (x + 0.22, y + 0.12)], 0.3, 0.06))
    return parts


def _ankle_boot(rng):
    height, heel, front = rng.uniform(0.85, 1.5), rng.uniform(0.03, 0.4), rng.uniform(-0.2, 0.15)
    upper = [(-1, 0), (-0.97, -0.2), (-0.6, -0.35), (front - 0.1, -0.55)]
    upper += [(front, -height - heel), (0.9, -height - heel), (0.93, -0.4 - heel), (1, -heel)]
    upper += [(0.3, -heel), (-0.3, 0)]
    width = rng.uniform(0.15, 0.5)
    block = [(1, -heel - 0.1), (1, 0.06), (1 - width, 0.06), (1 - width, -heel - 0.1)]
    parts = [_fill(rng, block, 0.6), _fill(rng, upper), _line(rng, [(-1, 0.02), (-0.3, 0.02)], 0.5)]
    if rng.uniform() < 0.6:
        parts.append(_line(rng, [(0.5, -0.2 - heel), (0.5, -height - heel + 0.05)], 0.5, 0.04))
    return parts


def _sandal(rng):
    heel, width = rng.uniform(0.03, 0.7), rng.uniform(0.08, 0.22)
    sole = np.array([(-1, 0), (-0.4, 0), (0.1, -0.4 * heel), (0.6, -heel), (1, -heel)])
    foot = np.array([(-0.95, -0.1), (-0.5, -0.3), (0.0, -0.5 - 0.4 * heel), (0.5, -0.8 - heel)])
    parts = [_line(rng, sole, 0.9, rng.uniform(0.1, 0.18))]
    back = [(1, -heel), (0.95, 0.05), (0.95 - rng.uniform(0.08, 0.3), 0.05), (0.65, -heel)]
    wedge = [(1, -heel), (1, 0.05), (-0.4, 0.05), (0.1, -0.4 * heel), (0.6, -heel)]
    parts.append(_fill(rng, wedge if rng.uniform() < 0.4 else back, 0.6))
    for at in rng.uniform(0.2, 2.4, rng.randint(1, 4)):
        strap = [_along(sole, at), _along(foot, at + rng.uniform(0, 0.4))]
        parts.append(_line(rng, strap, 0.8, width))
    if rng.uniform() < 0.7:
        parts.append(_line(rng, foot[rng.randint(0, 2) :], 0.8, width))
    ankle = [(1, -heel), (0.95, -0.7 - heel), (0.5, -0.8 - heel), (0.35, -0.55 - heel)]
    parts.append(_line(rng, ankle, 0.8, width))
    return parts


def _bag(rng):
    half_width, height = rng.uniform(0.6, 1.0), rng.uniform(0.7, 1.3)
    taper, handle = rng.uniform(0.75, 1.1), rng.uniform(0.15, 0.9)
    half = [(0.5 * taper * half_width, 0), (taper * half_width, 0.02)]
    half += [(half_width, 0.95 * height), (0.5 * half_width, height)]
    grip = taper * half_width * rng.uniform(0.35, 0.9)
    angles = np.linspace(np.pi, 2 * np.pi, 9)
    arc = np.column_stack([grip * np.cos(angles), handle * np.sin(angles) + 0.05])
    parts = [_line(rng, arc, 0.7, rng.uniform(0.06, 0.14)), _fill(rng, _mirror(half))]
    if rng.uniform() < 0.6:
        flap, side = rng.uniform(0.25, 0.6) * height, taper * half_width
        parts.append(_line(rng, [(-side, 0.05), (0, flap), (side, 0.05)], 0.5))
    if rng.uniform() < 0.5:
        at = rng.uniform(0.3, 0.6) * height
        parts.append(_line(rng, [(-0.08, at), (0.08, at)], 1.0, 0.14))
    return parts


GARMENTS = {
    "T-shirt/top": _t_shirt,
    "Trouser": _trouser,
    "Pullover": _pullover,
    "Dress": _dress,
    "Coat": _coat,
    "Sandal": _sandal,
    "Shirt": _shirt,
    "Sneaker": _sneaker,
    "Bag": _bag,
    "Ankle boot": _ankle_boot,
}

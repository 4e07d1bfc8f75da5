"""Figures are small, and look as they did."""

import base64
import io
import re

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from bids_gan.reports.svg import DPI, shorten_path, to_svg


def places(path):
    """Ends of all commands of a path, absolute, in tenths."""
    found, here, start = [], np.zeros(2), np.zeros(2)
    for command, text in re.findall(r"([A-Za-z])([^A-Za-z]*)", path):
        numbers = [float(n) for n in re.findall(r"-?(?:\d+\.?\d*|\.\d+)", text)]
        if command == "z":
            here = start
            continue
        width = {"Q": 4, "C": 6}.get(command, 2)
        for step in np.reshape(numbers, (-1, width)):
            here = step[-2:] + (here if command == "l" else 0)
            start = here if command == "M" else start
            found.append(tuple((10 * here).round().astype(int)))
    return found


def test_steps_lead_to_the_same_places_without_drift():
    rng = np.random.default_rng(0)
    ends = np.cumsum(rng.normal(0, 0.7, (3000, 2)), axis=0)
    lines = "".join(f"L {x:.6f} {y:.6f} \n" for x, y in ends)
    path = f"M 3.14 -2.7 \n{lines}z\nM 5 6 \nL 7.04 6 \nL 7.0 6 \nL -.26 10 \nz\n"
    short = shorten_path(path)
    unique = [places(path)[0]]
    for place in places(path)[1:]:
        if place != unique[-1]:
            unique.append(place)
    assert places(short) == unique
    assert len(short) < len(path) / 2


def test_curves_of_glyphs_are_kept():
    path = "M 34.26 10 \nQ 12.34 5.61 3 4 \nL 3 9.5 \nz\n"
    assert shorten_path(path) == "M34.3 10Q12.3 5.6 3 4l0 5.5z"


def test_line_after_a_closed_outline_starts_where_that_began():
    assert shorten_path("M 1 1 L 3 1 z L 1 2") == "M1 1l2 0zl0 1"


def test_picture_shows_the_same_in_fewer_bytes():
    rng = np.random.default_rng(1)
    ramp = np.linspace(0.1, 0.9, 300) + rng.normal(0, 0.03, (200, 300))
    fig = Figure(figsize=(300 / DPI, 200 / DPI))
    fig.add_axes((0, 0, 1, 1)).imshow(ramp, cmap="gray", vmin=0, vmax=1, origin="lower")
    (data,) = re.findall(r"data:image/webp;base64,([^\"]+)", to_svg(fig))
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("L"), float)
    assert np.sqrt(np.mean((shown - 255 * ramp) ** 2)) < 6
    lossless = io.BytesIO()
    Image.fromarray((255 * ramp).round().astype(np.uint8)).save(lossless, "PNG")
    assert len(data) < 0.6 * len(lossless.getvalue())

import re

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)

from bids_gan.reports import figures, gradients
from bids_gan.reports.mosaic import Row, draw_rows, make_canvas, window

SHAPE = (24, 28, 20)
PICTURE = '<svg viewBox="0 0 1 1"></svg>'

STATES = ("before", "after")


def upright(oblique=0.0):
    """Affine of a RAS+ grid with unequal voxels, turned about the vertical by some degrees."""
    angle = np.deg2rad(oblique)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    affine = turn @ np.diag([3.0, 2.5, 4.0, 1.0])
    affine[:3, 3] = [-36, -40, -30]
    return affine


def phantom(oblique=0.0):
    """Ball with a bright block on the person's left, front and top: no two sides are alike."""
    x, y, z = np.indices(SHAPE)
    inside = ((x - 12) / 9) ** 2 + ((y - 14) / 11) ** 2 + ((z - 10) / 7) ** 2 < 1
    data = inside * 50.0
    data[4:9, 16:22, 11:15] += 60
    affine = upright(oblique)
    image = nib.Nifti1Image(data.astype(np.float32), affine)
    return image, nib.Nifti1Image(inside.astype(np.uint8), affine)


def reorder(img, codes):
    """The same image with its array axes in another order and direction."""
    transform = ornt_transform(io_orientation(img.affine), axcodes2ornt(codes))
    data = apply_orientation(np.asanyarray(img.dataobj), transform)
    return nib.Nifti1Image(data, img.affine @ inv_ornt_aff(transform, img.shape))


def draw_all(image, mask, folder):
    """Every figure made of volumes; returns the contents of the files by name."""
    small = nib.Nifti1Image(image.get_fdata() / 1000, image.affine)
    field = nib.Nifti1Image(image.get_fdata() - 40, image.affine)
    figures.plot_anatomy(image, mask, mask, small, folder / "anatomy.svg")
    figures.plot_synthesis(image, small, small, mask, folder / "synthesis.svg", target="FA")
    figures.plot_synthesis(image, small, small, mask, folder / "bone.svg", target="CT")
    figures.plot_before_after(image, small, mask, mask, folder / "flicker.svg", names=STATES)
    colour = nib.concat_images([small, small, small])
    figures.plot_before_after(colour, colour, mask, mask, folder / "colour.svg", names=STATES)
    figures.plot_field(field, image, mask, -0.14, folder / "field.svg")
    figures.plot_displacement(field, mask, folder / "displacement.svg")
    return {path.stem: path.read_text() for path in folder.glob("*.svg")}


@pytest.mark.parametrize(("codes", "oblique"), [("LAS", 0.0), ("PSR", 15.0)])
def test_storage_order_does_not_change_the_picture(codes, oblique, tmp_path):
    image, mask = phantom(oblique)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    expected = draw_all(image, mask, tmp_path / "a")
    found = draw_all(reorder(image, codes), reorder(mask, codes), tmp_path / "b")
    assert len(expected) == 7
    for name, svg in expected.items():
        assert found[name] == svg, name


@pytest.mark.parametrize("codes", ["RAS", "LAS", "LIA"])
def test_left_of_the_person_is_under_the_letter_l(codes):
    image, mask = (reorder(img, codes) for img in phantom())
    canvas = make_canvas(mask)
    fig = draw_rows([Row(canvas.read(image), axis) for axis in (2, 1)], canvas)
    for ax, axis in zip(fig.axes, (2, 1), strict=True):
        picture = np.nan_to_num(ax.images[0].get_array())
        tile = picture.shape[1] / len(canvas.cuts[axis])
        _, columns = np.nonzero(picture > 80)
        assert columns.size
        assert np.all(columns % tile < tile / 2)
        letters = {t.get_text(): t.get_position()[0] for t in ax.texts[:3]}
        assert letters["L"] < letters["R"]


def test_slices_carry_their_world_coordinate():
    image, mask = phantom()
    canvas = make_canvas(mask, n_cuts=3)
    fig = draw_rows([Row(canvas.read(image), 2)], canvas)
    labels = [t.get_text() for t in fig.axes[0].texts if "=" in t.get_text()]
    assert labels == [f"z = {-30 + 4 * cut:+d} mm" for cut in canvas.cuts[2]]


def test_slices_reach_low_in_a_large_field_of_view():
    mask = np.zeros((100, 100, 80), np.uint8)
    mask[40:60, 40:60, 10:40] = 1
    canvas = make_canvas(nib.Nifti1Image(mask, np.eye(4)))
    assert len(canvas.cuts[2]) == 7
    assert min(canvas.cuts[2]) < 16
    assert max(canvas.cuts[2]) > 34


def test_empty_mask_is_refused():
    with pytest.raises(ValueError, match="mask"):
        make_canvas(nib.Nifti1Image(np.zeros(SHAPE, np.uint8), np.eye(4)))


def test_flicker_holds_both_states_with_the_same_slices_and_moves_on_hover(tmp_path):
    image, mask = phantom()
    shifted = nib.Nifti1Image(np.roll(image.get_fdata(), 2, axis=1), image.affine)
    path = figures.plot_before_after(image, shifted, mask, mask, tmp_path / "f.svg", names=STATES)
    svg = path.read_text()
    after, before = svg.split('<g class="foreground-svg">')
    assert ":hover" in svg
    pictures = [re.findall(r"data:image/webp;base64,[^\"]+", part) for part in (before, after)]
    assert len(pictures[0]) == len(pictures[1]) == 3
    assert pictures[0] != pictures[1]
    outlines = [re.findall(r'<path d="[^"]+" clip-path', part) for part in (before, after)]
    assert outlines[0]
    assert outlines[0] == outlines[1]


def test_images_of_other_grids_are_brought_to_that_of_the_mask(tmp_path):
    image, mask = phantom()
    canvas = make_canvas(mask)
    fine = nib.Nifti1Image(
        np.ones((48, 56, 40), np.float32) * 7, image.affine @ np.diag([0.5, 0.5, 0.5, 1])
    )
    assert canvas.read(fine).shape == SHAPE
    assert np.median(canvas.read(fine)) == pytest.approx(7)


def test_window_ignores_outliers_and_what_lies_outside():
    data = np.linspace(10, 20, 1000)
    data[:2] = 1e6
    inside = np.ones(1000, bool)
    inside[-100:] = False
    low, high = window(data, inside)
    assert low == 0
    assert 18 < high < 20
    assert window(np.full(5, np.nan), np.ones(5, bool)) == (0.0, 1.0)


def test_motion_figure_shows_translation_of_the_centre(tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(figures, "to_svg", lambda fig: seen.setdefault("fig", fig) and "<svg/>")
    matrices = np.tile(np.eye(4), (5, 1, 1))
    turn = np.deg2rad(2)
    matrices[3, :2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    centre = np.array([10.0, -20.0, 30.0])
    matrices[3, :3, 3] = centre - matrices[3, :3, :3] @ centre  # turns about the centre
    matrices[4, :3, 3] = [1, 2, 3]
    fd = np.array([np.nan, 0, 0, 0.7, 1.1])
    figures.plot_motion(matrices, fd, tmp_path / "m.svg", centre=tuple(centre))
    translation, rotation, displacement = seen["fig"].axes
    lines = {line.get_label(): line.get_ydata() for line in translation.lines[:3]}
    assert [lines[axis][4] for axis in "xyz"] == pytest.approx([1, 2, 3])
    assert [lines[axis][3] for axis in "xyz"] == pytest.approx([0, 0, 0], abs=1e-9)
    assert rotation.lines[2].get_ydata()[3] == pytest.approx(2)
    assert displacement.lines[0].get_ydata()[4] == pytest.approx(1.1)


def test_field_bar_gives_hz_symmetric_and_mm(tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(figures, "to_svg", lambda fig: seen.setdefault("fig", fig) and "<svg/>")
    image, mask = phantom()
    field = nib.Nifti1Image(np.where(mask.get_fdata() > 0, 37.0, 0), image.affine)
    std = nib.Nifti1Image(np.full(SHAPE, 8.4), image.affine)
    figures.plot_field(field, image, mask, 0.1, tmp_path / "f.svg", std_hz=std)
    foot = seen["fig"].texts[-1]
    assert foot.get_text().endswith("± 8.4 Hz, ± 0.84 mm")
    bar = seen["fig"].axes[-1]
    assert bar.get_xlim() == (-40, 40)
    assert "Hz" in bar.get_xlabel()
    (millimetres,) = bar.child_axes
    seen["fig"].draw_without_rendering()
    assert millimetres.get_xlim() == pytest.approx((-4, 4))


def draw_charts(image, mask, folder):
    """Every figure that is not made of slices only, with texts as long as they get."""
    field = nib.Nifti1Image(image.get_fdata() - 40, image.affine)
    name = "field minus that of the opposite phase encoding"
    std = nib.Nifti1Image(np.full(SHAPE, 8.4), image.affine)
    figures.plot_field(field, image, mask, -0.14, folder / "f.svg", name=name, std_hz=std)
    figures.plot_displacement(field, mask, folder / "displacement.svg")
    matrices = np.tile(np.eye(4), (5, 1, 1))
    matrices[3, :3, 3] = [-112.5, 0, 75]
    figures.plot_motion(matrices, np.array([np.nan, 0, 0, 130, 130]), folder / "motion.svg")
    shells = np.array([0, 700, 1000, 2000, 3000, 10000.0])
    bvals, turns = np.repeat(shells, 30), np.linspace(0, 6, 180)
    directions = np.stack([np.cos(turns), np.sin(turns), 0 * turns], axis=1)
    gradients.plot_gradients(bvals, directions, folder / "gradients.svg")


@pytest.mark.parametrize(("draw", "count"), [(draw_all, 9), (draw_charts, 4)])
def test_nothing_is_cut_off_at_the_edge_of_a_figure(tmp_path, monkeypatch, draw, count):
    seen = []
    for module in (figures, gradients):
        monkeypatch.setattr(module, "to_svg", lambda fig: seen.append(fig) or PICTURE)
    draw(*phantom(), tmp_path)
    assert len(seen) == count
    for fig in seen:
        fig.draw_without_rendering()
        found, frame = fig.get_tightbbox(), fig.bbox_inches
        what = [text.get_text() for text in fig.texts] + [ax.get_xlabel() for ax in fig.axes]
        assert found.x0 >= frame.x0, what
        assert found.x1 <= frame.x1, what
        assert found.y0 >= frame.y0, what
        assert found.y1 <= frame.y1, what


def test_histogram_shows_shares_of_the_brain_and_where_its_middle_and_ends_lie(
    tmp_path, monkeypatch
):
    seen = {}
    monkeypatch.setattr(figures, "to_svg", lambda fig: seen.setdefault("fig", fig) and "<svg/>")
    mask = np.zeros((10, 10, 10), np.uint8)
    mask[:, :, :5] = 1
    mm = np.full(mask.shape, 99.0)  # outside the brain
    mm[:, :, :3], mm[:, :, 3], mm[:, :, 4] = -1, 4, 10  # of the brain 60, 20, 20 %
    images = (nib.Nifti1Image(data, np.eye(4)) for data in (mm, mask))
    figures.plot_displacement(*images, tmp_path / "d.svg")
    (ax,) = seen["fig"].axes
    bars = {bar.get_x() + bar.get_width() / 2: bar.get_height() for bar in ax.patches}
    assert sum(bars.values()) == pytest.approx(100)
    shown = {place: share for place, share in bars.items() if share}
    assert list(shown.values()) == pytest.approx([60, 20, 20])
    assert list(shown) == pytest.approx([1, 4, 10], abs=0.11)  # half a bar is 0.1
    lines = {line.get_label(): line.get_xdata()[0] for line in ax.lines}
    assert lines == {"median 1.0 mm": 1, "95th percentile 10.0 mm": 10, "largest 10.0 mm": 10}


def test_colours_keep_their_places_and_are_not_stretched(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(figures, "to_svg", lambda fig: seen.append(fig) or PICTURE)
    image, mask = phantom()
    red = nib.Nifti1Image(np.where(image.get_fdata() > 60, 0.7, 0), image.affine)
    blue = nib.Nifti1Image(np.where(image.get_fdata() > 60, 0, 0.2), image.affine)
    none = nib.Nifti1Image(np.zeros(SHAPE), image.affine)
    before = nib.concat_images([red, none, blue])
    figures.plot_before_after(before, before, mask, mask, tmp_path / "f.svg", names=STATES)
    picture = seen[0].axes[0].images[0].get_array()
    assert np.asarray(picture.max(axis=(0, 1))) == pytest.approx([0.7, 0, 0.2])
    assert np.all(picture[picture[..., 0] > 0.6][:, 2] < 0.01)


def test_tissues_are_outlined_where_they_lie_in_colours_of_their_own(tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(figures, "to_svg", lambda fig: seen.setdefault("fig", fig) and "<svg/>")
    image, mask = phantom()
    labels = np.zeros(SHAPE, np.uint8)
    labels[4:20, 6:22, 5:15] = 1  # fluid around grey around deep grey
    labels[6:18, 8:20, 5:15] = 2
    labels[10:14, 12:16, 5:15] = 3
    structures = nib.Nifti1Image(labels, image.affine)
    white = nib.Nifti1Image((labels == 2).astype(np.float32), image.affine)
    figures.plot_anatomy(image, mask, structures, white, tmp_path / "a.svg")
    axial = seen["fig"].axes[0]
    paths = [paths for part in axial.collections for paths in part.get_paths()]
    widths = [np.ptp(path.vertices[:, 1]) for path in paths]  # front to back, 2.5 mm a voxel
    assert widths[1:3] == pytest.approx([12 * 2.5, 4 * 2.5], abs=0.3)
    colours = {tuple(part.get_edgecolor()[0]) for part in axial.collections}
    names = [text.get_text() for text in seen["fig"].legends[0].get_texts()]
    assert len(colours) == len(names) == 4


def test_flicker_can_be_reached_by_keyboard(tmp_path):
    image, mask = phantom()
    path = figures.plot_before_after(image, image, mask, mask, tmp_path / "f.svg", names=STATES)
    svg = path.read_text()
    assert 'tabindex="0"' in svg.split(">")[0]
    assert svg.count(":focus") == 2


def test_only_a_ct_is_shown_outside_the_brain(tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(figures, "to_svg", lambda fig: seen.setdefault("fig", fig) and "<svg/>")
    image, mask = phantom()
    everywhere = nib.Nifti1Image(np.full(SHAPE, 900.0), image.affine)
    for target, share in (("T2w", 0.75), ("CT", 1.0)):
        seen.clear()
        path = tmp_path / f"{target}.svg"
        figures.plot_synthesis(image, everywhere, everywhere, mask, path, target=target)
        shown = np.isfinite(np.ma.filled(seen["fig"].axes[1].images[0].get_array(), np.nan))
        gaps = 6 / 7 * 2 / 20  # columns between slices are never drawn
        assert shown.mean() <= share
        assert (shown.mean() > 1 - gaps) == (target == "CT")


def test_gradient_figure_shows_both_ends_of_every_direction_and_counts(tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(gradients, "to_svg", lambda fig: seen.setdefault("fig", fig) and "<svg/>")
    directions = np.array([[0, 0, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    bvals = np.array([0, 5, 1000, 995, 3000.0])
    gradients.plot_gradients(bvals, directions, tmp_path / "g.svg")
    sphere, counts = seen["fig"].axes
    points = [np.array(part._offsets3d).T for part in sphere.collections[1:]]
    points = np.concatenate([part for part in points if part.size])
    expected = np.concatenate([directions[2:], -directions[2:]])
    assert sorted(map(tuple, points)) == sorted(map(tuple, expected))
    labels = [label.get_text() for label in counts.get_yticklabels()]
    assert labels == ["b = 0", "b = 1000", "b = 3000"]
    assert [bar.get_width() for bar in counts.patches] == [2, 2, 1]

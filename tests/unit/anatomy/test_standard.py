"""More fluid, another scanner, a bias field: tissues come out as bright as asked."""

import numpy as np
import pytest

from bids_gan.anatomy.segment import CEREBRAL_WHITE, CORTICAL_GREY, CSF
from bids_gan.anatomy.standard import QUANTILES, even, match_tones, tones
from bids_gan.errors import DataError

MEANS = {CSF: 0.25, CORTICAL_GREY: 0.65, CEREBRAL_WHITE: 1.0}
OTHER = {CSF: 0.5, CORTICAL_GREY: 0.85, CEREBRAL_WHITE: 0.95}


def person(means, fluid=0.2, seed=0, size=24):
    """Image and structures; of what is not fluid 55 % is grey."""
    rng = np.random.default_rng(seed)
    shares = [fluid, 0.55 * (1 - fluid), 0.45 * (1 - fluid)]
    structures = rng.choice(list(means), p=shares, size=(size,) * 3)
    clean = np.select([structures == k for k in means], list(means.values()))
    return clean + 0.01 * rng.standard_normal(structures.shape), structures


def found(image, structures):
    return [np.median(image[structures == k]) for k in MEANS]


def test_tones_are_fluid_and_quantiles_of_the_rest():
    image, structures = person(MEANS)
    have = tones(image, structures)
    assert have.shape == (1 + len(QUANTILES),)
    assert have[0] == pytest.approx(0.25, abs=0.01)
    assert have[1] == pytest.approx(0.65, abs=0.02)
    assert have[-1] == pytest.approx(1.0, abs=0.02)
    assert (np.diff(have) >= 0).all()


@pytest.mark.parametrize("fluid", [0.08, 0.2, 0.4])
def test_tissues_get_the_means_of_the_other_scanner_whatever_the_share_of_fluid(fluid):
    wanted = tones(*person(MEANS))
    image, structures = person(OTHER, fluid, seed=1)
    matched = match_tones(image, tones(image, structures), wanted)
    assert found(matched, structures) == pytest.approx(list(MEANS.values()), abs=0.02)


def test_own_tones_change_nothing_and_zero_stays_zero():
    image, structures = person(MEANS)
    image = np.abs(image)
    have = tones(image, structures)
    inside = image <= have[-1]
    assert match_tones(image, have, have)[inside] == pytest.approx(image[inside], abs=1e-6)
    assert match_tones(np.zeros(3), have, tones(*person(OTHER))).tolist() == [0, 0, 0]


def test_what_is_brighter_than_white_matter_stays_in_order():
    have, wanted = tones(*person(OTHER)), tones(*person(MEANS))
    bright = match_tones(np.linspace(0, 3, 100), have, wanted)
    assert (np.diff(bright) > 0).all()


def test_image_of_one_value_is_not_divided_by_nothing():
    _, structures = person(MEANS)
    flat = np.ones(structures.shape)
    assert np.isfinite(match_tones(flat, tones(flat, structures), tones(*person(MEANS)))).all()


@pytest.mark.parametrize("missing", [CSF, CORTICAL_GREY])
def test_missing_tissue_is_named(missing):
    image, structures = person(MEANS)
    structures[:] = CSF if missing == CORTICAL_GREY else CORTICAL_GREY
    with pytest.raises(DataError, match=r" 0 voxels of .*1000 of each are needed|tissue; 1000"):
        tones(image, structures)


def test_bias_field_is_taken_out_and_the_mean_kept():
    image, structures = person(MEANS, size=32)
    ramp = np.linspace(0.7, 1.3, 32)[:, None, None]
    flat = even(image * ramp, structures > 0, np.eye(4))
    left = [
        flat[half][structures[half] == CEREBRAL_WHITE].mean()
        for half in (slice(8), slice(-8, None))
    ]
    assert left[1] / left[0] < 1.15 < 1.3 / 0.7
    assert flat.mean() == pytest.approx(image.mean(), rel=0.1)

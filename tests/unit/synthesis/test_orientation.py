"""The same head in any orientation, zooms and position gives the same mask and synthetic FA."""

import nibabel as nib
import numpy as np
import pytest

from bids_gan.anatomy.prepare import prepare_t1w
from bids_gan.anatomy.template import template_t1w
from bids_gan.errors import DataError
from bids_gan.geometry import resample
from bids_gan.models.registry import find_card, load_model
from bids_gan.synthesis.familiarity import out_of_distribution
from bids_gan.synthesis.generate import appearance, synthesise

#: axis codes, voxel sizes in mm, rotation in degrees
GRIDS = {
    "RAS": ("RAS", (1.0, 1.0, 1.0), 0),
    "LAS anisotropic": ("LAS", (1.0, 1.4, 1.8), 0),
    "LIA": ("LIA", (1.3, 1.3, 1.3), 0),
    "PSR anisotropic": ("PSR", (1.8, 1.0, 1.2), 0),
    "oblique": ("RAS", (1.2, 1.2, 1.2), 15),
}


def head(codes, zooms, degrees):
    """The template brain, slightly textured, on another grid."""
    template = template_t1w()
    data = np.asarray(template.dataobj, np.float32)
    linear = np.zeros((3, 3))
    for axis, (world, flip) in enumerate(nib.orientations.axcodes2ornt(codes)):
        linear[int(world), axis] = flip * zooms[axis]
    angle = np.radians(degrees)
    turn = nib.eulerangles.euler2mat(0, angle, angle / 3)
    affine = nib.affines.from_matvec(turn @ linear)
    extent = np.abs(np.linalg.inv(linear) @ np.array([190.0, 230, 190]))
    shape = tuple(int(n) for n in np.ceil(extent))
    affine[:3, 3] = np.array([0, -18, 20]) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    image = resample(data, template.affine, shape, affine, order=3, antialias=False)
    return nib.Nifti1Image(np.maximum(image, 0), affine)


@pytest.fixture(scope="module")
def models():
    return load_model(find_card("anatomy")).network, load_model(find_card("t1w-to-fa"))


@pytest.fixture(scope="module")
def reference(models):
    return run(models, *GRIDS["RAS"])


def run(models, *grid):
    anatomy = prepare_t1w(head(*grid), models[0])
    return anatomy, synthesise(anatomy, models[1])


@pytest.mark.parametrize("name", [name for name in GRIDS if name != "RAS"])
def test_same_anatomy_from_any_grid(models, reference, name):
    template = template_t1w()
    onto = (template.shape, template.affine)
    truth, synthetic = reference
    anatomy, image = run(models, *GRIDS[name])
    masks = [resample(a.mask.astype(np.float32), a.affine, *onto) > 0.5 for a in (truth, anatomy)]
    assert 2 * (masks[0] & masks[1]).sum() / (masks[0].sum() + masks[1].sum()) > 0.97
    maps = [resample(s.mean, s.affine, *onto) for s in (synthetic, image)]
    inside = masks[0] & masks[1]
    agreement = np.corrcoef(maps[0][inside], maps[1][inside])[0, 1]
    # the template is nearly symmetric: even a mirrored brain would resemble it
    mirrored = np.corrcoef(maps[0][inside], maps[1][::-1][inside])[0, 1]
    assert agreement > max(0.995, mirrored)


def test_synthetic_fa_is_a_fraction(reference):
    anatomy, image = reference
    assert 0 <= image.mean.min() <= image.mean.max() <= 1
    assert (image.std >= 0).all()
    # white matter is more anisotropic than grey
    tissue = resample(anatomy.tissue, anatomy.affine, image.mean.shape, image.affine, order=0)
    assert image.mean[tissue == 3].mean() > 2 * image.mean[tissue == 2].mean()


def test_out_of_distribution_score_rises_with_strangeness(reference, models):
    seen = models[1].card.text["RangeSeen"]
    usual = {name: mean for name, (mean, _) in seen.items()}
    assert out_of_distribution(usual, seen) == 0
    strange = {name: mean + 5 * sd for name, (mean, sd) in seen.items()}
    assert out_of_distribution(strange, seen) == pytest.approx(5)
    assert np.isfinite(out_of_distribution(appearance(reference[0]), seen))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((20, 20, 20)), "empty"),
        (np.zeros((20, 20)), "3D"),
        (np.random.default_rng(0).random((20, 20, 20, 4)), "3D"),
    ],
)
def test_unusable_image_is_refused_by_name(data, message):
    with pytest.raises(DataError, match=rf"bad\.nii.*{message}"):
        prepare_t1w(nib.Nifti1Image(data, np.eye(4)), None, name="bad.nii")

"""A page with the volumes of one session: linked cross-hairs, overlays, before and after.

Everything is inside the page, the NiiVue library and its volumes included, so that it opens from
a read-only folder without network. Volumes are copies for the eye, of few grey values, all in the
world of the T1w; measurements belong to the NIfTI files.
"""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

from bids_gan.bids.outputs import output_path, outputs, write_text
from bids_gan.geometry import box_grid, resample, voxel_sizes
from bids_gan.reports.figures import FA_LIMITS, FIELD_COLOURS, TARGET_LIMITS
from bids_gan.reports.mosaic import window
from bids_gan.reports.numbers import DATA
from bids_gan.reports.pages import render

if TYPE_CHECKING:
    from bids_gan.bids.plan import DiffusionRun, SessionPlan
    from bids_gan.settings import Settings

#: mm kept around the brain
MARGIN = 10.0
#: mm; finer voxels would make the page too large for what a screen shows
FINEST, FINEST_SYNTHETIC, FINEST_DIFFUSION = 1.0, 1.5, 2.0
#: grey values: steps too fine for the eye, and noise below them costs nothing; an odd number, so
#: that the zero of a field is one of them
LEVELS = 127


@dataclass(frozen=True)
class Layer:
    """One image as the page shows it.

    Attributes
    ----------
    name : str
    path : Path
    limits : tuple of float or None
        Ends of the colour map; a robust window inside the brain when None.
    colours : {'gray', 'field'}
        Of the image shown alone; `field` has two ends, and is clear at zero.
    to_source : (4, 4) array or None
        World of the T1w -> world of the image; None where they are the same.
    pair : str
        Layers of one pair are exchanged by the before/after button.
    finest : float
        Least voxel size of the copy in mm.
    """

    name: str
    path: Path
    limits: tuple[float, float] | None = None
    colours: str = "gray"
    to_source: np.ndarray | None = None
    pair: str = ""
    finest: float = FINEST


def viewer_path(settings: Settings, session: SessionPlan) -> Path:
    """Where the page of a session lies."""
    name = output_path("figure_session", session.entities, what="volumes", suffix="viewer")
    return settings.output_dir / name.with_suffix(".html")


def write_viewer(settings: Settings, session: SessionPlan, *, anew: bool = False) -> Path | None:
    """Write the page of one session, unless it is newer than all that it shows.

    Parameters
    ----------
    settings : Settings
    session : SessionPlan
    anew : bool
        Write it in any case.

    Returns
    -------
    Path or None
        None when the session has no brain mask, for instance because it failed; a page that an
        earlier run left is removed then.
    """
    path = viewer_path(settings, session)
    mask = settings.output_dir / output_path("brain_mask_t1w", session.entities)
    if session.t1w is None or not mask.is_file():
        path.unlink(missing_ok=True)
        return None
    layers = [layer for layer in _layers(settings, session) if layer.path.is_file()]
    shown = [mask, *(layer.path for layer in layers)]
    newest = max(file.stat().st_mtime_ns for file in shown)
    if anew or not path.is_file() or path.stat().st_mtime_ns <= newest:
        write_text(path, _page(session, layers, nib.load(mask)))
    return path


def _page(session: SessionPlan, layers: list[Layer], mask: nib.Nifti1Image) -> str:
    report = output_path("report", {"subject": session.subject})
    return render(
        "viewer.html.jinja",
        title=f"Volumes of {session.label}",
        back=f"../../{report}",
        volumes=_embed_all(layers, mask),
        field_colours=_field_colours(),
        niivue=_packed((DATA / "niivue" / "niivue.umd.js").read_bytes()),
        licences=(DATA / "niivue" / "LICENSES.txt").read_text(encoding="utf-8"),
    )


def _embed_all(layers: list[Layer], mask: nib.Nifti1Image) -> list[dict[str, Any]]:
    """What the page needs of all images; those of a pair have one grey-value window."""
    volumes, windows = [], {}
    for layer in layers:
        volume = embed(replace(layer, limits=layer.limits or windows.get(layer.pair)), mask)
        if layer.pair:
            windows[layer.pair] = volume["low"], volume["high"]
        volumes.append(volume)
    return volumes


def _layers(settings: Settings, session: SessionPlan) -> list[Layer]:
    """Everything that may be shown, whether it exists or not."""
    found = [Layer("T1w", session.t1w.path)]
    for key, spec in outputs().items():
        if spec.get("target") and not key.endswith("_std"):
            limits = TARGET_LIMITS.get(spec["target"])
            path = settings.output_dir / output_path(key, session.entities)
            name = f"synthetic {spec['target']}"
            found.append(Layer(name, path, limits, finest=FINEST_SYNTHETIC))
    for run in session.dwi:
        found += _run_layers(settings, run)
    return found


def _run_layers(settings: Settings, run: DiffusionRun) -> list[Layer]:
    from bids_gan.itk import read_affine

    def path(key: str) -> Path:
        return settings.output_dir / output_path(key, run.entities, run.route)

    if not path("dwi_to_t1w").is_file():
        return []
    # the file resamples onto the T1w: it maps points of the T1w to the diffusion world
    to_source = read_affine(path("dwi_to_t1w"))
    which = f", {run.label}"
    fa, b0 = f"FA{which}", f"b0{which}"
    shown = (
        (f"FA before{which}", "fa_uncorrected", FA_LIMITS, "gray", fa),
        (f"FA after{which}", "fa", FA_LIMITS, "gray", fa),
        (f"b0 before{which}", "dwiref_uncorrected", None, "gray", b0),
        (f"b0 after{which}", "dwiref", None, "gray", b0),
        (f"field in Hz{which}", "fieldmap", None, "field", ""),
        (f"field in Hz, not applied{which}", "fieldmap_rejected", None, "field", ""),
    )
    return [
        Layer(name, path(key), limits, colours, to_source, pair, FINEST_DIFFUSION)
        for name, key, limits, colours, pair in shown
    ]


def embed(layer: Layer, mask: nib.Nifti1Image) -> dict[str, Any]:
    """What the page needs of one image.

    Parameters
    ----------
    layer : Layer
    mask : 3D image
        Brain mask of the T1w: it says which part is kept.

    Returns
    -------
    dict
        ``name``, ``low``, ``high``, ``colours``, ``pair``, and ``nifti``: the image on an
        upright grid of the T1w's world, one of :data:`LEVELS` values a voxel, gzip, base64.
    """
    inside = np.asanyarray(mask.dataobj) > 0
    img = nib.funcs.squeeze_image(nib.load(layer.path))
    spacing = max(layer.finest, float(voxel_sizes(img.affine).min()))
    shape, affine = box_grid(inside, mask.affine, spacing, MARGIN)
    brain = resample(inside, mask.affine, shape, affine, order=0)
    data = np.nan_to_num(np.asanyarray(img.dataobj).astype(np.float32))
    data = resample(data, img.affine, shape, affine, target_to_source=layer.to_source)
    if layer.colours == "field":
        data = np.where(brain, data, 0)
        reach = float(np.percentile(np.abs(data[brain]), 99)) or 1.0
        low, high = -reach, reach
    else:
        low, high = layer.limits or window(data, brain)
    step = (high - low) / (LEVELS - 1)
    levels = ((data.clip(low, high) - low) / step).round().astype(np.uint8)
    if layer.colours == "field":  # zero is clear, which is for what lies outside
        levels[brain & (levels == LEVELS // 2)] += 1
    small = nib.Nifti1Image(levels, affine)
    small.header.set_slope_inter(step, low)
    return {
        "name": layer.name,
        "low": low,
        "high": high,
        "colours": layer.colours,
        "pair": layer.pair,
        "nifti": _packed(small.to_bytes()),
    }


def _packed(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, mtime=0)).decode()


def _field_colours(steps: int = 17) -> dict[str, dict[str, list[int]]]:
    """Colour maps of NiiVue for the two signs of a field, from zero outwards."""
    from matplotlib import colormaps

    def colour_map(end: float) -> dict[str, list[int]]:
        colours = colormaps[FIELD_COLOURS](np.linspace(0.5, end, steps))
        colours[0, 3] = 0  # what lies below the scale is clear
        columns = np.column_stack([colours, np.linspace(0, 1, steps)])  # red to opacity, place
        columns = (columns * 255).round().astype(int).T.tolist()
        return dict(zip("RGBAI", columns, strict=True))

    return {"positive": colour_map(1.0), "negative": colour_map(0.0)}

"""Declared against measured memory of the steps that hold a whole diffusion series.

python benchmarks/step_memory.py [I,J,K,N ...]

Every step runs in a process of its own, on a series of I x J x K voxels and N volumes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np

from bids_gan.anatomy.prepare import Anatomy
from bids_gan.anatomy.storage import save_anatomy
from bids_gan.diffusion.gradients import Gradients, format_bvals, format_bvecs
from bids_gan.workflows.memory import step_memory

#: voxels and volumes
SIZES = ("32,32,24,8", "48,48,32,24", "48,48,32,96")
#: semi-axes of the head over those of the image: brains fill less
HEAD = 0.9
#: voxels of 1 mm of the prepared anatomy and of the T1w
ANATOMY = (192, 224, 192)
#: affine of the series: voxels of 2 mm
GRID = np.diag([2.0, 2.0, 2.0, 1.0])
#: interface of each step
INTERFACES = {"prepare_diffusion": "PrepareDiffusion", "apply_correction": "ApplyCorrection"}
_RUN = """
import json
import sys
from pathlib import Path

from bids_gan.interfaces import diffusion

inputs = json.loads(sys.argv[3])
getattr(diffusion, sys.argv[1])(**inputs).run(cwd=sys.argv[2])
lines = Path("/proc/self/status").read_text().splitlines()
print(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="*", default=SIZES, metavar="I,J,K,N")
    print("| series | its size (MiB) | step | declared (MiB) | measured (MiB) |")
    print("|---|---|---|---|---|")
    for size in parser.parse_args().sizes:
        shape = tuple(int(number) for number in size.split(","))
        mib = 4 * np.prod(shape) / 2**20
        with tempfile.TemporaryDirectory() as folder:
            inputs = write_series(Path(folder), shape)
            for step in INTERFACES:
                declared = step_memory(step, inputs["dwi"]) * 1024
                measured = run(step, Path(folder), inputs)
                text = " x ".join(map(str, shape))
                row = f"| {text} | {mib:.0f} | {step} | {declared:.0f} | {measured:.0f} |"
                print(row, flush=True)
                inputs |= write_anatomy(Path(folder), shape)


def write_series(folder: Path, shape: tuple[int, int, int, int]) -> dict[str, Path]:
    """A noisy ellipsoid in a diffusion series (int16, gzip) with its gradients."""
    rng = np.random.default_rng(0)
    bvals = np.where(np.arange(shape[3]) % 8, 1000.0, 0.0)
    bvecs = rng.normal(size=(shape[3], 3))
    bvecs *= (bvals > 0)[:, None] / np.linalg.norm(bvecs, axis=1, keepdims=True)
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape[:3]), indexing="ij")
    inside = sum(axis**2 for axis in axes) < HEAD**2
    texture = 1 + 0.3 * np.sin(8 * axes[0]) * np.cos(7 * axes[1]) * np.sin(6 * axes[2])
    series = np.empty(shape, np.int16)
    for n in range(shape[3]):
        drop = np.exp(-bvals[n] * 1e-3 * (0.5 + bvecs[n, 0] ** 2))
        series[..., n] = 1000 * inside * texture * drop + rng.uniform(0, 20, shape[:3])
    ends = {"dwi": "nii.gz", "bval": "bval", "bvec": "bvec"}
    paths = {key: folder / f"series.{end}" for key, end in ends.items()}
    image = nib.Nifti1Image(series, GRID)
    image.to_filename(paths["dwi"])
    gradients = Gradients(bvals, bvecs)
    paths["bval"].write_text(format_bvals(gradients))
    paths["bvec"].write_text(format_bvecs(gradients))
    return paths


def write_anatomy(folder: Path, shape: tuple[int, ...]) -> dict:
    """What `ApplyCorrection` needs beside the series and its motion."""
    brain = np.ones(ANATOMY, np.float32)
    label = brain.astype(np.uint8)
    anatomy = Anatomy(brain, label > 0, label, label, brain, np.eye(4), np.eye(4))
    t1w = nib.Nifti1Image(brain, np.eye(4))
    field = nib.Nifti1Image(np.zeros(shape[:3], np.float32), GRID)
    t1w.to_filename(folder / "t1w.nii.gz")
    field.to_filename(folder / "field.nii")
    np.savetxt(folder / "pull.txt", np.eye(4))
    (folder / "quality.json").write_text('{"accepted": true}')
    return {
        "anatomy": save_anatomy(anatomy, folder / "anatomy.npz"),
        "t1w": folder / "t1w.nii.gz",
        "synthetic_fa": folder / "t1w.nii.gz",
        "field": folder / "field.nii",
        "dwi_to_t1w": folder / "pull.txt",
        "quality": folder / "quality.json",
        "motion": folder / "motion.npz",
    }


def run(step: str, folder: Path, inputs: dict[str, Path]) -> float:
    """Largest resident memory of a step in MiB, Python and libraries included."""
    if step == "apply_correction":
        inputs = {**inputs, "pe_direction": "j", "readout_time": 0.05}
    command = [
        sys.executable,
        "-c",
        _RUN,
        INTERFACES[step],
        folder,
        json.dumps(inputs, default=str),
    ]
    return int(subprocess.run(command, check=True, capture_output=True).stdout) / 1024


if __name__ == "__main__":
    main()

"""Environment variables that libraries read when they are imported: set before any of them is."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

from bids_gan.settings import Settings

#: read by OpenMP, BLAS and ITK
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)
#: no telemetry, no updates, no windows; idle threads leave the processor to others
_FIXED = {
    "NIPYPE_NO_ET": "1",
    "NO_ET": "1",
    "TEMPLATEFLOW_AUTOUPDATE": "false",
    "MPLBACKEND": "Agg",
    "OMP_WAIT_POLICY": "passive",
}
#: where libraries keep files of their own, and the folder for each when the home is read-only
_HOMES = {
    "XDG_CACHE_HOME": "",
    "MPLCONFIGDIR": "matplotlib",
    "TEMPLATEFLOW_HOME": "templateflow",
    "NIPYPE_CONFIG_DIR": "nipype",
}


def prepare_environment(settings: Settings) -> None:
    """Set threads and seed, switch telemetry off, and give libraries a folder they can write to.

    Notes
    -----
    Importing templateflow (through niworkflows) fills its folder, and fails where it cannot.
    """
    os.environ.update(_FIXED)
    os.environ.update(dict.fromkeys(_THREADS, str(settings.omp_nthreads)))
    if "torch" in sys.modules:  # it read the variables when it was imported
        sys.modules["torch"].set_num_threads(settings.omp_nthreads)
    # ANTs draws its samples anew at every run unless told otherwise; 0 would mean the clock
    os.environ["ANTS_RANDOM_SEED"] = str(settings.random_seed + 1)
    # Nipype's plugins of batch systems need it, and containers do not set it
    os.environ.setdefault("LOGNAME", str(os.getuid()))
    if not _home_is_writable():
        for variable, folder in _HOMES.items():
            os.environ.setdefault(variable, str(settings.work_dir / ".cache" / folder))
    if not settings.verbose:
        # warnings of libraries to their developers, in this process and in its workers
        warnings.simplefilter("ignore")
        os.environ.setdefault("PYTHONWARNINGS", "ignore")


def _home_is_writable() -> bool:
    try:
        home = Path.home()
    except RuntimeError:  # a user id without an entry in the system's list, as in containers
        return False
    return home.is_dir() and os.access(home, os.W_OK)

"""Signal equations of magnetic resonance imaging, and tissue parameters that go into them.

Times are in seconds, flip angles in degrees, proton density is relative to pure water. Equations
return *signed* longitudinal signal, because partial volume adds signals before their magnitude is
taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bids_gan.simulate.composition import (
    SOFT_TISSUE,
    TABLE_SIZE,
    TISSUES,
    label_composition,
)

KINDS = ("T1w", "T2w", "PDw", "FLAIR", "b0")
#: sequence -> what it needs beside TR, TE and flip angle
SEQUENCES = {"SPGR": (), "MPRAGE": ("ti", "echo_spacing", "n_echoes"), "SE": (), "IR": ("ti",)}
FIELD_STRENGTHS = (1.5, 3.0)
#: Blood that moves between the two pulses of a spin echo gives little signal.
FLOW_VOID = 0.15

# T1, T2, T2* in milliseconds, proton density
_RELAXATION = {
    1.5: {
        "air": (1000, 50, 20, 0.0), "csf": (4000, 2000, 200, 1.0), "grey": (950, 95, 69, 0.82),
        "white": (610, 75, 61, 0.70), "pallidum": (720, 62, 40, 0.72),
        "lesion": (1100, 150, 80, 0.82), "blood": (1441, 250, 100, 0.9),
        "muscle": (900, 38, 28, 0.80), "fat": (343, 70, 40, 0.70), "skin": (850, 35, 20, 0.60),
        "mucosa": (1100, 90, 20, 0.85), "cortical bone": (220, 0.45, 0.4, 0.2),
        "marrow": (450, 55, 15, 0.75), "vitreous": (3800, 1200, 150, 0.98),
    },
    3.0: {
        "air": (1000, 50, 20, 0.0), "csf": (4163, 1800, 150, 1.0), "grey": (1400, 95, 48, 0.82),
        "white": (850, 70, 47, 0.70), "pallidum": (1000, 52, 25, 0.72),
        "lesion": (1450, 140, 65, 0.82), "blood": (1932, 150, 50, 0.9),
        "muscle": (1250, 34, 24, 0.80), "fat": (382, 68, 30, 0.70), "skin": (1000, 33, 15, 0.60),
        "mucosa": (1500, 80, 15, 0.85), "cortical bone": (220, 0.4, 0.35, 0.2),
        "marrow": (500, 52, 10, 0.75), "vitreous": (4000, 1100, 120, 0.98),
    },
}  # fmt: skip


@dataclass(frozen=True)
class Relaxation:
    """Parameters of every tissue, in the order of `composition.TISSUES`.

    Attributes
    ----------
    t1, t2, t2star : (T,) arrays
        Seconds.
    pd : (T,) array
        Proton density relative to water.
    """

    t1: np.ndarray
    t2: np.ndarray
    t2star: np.ndarray
    pd: np.ndarray


def relaxation(field_strength: float = 3.0) -> Relaxation:
    """Tissue parameters at 1.5 T or 3 T.

    Raises
    ------
    ValueError
        For another field strength.

    Notes
    -----
    Rounded from: grey and white matter, Wansapura et al. 1999 (J Magn Reson Imaging 9:531, 3 T)
    and Stanisz et al. 2005 (Magn Reson Med 54:507, both fields; also blood and muscle);
    cerebrospinal fluid, Lin et al. 2001 (J Magn Reson Imaging 14:555); T2* and proton density,
    Kwan et al. 1999 (IEEE Trans Med Imaging 18:1085); fat, marrow and muscle, de Bazelaire et al.
    2004 (Radiology 230:652); cortical bone, Du & Bydder 2013 (NMR Biomed 26:489). Published
    values differ by 10-30 %. Skin, mucosa, vitreous, pallidum and lesion are estimates; the
    proton density of fat is lowered, because its several resonances cancel in part.
    """
    if field_strength not in _RELAXATION:
        raise ValueError(
            f"field strength {field_strength} T is not one of {', '.join(map(str, _RELAXATION))}"
        )
    table = np.array([_RELAXATION[field_strength][tissue] for tissue in TISSUES]).T
    return Relaxation(*(table[:3] / 1000), table[3])


def jitter_relaxation(
    tissue: Relaxation, rng: np.random.Generator, spread: float = 0.06
) -> Relaxation:
    """Multiply every parameter by its own log-normal factor of standard deviation `spread`."""

    def scaled(values):
        return values * np.exp(rng.normal(0, spread, values.shape))

    return Relaxation(
        scaled(tissue.t1), scaled(tissue.t2), scaled(tissue.t2star),
        np.minimum(tissue.pd * np.exp(rng.normal(0, spread / 2, tissue.pd.shape)), 1.0),
    )  # fmt: skip


def spoiled_gradient_echo(
    pd: ArrayLike, t1: ArrayLike, t2star: ArrayLike, tr: float, te: float, flip: float
) -> np.ndarray:
    """Steady state of a spoiled gradient echo (SPGR, FLASH).

    Notes
    -----
    ``pd sin(a) (1 - E1) / (1 - E1 cos(a)) exp(-TE / T2*)`` with ``E1 = exp(-TR / T1)`` (Ernst and
    Anderson 1966). It is largest at the Ernst angle ``arccos(E1)``.
    """
    angle = np.deg2rad(flip)
    e1 = np.exp(-tr / np.asarray(t1))
    steady = (1 - e1) / (1 - e1 * np.cos(angle))
    return pd * np.sin(angle) * steady * np.exp(-te / np.asarray(t2star))


def mprage(
    pd: ArrayLike,
    t1: ArrayLike,
    t2star: ArrayLike,
    tr: float,
    te: float,
    ti: float,
    flip: float,
    echo_spacing: float,
    n_echoes: int,
    inversion: float = 0.96,
) -> np.ndarray:
    """Steady state of an inversion-prepared gradient-echo train, at the centre of k-space.

    Parameters
    ----------
    pd, t1, t2star : array
        Proton density; seconds.
    tr : float
        From one inversion to the next, seconds.
    te, echo_spacing : float
        Echo time, and time from one excitation of the train to the next, seconds.
    ti : float
        From the inversion to excitation ``n_echoes // 2``, which reads the centre of k-space.
    flip : float
        Degrees.
    n_echoes : int
        Excitations in a train.
    inversion : float
        Share of the magnetisation that the pulse inverts: 1 is perfect.

    Raises
    ------
    ValueError
        If the train does not fit between the inversions.

    Notes
    -----
    Each excitation takes ``Mz -> Mz cos(a)``, then ``Mz -> 1 - (1 - Mz) E`` with
    ``E = exp(-echo_spacing / T1)``. So after *k* excitations ``Mz = F + (M0 - F) q^k`` with
    ``q = E cos(a)`` and the fixed point ``F = (1 - E) / (1 - q)``. With ``M0 = A - B m`` after the
    inversion and its delay (`m` the magnetisation before it, ``A = 1 - exp(-ta / T1)``,
    ``B = inversion exp(-ta / T1)``) and ``m = 1 - (1 - M_n) D`` after the closing delay
    (``D = exp(-td / T1)``), the period closes when::

        M0 = (A - B (1 - D + D F (1 - q^n))) / (1 + B D q^n)

    The signal is ``pd sin(a) (F + (M0 - F) q^(n // 2)) exp(-TE / T2*)`` (Deichmann et al. 2000,
    NeuroImage 12:112, has the same model of the sequence).
    """
    before = ti - (n_echoes // 2) * echo_spacing
    after = tr - before - n_echoes * echo_spacing
    if before < 0 or after < 0:
        raise ValueError(
            f"{n_echoes} echoes of {echo_spacing} s around TI {ti} s do not fit in TR {tr} s"
        )
    t1 = np.asarray(t1)
    angle = np.deg2rad(flip)
    decay = np.exp(-echo_spacing / t1)
    q = decay * np.cos(angle)
    fixed = (1 - decay) / (1 - q)
    recovered = np.exp(-before / t1)
    a, b, d = 1 - recovered, inversion * recovered, np.exp(-after / t1)
    last = q**n_echoes
    start = (a - b * (1 - d + d * fixed * (1 - last))) / (1 + b * d * last)
    centre = fixed + (start - fixed) * q ** (n_echoes // 2)
    return pd * np.sin(angle) * centre * np.exp(-te / np.asarray(t2star))


def spin_echo(pd: ArrayLike, t1: ArrayLike, t2: ArrayLike, tr: float, te: float) -> np.ndarray:
    """Steady state of a 90°-180° spin echo.

    Notes
    -----
    ``pd (1 - 2 exp(-(TR - TE/2) / T1) + exp(-TR / T1)) exp(-TE / T2)``: the refocusing pulse at
    TE/2 also inverts what has recovered by then.
    """
    t1 = np.asarray(t1)
    longitudinal = 1 - 2 * np.exp(-(tr - te / 2) / t1) + np.exp(-tr / t1)
    return pd * longitudinal * np.exp(-te / np.asarray(t2))


def inversion_recovery_spin_echo(
    pd: ArrayLike, t1: ArrayLike, t2: ArrayLike, tr: float, te: float, ti: float
) -> np.ndarray:
    """Steady state of a spin echo after an inversion (FLAIR, STIR).

    Notes
    -----
    ``pd (1 - 2 exp(-TI / T1) + 2 exp(-(TR - TE/2) / T1) - exp(-TR / T1)) exp(-TE / T2)``
    (Bydder and Young 1985). `null_time` gives the inversion time at which a tissue is dark.
    """
    t1 = np.asarray(t1)
    longitudinal = 1 - 2 * np.exp(-ti / t1) + 2 * np.exp(-(tr - te / 2) / t1) - np.exp(-tr / t1)
    return pd * longitudinal * np.exp(-te / np.asarray(t2))


def null_time(t1: float, tr: float, te: float) -> float:
    """Inversion time in seconds at which `inversion_recovery_spin_echo` gives no signal."""
    rest = 1 + 2 * np.exp(-(tr - te / 2) / t1) - np.exp(-tr / t1)
    return float(t1 * np.log(2 / rest))


@dataclass(frozen=True)
class Pulses:
    """A pulse sequence: which equation, with which times (seconds) and flip angle (degrees).

    Raises
    ------
    ValueError
        For a sequence that is not one of :data:`SEQUENCES`, or lacks what it needs.
    """

    sequence: str
    tr: float
    te: float
    ti: float | None = None
    flip: float = 90.0
    echo_spacing: float | None = None
    n_echoes: int | None = None

    def __post_init__(self):
        if self.sequence not in SEQUENCES:
            raise ValueError(f"sequence {self.sequence!r} is not one of {', '.join(SEQUENCES)}")
        missing = [name for name in SEQUENCES[self.sequence] if getattr(self, name) is None]
        if missing:
            raise ValueError(f"sequence {self.sequence} needs {', '.join(missing)}")

    def signal(self, tissue: Relaxation) -> np.ndarray:
        """Signed signal of each tissue, (T,) array."""
        if self.sequence == "SPGR":
            return spoiled_gradient_echo(
                tissue.pd, tissue.t1, tissue.t2star, self.tr, self.te, self.flip
            )
        if self.sequence == "MPRAGE":
            return mprage(
                tissue.pd, tissue.t1, tissue.t2star, self.tr, self.te, self.ti, self.flip,
                self.echo_spacing, self.n_echoes,
            )  # fmt: skip
        flow = np.where(np.array(TISSUES) == "blood", FLOW_VOID, 1.0)
        if self.sequence == "SE":
            return flow * spin_echo(tissue.pd, tissue.t1, tissue.t2, self.tr, self.te)
        return flow * inversion_recovery_spin_echo(
            tissue.pd, tissue.t1, tissue.t2, self.tr, self.te, self.ti
        )


def random_pulses(rng: np.random.Generator, kind: str, field_strength: float = 3.0) -> Pulses:
    """Draw a sequence as scanners run it.

    Parameters
    ----------
    rng : Generator
    kind : {'T1w', 'T2w', 'PDw', 'FLAIR', 'b0'}
        T1w is MPRAGE in two of three cases, else SPGR.
    field_strength : float
        Tesla; FLAIR adapts its inversion time to it.

    Raises
    ------
    ValueError
        For another `kind`.
    """
    if kind == "T1w" and rng.random() < 2 / 3:
        n = int(rng.integers(120, 193))
        spacing, ti = rng.uniform(0.0062, 0.0085), rng.uniform(0.85, 1.1)
        spacing = min(spacing, (ti - 0.05) / (n // 2))
        flip, te = rng.uniform(7, 11), rng.uniform(0.0022, 0.0045)
        return Pulses("MPRAGE", rng.uniform(1.9, 2.6), te, ti, flip, spacing, n)
    if kind == "T1w":
        tr = rng.uniform(0.008, 0.030)
        # the flip angle grows with TR as protocols have it, above the Ernst angle of the tissues
        return Pulses("SPGR", tr, rng.uniform(0.002, 0.006), flip=rng.uniform(1.0, 1.35) * (
            14 + 500 * tr))  # fmt: skip
    if kind == "T2w":
        return Pulses("SE", rng.uniform(3.0, 8.0), rng.uniform(0.08, 0.12))
    if kind == "PDw":
        return Pulses("SE", rng.uniform(2.5, 5.0), rng.uniform(0.010, 0.030))
    if kind == "FLAIR":
        tr, te = rng.uniform(8.0, 11.0), rng.uniform(0.09, 0.14)
        fluid = relaxation(field_strength).t1[TISSUES.index("csf")]
        return Pulses("IR", tr, te, null_time(fluid, tr, te) * rng.uniform(0.96, 1.04))
    if kind == "b0":
        return Pulses("SE", rng.uniform(6.0, 12.0), rng.uniform(0.07, 0.1))
    raise ValueError(f"kind {kind!r} is not one of {', '.join(KINDS)}")


def label_signal(pulses: Pulses, tissue: Relaxation) -> np.ndarray:
    """Signed signal of every label, (1024,) array: the sum over the tissues it is made of."""
    return label_composition() @ pulses.signal(tissue)


def label_contrast(rng: np.random.Generator, kind: str, spread: float = 0.06) -> np.ndarray:
    """Mean intensity of every label in a random sequence on a random scanner.

    Parameters
    ----------
    rng : Generator
    kind : {'T1w', 'T2w', 'PDw', 'FLAIR', 'b0'}
    spread : float
        Standard deviation of the logarithm of the tissues' T1, T2 and T2*.

    Returns
    -------
    (1024,) float64 array
        Cerebral white matter (label 2) is 1, air 0.
    """
    strength = FIELD_STRENGTHS[rng.integers(len(FIELD_STRENGTHS))]
    tissue = jitter_relaxation(relaxation(strength), rng, spread)
    pulses = random_pulses(rng, kind, strength)
    mixture = label_composition().copy()
    fat = rng.uniform(0.25, 0.75)
    mixture[SOFT_TISSUE, [TISSUES.index("muscle"), TISSUES.index("fat")]] = 1 - fat, fat
    table = np.abs(mixture @ pulses.signal(tissue))
    # structures of one tissue differ a little among each other
    table *= np.exp(rng.normal(0, 0.02, TABLE_SIZE))
    return table / table[2]


def protocol_contrasts(
    rng: np.random.Generator, kinds: Sequence[str], spread: float = 0.06
) -> np.ndarray:
    """Mean intensity of every label of one person, in each sequence of a protocol at 3 T.

    Parameters
    ----------
    rng : Generator
        Draws the person; the sequences are always the same ones of their kinds.
    kinds : sequence of {'T1w', 'T2w', 'PDw', 'FLAIR', 'b0'}
    spread : float
        Standard deviation of the logarithm of the tissues' T1, T2 and T2*.

    Returns
    -------
    (K, 1024) float64 array
        Of each row cerebral white matter (label 2) is 1, air 0. The rows are of one person's T1,
        T2 and proton density, so each tells something of the others.
    """
    tissue = jitter_relaxation(relaxation(3.0), rng, spread)
    pulses = (random_pulses(np.random.default_rng(0), kind) for kind in kinds)
    tables = np.abs([label_signal(one, tissue) for one in pulses])
    return tables / tables[:, 2:3]

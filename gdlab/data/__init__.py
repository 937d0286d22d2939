"""Small real data that ships with the package, and one data set that is made up.

Each function returns (X, y): X of shape (n, d), one example a row, y of shape (n,). `README.md` beside
this file names sources, licences and checksums; nothing is fetched from a network.
"""

from importlib.resources import files
from typing import NamedTuple

import numpy as np


class Examples(NamedTuple):
    """X, (n, d), and y, (n,)."""

    X: np.ndarray
    y: np.ndarray


AIRFOIL_COLUMNS = (
    "frequency (Hz)",
    "angle of attack (°)",
    "chord length (m)",
    "air speed (m/s)",
    "displacement thickness (m)",
    "sound level (dB)",
)
"""What the six columns of the airfoil data are; the last is what a model predicts."""


def airfoil(rows: int | None = 1500, standardise: bool = True) -> Examples:
    """How loud is a wing? NASA's wind-tunnel measurements, 1,503 rows: five settings, and the sound level.

    Args:
        rows: how many of the first rows to return; all with None. 1,500, as in Dive into Deep Learning,
            divide into equal batches.
        standardise: shift and scale every column, y too, to mean 0 and standard deviation 1 over all
            1,503 rows (dividing by n); with False they keep the units of `AIRFOIL_COLUMNS`.

    Raises:
        ValueError: if there are not so many rows.

    Source: Brooks, Pope & Marcolini 1989, doi:10.24432/C5VW2C, CC BY 4.0.

    >>> X, y = airfoil()
    >>> X.shape, y.shape, airfoil(rows=None, standardise=False).y[0]
    ((1500, 5), (1500,), np.float64(126.201))
    """
    with (files(__name__) / "airfoil_self_noise.dat").open() as lines:
        table = np.loadtxt(lines)
    rows = len(table) if rows is None else rows
    if not 0 < rows <= len(table):
        raise ValueError(f"The airfoil data have {len(table)} rows; rows is between 1 and that, but is {rows!r}.")
    if standardise:
        table = (table - table.mean(axis=0)) / table.std(axis=0)
    return Examples(table[:rows, :-1], table[:rows, -1])


def digits() -> Examples:
    """Handwritten digits: 1,797 pictures of 8 × 8 pixels from 13 writers.

    Returns:
        X of shape (1797, 64), row by row, from 0 (paper) to 1 (ink), in steps of 1/16; y of whole numbers
        0 … 9. `X[i].reshape(8, 8)` is the picture.

    Source: Alpaydin & Kaynak 1998, doi:10.24432/C50P49, the test part, CC BY 4.0.

    >>> X, y = digits()
    >>> X.shape, X.max(), y[:5].tolist()
    ((1797, 64), np.float64(1.0), [0, 1, 2, 3, 4])
    """
    with (files(__name__) / "digits.npz").open("rb") as file, np.load(file) as archive:
        return Examples(archive["images"] / 16.0, archive["labels"].astype(np.int64))


def housing(
    n: int, rng: np.random.Generator, price_per_m2: float = 3.0, base_price: float = 50.0, noise: float = 20.0
) -> Examples:
    """Made-up house prices on a straight line: price = w·area + b + noise.

    Args:
        n: how many houses.
        rng: a `numpy.random.Generator`; the same seed gives the same houses.
        price_per_m2: w, in thousands per m².
        base_price: b, in thousands.
        noise: the standard deviation of the rest, in thousands; 0 puts every house on the line.

    Returns:
        X of shape (n, 1): areas from 40 to 200 m²; y: prices in thousands.

    Raises:
        ValueError: if there are no houses, or the noise is below 0.

    >>> X, y = housing(3, np.random.default_rng(0), noise=0.0)
    >>> bool(np.allclose(y, 3.0 * X[:, 0] + 50.0))
    True
    """
    if n < 1 or noise < 0:
        raise ValueError(
            f"housing needs one house or more and a noise of 0 or more, but has n = {n!r} and noise = {noise!r}."
        )
    area = rng.uniform(40.0, 200.0, n)
    return Examples(area[:, None], price_per_m2 * area + base_price + noise * rng.normal(size=n))

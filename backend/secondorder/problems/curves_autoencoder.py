r"""Autoencoders of synthetic curves, after the CURVES data of Hinton & Salakhutdinov (2006), generated here."""

from functools import lru_cache

import jax
import numpy as np

from secondorder.core import Data, Problem, knob, option, register
from secondorder.data import HELD_OUT, split
from secondorder.likelihoods import Logistic
from secondorder.network import INITIAL, Network

# Hidden widths and number of images. The full ones are those of Martens (2010): 784-400-200-100-50-25-6-25-…-784.
SIZES = {
    "small": ((50, 25, 6, 25, 50), 1000),
    "full": ((400, 200, 100, 50, 25, 6, 25, 50, 100, 200, 400), 20_000),
}
MOST = 20_000
STROKE = 0.7  # standard deviation of a pen stroke's profile, in pixels
POINTS = 128  # Gauss-Legendre nodes on a curve: every pixel is its integral to 1e-3


@lru_cache(maxsize=2)
def curves(count: int, side: int, seed: int) -> np.ndarray:
    """``count`` images (count, side²) in 0…1, each of a parabola through three random points, the second halfway.

    A stroke's profile is exp(-d²/2σ²) with d the distance in pixels. It is the integral of a Gaussian along the curve,
    which is separable in the two coordinates, so that an image is a product of two matrices. Six numbers make an image:
    hence the six units of the autoencoder's code.
    """
    rng = np.random.default_rng([seed, 0])
    through = rng.uniform(0.15, 0.85, (count, 3, 2)) * side
    nodes, weights = np.polynomial.legendre.leggauss(POINTS)
    s = (1 + nodes) / 2
    lagrange = np.stack([(1 - s) * (1 - 2 * s), 4 * s * (1 - s), s * (2 * s - 1)])
    slopes = np.stack([4 * s - 3, 4 - 8 * s, 4 * s - 1])
    pixels = np.arange(side) + 0.5
    images = np.empty((count, side, side), np.float32)
    for part in np.array_split(np.arange(count), max(1, count // 1000)):
        at = np.einsum("nkc,kp->cnp", through[part], lagrange)
        length = np.hypot(*np.einsum("nkc,kp->cnp", through[part], slopes)) * weights / 2
        x, y = np.exp(-(((at[..., None] - pixels) / STROKE) ** 2) / 2).astype(np.float32)
        ink = (length / (np.sqrt(2 * np.pi) * STROKE)).astype(np.float32)[..., None]
        images[part] = (y * ink).swapaxes(1, 2) @ x
    return np.minimum(images, 1.0).reshape(count, -1)


@register
class CurvesAutoencoder(Problem):
    r"""J(w) = mean over images of Σ_pixels [log(1 + e^z) - tz] + l2/2 ‖w‖²: a tanh network learns to copy its input.

    The images are synthetic: curves through three random points each, drawn from the seed. (The CURVES
    data of Hinton & Salakhutdinov 2006 and Martens 2010 were made in this manner; these are not those.) The code of six
    units in the middle is a linear layer, the outputs are logits.
    """

    name = "curves-autoencoder"
    title = "Curves autoencoder (synthetic)"
    equation = (
        r"\mathcal{J}(\mathbf{w}) = \frac{1}{N} \sum_i \sum_k \left[\log(1 + e^{z_{ik}}) - x_{ik} z_{ik}\right]"
        r" + \tfrac{\ell_2}{2} \|\mathbf{w}\|^2, \quad \mathbf{z}_i = f(\mathbf{x}_i, \mathbf{w})"
    )
    kind = "network"
    rate = 0.02
    steps = 60
    # At the start G's largest eigenvalue is 411: gradient descent soon leaves there, steps on a fixed quadratic do not.
    defaults = {"taylor-gradient-descent": {"rate": 0.004}}
    likelihood = Logistic()
    predicts = True

    l2: float = knob(1e-5, "ℓ₂", 0.0, 10.0, "l2 penalty", scale="log")
    size: str = option("small", "784-50-25-6-25-50-784 on 1000 images, or 784-400-200-100-50-25-6-…-784 on 20,000",
                       enum=list(SIZES))  # fmt: skip
    side: int = option(28, "pixels along each side of an image", minimum=4, maximum=28)
    widths: tuple | None = option(None, "layer widths in place of a size's; the narrowest, the code, is linear",
                                  items={"type": "integer", "minimum": 1, "maximum": 1024},
                                  minItems=3, maxItems=13)  # fmt: skip
    images: int = option(0, "number of images (0: the size's own)", minimum=0, maximum=MOST)
    initial: str = option("normal", **INITIAL)
    batch: int = option(0, "examples a step (0: all)", minimum=0, maximum=MOST)
    held_out: float = option(0.0, **HELD_OUT)
    dtype: str = option("float32", "precision", enum=["float32", "float64"])

    def __post_init__(self):
        if self.widths and (self.widths[0] != self.side**2 or self.widths[-1] != self.side**2):
            raise ValueError(f"widths must begin and end with {self.side**2} (pixels)")
        if self.images == 1:
            raise ValueError("one image is no data: at least 2")

    @property
    def network(self) -> Network:
        pixels = self.side**2
        widths = self.widths or (pixels, *SIZES[self.size][0], pixels)
        return Network(widths, linear=(widths.index(min(widths)),))

    @property
    def dimension(self) -> int:
        return self.network.dimension

    @property
    def count(self) -> int:
        """All images, those held out included."""
        return self.images or SIZES[self.size][1]

    @property
    def examples(self) -> int:
        return self.count - round(self.held_out * self.count)

    @property
    def batch_size(self) -> int:
        return self.batch if self.batch < self.examples else 0

    @property
    def output_size(self) -> int:
        return self.side**2

    @property
    def work(self) -> float:
        return self.network.work(self.examples, self.dtype)

    def data(self, seed: int) -> Data:
        pixels = curves(self.count, self.side, seed).astype(self.dtype)
        return split(pixels, pixels, self.held_out, seed)

    def start(self, seed: int) -> np.ndarray:
        return self.network.initial(seed, self.dtype, self.initial)

    def parameters(self, w):
        return self.network.parameters(w)

    def outputs(self, w: jax.Array, inputs: jax.Array) -> jax.Array:
        return self.network.outputs(w, inputs)

    def l2_diagonal(self):
        return self.l2

r"""The nouns of Second Order, and the notation that every file shares.

============  ========================================================  ==============
symbol        meaning                                                   shape
============  ========================================================  ==============
``w``         weights, one flat vector                                  ``(D,)``
``J``         the cost on a batch: loss plus l2 term (`Objective`)      scalar
``g``         gradient of J at w                                        ``(D,)``
``H``         Hessian of J                                              ``(D, D)``
``z``         outputs f(x, w) of a model, one row an example            ``(B, K)``
``t``         targets                                                   ``(B, …)``
``Jzw``       Jacobian of one example's outputs by the weights          ``(K, D)``
``G``         generalized Gauss-Newton matrix E[Jzwᵀ Gz Jzw]            ``(D, D)``
``F``         Fisher matrix E[Dw Dwᵀ], targets drawn from the model     ``(D, D)``
``η``         damping                                                   scalar
``α``         learning rate (the knob ``rate``)                         scalar
``δ``         a step: the next weights are w + δ                        ``(D,)``
============  ========================================================  ==============

A **knob** is a hyperparameter: a traced leaf, so that moving it never recompiles. An **option** changes the structure
of the program and is static. Both are dataclass fields; sliders, JSON schema and validation follow from them.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar, dataclass_transform

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)  # toys are float64; a problem says its own precision

Array = jax.Array
Class = TypeVar("Class", bound=type)


def knob(default: float | None, symbol: str, low: float, high: float, title: str, scale: str = "linear",
         whole: bool = False) -> Any:  # fmt: skip
    """A hyperparameter between ``low`` and ``high``; ``scale`` ("linear" or "log") is how a slider should move it.

    One that counts something is ``whole``: traced as a float like the others, but always a whole number.
    """
    schema: dict[str, Any] = {"type": "number", "default": default, "minimum": low, "maximum": high}
    schema |= {"symbol": symbol, "scale": scale, "title": title} | ({"multipleOf": 1} if whole else {})
    return dataclasses.field(default=default, metadata={"knob": schema})


def option(default: Any, title: str, **schema: Any) -> Any:
    """A structural choice, described by JSON schema keywords (``enum``; ``minimum`` and ``maximum``; ``items``)."""
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", tuple: "array", type(None): "array"}
    kind = kinds[type(default)]
    told = list(default) if isinstance(default, tuple) else default
    schema = {"type": kind, "default": told, "title": title} | schema
    return dataclasses.field(default=default, metadata={"static": True, "option": schema})


@dataclass_transform(frozen_default=True, field_specifiers=(knob, option, dataclasses.field))
def register(cls: Class) -> Class:
    """Makes ``cls`` a frozen dataclass and a pytree whose leaves are its knobs.

    Not by `jax.tree_util.register_dataclass`: jaxlib 0.10 leaves the class out when it compares two such trees, so that
    jit now and then takes one problem's compiled program for another's. Here the class is part of the static data.
    """
    cls = dataclasses.dataclass(frozen=True, eq=False)(cls)
    fields = dataclasses.fields(cls)
    traced = [field.name for field in fields if not field.metadata.get("static")]
    static = [field.name for field in fields if field.metadata.get("static")]

    def flatten(part):
        return [getattr(part, name) for name in traced], (cls, *(getattr(part, name) for name in static))

    def unflatten(fixed, leaves):
        part = object.__new__(cls)
        for name, value in zip(traced + static, [*leaves, *fixed[1:]], strict=True):
            object.__setattr__(part, name, value)
        return part

    jax.tree_util.register_pytree_node(cls, flatten, unflatten)
    return cls


def knobs(part: Any) -> dict[str, dict]:
    """The JSON schema of each knob of a registered class, by field name."""
    return {f.name: f.metadata["knob"] for f in dataclasses.fields(part) if "knob" in f.metadata}


def options(part: Any) -> dict[str, dict]:
    """The JSON schema of each option of a registered class, by field name."""
    return {f.name: f.metadata["option"] for f in dataclasses.fields(part) if "option" in f.metadata}


class OptionError(ValueError):
    """A value that a class refuses beyond what its schema says: ``at`` which option, what is ``allowed`` there."""

    def __init__(self, message: str, at: str, allowed: Any = None):
        super().__init__(message)
        self.at, self.allowed = at, allowed


class Batch(NamedTuple):
    """Some examples: ``inputs`` (B, …) and ``targets`` (B, …). A toy has one example without features."""

    inputs: Any
    targets: Any


TOY = Batch(np.zeros((1, 0)), np.zeros((1, 1)))


class Data(NamedTuple):
    """What a problem is fitted to, and the share of it that is held out (None: nothing is)."""

    train: Batch
    test: Batch | None = None


class Likelihood(Protocol):
    """A loss on outputs that is a negative log-likelihood: see likelihoods.py."""

    def loss(self, z: Array, t: Array) -> Array: ...
    def root(self, z: Array) -> Array: ...
    def scores(self, z: Array) -> Array: ...
    def multiply(self, z: Array, u: Array) -> Array: ...
    def noise(self, key: Array, shape: tuple[int, ...], dtype: Any) -> Array: ...
    def sample(self, noise: Array, z: Array) -> Array: ...


class Curvature(Protocol):
    """A curvature matrix C (D, D), known by what it can do. One a file in curvature/.

    C, its matrix and its eigenvalues are the loss's (the Hessian's are J's); whatever is multiplied or solved with adds
    L, the Hessian of the l2 term.
    """

    @property
    def matrix(self) -> Array:
        """C written out (D, D), where that is small enough to look at."""
        ...

    def multiply(self, v: Array) -> Array:
        """(C + L) v."""
        ...

    def solve(self, v: Array, damping: Array | float = 0.0) -> tuple[Array, Array]:
        """(C + L + ηI)⁻¹ v, and whether that matrix is singular to working precision: then it is not to be used."""
        ...

    def eigenvalues(self) -> Array:
        """Ascending eigenvalues of C, shape (D,)."""
        ...


class Layers(Protocol):
    """A model made of layers s_l = W̄_l ā_(l-1): see network.py."""

    @property
    def shapes(self) -> list[tuple[int, int]]: ...
    @property
    def slices(self) -> list[slice]: ...
    def split(self, w: Any) -> list[Any]: ...
    def join(self, matrices: Sequence[Any]) -> Array: ...
    def record(self, w: Array, x: Array, offsets: Sequence[Any] | None = None) -> tuple[Array, list]: ...


class Named:
    """What problems, optimizers and probes tell of themselves in the catalog. Equations are TeX."""

    name: ClassVar[str]
    title: ClassVar[str]
    equation: ClassVar[str]


class Problem(Named):
    """A cost with its data.

    A subclass gives ``loss``, or ``outputs`` and a ``likelihood`` from which the loss follows as the mean over
    examples of the negative log-likelihood summed over outputs.
    """

    kind: ClassVar[str] = "toy"  # or "data", or "network"
    steps: ClassVar[int] = 50
    rate: ClassVar[float] = 0.1  # gradient descent's α: below 2 over the largest curvature met
    window: ClassVar[tuple | None] = None  # ((x low, x high), (y low, y high)) worth looking at
    defaults: ClassVar[dict[str, dict[str, float]]] = {}  # {optimizer: {knob: value}} other than the optimizer's own
    likelihood: ClassVar[Likelihood | None] = None
    predicts: ClassVar[bool] = False  # whether the likelihood is a model of targets, with a Fisher matrix
    network: Layers | None = None  # the layers that the outputs are made by, where they are
    dtype: str = "float64"

    @property
    def dimension(self) -> int:
        """D, the number of weights; known without touching data or device."""
        return 2

    @property
    def examples(self) -> int:
        """Number of examples in the training data."""
        return 1

    @property
    def batch_size(self) -> int:
        """Examples in a step (0: all of them)."""
        return 0

    @property
    def output_size(self) -> int:
        """K, the outputs of an example."""
        return 1

    @property
    def work(self) -> float:
        """Floating-point operations of one pass (loss and gradient) over the training data, to its order."""
        return 100.0 * self.dimension

    @property
    def weights(self) -> list[str]:
        """A name for each weight up to three, else for each array of weights."""
        return list(self.parameters(np.zeros(self.dimension)))

    @property
    def blocks(self) -> list[dict[str, Any]] | None:
        """Which weights fall in which block of a layerwise curvature: W̄_l of each layer; None without layers."""
        if self.network is None:
            return None
        numbers = self.parameters(np.arange(self.dimension))
        firsts = {name: int(np.min(places)) for name, places in numbers.items()}
        return [
            {
                "name": f"layer {layer}",
                "weights": [name for name, first in firsts.items() if part.start <= first < part.stop],
                "shape": list(shape),
                "first": part.start,
                "count": part.stop - part.start,
            }
            for layer, (part, shape) in enumerate(zip(self.network.slices, self.network.shapes, strict=True), start=1)
        ]

    def data(self, seed: int) -> Data:
        """The data as numpy arrays; a pure function of the options and the seed."""
        return Data(TOY)

    def start(self, seed: int) -> np.ndarray:
        """Where optimization begins when the spec does not say, shape (D,)."""
        raise NotImplementedError

    def parameters(self, w: Any) -> dict[str, Any]:
        """The weights as named arrays."""
        return {f"w{i}": w[i] for i in range(self.dimension)}

    def outputs(self, w: Array, inputs: Array) -> Array:
        """z = f(x, w), shape (B, K). Toys whose cost is a sum of squares hand out √2 times their residuals."""
        raise NotImplementedError

    def loss(self, w: Array, batch: Batch) -> Array:
        assert self.likelihood is not None, f"{self.name} gives neither a loss nor a likelihood"
        return jnp.mean(jax.vmap(self.likelihood.loss)(self.outputs(w, batch.inputs), batch.targets))

    def l2_diagonal(self) -> Array | float:
        """The Hessian of the l2 term is diagonal: l2 where a weight is penalized, 0 elsewhere."""
        return 0.0


@register
class Objective:
    """J on one batch: what an optimizer sees in a step. ``J(w)`` is the cost, loss plus l2 term.

    ``k`` numbers the step and ``key`` is what it may draw random numbers from. Both are the same in every lane, so that
    what is done at some k alone costs nothing at the others, in a sweep, too. ``noise`` is what the likelihood draws
    the batch's targets with, where it was made from ``key`` already.
    """

    problem: Problem
    batch: Batch
    k: Array | int = 0
    key: Array | None = None
    noise: Array | None = None

    def __call__(self, w: Array) -> Array:
        return self.problem.loss(w, self.batch) + jnp.sum(w * (self.problem.l2_diagonal() * w)) / 2

    def gradient(self, w: Array) -> Array:
        return jax.grad(self)(w)

    def value_and_gradient(self, w: Array) -> tuple[Array, Array]:
        return jax.value_and_grad(self)(w)

    def weighted_jacobian(self, w: Array, weight: Callable[[Array], Array]) -> Array:
        """Rows ``weight(z) Jzw / √B`` of all examples, shape (rows, D): a factor of G or of F.

        ``weight`` maps one example's outputs (K,) to a matrix (rows an example, K).
        """

        def of_one(x):
            def f(w):
                return self.problem.outputs(w, x[None])[0]

            return weight(f(w)) @ jax.jacrev(f)(w)

        rows = jax.vmap(of_one)(self.batch.inputs)
        return rows.reshape(-1, w.shape[0]) / np.sqrt(rows.shape[0])


class Step(NamedTuple):
    """What one step of an optimizer says.

    ``passes`` counts cost in passes over the batch: a gradient 1, a matrix-vector product 1, a loss alone 1/3, an exact
    matrix of n weights n. ``columns`` is telemetry. ``refused`` is 0, or i when the step cannot be taken because of
    ``refusals[i - 1]``.
    """

    delta: Any
    state: Any
    passes: Array | float
    columns: dict[str, Array] = {}
    refused: Array | int = 0


class Optimizer(Named):
    """One method: the object is its hyperparameters, the state a value beside it."""

    refusals: ClassVar[tuple[str, ...]] = ()
    presets: ClassVar[dict[str, dict[str, Any]]] = {}  # {name: {knob or option: value}}, asked for as ``preset``

    @classmethod
    def fit(cls, problem: Problem) -> str | None:
        """None where the method can run on ``problem``, else what the problem lacks."""
        return None

    def price(self, n: int) -> tuple[float, float]:
        """(passes over the batch, further floating-point operations) of a step with n weights, to their order."""
        return 1.0, 10.0 * n

    def room(self, problem: Problem) -> float:
        """Numbers that a lane holds at once, to their order."""
        return 30.0 * problem.dimension

    def batches(self, problem: Problem, steps: int) -> list[tuple[int, int]]:
        """Sizes of the batches (0: all examples), each with its first step. Every size is a program of its own."""
        return [(0, problem.batch_size)]

    def damping_now(self, state: Any) -> Any:
        """η of the step that comes next, NaN for a method without damping."""
        return getattr(self, "damping", jnp.nan)

    def init(self, J: Objective, w: Array) -> Any:
        return ()

    def step(self, J: Objective, w: Array, state: Any) -> Step:
        raise NotImplementedError


class Plane(NamedTuple):
    """A two-dimensional slice of weight space: w = origin + a·axes[0] + b·axes[1], axes orthonormal, shape (2, D)."""

    origin: Any
    axes: Any

    def project(self, w: Any) -> Any:
        return (w - self.origin) @ self.axes.T

    def lift(self, point: Any) -> Any:
        return self.origin + point @ self.axes


class Point(NamedTuple):
    """Where a probe is asked, and how its answer is to be drawn."""

    w: Any  # (D,)
    plane: Plane
    window: Any  # (2, 2): low and high along each axis of the plane
    damping: Any  # η of the lane there, NaN where it has none
    stage: Any = 0  # which part of an answer that is measured in stages
    held_out: Batch | None = None  # the examples that no step has seen, where there are some


class Probe(Named):
    """A question asked of an iterate."""

    in_a_plane: ClassVar[bool] = False  # whether it is drawn in two dimensions: beyond, in the slice of a finished run
    of_the_whole_run: ClassVar[bool] = False  # whether it is asked once a run, at its end, and tells all lanes' paths

    @classmethod
    def fit(cls, problem: Problem) -> str | None:
        """None where the question makes sense for ``problem``, else why not."""
        return None

    def for_problem(self, problem: Problem) -> "Probe":
        """The probe as it is asked of ``problem``, say with a resolution that the problem's price allows."""
        return self

    def price(self, problem: Problem) -> float:
        """Floating-point operations of one answer, to their order."""
        return problem.work

    @property
    def stages(self) -> int:
        """In how many parts the answer is measured, one after the other; it is told after each, the last time whole."""
        return 1

    def measure(self, J: Objective, point: Point) -> dict[str, Any]:
        """The answer, or the part of it that ``point.stage`` numbers, as arrays; traced. What is not defined is NaN,
        which leaves as null."""
        raise NotImplementedError

    def tell(self, found: dict[str, Any]) -> dict[str, Any]:
        """The answer as JSON's shapes, from numpy arrays; of several stages those so far, along a first axis."""
        return found

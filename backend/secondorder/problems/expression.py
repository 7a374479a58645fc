r"""A cost that the reader types."""

import jax
import numpy as np

from secondorder import expression
from secondorder.core import Batch, OptionError, Problem, option, register


@register
class Expression(Problem):
    r"""J(x, y) is the formula that you type: one weight where only x occurs in it, else two.

    Known are numbers, x and y, + - * / and ^ (a power; -x^2 is -(x^2)), parentheses, pi and e, and the functions exp
    log sqrt abs sin cos tan asin acos atan sinh cosh tanh; log is the natural logarithm, and angles are in radians.
    """

    name = "expression"
    title = "Your own cost"
    equation = r"\mathcal{J}(x, y) = \text{what you type}"
    window = ((-3.0, 3.0), (-3.0, 3.0))

    cost: str = option("(y - sin(2*x))^2 + x^2/5", "J(x, y) =", maxLength=expression.LONGEST)

    def __post_init__(self):
        try:
            expression.parse(self.cost)
        except expression.ExpressionError as error:
            at = "cost" if error.place is None else f"cost[{error.place}]"
            raise OptionError(str(error), at, error.expected) from None

    @property
    def dimension(self) -> int:
        return 2 if "y" in expression.variables(expression.parse(self.cost)) else 1

    def start(self, seed: int) -> np.ndarray:
        return np.array([-2.0, 1.5])[: self.dimension]

    def parameters(self, w) -> dict:
        return dict(zip(expression.VARIABLES, w, strict=False))

    def loss(self, w: jax.Array, batch: Batch) -> jax.Array:
        return expression.evaluate(expression.parse(self.cost), self.parameters(w))

"""Formulas against the same ones in numpy and against Python's own grammar, and what is said of a text that is none."""

import random
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from secondorder.expression import ExpressionError, Node, evaluate, parse

OPERATIONS: dict[str, Any] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "^": np.power,
    "negative": np.negative,
}
FUNCTIONS: dict[str, Any] = {
    **{name: getattr(np, name) for name in ("exp", "log", "sqrt", "abs", "sin", "cos", "tan", "sinh", "cosh", "tanh")},
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
}
CONSTANTS = {"pi": np.float64(np.pi), "e": np.float64(np.e)}
# How tightly each binds, and what its operands must: the grammar once more, as a printer needs it.
BINDING = {"+": (1, 1, 2), "-": (1, 1, 2), "*": (2, 2, 3), "/": (2, 2, 3), "negative": (3, 3), "^": (4, 5, 3)}
ATOM = 5

NUMBERS = ["0", "1", "2", "3", "10", "0.5", ".25", "2.", "1e3", "3E-2", "1e+2", "7.125", "1e200", "20"]
COORDINATES = [0.0, 1.0, -1.0, 2.0, -2.0, 0.3, -0.7, 1.7, -3.2, 12.0]
EPSILON = 1e-15  # that an operation may be off by: a few units in the last place

leaves = st.one_of(
    st.sampled_from(["x", "y"]).map(lambda name: ("name", name)),
    st.sampled_from(NUMBERS).map(lambda text: ("number", text)),
    st.sampled_from(["pi", "e"]).map(lambda name: ("name", name)),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["+", "-", "*", "/", "^", "+", "*"]), inner, inner),
        st.tuples(st.sampled_from([*FUNCTIONS, "negative"]), inner),
    ),
    max_leaves=16,
)
points = st.tuples(st.sampled_from(COORDINATES), st.sampled_from(COORDINATES))
many = settings(
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def printed(tree: Any, chance: random.Random, needed: int = 1) -> str:
    """A tree as somebody may write it: spaces here and there, and more parentheses than there have to be."""
    kind, *operands = tree
    gap = chance.choice(["", "", "", " ", "\t"])
    binding = ATOM
    if kind in ("name", "number"):
        text = operands[0]
    elif kind in FUNCTIONS:
        text = f"{kind}{gap}({printed(operands[0], chance)})"
    else:
        binding, *inner = BINDING[kind]
        told = [printed(operand, chance, need) for operand, need in zip(operands, inner, strict=True)]
        sign = chance.choice(["^", "**"]) if kind == "^" else "-" if kind == "negative" else kind
        text = f"{gap}{sign}{gap}".join(["", *told] if kind == "negative" else told)
    for _ in range((binding < needed) + chance.choice([0, 0, 0, 0, 0, 1, 2])):
        text = f"({gap}{text}{gap})"
    return text


def count(tree: Any) -> int:
    return 1 + sum(count(part) for part in tree[1:] if isinstance(part, tuple))


def depth(tree: Any) -> int:
    """The longest way down, where a chain of sums is as deep as it is long."""
    below = [depth(part) for part in tree[1:] if isinstance(part, tuple)]
    return 1 + max(below) if below else 0


def names(tree: Any) -> set[str]:
    return {tree[1]} if tree[0] == "name" else set().union(*(names(p) for p in tree[1:] if isinstance(p, tuple)), set())


class Oracle:
    """A tree's value in numpy, the largest number on the way, and how far the value moves when operations err."""

    def __init__(self, tree: Any, x: float, y: float):
        self.at = CONSTANTS | {"x": np.float64(x), "y": np.float64(y)}
        self.largest = 0.0
        with np.errstate(all="ignore"):
            self.value = self.walk(tree, lambda value, _: value)
            shaken = [self.walk(tree, self.shake(random.Random(seed))) for seed in range(3)]
        finite = [np.isfinite(each) for each in [self.value, *shaken]]
        # Where rounding decides whether there is a number at all, or which one, nothing tighter can be asked.
        self.decided = all(finite) == any(finite)
        spread = max((abs(each - self.value) for each in shaken), default=0.0) if all(finite) else 0.0
        self.tolerance = max(1e-12 * self.largest, 10 * spread)

    @staticmethod
    def shake(chance: random.Random):
        def shaken(value, operands):
            return value + EPSILON * chance.uniform(-1, 1) * (abs(value) + sum(map(abs, operands)))

        return shaken

    def walk(self, tree: Any, shake: Any) -> Any:
        kind, *rest = tree
        if kind == "number":
            value = np.float64(rest[0])
        elif kind == "name":
            value = self.at[rest[0]]
        else:
            operands = [self.walk(operand, shake) for operand in rest]
            value = (OPERATIONS | FUNCTIONS)[kind](*operands)
            value = shake(value, operands if kind in ("+", "-") else [])
        if np.isfinite(value):
            self.largest = max(self.largest, abs(value))
        return value

    def agrees(self, found: float) -> bool:
        if not (np.isfinite(found) and np.isfinite(self.value)):
            return not self.decided or np.isfinite(found) == np.isfinite(self.value)
        return not self.decided or abs(found - self.value) <= self.tolerance


def outcome(text: str) -> Node | ExpressionError:
    """What a text is read as, or a refusal that has all that is told of one."""
    try:
        return parse(text)
    except ExpressionError as refusal:
        error = refusal
    assert str(error)
    assert error.expected
    assert error.place is None or 0 <= error.place <= len(text)
    return error


def refused(text: str) -> ExpressionError:
    error = outcome(text)
    assert isinstance(error, ExpressionError)
    return error


def valued(node: Node, x: float, y: float) -> float:
    return float(evaluate(node, {"x": jnp.asarray(x), "y": jnp.asarray(y)}))


def may_be_refused(tree: Any) -> bool:
    return count(tree) > 40 or depth(tree) > 12 or not names(tree) & {"x", "y"}


def test_ten_thousand_formulas_have_the_value_that_numpy_gives_them():
    """Well-conditioned or not: those in which rounding decides are counted, and few."""
    undecided = accepted = 0

    @settings(many, max_examples=10_000)
    @given(trees, st.randoms(use_true_random=True), points)
    def check(tree, chance, point):
        nonlocal undecided, accepted
        text = printed(tree, chance)
        node = outcome(text)
        if isinstance(node, ExpressionError):
            assert node.place is None, text
            assert may_be_refused(tree), text
            return
        oracle, found = Oracle(tree, *point), valued(node, *point)
        assert oracle.agrees(found), (text, point, found, oracle.value)
        undecided += not oracle.decided
        accepted += 1

    check()
    assert accepted > 5000
    assert undecided < accepted / 50


def test_two_hundred_formulas_have_the_same_value_compiled():
    @settings(many, max_examples=200)
    @given(trees.filter(lambda tree: count(tree) > 5 and not may_be_refused(tree)), st.randoms(), points)
    def check(tree, chance, point):
        node = parse(printed(tree, chance))
        x, y = point
        found = jax.jit(lambda x, y: evaluate(node, {"x": x, "y": y}))(x, y)
        assert Oracle(tree, x, y).agrees(float(found)), (node, point)

    check()


# --- Any text ---------------------------------------------------------------------------------------------------------

PIECES = [
    *("x", "y", "pi", "e", "2", "1e3", ".5", "3.", "+", "-", "*", "/", "^", "**", "(", ")", "(", ")", " ", "\n"),
    *("sin", "exp(", "log(x)", "sqrt", "abs(", "−", "·", "×", "π", ",", "x2", "foo", "²", "\0", "=", "__import__"),
]
NUMBER = re.compile(r"(?<![\w.])([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
SPELLED = str.maketrans({"−": "-", "·": "*", "×": "*", "π": "pi", "^": "**"})


def in_python(text: str, x: float, y: float) -> float:
    """The value of a text that Python reads, numbers and operators being numpy's."""
    text = NUMBER.sub(lambda found: f"number('{found[0]}')", re.sub(r"\s+", " ", text).replace("^", "**"))
    known = FUNCTIONS | CONSTANTS | {"x": np.float64(x), "y": np.float64(y), "number": np.float64}
    with np.errstate(all="ignore"):
        return float(eval(f"({text.translate(SPELLED)})", {"__builtins__": {}}, known))


@settings(many, max_examples=3000)
@given(st.one_of(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), st.text(max_size=20)))
def test_any_text_is_refused_with_its_place_or_means_what_python_reads(text):
    node = outcome(text)
    if isinstance(node, ExpressionError):
        return
    found, expected = valued(node, 0.7, -1.3), in_python(text, 0.7, -1.3)
    assert np.isfinite(found) == np.isfinite(expected)
    if np.isfinite(found):
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-x^2", -9.0),
        ("(-x)^2", 9.0),
        ("2^3^x / 2^27", 1.0),
        ("2^-x", 0.125),
        ("2^-x^2", 2.0**-9),
        ("x - 1 - 1", 1.0),
        ("x / 2 / 2", 0.75),
        ("--x", 3.0),
        ("+x", 3.0),
        ("x*-2", -6.0),
        ("6 / 2*x", 9.0),
        ("x**2", 9.0),
        ("x−1·2×2", -1.0),
        ("π - pi + x", 3.0),
        ("log(e^x)", 3.0),
        ("x^0 + 0^0*(x - x)", 1.0),
        ("  ( ( x ) )\n", 3.0),
        ("(" * 90 + "x" + ")" * 90, 3.0),
        ("+".join(["x"] * 20), 60.0),
    ],
)
def test_reads_as_mathematics_does(text, value):
    assert valued(parse(text), 3.0, 0.0) == pytest.approx(value, rel=1e-14)


OPERANDS = ["a number", "x or y", "pi or e", "(", "-"]
REFUSED = [
    ("", 0, "ends where a number"),
    ("x +", 3, "it ends where a number, a variable, a function or “(” is expected"),
    ("x + * y", 4, "“*” stands where a number"),
    ("(x + 1", 6, "it ends before “)” closes what “(” opened"),
    ("x + 1)", 5, "“)” closes nothing"),
    ("2x", 1, "an operator is missing before “x”; a product is written with *"),
    ("x y", 2, "an operator is missing before “y”"),
    ("2(x)", 1, "an operator is missing before “(”"),
    ("x 2", 2, "an operator is missing before “2”"),
    ("1.2.3*x", 3, "an operator is missing before “.”"),
    ("x^2 + sine(x)", 6, "“sine” is not known; did you mean sin?"),
    ("X", 0, "“X” is not known; did you mean x?"),
    ("xy", 0, "“xy” is not known"),
    ("x + foo", 4, "“foo” is not known"),
    ("sin x", 4, "sin needs its argument in parentheses, as in sin(x)"),
    ("sin", 3, "sin needs its argument in parentheses"),
    ("sin()", 4, "“)” stands where a number"),
    ("x(2)", 1, "an operator is missing before “(”"),
    ("()", 1, "“)” stands where a number"),
    ("x = 2", 2, "“=” has no meaning here"),
    ("x, y", 1, "“,” has no meaning here"),
    ("$x", 0, "“$” stands where a number"),
    ("x²", 1, "“²” has no meaning here"),
    ("x; import os", 1, "“;” has no meaning here"),
    ("x.__class__", 1, "an operator is missing before “.”"),
    ("1e999 * x", 0, "“1e999” is too large a number"),
]


@pytest.mark.parametrize(("text", "place", "says"), REFUSED)
def test_says_where_a_text_goes_wrong_and_how(text, place, says):
    error = refused(text)
    assert says in str(error)
    assert str(error).startswith(f"at character {place + 1}, ")
    assert error.place == place


def test_says_what_is_expected():
    assert [told for told in refused("x + ").expected if "function" not in told] == OPERANDS
    assert refused("(x").expected == ["+", "-", "*", "/", "^", ")"]
    assert refused("x)").expected == ["+", "-", "*", "/", "^", "the end"]
    assert refused("sin x").expected == ["("]
    assert {"x", "y", "pi", "e", *FUNCTIONS} == set(refused("foo(x)").expected)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("+".join(["x"] * 21), "41 numbers, variables and operations"),
        ("-" * 13 + "x", "13 operations one inside the other"),
        ("2 + pi", "a cost depends on x"),
    ],
)
def test_bounds_of_a_formula(text, says):
    error = refused(text)
    assert says in str(error)
    assert error.place is None


def test_a_formula_at_its_bounds():
    parse("+".join(["x"] * 20))
    parse("-" * 12 + "x")

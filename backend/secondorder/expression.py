r"""A formula that somebody types: its grammar, what is said of a text that is none, and its value.

Numbers, the variables x and y, + - * / and ^ (or ``**``), parentheses, pi and e, and the functions of `FUNCTIONS`:
nothing else has a meaning, and no text is ever run as a program. As in mathematics -x^2 is -(x^2), 2^3^2 is 2^(3^2).
"""

import math
import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache, lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from lark import Lark, Token, Transformer, UnexpectedInput, v_args

LONGEST = 200  # characters
MOST_NODES = 40  # numbers, variables and operations
DEEPEST = 12  # operations one inside the other
MULTIPLIED = 64  # whole exponents up to this size are products, in error by less than one unit in the last place each

VARIABLES = ("x", "y")
CONSTANTS = {"pi": math.pi, "π": math.pi, "e": math.e}
FUNCTIONS = {
    "exp": jnp.exp,
    "log": jnp.log,
    "sqrt": jnp.sqrt,
    "abs": jnp.abs,
    "sin": jnp.sin,
    "cos": jnp.cos,
    "tan": jnp.tan,
    "asin": jnp.arcsin,
    "acos": jnp.arccos,
    "atan": jnp.arctan,
    "sinh": jnp.sinh,
    "cosh": jnp.cosh,
    "tanh": jnp.tanh,
}
OPERATIONS = FUNCTIONS | {
    "plus": jnp.add,
    "minus": jnp.subtract,
    "times": jnp.multiply,
    "over": jnp.divide,
    "power": jnp.power,
    "negative": jnp.negative,
}

GRAMMAR = rf"""
?sum: product | sum (PLUS | MINUS) product -> binary
?product: signed | product (TIMES | OVER) signed -> binary
?signed: power | MINUS signed -> negative | PLUS signed -> positive
?power: atom | atom POWER signed -> binary
?atom: NUMBER | VARIABLE | CONSTANT | FUNCTION "(" sum ")" -> apply | "(" sum ")"

NUMBER: /([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?/
VARIABLE: /({"|".join(VARIABLES)})(?![A-Za-z0-9_])/
CONSTANT: /({"|".join(CONSTANTS)})(?![A-Za-z0-9_])/
FUNCTION: /({"|".join(FUNCTIONS)})(?![A-Za-z0-9_])/
PLUS: "+"
MINUS: /[-−]/
TIMES: /[*·×]/
OVER: "/"
POWER: /\*\*|\^/
%ignore /\s+/
"""

# What a terminal is called where it could have stood.
OPERANDS = {
    "NUMBER": "a number",
    "VARIABLE": "x or y",
    "CONSTANT": "pi or e",
    "FUNCTION": "a function such as sin(x)",
    "LPAR": "(",
    "MINUS": "-",
}
FOLLOWING = {"PLUS": "+", "MINUS": "-", "TIMES": "*", "OVER": "/", "POWER": "^", "RPAR": ")", "$END": "the end"}


class ExpressionError(ValueError):
    """A text that is no formula: what is wrong, which character (from 0; None: the whole), what is expected there."""

    def __init__(self, message: str, place: int | None = None, expected: Any = None):
        super().__init__(message if place is None else f"at character {place + 1}, {message}")
        self.place, self.expected = place, expected


class Apply(NamedTuple):
    """A function of nodes."""

    name: str  # of OPERATIONS
    operands: tuple["Node", ...]


Node = float | str | Apply  # a number, a variable or a function


@v_args(inline=True)
class _Nodes(Transformer):
    """The nodes that the grammar's rules stand for."""

    def NUMBER(self, token: Token) -> float:
        if math.isinf(float(token)):
            raise ExpressionError(f"“{token}” is too large a number", token.start_pos, "numbers up to 1.8e308")
        return float(token)

    VARIABLE = str
    CONSTANT = CONSTANTS.__getitem__

    def binary(self, left: Node, operator: Token, right: Node) -> Node:
        return Apply(operator.type.lower(), (left, right))

    def negative(self, _: Token, operand: Node) -> Node:
        return Apply("negative", (operand,))

    def positive(self, _: Token, operand: Node) -> Node:
        return operand

    def apply(self, function: Token, operand: Node) -> Node:
        return Apply(str(function), (operand,))


@cache
def _parser() -> Lark:
    return Lark(GRAMMAR, start="sum", parser="lalr", transformer=_Nodes())


@lru_cache(maxsize=512)
def parse(text: str) -> Node:
    """The formula that a text writes, or an `ExpressionError`."""
    parsing = _parser().parse_interactive(text)
    try:
        parsing.exhaust_lexer()
        node = parsing.feed_eof()
    except UnexpectedInput as error:
        token = getattr(error, "token", None)
        at_end = token is not None and token.type == "$END"
        raise _explained(text, len(text) if at_end else error.pos_in_stream or 0) from None
    if size(node) > MOST_NODES:
        raise ExpressionError(
            f"too long: {size(node)} numbers, variables and operations", expected=f"at most {MOST_NODES}"
        )
    if depth(node) > DEEPEST:
        raise ExpressionError(f"too deep: {depth(node)} operations one inside the other", expected=f"at most {DEEPEST}")
    if not variables(node):
        raise ExpressionError("a cost depends on x, or on x and y", expected=list(VARIABLES))
    return node


def _explained(text: str, place: int) -> ExpressionError:
    """What is wrong with a text that is a formula's beginning as far as ``place``."""
    before = _parser().parse_interactive(text[:place])
    *_, last = [None, *before.exhaust_lexer()]
    accepted = before.accepts()
    found = "".join(re.findall(r"[A-Za-z0-9_]+|.", text[place:], re.DOTALL)[:1])
    quoted = f"“{found}”"
    names = [*VARIABLES, *CONSTANTS, *FUNCTIONS]
    if found[:1].isalpha() and found not in names:
        near = get_close_matches(found.lower(), names, 1)
        known = [*VARIABLES, "pi", "e", *FUNCTIONS]
        return ExpressionError(f"{quoted} is not known" + (f"; did you mean {near[0]}?" if near else ""), place, known)
    if last is not None and last.type == "FUNCTION":
        return ExpressionError(f"{last} needs its argument in parentheses, as in {last}(x)", place, ["("])
    if "NUMBER" in accepted:
        told = [word for terminal, word in OPERANDS.items() if terminal in accepted]
        where = "it ends where" if not found else f"{quoted} stands where"
        return ExpressionError(f"{where} a number, a variable, a function or “(” is expected", place, told)
    told = [word for terminal, word in FOLLOWING.items() if terminal in accepted]
    if not found:
        return ExpressionError("it ends before “)” closes what “(” opened", place, told)
    if found == ")":
        return ExpressionError("“)” closes nothing", place, told)
    if found[0].isalpha() or found[0].isdecimal() or found in "(.":
        return ExpressionError(f"an operator is missing before {quoted}; a product is written with *", place, told)
    return ExpressionError(f"{quoted} has no meaning here", place, told)


def size(node: Node) -> int:
    """Numbers, variables and operations in a formula."""
    return 1 + sum(map(size, node.operands)) if isinstance(node, Apply) else 1


CHAINS = ({"plus", "minus"}, {"times", "over"})


def depth(node: Node) -> int:
    """Operations one inside the other; in a + b - c or a * b / c the first operand stands beside the last."""
    if not isinstance(node, Apply):
        return 0

    def beside(operand: Node) -> bool:
        return isinstance(operand, Apply) and any({node.name, operand.name} <= chain for chain in CHAINS)

    first, *others = node.operands
    return max(depth(first) + (not beside(first)), *(1 + depth(operand) for operand in others), 1)


def variables(node: Node) -> set[str]:
    """The variables that a formula has."""
    if isinstance(node, Apply):
        return set().union(*map(variables, node.operands))
    return {node} if isinstance(node, str) else set()


def _whole(exponent: Node) -> int | None:
    """The number that an exponent is, if it is whole and not too large."""
    if variables(exponent):
        return None
    with jax.ensure_compile_time_eval():
        value = float(evaluate(exponent, {}))
    return int(value) if abs(value) <= MULTIPLIED and value.is_integer() else None


def evaluate(node: Node, values: Mapping[str, jax.Array]) -> jax.Array:
    """A formula's value where the variables have these values; of what is not defined it is infinite or NaN."""
    if isinstance(node, Apply):
        if node.name == "power" and (n := _whole(node.operands[1])) is not None:
            # By jnp.power's rule, n x^(n-1) with any n, the derivatives of x⁰ and x¹ would be NaN at 0.
            return jax.lax.integer_pow(evaluate(node.operands[0], values), n)
        return OPERATIONS[node.name](*(evaluate(operand, values) for operand in node.operands))
    return values[node] if isinstance(node, str) else jnp.asarray(node, float)

"""Second Order: a visual explorer of second-order optimization.

>>> import secondorder as so
>>> run = so.run(problem={"name": "quadratic"}, optimizers=[{"name": "newton"}])
>>> run.lanes[0].status, len(run.lanes[0].loss)
('converged', 2)
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from secondorder import host

if TYPE_CHECKING:
    from secondorder.run import Run, run

__all__ = ["Run", "run"]


class _Package(ModuleType):
    """The package, its names imported when they are asked for: the server's process starts before JAX has loaded.

    ``run`` is a function that lives in a module of the same name, which must not take its place when it is imported.
    """

    @property
    def run(self) -> Any:
        from secondorder.run import run

        return run

    @run.setter
    def run(self, module: ModuleType) -> None:
        pass

    @property
    def Run(self) -> Any:
        from secondorder.run import Run

        return Run


host.settle()
sys.modules[__name__].__class__ = _Package

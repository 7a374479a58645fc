"""Second Order: a visual explorer of second-order optimization.

>>> import secondorder as so
>>> run = so.run(problem={"name": "quadratic"}, optimizers=[{"name": "newton"}])
>>> run.lanes[0].status, len(run.lanes[0].loss)
('converged', 2)
"""

from secondorder.run import Run, run

__all__ = ["Run", "run"]

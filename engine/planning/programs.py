"""Linear and integer programs as arrays, solved by OR-Tools: GLOP for duals, SCIP for whole numbers.

Through MathOpt's messages, for they take whole arrays, and a program that grows goes on from where it stood. One thread and fixed
seeds: the same program has the same solution. HiGHS is not asked for duals (wrong ones were seen), and never as ``highspy``, which
does not live in one process with OR-Tools. The libraries are imported when the first program is made: they take a third of a second.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.kernels.zones import Integers

Floats = NDArray[np.float64]
SEED = 1


class Entries(NamedTuple):
    """Coefficients of a matrix: ``values[i]`` in row ``rows[i]`` and column ``columns[i]``, each place once."""

    rows: Integers
    columns: Integers
    values: Floats

    def write_to(self, matrix: Any) -> None:
        """Fill a SparseDoubleMatrixProto, which wants its entries sorted by row and column."""
        order = np.lexsort((self.columns, self.rows))
        matrix.row_ids.extend(self.rows[order].tolist())
        matrix.column_ids.extend(self.columns[order].tolist())
        matrix.coefficients.extend(self.values[order].tolist())


class Solution(NamedTuple):
    """Values of the columns and duals of the rows (≤ 0 where less of the row would be dearer)."""

    values: Floats
    duals: Floats
    objective: float


class LinearProgram:
    """Minimise costs × x over x ≥ 0, where the first ``equal_count`` rows equal 1 and the others have an upper bound. It grows."""

    def __init__(self, equal_count: int) -> None:
        from ortools.math_opt import callback_pb2, model_parameters_pb2, model_pb2, model_update_pb2, parameters_pb2
        from ortools.math_opt.core.python import solver

        model = model_pb2.ModelProto()
        _add_rows(model.linear_constraints, 0, np.ones(equal_count), np.ones(equal_count))
        self._update = model_update_pb2.ModelUpdateProto
        self._parameters = parameters_pb2.SolveParametersProto()
        self._parameters.glop.use_preprocessing = False  # it would forget where it stood
        self._parameters.glop.random_seed = SEED
        self._asked = model_parameters_pb2.ModelSolveParametersProto()
        self._callback = callback_pb2.CallbackRegistrationProto()
        self._solver = solver.new(parameters_pb2.SOLVER_TYPE_GLOP, model, parameters_pb2.SolverInitializerProto())
        self.rows, self.columns = equal_count, 0

    def grow(self, bounds: Floats, costs: Floats, entries: Entries) -> None:
        """New rows by their upper bounds, new columns by their costs, and entries of either."""
        update = self._update()
        _add_rows(update.new_linear_constraints, self.rows, np.full(len(bounds), -np.inf), bounds)
        _add_columns(update.new_variables, self.columns, np.full(len(costs), np.inf), whole=False)
        update.objective_updates.linear_coefficients.ids.extend(range(self.columns, self.columns + len(costs)))
        update.objective_updates.linear_coefficients.values.extend(costs.tolist())
        entries.write_to(update.linear_constraint_matrix_updates)
        if not self._solver.update(update):
            raise RuntimeError("GLOP no longer takes changes of a program")
        self.rows += len(bounds)
        self.columns += len(costs)

    def solve(self) -> Solution | None:
        """The optimum; None when GLOP does not find it."""
        result = self._solver.solve(self._parameters, self._asked, None, self._callback, None, None)
        if not result.solutions or not result.solutions[0].HasField("dual_solution"):
            return None
        primal, dual = result.solutions[0].primal_solution, result.solutions[0].dual_solution
        return Solution(
            _dense(primal.variable_values, self.columns), _dense(dual.dual_values, self.rows), primal.objective_value
        )


class WholeProgram(NamedTuple):
    """Minimise costs × x over x in {0, 1}, where the first ``equal_count`` rows equal 1 and the others have an upper bound."""

    costs: Floats
    equal_count: int
    bounds: Floats
    """Of the rows behind the first ones."""
    entries: Entries
    start: NDArray[np.int64]
    """A solution that is known, x of each column."""

    def solve(self, nodes_max: int, seconds: float) -> tuple[Floats | None, bool]:
        """The best x found within so many nodes of the search, and whether time alone ended it."""
        from ortools.math_opt import callback_pb2, model_parameters_pb2, model_pb2, parameters_pb2, result_pb2
        from ortools.math_opt.core.python import solver

        model = model_pb2.ModelProto()
        _add_columns(model.variables, 0, np.ones(len(self.costs)), whole=True)
        ones = np.ones(self.equal_count)
        _add_rows(model.linear_constraints, 0, ones, ones)
        _add_rows(model.linear_constraints, self.equal_count, np.full(len(self.bounds), -np.inf), self.bounds)
        model.objective.linear_coefficients.ids.extend(range(len(self.costs)))
        model.objective.linear_coefficients.values.extend(self.costs.tolist())
        self.entries.write_to(model.linear_constraint_matrix)
        parameters = parameters_pb2.SolveParametersProto(threads=1, random_seed=SEED, node_limit=nodes_max)
        parameters.relative_gap_tolerance = 1e-6
        parameters.time_limit.FromMilliseconds(max(int(1000 * seconds), 1))
        asked = model_parameters_pb2.ModelSolveParametersProto()
        hint = asked.solution_hints.add().variable_values
        hint.ids.extend(range(len(self.start)))
        hint.values.extend(self.start.astype(float).tolist())
        registration = callback_pb2.CallbackRegistrationProto()
        result = solver.solve(
            model,
            parameters_pb2.SOLVER_TYPE_GSCIP,
            parameters_pb2.SolverInitializerProto(),
            parameters,
            asked,
            None,
            registration,
            None,
            None,
        )
        timed_out = result.termination.limit == result_pb2.LIMIT_TIME
        if not result.solutions:
            return None, timed_out
        return _dense(result.solutions[0].primal_solution.variable_values, len(self.costs)), timed_out


def _add_rows(rows: Any, first: int, lower: Floats, upper: Floats) -> None:
    rows.ids.extend(range(first, first + len(lower)))
    rows.lower_bounds.extend(lower.tolist())
    rows.upper_bounds.extend(upper.tolist())


def _add_columns(columns: Any, first: int, upper: Floats, *, whole: bool) -> None:
    columns.ids.extend(range(first, first + len(upper)))
    columns.lower_bounds.extend([0.0] * len(upper))
    columns.upper_bounds.extend(upper.tolist())
    columns.integers.extend([whole] * len(upper))


def _dense(vector: Any, size: int) -> Floats:
    values = np.zeros(size)
    values[np.array(vector.ids, np.int64)] = vector.values
    return values

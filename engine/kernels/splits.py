"""An order with a line that no candidate can serve whole: its units come from several nodes, exactly where that can be worked out."""

import numpy as np

from engine.kernels.columns import ORDER_PACKAGES_MAX, PLAN_EXACT, PLAN_PACKAGES, PLAN_SCORE, STATUS_ROUTED
from engine.kernels.compiled import kernel
from engine.kernels.exact_splits import split_exactly
from engine.kernels.links import ROUTES
from engine.kernels.loads import fits, write_loads
from engine.kernels.packages import refuse
from engine.kernels.scanning import admit_all, note_plain_terms
from engine.kernels.splitting import serve_split
from engine.kernels.subsets import combine, keep_together
from engine.kernels.workspace import GROUPED, IS_PLAIN, NEVER, PACK, SCALARS, SCORE, UNIT, Answer, Question, Work
from engine.kernels.zones import Network, Stock


@kernel(ROUTES)
def route_split(stock: Stock, network: Network, question: Question, work: Work, answer: Answer) -> int:
    """The rest of ``route`` for an order with a line that no candidate can serve whole, which may be split by units."""
    order = question[0]
    admit_all(network, order, work)
    if work[3][SCALARS, IS_PLAIN] == 1:
        note_plain_terms(network, work)
    if split_exactly(stock, network, question, work) == 1:
        if work[3][SCALARS, SCORE] < NEVER and fits(work, answer):
            write_loads(stock, network, question, work, answer)
            answer[0][PLAN_SCORE] = work[3][SCALARS, SCORE]
            answer[0][PLAN_EXACT] = 1
            return np.int64(STATUS_ROUTED)
        return refuse(answer[0])
    combine(work[0][PACK], work[0][UNIT], work)
    if work[3][SCALARS, GROUPED] == 1:
        keep_together(work)
    if not serve_split(stock, network, question, work, answer):
        return refuse(answer[0])
    if answer[0][PLAN_PACKAGES] <= order[ORDER_PACKAGES_MAX] or order[ORDER_PACKAGES_MAX] == 0:
        return np.int64(STATUS_ROUTED)
    return refuse(answer[0])

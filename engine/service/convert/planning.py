"""PlanningService: prices and transfers."""

from collections.abc import Sequence

from engine.model.answers import PricesAnswer
from engine.model.commands import SetPrices
from engine.model.limits import SECOND_NS
from engine.model.outcomes import CommandKind
from engine.model.prices import PricePlan
from engine.model.queries import GetPrices
from engine.model.replies import PricesReply
from engine.planning.transfers import Suggested, Wish
from engine.pool.names import Names
from engine.service.convert.entry import Entry
from engine.service.convert.wording import fill_money, fill_time
from engine.service.fields import COST_MICROS_MAX, Check, Rules, fingerprint
from stockpool.v1 import planning_pb2 as pb

DEMAND_1024THS_MAX = 1_000_000_000 << 10
"""A thousand million units."""


def set_prices(request: pb.SetPricesRequest, rules: Rules) -> SetPrices:
    """A part of a plan."""
    check = rules.check()
    request_id = check.request_id(request.request_id)
    plan_key = check.key("plan_key", request.plan_key)
    rows = len(request.sku_keys)
    check.count("sku_keys", rows, "import_rows_per_message_max", check.limits.import_rows_per_message_max, least=0)
    if not rows and not request.complete:
        check.wrong("sku_keys", "is empty; only the last part of a plan, which sets complete, may have no rows")
    sku_keys = check.keys("sku_keys", request.sku_keys)
    node_keys: tuple[str, ...] = ()
    if len(request.node_keys) == rows:
        node_keys = check.keys("node_keys", request.node_keys)
    else:
        check.wrong("node_keys", f"must have one entry a row ({rows}), has {len(request.node_keys)}")
    prices = _column(check, "price_micros", request.price_micros, rows, ("cost_micros_max", COST_MICROS_MAX))
    demands = _column(check, "demand_1024ths", request.demand_1024ths, rows, ("demand_1024ths_max", DEMAND_1024THS_MAX))
    check.done()
    mark = fingerprint(request, CommandKind.SET_PRICES)
    return SetPrices(request_id, mark, plan_key, sku_keys, node_keys, prices, demands, request.complete)


def _column(check: Check, path: str, column: Sequence[int], rows: int, limit: tuple[str, int]) -> tuple[int, ...]:
    """Whole numbers from 0 to a limit, one a row."""
    values = tuple(column)
    if len(values) != rows:
        check.wrong(path, f"must have one entry a row ({rows}), has {len(values)}")
    elif values and not (min(values) >= 0 and max(values) <= limit[1]):
        for position, value in enumerate(values):
            check.whole(f"{path}[{position}]", value, 0, *limit)
    return values


def _fill_set(response: pb.SetPricesResponse, reply: PricesReply, names: Names) -> None:
    del names
    response.row_count = reply.row_count
    response.cell_count = reply.cell_count
    response.changed_count = reply.changed_count


def refresh_prices(request: pb.RefreshPricesRequest, rules: Rules) -> str:
    """The key of the plan: the request's id, so that a repeated request finds what it did."""
    check = rules.check()
    request_id = check.request_id(request.request_id)
    check.done()
    return request_id


def get_prices(request: pb.GetPricesRequest, rules: Rules) -> GetPrices:
    """Prices of a SKU."""
    check = rules.check()
    seq = check.min_journal_seq(request.min_journal_seq)
    sku_key = check.key("sku_key", request.sku_key)
    node_key = check.optional_key("node_key", request.node_key)
    check.done()
    return GetPrices(seq, sku_key, node_key)


def _fill_prices(response: pb.GetPricesResponse, reply: PricesAnswer, names: Names) -> None:
    for cell in reply.cells:
        price = response.prices.add(
            sku_key=names.sku_keys[cell.sku_index],
            node_key=names.node_keys[cell.node_index],
            demand_1024ths=cell.demand_1024ths,
        )
        fill_money(price.price, cell.price_micros, names)
    if reply.price_plan is not None:
        fill_plan(response.price_plan, reply.price_plan, reply.age_ns)


def fill_plan(message: pb.PricePlan, plan: PricePlan, age_ns: int) -> None:
    """A plan whose prices are complete, and how old it is."""
    message.plan_key, message.expired = plan.plan_key, plan.expired
    fill_time(message.set_time, plan.set_ns)
    message.age.seconds, message.age.nanos = divmod(age_ns, SECOND_NS)


def suggest_transfers(request: pb.SuggestTransfersRequest, rules: Rules) -> Wish:
    """What is asked for."""
    check = rules.check()
    gain_min = check.cost("gain_min", request.gain_min)
    limit = check.page_size(request.page_size)
    check.done()
    return Wish(gain_min, limit)


def transfers(suggested: Suggested, names: Names) -> pb.SuggestTransfersResponse:
    """The answer."""
    response = pb.SuggestTransfersResponse()
    for transfer in suggested.transfers:
        message = response.transfers.add(
            sku_key=names.sku_keys[transfer.sku_index],
            from_node_key=names.node_keys[transfer.source_index],
            to_node_key=names.node_keys[transfer.destination_index],
            units=transfer.units,
        )
        fill_money(message.cost, transfer.cost_micros, names)
        fill_money(message.gain, transfer.gain_micros, names)
    if suggested.price_plan is not None:
        fill_plan(response.price_plan, suggested.price_plan, suggested.age_ns)
    return response


SET_PRICES = Entry(set_prices, pb.SetPricesResponse, _fill_set)
GET_PRICES = Entry(get_prices, pb.GetPricesResponse, _fill_prices)

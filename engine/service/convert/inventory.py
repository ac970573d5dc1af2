"""InventoryService: stock and what may be sold of it. Imports are in ``imports``."""

from typing import Any

from engine.model.answers import AvailabilityAnswer, MovementsAnswer, SkuAvailability
from engine.model.commands import AdjustStock, ReceiveStock, RecordSale, SetStock
from engine.model.outcomes import CommandKind, Quantity, StockReason
from engine.model.queries import GetAvailability, ListMovements
from engine.model.replies import SaleReply, StockReply
from engine.pool.names import Names
from engine.service.convert.entry import Entry
from engine.service.convert.wording import KINDS, add_cell, fill_cell, fill_time
from engine.service.fields import SEQ_MAX, Rules, allowed, fingerprint
from engine.service.paging import read_token, write_token
from stockpool.v1 import inventory_pb2 as pb

ADJUSTABLE = allowed(Quantity, unspecified=Quantity.ON_HAND, without=(Quantity.RESERVED, Quantity.ALLOCATED))
REASONS = allowed(StockReason)


def adjust_stock(request: pb.AdjustStockRequest, rules: Rules) -> AdjustStock:
    """A difference."""
    check = rules.check()
    request_id = check.request_id(request.request_id)
    sku_key = check.key("sku_key", request.sku_key)
    node_key = check.key("node_key", request.node_key)
    quantity = check.word("quantity", request.quantity, ADJUSTABLE)
    delta = request.delta_units
    if delta == 0:
        check.wrong("delta_units", "is missing; a difference of 0 changes nothing")
    elif abs(delta) > check.limits.units_max:
        check.over("delta_units", f"is {delta}", "units_max", check.limits.units_max)
    reason = check.word("reason", request.reason, REASONS)
    reference = check.reference(request.reference)
    check.done()
    mark = fingerprint(request, CommandKind.ADJUST_STOCK)
    return AdjustStock(request_id, mark, sku_key, node_key, quantity, delta, reason, reference)


def set_stock(request: pb.SetStockRequest, rules: Rules) -> SetStock:
    """An absolute count."""
    check = rules.check()
    request_id = check.request_id(request.request_id)
    sku_key = check.key("sku_key", request.sku_key)
    node_key = check.key("node_key", request.node_key)
    on_hand = request.on_hand_units if request.HasField("on_hand_units") else None
    safety_stock = request.safety_stock_units if request.HasField("safety_stock_units") else None
    expected = request.expected_on_hand_units if request.HasField("expected_on_hand_units") else None
    if on_hand is None and safety_stock is None:
        check.wrong("on_hand_units", "is missing, and so is safety_stock_units; set at least one of them")
    if on_hand is not None:
        check.units("on_hand_units", on_hand, 0)
    if safety_stock is not None:
        check.units("safety_stock_units", safety_stock, 0)
    source_key = _source(check, request)
    reason = check.word("reason", request.reason, REASONS)
    reference = check.reference(request.reference)
    check.done()
    return SetStock(
        request_id,
        fingerprint(request, CommandKind.SET_STOCK),
        sku_key,
        node_key,
        on_hand,
        safety_stock,
        expected,
        source_key,
        request.source_seq,
        reason,
        reference,
    )


def _source(check: Any, request: pb.SetStockRequest | pb.ImportStockRequest) -> str:
    """The feed; its number belongs to it."""
    key: str = check.optional_key("source_key", request.source_key)
    if key:
        check.whole("source_seq", request.source_seq, 1, "source_seq_max", SEQ_MAX)
    elif request.source_seq:
        check.wrong("source_key", "is missing; source_seq is the number of a feed")
    return key


def _fill_stock(response: Any, reply: StockReply, names: Names) -> None:
    if reply.cell is not None:
        fill_cell(response.cell, reply.cell, names)


def receive_stock(request: pb.ReceiveStockRequest, rules: Rules) -> ReceiveStock:
    """Goods that arrived."""
    check = rules.check()
    request_id = check.request_id(request.request_id)
    node_key = check.key("node_key", request.node_key)
    lines = check.lines("lines", request.lines, "stock_lines_max", check.limits.stock_lines_max)
    reference = check.reference(request.reference)
    check.done()
    return ReceiveStock(request_id, fingerprint(request, CommandKind.RECEIVE_STOCK), node_key, lines, reference)


def record_sale(request: pb.RecordSaleRequest, rules: Rules) -> RecordSale:
    """A sale at the till."""
    check = rules.check()
    request_id = check.request_id(request.request_id)
    node_key = check.key("node_key", request.node_key)
    channel_key = check.key("channel_key", request.channel_key)
    lines = check.lines("lines", request.lines, "stock_lines_max", check.limits.stock_lines_max)
    reference = check.reference(request.reference)
    check.done()
    mark = fingerprint(request, CommandKind.RECORD_SALE)
    return RecordSale(request_id, mark, node_key, channel_key, lines, reference)


def _fill_sale(response: pb.RecordSaleResponse, reply: SaleReply, names: Names) -> None:
    for cell in reply.shortages:
        add_cell(response.shortages, cell, names)


# Availability


def get_availability(request: pb.GetAvailabilityRequest, rules: Rules) -> GetAvailability:
    """What a channel may sell of one SKU."""
    check = rules.check()
    query = GetAvailability(
        check.min_journal_seq(request.min_journal_seq),
        check.key("channel_key", request.channel_key),
        (check.key("sku_key", request.sku_key),),
        check.word("kind", request.kind, KINDS),
        check.optional_key("node_key", request.node_key),
        request.with_cells,
    )
    check.done()
    return query


def batch_get_availability(request: pb.BatchGetAvailabilityRequest, rules: Rules) -> GetAvailability:
    """What a channel may sell of many SKUs."""
    check = rules.check()
    check.count("sku_keys", len(request.sku_keys), "batch_items_max", check.limits.batch_items_max)
    query = GetAvailability(
        check.min_journal_seq(request.min_journal_seq),
        check.key("channel_key", request.channel_key),
        check.keys("sku_keys", request.sku_keys),
        check.word("kind", request.kind, KINDS),
        check.optional_key("node_key", request.node_key),
        request.with_cells,
    )
    check.done()
    return query


def _fill_one(message: pb.Availability, availability: SkuAvailability, names: Names) -> None:
    message.sku_key = availability.sku_key
    message.outcome = int(availability.outcome)  # type: ignore[assignment]
    message.ats_units = availability.ats_units
    for cell in availability.cells:
        add_cell(message.cells, cell, names)


def _fill_availability(response: pb.GetAvailabilityResponse, reply: AvailabilityAnswer, names: Names) -> None:
    for availability in reply.availabilities:
        _fill_one(response.availability, availability, names)


def _fill_availabilities(response: pb.BatchGetAvailabilityResponse, reply: AvailabilityAnswer, names: Names) -> None:
    for availability in reply.availabilities:
        _fill_one(response.availabilities.add(), availability, names)


# Movements


def list_movements(request: pb.ListMovementsRequest, rules: Rules) -> ListMovements:
    """Movements of one cell."""
    check = rules.check()
    seq = check.min_journal_seq(request.min_journal_seq)
    sku_key = check.key("sku_key", request.sku_key)
    node_key = check.key("node_key", request.node_key)
    page_size = check.page_size(request.page_size)
    check.done()
    return ListMovements(seq, sku_key, node_key, read_token("ListMovements", request.page_token), page_size)


def _fill_movements(response: pb.ListMovementsResponse, reply: MovementsAnswer, names: Names) -> None:
    """Everything but request id and reference, which are in the journal."""
    del names
    for row in reply.movements:
        movement = response.movements.add(
            journal_seq=row.seq,
            quantity=int(row.quantity),
            delta_units=row.delta_units,
            balance_units=row.balance_units,
            reason=int(row.reason),
        )
        fill_time(movement.time, row.time_ns)
    if reply.more and reply.movements:
        response.next_page_token = write_token("ListMovements", reply.movements[-1].position)


ADJUST_STOCK = Entry(adjust_stock, pb.AdjustStockResponse, _fill_stock)
SET_STOCK = Entry(set_stock, pb.SetStockResponse, _fill_stock)
RECEIVE_STOCK = Entry(receive_stock, pb.ReceiveStockResponse)
RECORD_SALE = Entry(record_sale, pb.RecordSaleResponse, _fill_sale)
GET_AVAILABILITY = Entry(get_availability, pb.GetAvailabilityResponse, _fill_availability)
BATCH_GET_AVAILABILITY = Entry(batch_get_availability, pb.BatchGetAvailabilityResponse, _fill_availabilities)
LIST_MOVEMENTS = Entry(list_movements, pb.ListMovementsResponse, _fill_movements)

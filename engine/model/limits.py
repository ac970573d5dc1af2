"""Every limit of a store in one frozen record. Settings fill it, GetLimits states it, memory is allocated by it."""

from dataclasses import dataclass

SECOND_NS = 1_000_000_000
CLOCK_STEP_NS = SECOND_NS
"""A clock that is put right may gain so much at once, and senders then seem to have sent so much later than they did."""
HOUR_NS = 3_600 * SECOND_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Counts unless the name says otherwise. Columns are allocated at these sizes; untouched memory costs nothing."""

    nodes_max: int = 8_192
    skus_max: int = 1 << 20
    cells_max: int = 1 << 23
    channels_max: int = 62
    regions_max: int = 2_000
    zone_pairs_max: int = 1_000_000
    services_max: int = 16
    zones_max: int = 16
    weight_steps_max: int = 256
    sources_max: int = 64
    open_reservations_max: int = 1 << 19
    reservation_legs_max: int = 1 << 22
    lines_per_order_max: int = 10
    batch_items_max: int = 1_000
    stock_lines_max: int = 1_000
    import_rows_per_message_max: int = 20_000
    import_rows_per_stream_max: int = 1_000_000
    import_all_or_nothing_rows_max: int = 200_000
    page_size_max: int = 1_000
    units_max: int = 1_000_000_000
    key_length_max: int = 64
    reference_length_max: int = 128
    reservation_ttl_default_ns: int = 900 * SECOND_NS
    reservation_ttl_max_ns: int = 24 * HOUR_NS
    reservation_hold_max_ns: int = 7 * 24 * HOUR_NS
    request_ids_remembered: int = 500_000
    request_window_ns: int = 24 * HOUR_NS
    price_age_max_ns: int = 24 * HOUR_NS
    closed_orders_remembered: int = 250_000
    movements_remembered: int = 1 << 20
    inbox_max: int = 20_000
    inbox_wait_max_ns: int = SECOND_NS // 8
    client_requests_max: int = 500
    client_streams_max: int = 16
    group_max: int = 2_000

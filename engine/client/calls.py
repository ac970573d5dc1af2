"""The table of calls, and how a line of it becomes a method."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Generic, Protocol, Self, TypeVar, overload

import grpc
from google.protobuf.message import Message

from engine.client.attempts import PAUSE_MAX_S, TIMEOUT_S, Attempts, Targets, with_request_id
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import fulfillment_pb2 as fulfillment
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import orders_pb2 as orders
from stockpool.v1 import planning_pb2 as planning
from stockpool.v1 import reservations_pb2 as reservations
from stockpool.v1 import returns_pb2 as returns

MESSAGE_BYTES_MAX = 32 << 20
"""Longest message sent or taken; the server states its own in GetLimits."""

_SILENCE_MS = 3_000
"""A server that says nothing for so long is asked for a sign of life, and has as long to give it: then it is unavailable, though its
machine holds the connection (it hangs, is paused, or was cut off)."""

IMPORT_PATH = "/stockpool.v1.InventoryService/ImportStock"
STREAM_PATHS = {
    "StreamEvents": "/stockpool.v1.AdminService/StreamEvents",
    "WatchAvailability": "/stockpool.v1.InventoryService/WatchAvailability",
}
RESERVE_PATH = "/stockpool.v1.ReservationService/StreamReserve"

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)
Request_contra = TypeVar("Request_contra", bound=Message, contravariant=True)
Response_co = TypeVar("Response_co", bound=Message, covariant=True)


class SyncCall(Protocol[Request_contra, Response_co]):
    """A call of ``Client``."""

    def __call__(self, request: Request_contra, *, timeout_s: float | None = None, age_s: float = 0.0) -> Response_co:
        """Call and wait; ``timeout_s`` instead of the client's own. ``age_s``: when an earlier call may have brought this request to
        the server, how long ago that was: then it is decided once or refused (REQUEST_TOO_OLD), whatever was forgotten meanwhile.
        """
        ...


class AsyncCall(Protocol[Request_contra, Response_co]):
    """A call of ``AsyncClient``."""

    async def __call__(
        self, request: Request_contra, *, timeout_s: float | None = None, age_s: float = 0.0
    ) -> Response_co:
        """Call; ``timeout_s`` instead of the client's own, ``age_s`` as in `SyncCall`."""
        ...


class Unary(Generic[RequestT, ResponseT]):
    """One line of the table of calls: becomes the method that its client can use, made when it is first asked for."""

    def __init__(self, service: str, request: type[RequestT], response: type[ResponseT]) -> None:
        self._service = service
        self._request = request
        self._response = response
        self.__doc__ = f"``stockpool.v1.{service}``: takes {request.__name__}, returns {response.__name__}."

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name
        self._call = "".join(word.capitalize() for word in name.split("_"))

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: BlockingCalls, owner: type) -> SyncCall[RequestT, ResponseT]: ...
    @overload
    def __get__(self, client: AwaitedCalls, owner: type) -> AsyncCall[RequestT, ResponseT]: ...
    def __get__(self, client: BlockingCalls | AwaitedCalls | None, owner: type) -> Any:
        if client is None:
            return self
        method = self._blocking(client) if isinstance(client, BlockingCalls) else self._awaited(client)
        client.__dict__[self._name] = method  # found before this descriptor from now on
        return method

    def _invokers(self, client: Any) -> Callable[[int], Any]:
        """The call at each target, by its number; made when it is first needed."""

        @cache
        def invoker(at: int) -> Any:
            return client.channel_at(at).unary_unary(
                f"/stockpool.v1.{self._service}/{self._call}",
                request_serializer=self._request.SerializeToString,
                response_deserializer=self._response.FromString,
            )

        return invoker

    def _blocking(self, client: BlockingCalls) -> SyncCall[RequestT, ResponseT]:
        invoker, name = self._invokers(client), self._call

        def call(request: RequestT, *, timeout_s: float | None = None, age_s: float = 0.0) -> ResponseT:
            message = with_request_id(request)
            attempts = client.attempts(name, timeout_s, age_s)
            while True:
                invoke = invoker(attempts.at())
                try:
                    response: ResponseT = invoke(
                        message, timeout=attempts.remaining_s, metadata=attempts.metadata(client.metadata)
                    )
                except grpc.RpcError as error:
                    time.sleep(attempts.pause_s(error))
                else:
                    return response

        return call

    def _awaited(self, client: AwaitedCalls) -> AsyncCall[RequestT, ResponseT]:
        invoker, name = self._invokers(client), self._call

        async def call(request: RequestT, *, timeout_s: float | None = None, age_s: float = 0.0) -> ResponseT:
            message = with_request_id(request)
            attempts = client.attempts(name, timeout_s, age_s)
            while True:
                invoke = invoker(attempts.at())
                try:
                    response: ResponseT = await invoke(
                        message, timeout=attempts.remaining_s, metadata=attempts.metadata(client.metadata)
                    )
                except grpc.RpcError as error:
                    await asyncio.sleep(attempts.pause_s(error))
                else:
                    return response

        return call


class Calls:
    """Every call with one request and one response. The streams have methods of their own below."""

    def __init__(
        self,
        target: str | Sequence[str],
        *,
        token: str | None = None,
        timeout_s: float = TIMEOUT_S,
        retries: int = 5,
        root_certificates: bytes | None = None,
    ) -> None:
        """Connects to ``target`` ("host:port") when it is first used.

        Several targets ("one:50051,two:50051", or a sequence) are the places where the one writer may be: what is unavailable at one
        is asked at the next, with the same request id, and the client stays where it was answered. ``token`` goes with every call as
        bearer token. ``retries`` are the attempts after the first, at all targets together each. ``root_certificates`` (PEM) turn on
        TLS.

        Raises:
            ValueError: there is no target.
        """
        self.targets = Targets(target)
        self.timeout_s = timeout_s
        self.retries = retries
        self.metadata: tuple[tuple[str, str], ...] = () if token is None else (("authorization", f"Bearer {token}"),)
        self._root_certificates = root_certificates
        self._options = [
            ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
            ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", int(PAUSE_MAX_S * 1_000)),
            ("grpc.min_reconnect_backoff_ms", _SILENCE_MS),  # which is how long a connection may take
            ("grpc.keepalive_time_ms", _SILENCE_MS),
            ("grpc.keepalive_timeout_ms", _SILENCE_MS),
        ]

    @property
    def target(self) -> str:
        """Where the server was last answering, or the first place to ask."""
        return self.targets.names[self.targets.at]

    def attempts(self, call: str, timeout_s: float | None, age_s: float) -> Attempts:
        """The attempts of a call, within ``timeout_s`` or the client's own."""
        timeout_s = self.timeout_s if timeout_s is None else timeout_s
        return Attempts(call, timeout_s, self.retries, self.targets, age_s)

    def credentials(self) -> grpc.ChannelCredentials | None:
        """What TLS needs; None without it."""
        return None if self._root_certificates is None else grpc.ssl_channel_credentials(self._root_certificates)

    put_nodes = Unary("NetworkService", network.PutNodesRequest, network.PutNodesResponse)
    get_node = Unary("NetworkService", network.GetNodeRequest, network.GetNodeResponse)
    list_nodes = Unary("NetworkService", network.ListNodesRequest, network.ListNodesResponse)
    put_skus = Unary("NetworkService", network.PutSkusRequest, network.PutSkusResponse)
    get_sku = Unary("NetworkService", network.GetSkuRequest, network.GetSkuResponse)
    list_skus = Unary("NetworkService", network.ListSkusRequest, network.ListSkusResponse)
    put_channels = Unary("NetworkService", network.PutChannelsRequest, network.PutChannelsResponse)
    get_channel = Unary("NetworkService", network.GetChannelRequest, network.GetChannelResponse)
    list_channels = Unary("NetworkService", network.ListChannelsRequest, network.ListChannelsResponse)
    put_rate_card = Unary("NetworkService", network.PutRateCardRequest, network.PutRateCardResponse)
    get_rate_card = Unary("NetworkService", network.GetRateCardRequest, network.GetRateCardResponse)
    list_rate_cards = Unary("NetworkService", network.ListRateCardsRequest, network.ListRateCardsResponse)
    put_zone_chart = Unary("NetworkService", network.PutZoneChartRequest, network.PutZoneChartResponse)
    get_zone_chart = Unary("NetworkService", network.GetZoneChartRequest, network.GetZoneChartResponse)
    put_routing_policy = Unary("NetworkService", network.PutRoutingPolicyRequest, network.PutRoutingPolicyResponse)
    activate_routing_policy = Unary(
        "NetworkService", network.ActivateRoutingPolicyRequest, network.ActivateRoutingPolicyResponse
    )
    get_routing_policy = Unary("NetworkService", network.GetRoutingPolicyRequest, network.GetRoutingPolicyResponse)
    list_routing_policies = Unary(
        "NetworkService", network.ListRoutingPoliciesRequest, network.ListRoutingPoliciesResponse
    )
    get_indexes = Unary("NetworkService", network.GetIndexesRequest, network.GetIndexesResponse)

    batch_adjust_stock = Unary(
        "InventoryService", inventory.BatchAdjustStockRequest, inventory.BatchAdjustStockResponse
    )
    batch_release = Unary("ReservationService", reservations.BatchReleaseRequest, reservations.BatchReleaseResponse)
    batch_commit = Unary("OrderService", orders.BatchCommitRequest, orders.BatchCommitResponse)
    adjust_stock = Unary("InventoryService", inventory.AdjustStockRequest, inventory.AdjustStockResponse)
    set_stock = Unary("InventoryService", inventory.SetStockRequest, inventory.SetStockResponse)
    receive_stock = Unary("InventoryService", inventory.ReceiveStockRequest, inventory.ReceiveStockResponse)
    record_sale = Unary("InventoryService", inventory.RecordSaleRequest, inventory.RecordSaleResponse)
    get_availability = Unary("InventoryService", inventory.GetAvailabilityRequest, inventory.GetAvailabilityResponse)
    batch_get_availability = Unary(
        "InventoryService", inventory.BatchGetAvailabilityRequest, inventory.BatchGetAvailabilityResponse
    )
    list_movements = Unary("InventoryService", inventory.ListMovementsRequest, inventory.ListMovementsResponse)

    reserve = Unary("ReservationService", reservations.ReserveRequest, reservations.ReserveResponse)
    batch_reserve = Unary("ReservationService", reservations.BatchReserveRequest, reservations.BatchReserveResponse)
    get_reservation = Unary(
        "ReservationService", reservations.GetReservationRequest, reservations.GetReservationResponse
    )
    extend_reservation = Unary(
        "ReservationService", reservations.ExtendReservationRequest, reservations.ExtendReservationResponse
    )
    release_reservation = Unary(
        "ReservationService", reservations.ReleaseReservationRequest, reservations.ReleaseReservationResponse
    )

    get_fulfillment_options = Unary(
        "OrderService", orders.GetFulfillmentOptionsRequest, orders.GetFulfillmentOptionsResponse
    )
    place_order = Unary("OrderService", orders.PlaceOrderRequest, orders.PlaceOrderResponse)
    ingest_order = Unary("OrderService", orders.IngestOrderRequest, orders.IngestOrderResponse)
    release_order = Unary("OrderService", orders.ReleaseOrderRequest, orders.ReleaseOrderResponse)
    reroute_order = Unary("OrderService", orders.RerouteOrderRequest, orders.RerouteOrderResponse)
    cancel_order = Unary("OrderService", orders.CancelOrderRequest, orders.CancelOrderResponse)
    get_order = Unary("OrderService", orders.GetOrderRequest, orders.GetOrderResponse)
    explain_order = Unary("OrderService", orders.ExplainOrderRequest, orders.ExplainOrderResponse)

    list_fulfillment_orders = Unary(
        "FulfillmentService",
        fulfillment.ListFulfillmentOrdersRequest,
        fulfillment.ListFulfillmentOrdersResponse,
    )
    accept = Unary("FulfillmentService", fulfillment.AcceptRequest, fulfillment.AcceptResponse)
    reject = Unary("FulfillmentService", fulfillment.RejectRequest, fulfillment.RejectResponse)
    ship = Unary("FulfillmentService", fulfillment.ShipRequest, fulfillment.ShipResponse)
    mark_ready = Unary("FulfillmentService", fulfillment.MarkReadyRequest, fulfillment.MarkReadyResponse)
    hand_over = Unary("FulfillmentService", fulfillment.HandOverRequest, fulfillment.HandOverResponse)

    authorize_return = Unary("ReturnService", returns.AuthorizeReturnRequest, returns.AuthorizeReturnResponse)
    receive_return = Unary("ReturnService", returns.ReceiveReturnRequest, returns.ReceiveReturnResponse)

    set_prices = Unary("PlanningService", planning.SetPricesRequest, planning.SetPricesResponse)
    refresh_prices = Unary("PlanningService", planning.RefreshPricesRequest, planning.RefreshPricesResponse)
    suggest_transfers = Unary("PlanningService", planning.SuggestTransfersRequest, planning.SuggestTransfersResponse)
    get_shadow_report = Unary("PlanningService", planning.GetShadowReportRequest, planning.GetShadowReportResponse)
    run_wave = Unary("PlanningService", planning.RunWaveRequest, planning.RunWaveResponse)
    get_prices = Unary("PlanningService", planning.GetPricesRequest, planning.GetPricesResponse)

    get_status = Unary("AdminService", admin.GetStatusRequest, admin.GetStatusResponse)
    get_limits = Unary("AdminService", admin.GetLimitsRequest, admin.GetLimitsResponse)
    audit_invariants = Unary("AdminService", admin.AuditInvariantsRequest, admin.AuditInvariantsResponse)


class BlockingCalls(Calls):
    """The calls as methods that wait."""


class AwaitedCalls(Calls):
    """The calls as coroutines."""

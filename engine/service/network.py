"""NetworkService on the wire."""

# ruff: noqa: N802 - methods are named by the contract

from engine.service.convert import network as convert
from engine.service.convert import policies
from engine.service.convert.indexes import GET_INDEXES
from engine.service.door import Context, Door
from stockpool.v1 import network_pb2 as pb
from stockpool.v1.network_pb2_grpc import NetworkServiceServicer


class Network(NetworkServiceServicer):
    """Each call is an entry of ``convert.network``."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def PutNodes(self, request: pb.PutNodesRequest, context: Context) -> pb.PutNodesResponse:
        """Adds or replaces nodes."""
        return await self._door.answer(context, request, convert.PUT_NODES)

    async def GetNode(self, request: pb.GetNodeRequest, context: Context) -> pb.GetNodeResponse:
        """One node."""
        return await self._door.answer(context, request, convert.GET_NODE)

    async def ListNodes(self, request: pb.ListNodesRequest, context: Context) -> pb.ListNodesResponse:
        """Nodes by index."""
        return await self._door.answer(context, request, convert.LIST_NODES)

    async def PutSkus(self, request: pb.PutSkusRequest, context: Context) -> pb.PutSkusResponse:
        """Adds or replaces SKUs."""
        return await self._door.answer(context, request, convert.PUT_SKUS)

    async def GetSku(self, request: pb.GetSkuRequest, context: Context) -> pb.GetSkuResponse:
        """One SKU."""
        return await self._door.answer(context, request, convert.GET_SKU)

    async def ListSkus(self, request: pb.ListSkusRequest, context: Context) -> pb.ListSkusResponse:
        """SKUs by index."""
        return await self._door.answer(context, request, convert.LIST_SKUS)

    async def PutChannels(self, request: pb.PutChannelsRequest, context: Context) -> pb.PutChannelsResponse:
        """Adds or replaces channels."""
        return await self._door.answer(context, request, convert.PUT_CHANNELS)

    async def GetChannel(self, request: pb.GetChannelRequest, context: Context) -> pb.GetChannelResponse:
        """One channel."""
        return await self._door.answer(context, request, convert.GET_CHANNEL)

    async def ListChannels(self, request: pb.ListChannelsRequest, context: Context) -> pb.ListChannelsResponse:
        """All channels."""
        return await self._door.answer(context, request, convert.LIST_CHANNELS)

    async def PutRateCard(self, request: pb.PutRateCardRequest, context: Context) -> pb.PutRateCardResponse:
        """Replaces a rate card."""
        return await self._door.answer(context, request, convert.PUT_RATE_CARD)

    async def GetRateCard(self, request: pb.GetRateCardRequest, context: Context) -> pb.GetRateCardResponse:
        """One rate card."""
        return await self._door.answer(context, request, convert.GET_RATE_CARD)

    async def ListRateCards(self, request: pb.ListRateCardsRequest, context: Context) -> pb.ListRateCardsResponse:
        """All rate cards."""
        return await self._door.answer(context, request, convert.LIST_RATE_CARDS)

    async def PutZoneChart(self, request: pb.PutZoneChartRequest, context: Context) -> pb.PutZoneChartResponse:
        """Replaces the zone chart."""
        return await self._door.answer(context, request, convert.PUT_ZONE_CHART)

    async def GetZoneChart(self, request: pb.GetZoneChartRequest, context: Context) -> pb.GetZoneChartResponse:
        """The zone chart."""
        return await self._door.answer(context, request, convert.GET_ZONE_CHART)

    async def PutRoutingPolicy(
        self, request: pb.PutRoutingPolicyRequest, context: Context
    ) -> pb.PutRoutingPolicyResponse:
        """Adds or replaces a routing policy."""
        return await self._door.answer(context, request, policies.PUT_ROUTING_POLICY)

    async def ActivateRoutingPolicy(
        self, request: pb.ActivateRoutingPolicyRequest, context: Context
    ) -> pb.ActivateRoutingPolicyResponse:
        """Puts the draft of a routing policy in force."""
        return await self._door.answer(context, request, policies.ACTIVATE_ROUTING_POLICY)

    async def GetRoutingPolicy(
        self, request: pb.GetRoutingPolicyRequest, context: Context
    ) -> pb.GetRoutingPolicyResponse:
        """One routing policy."""
        return await self._door.answer(context, request, convert.GET_ROUTING_POLICY)

    async def GetIndexes(self, request: pb.GetIndexesRequest, context: Context) -> pb.GetIndexesResponse:
        """Indexes of SKUs and nodes."""
        return await self._door.answer(context, request, GET_INDEXES)

    async def ListRoutingPolicies(
        self, request: pb.ListRoutingPoliciesRequest, context: Context
    ) -> pb.ListRoutingPoliciesResponse:
        """All routing policies."""
        return await self._door.answer(context, request, convert.LIST_ROUTING_POLICIES)

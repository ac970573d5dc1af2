"""GetShadowReport on the wire: what a draft would decide otherwise, while nothing that is decided or kept changes."""

from __future__ import annotations

import asyncio
from pathlib import Path

from engine.follower import Follower, Policy
from engine.snapshots import SnapshotFolder
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import planning_pb2 as planning
from stockpool.v1 import reservations_pb2 as reservations
from tests.service.test_snapshots import serving, settings
from tests.service.world import LIMITS, Outcome, World, claim, fill, open_world, place, usd

REPORT = planning.GetShadowReportRequest(channel_key="web")


def draft(*, shadow: bool = True) -> network.PutRoutingPolicyRequest:
    """Whatever is nearer: only the western warehouse serves."""
    barred = network.RuleCandidates(groups_none=["coast"])
    policy = network.RoutingPolicy(
        policy_key="default", default_service_key="ground", split_penalty=usd(1), draft=True, shadow=shadow,
        rules=[network.RoutingRule(name="west", candidates=barred)],
    )  # fmt: skip
    return network.PutRoutingPolicyRequest(policy=policy)


async def put(world: World, *, shadow: bool = True) -> int:
    node = (await world.client.get_node(network.GetNodeRequest(node_key="east"))).node
    node.groups[:] = ["coast"]
    await world.client.put_nodes(network.PutNodesRequest(nodes=[node]))
    response = await world.client.put_routing_policy(draft(shadow=shadow))
    assert response.result.outcome == Outcome.OK
    return response.version


async def digest(world: World) -> tuple[int, str]:
    response = await world.client.audit_invariants(admin.AuditInvariantsRequest())
    assert not response.findings
    return response.journal_seq, response.digest


async def test_a_draft_decides_beside_what_is_in_force_and_touches_nothing(tmp_path: Path) -> None:
    folder = SnapshotFolder(tmp_path)
    async with open_world(url=f"sqlite:///{tmp_path}/journal", snapshots=tmp_path) as world:
        await world.stock("sku-1", "east", 5)
        await world.stock("sku-1", "west", 2)
        version = await put(world)
        early = await world.client.get_shadow_report(REPORT)
        assert (early.version, early.HasField("report")) == (version, False)
        assert early.obstacle
        follower = Follower(world.journal, folder, LIMITS, Policy(every_decisions=10**9, every_s=1e9))
        follower.step()
        await world.client.place_order(place("one", ("sku-1", 1)))
        await world.client.reserve(reservations.ReserveRequest(reservation=claim(("sku-1", 2))))
        await world.client.reserve(reservations.ReserveRequest(reservation=claim(("sku-1", 2))))
        before = await digest(world)
        while follower.step():
            pass
        response = await world.client.get_shadow_report(REPORT)
        assert await digest(world) == before, "neither the journal nor the state has changed"
        assert follower.machine.digest() == before[1]
    report = response.report
    assert (response.policy_key, response.version, response.obstacle) == ("default", version, "")
    assert (report.compared_count, report.different_count, report.fewer_count) == (3, 3, 0)
    assert (report.active_units, report.draft_units, report.alike_count) == (5, 5, 3)
    # From the east in zone 1, 500 g for 5 and 1,000 g for 5; from the west in zone 3, thrice as much.
    assert (report.active.carrier, report.draft.carrier) == (usd(15), usd(45))
    assert report.active.handling == report.draft.handling == usd(3.5)
    assert (report.since_journal_seq, report.through_journal_seq) == (before[0] - 2, before[0])
    assert [list(each.draft_node_keys) for each in report.examples] == [["west"]] * 3
    assert [(each.order_id, each.reservation_id) for each in report.examples] == [(1, 0), (0, 1), (0, 2)]


async def test_what_is_not_there(tmp_path: Path) -> None:
    async with open_world(url=f"sqlite:///{tmp_path}/journal", snapshots=tmp_path) as world:
        unknown = await world.client.get_shadow_report(planning.GetShadowReportRequest(channel_key="?"))
        assert unknown.result.outcome == Outcome.UNKNOWN_CHANNEL
        assert (await world.client.get_shadow_report(REPORT)).result.outcome == Outcome.UNKNOWN_POLICY
        await put(world, shadow=False)
        assert (await world.client.get_shadow_report(REPORT)).result.outcome == Outcome.UNKNOWN_POLICY
        version = await put(world)
        other = planning.GetShadowReportRequest(channel_key="web", version=version - 1)
        refused = await world.client.get_shadow_report(other)
        assert (refused.result.outcome, refused.result.subject) == (
            Outcome.UNKNOWN_POLICY,
            f"default version {version - 1} under shadow",
        )


async def test_a_server_without_a_follower_says_so(world: World) -> None:
    await put(world)
    response = await world.client.get_shadow_report(REPORT)
    assert (response.result.outcome, response.HasField("report")) == (Outcome.OK, False)
    assert "--snapshots" in response.obstacle


async def test_shadow_is_told_with_the_draft_and_gone_when_it_is_activated(world: World) -> None:
    version = await put(world)
    ask = network.GetRoutingPolicyRequest(policy_key="default", draft=True)
    assert (await world.client.get_routing_policy(ask)).policy.shadow
    await world.client.activate_routing_policy(network.ActivateRoutingPolicyRequest(policy_key="default"))
    ask = network.GetRoutingPolicyRequest(policy_key="default")
    policy = (await world.client.get_routing_policy(ask)).policy
    assert (policy.version, policy.draft, policy.shadow) == (version, False, False)


async def test_the_follower_compares_a_draft_policy_in_the_shadow(tmp_path: Path) -> None:
    given = settings(tmp_path, snapshot_every_decisions=10**6)
    ask = planning.GetShadowReportRequest(channel_key="web")
    async with serving(given) as client:
        await fill(client)
        policy = network.RoutingPolicy(policy_key="default", default_service_key="ground", draft=True, shadow=True)
        await client.put_routing_policy(network.PutRoutingPolicyRequest(policy=policy))
        stock = inventory.SetStockRequest(sku_key="sku-1", node_key="east", on_hand_units=5)
        await client.set_stock(stock)
        async with asyncio.timeout(100):
            while not (told := await client.get_shadow_report(ask)).HasField("report"):
                assert told.obstacle
                await asyncio.sleep(0.05)
            await client.place_order(place("one", ("sku-1", 2)))
            while not (told := await client.get_shadow_report(ask)).report.compared_count:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    report = told.report
    assert (report.compared_count, report.different_count, report.alike_count) == (1, 0, 1)
    assert report.active == report.draft
    assert report.active.package_count == 1

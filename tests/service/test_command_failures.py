"""What a command says when the server refuses it: who may not, what is malformed, and rows of files that come to nothing."""

from __future__ import annotations

import asyncio
import json
from hashlib import sha256
from pathlib import Path

from typer.testing import CliRunner, Result

from engine.cli.main import app
from tests.service.world import World, open_world


async def run(world: World, *words: str) -> Result:
    """A command in a thread of its own: the server is on this event loop."""
    runner = CliRunner(env={"STOCKPOOL_SERVER": world.target, "NO_COLOR": "1", "COLUMNS": "200"})
    return await asyncio.to_thread(runner.invoke, app, words)


async def test_a_stranger_is_told_to_name_credentials(tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    rights = {"calls": ["InventoryService/GetAvailability"], "nodes": ["*"], "channels": ["*"]}
    file.write_text(json.dumps([{"name": "screen", "token_sha256": sha256(b"secret").hexdigest(), **rights}]))
    async with open_world(auth_file=file, filled=False) as world:
        for words in (("status",), ("status", "--token", "wrong"), ("status", "--token", "secret")):
            told = await run(world, *words)
            assert told.exit_code == 1
            assert "GetStatus is not allowed" in told.stderr
            assert "name credentials with --token or STOCKPOOL_TOKEN" in told.stderr


async def test_what_the_server_finds_malformed_is_named_by_its_field(world: World) -> None:
    told = await run(world, "stock", "receive", "sku-1=9223372036854775807", "--node", "east")
    assert told.exit_code == 2
    assert "ReceiveStock was not understood" in told.stderr
    assert "units" in told.stderr


async def test_roots_that_cannot_be_read(world: World, tmp_path: Path) -> None:
    told = await run(world, "status", "--tls-authority", str(tmp_path / "none.pem"))
    assert told.exit_code == 2
    assert f"cannot read {tmp_path / 'none.pem'}" in told.stderr


async def test_released_units_are_free_again(world: World) -> None:
    await world.stock("sku-1", "east", 5)
    held = await run(world, "reserve", "sku-1=3", "--channel", "web", "--ship-to", "10001", "--json")
    assert held.exit_code == 0, held.output
    assert await world.available("sku-1") == 2
    reservation_id = json.loads(held.stdout)["reservation"]["reservation_id"]
    released = await run(world, "reservation", "release", str(reservation_id))
    assert released.exit_code == 0, released.output
    assert await world.available("sku-1") == 5


async def test_returns_of_a_file_find_their_orders(world: World, tmp_path: Path) -> None:
    """A return names an order and a SKU; what fits neither is told by its key, and the others are taken."""
    await world.stock("sku-1", "east", 5)
    placed = await run(
        world, "order", "place", "sku-1=2", "--channel", "web", "--key", "A-1", "--ship-to", "10001", "--json"
    )
    assert placed.exit_code == 0, placed.output
    [work] = json.loads(placed.stdout)["order"]["fulfillment_order_ids"]
    assert (await run(world, "fulfillment", "accept", str(work))).exit_code == 0
    assert (await run(world, "fulfillment", "ship", str(work))).exit_code == 0
    file = tmp_path / "returns.csv"
    file.write_text(
        "return_key,channel_key,order_key,sku_key,units,time,node_key,postal_code,disposition\n"
        "r1,web,A-1,sku-1,1,2026-01-03,east,,restock\n"
        "r2,web,A-1,sku-2,1,2026-01-03,east,,restock\n"
        "r3,web,A-9,sku-1,1,2026-01-03,east,,restock\n"
        "r4,web,A-1,sku-1,9,2026-01-03,east,,restock\n"
    )
    told = await run(world, "import", str(file), "--json")
    assert told.exit_code == 1
    data = json.loads(told.stdout)
    assert data["applied"] == {"returns": 1}
    told_of = {one["field"]: one["message"] for one in data["errors"]}
    assert told_of["r2"] == "order A-1 has no sku-2"
    assert told_of["r3"].startswith("refused: UNKNOWN_ORDER")
    assert told_of["r4"].startswith("refused: ")
    assert len(data["errors"]) == 3
    assert await world.available("sku-1") == 4

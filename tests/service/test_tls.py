"""TLS: a server with a certificate, clients that trust it, and one that does not."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

import grpc
import pytest

from engine.client import AsyncClient, StockpoolError
from stockpool.v1 import admin_pb2 as admin
from tests.service.world import open_world

OPENSSL = shutil.which("openssl")


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A fresh key and certificate for localhost."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [
            *(str(OPENSSL), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return key, certificate


@pytest.mark.skipif(OPENSSL is None, reason="makes its certificate with openssl")
async def test_tls(tmp_path: Path) -> None:
    key, certificate = await asyncio.to_thread(self_signed, tmp_path)
    async with open_world(
        tls_key=key, tls_certificate=certificate, root_certificates=certificate.read_bytes()
    ) as world:
        assert (await world.client.get_status(admin.GetStatusRequest())).node_count == 5
        async with AsyncClient(world.target, retries=0) as plain:
            with pytest.raises(StockpoolError) as caught:
                await plain.get_status(admin.GetStatusRequest())
            assert caught.value.code == grpc.StatusCode.UNAVAILABLE

"""The command line against a real server in a process of its own."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from engine.cli.main import app
from engine.settings import variables

pytestmark = pytest.mark.timeout(300)

COMMAND = [sys.executable, "-m", "engine"]


class Commands:
    """Runs commands against one server."""

    def __init__(self, target: str) -> None:
        self.target = target

    def run(self, *words: str) -> Result:
        return CliRunner(env={"STOCKPOOL_SERVER": self.target, "NO_COLOR": "1", "COLUMNS": "120"}).invoke(app, words)

    def json(self, *words: str, code: int = 0) -> Any:
        result = self.run(*words, "--json")
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)


@contextmanager
def started(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server, and where it listens."""
    command = [*COMMAND, "serve", "--port", "0", "--json", "--stop-on-eof", *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())["target"]


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """A server with a small network of files."""
    folder = tmp_path_factory.mktemp("files")
    write_files(folder)
    with started("--journal", "memory://") as (_, target):
        commands = Commands(target)
        assert commands.run("network", "put-sample-rates").exit_code == 0
        assert commands.run("network", "put-channel", "web").exit_code == 0
        imported = commands.run("import", str(folder))
        assert imported.exit_code == 0, imported.output
        yield commands


def write_files(folder: Path) -> None:
    (folder / "nodes.csv").write_text(
        "node_key,name,kind,latitude,longitude,postal_code,offers_pickup,package_cost\n"
        "north,North,store,40.7,-74.0,10007,true,1.5\n"
        "ware,Warehouse,warehouse,41.8,-87.6,60608,false,0.5\n"
    )
    (folder / "skus.csv").write_text("sku_key,title,weight_grams,unit_value\ntea,Tea,100,3.50\ncup,Cup,400,8\n")
    (folder / "counts.csv").write_text("sku_key,node_key,on_hand\ntea,north,50\ntea,ware,500\ncup,ware,500\n")


def test_help_names_every_command(commands: Commands) -> None:
    text = commands.run("--help").output
    for command in ("demo", "serve", "import", "status", "audit", "warm", "reserve", "order", "availability", "stock"):
        assert f"  {command}" in text


def test_status_counts(commands: Commands) -> None:
    data = commands.json("status")
    assert (data["node_count"], data["sku_count"], data["journal_kind"]) == (2, 2, "memory")
    assert "node count" in commands.run("status").output


def test_a_basket_from_options_to_its_parcel(commands: Commands) -> None:
    options = commands.json("order", "options", "tea=2", "cup", "--channel", "web", "--ship-to", "10001")
    assert options["ship_options"][0]["available"] is True
    held = commands.json("reserve", "tea=2", "cup", "--channel", "web", "--ship-to", "10001", "--ttl", "60")
    reservation_id = held["reservation"]["reservation_id"]
    assert commands.json("reservation", "get", str(reservation_id))["reservation"]["state"] == "RESERVATION_STATE_HELD"
    commands.json("reservation", "extend", str(reservation_id), "--ttl", "120")
    placed = commands.json("order", "place", "--reservation", str(reservation_id), "--channel", "web", "--key", "A-1")
    order = placed["order"]
    assert [line["allocated_units"] for line in order["lines"]] == [2, 1]
    work = commands.json("fulfillment", "list", "--order", str(order["order_id"]))["fulfillment_orders"]
    for one in work:
        commands.json("fulfillment", "accept", str(one["fulfillment_order_id"]))
        commands.json("fulfillment", "ship", str(one["fulfillment_order_id"]), "--tracking", "1Z")
    again = commands.json("order", "get", "--channel", "web", "--key", "A-1")["order"]
    assert again["state"] == "ORDER_STATE_COMPLETED"
    assert "COMPLETED" in commands.run("order", "get", str(order["order_id"])).output


def test_a_pickup_is_handed_over_at_the_counter(commands: Commands) -> None:
    placed = commands.json("order", "place", "tea=1@3.50", "--channel", "web", "--key", "P-1", "--pickup", "north")
    assert placed["order"]["lines"][0]["unit_price"]["micros"] == 3_500_000
    [work] = placed["order"]["fulfillment_order_ids"]
    assert "1 candidate of 1 node" in commands.run("order", "explain", "--channel", "web", "--key", "P-1").output
    assert commands.run("order", "explain", "987654").exit_code == 1
    commands.json("fulfillment", "ready", str(work))
    commands.json("fulfillment", "hand-over", str(work))


def test_rejected_and_cancelled_work_gives_units_back(commands: Commands) -> None:
    placed = commands.json("order", "place", "tea=3", "--channel", "web", "--key", "R-1", "--ship-to", "60601")
    work = placed["order"]["fulfillment_order_ids"][0]
    rejected = commands.json("fulfillment", "reject", str(work), "--reason", "too_busy")
    assert rejected["replacements"][0]["node_key"] != rejected["fulfillment_order"]["node_key"]
    first, second = commands.json("order", "explain", str(placed["order"]["order_id"]))["routings"]
    assert first["plan"]["packages"][0]["node_key"] == rejected["fulfillment_order"]["node_key"]
    assert {"reason": "DROP_REASON_REJECTED_BEFORE", "node_count": 1} in second["dropped"]
    told = commands.run("order", "explain", "--channel", "web", "--key", "R-1").output
    assert f"instead of fulfillment order {work}, which was rejected" in told
    assert "rejected the order before" in told
    assert "lost by" in told
    cancelled = commands.json("order", "cancel", str(placed["order"]["order_id"]), "--line", "0=3")
    assert cancelled["order"]["state"] == "ORDER_STATE_CANCELLED"


def test_a_policy_goes_from_a_file_through_the_shadow_into_force(commands: Commands, tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(commands.json("policy", "show", "default")))
    version = commands.json("policy", "put", str(file), "--shadow")["version"]
    assert commands.json("policy", "show", "default", "--draft")["policy"]["shadow"] is True
    told = commands.json("policy", "shadow", "web")
    assert (told["version"], "--snapshots" in told["obstacle"]) == (version, True)
    assert commands.json("policy", "activate", "default", "--version", str(version))["version"] == version
    listed = commands.json("policy", "list")["policies"]
    assert [(one["policy_key"], one["version"], one["draft"]) for one in listed] == [("default", version, False)]
    assert commands.json("policy", "shadow", "web", code=1)["result"]["outcome"] == "OUTCOME_UNKNOWN_POLICY"
    file.write_text('{"policy_kye": "default"}')
    refused = commands.run("policy", "put", str(file))
    assert (refused.exit_code, "policy_kye" in refused.stderr) == (1, True)


def test_stock_is_counted_received_and_sold(commands: Commands) -> None:
    assert commands.json("stock", "set", "cup", "--node", "north", "--on-hand", "7")["cell"]["on_hand_units"] == 7
    commands.json("stock", "receive", "cup=3", "--node", "north")
    commands.json("stock", "sale", "cup=4", "--node", "north", "--channel", "web")
    cells = commands.json("availability", "cup", "--channel", "web", "--node", "north", "--pickup", "--cells")
    assert cells["availabilities"][0]["cells"][0]["on_hand_units"] == 6
    told = commands.run("watch", "cup", "tee", "--channel", "web", "--node", "north", "--pickup", "--once")
    assert [line.split("  ")[1:] for line in told.stdout.splitlines()] == [["cup", "6"], ["tee", "no such SKU"]]
    told = commands.run("watch", "cup", "--channel", "web", "--every", "0.1", "--once", "--json")
    assert json.loads(told.stdout)["complete"]
    assert commands.run("watch", "cup", "--channel", "nowhere").exit_code == 1
    moves = commands.json("stock", "movements", "cup", "--node", "north")["movements"]
    assert [one["delta_units"] for one in moves] == [-4, 3, 7]


def test_a_refusal_is_said_and_exits_with_1(commands: Commands) -> None:
    words = ("reserve", "tea=100000", "--channel", "web", "--ship-to", "10001")
    result = commands.run(*words)
    assert result.exit_code == 1
    assert "INSUFFICIENT_STOCK" in result.stderr
    assert commands.json(*words, code=1)["result"]["outcome"] == "OUTCOME_INSUFFICIENT_STOCK"


def test_the_same_request_id_gets_the_first_answer(commands: Commands) -> None:
    words = ("reserve", "tea", "--channel", "web", "--pickup", "north", "--request-id", "again-1")
    assert commands.json(*words) == commands.json(*words)


@pytest.mark.parametrize(
    "words",
    [
        ("reserve", "tea=much", "--channel", "web", "--ship-to", "10001"),
        ("reserve", "tea", "--channel", "web"),
        ("reserve", "tea", "--channel", "web", "--ship-to", "10001", "--pickup", "north"),
        ("reserve", "tea=0", "--channel", "web", "--ship-to", "10001"),
        ("order", "get"),
        ("order", "place", "tea@cheap", "--channel", "web", "--key", "K", "--pickup", "north"),
        ("fulfillment", "reject", "1", "--reason", "no_mood"),
        ("import", "nowhere"),
        ("nonsense",),
    ],
)
def test_a_malformed_command_exits_with_2(commands: Commands, words: tuple[str, ...]) -> None:
    result = commands.run(*words)
    assert result.exit_code == 2, result.output
    assert result.stderr


def test_lists_are_tables(commands: Commands) -> None:
    assert "Warehouse" in commands.run("network", "nodes").output
    assert len(commands.json("network", "skus")["skus"]) == 2
    assert commands.json("network", "channels")["channels"][0]["channel_key"] == "web"
    assert len(commands.json("network", "rate-cards")["rate_cards"]) == 3


def test_bad_rows_are_named_and_the_others_go_in(commands: Commands, tmp_path: Path) -> None:
    counts = tmp_path / "counts.csv"
    counts.write_text("sku_key,node_key,on_hand\ntea,north,60\ntea,north,-4\nsoap,north,1\ncup,ware,400\n")
    result = commands.run("import", str(counts))
    assert result.exit_code == 1
    assert f"{counts}:3: on_hand: is below 0" in result.stderr
    assert f"{counts}:4: refused: UNKNOWN_SKU soap" in result.stderr
    assert "counts: 2 in" in result.stdout
    data = commands.json("import", str(counts), code=1)
    assert data["applied"] == {"counts": 2}
    assert [one["row"] for one in data["errors"]] == [3, 4]


def test_all_or_nothing_sends_nothing(commands: Commands, tmp_path: Path) -> None:
    counts = tmp_path / "counts.csv"
    counts.write_text("sku_key,node_key,on_hand\ntea,north,1\ntea,north,-4\n")
    before = commands.json("status")["journal_seq"]
    result = commands.run("import", str(counts), "--all-or-nothing")
    assert result.exit_code == 1
    assert "1 bad rows, nothing was sent" in result.stderr
    assert commands.json("status")["journal_seq"] == before


def test_orders_and_returns_come_in_once(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(
        "channel_key,order_key,time,kind,node_key,postal_code,sku_key,units,unit_price\n"
        "web,m1,2026-01-01T10:00:00,ship,,10001,tea,2,3.5\n"
        "web,m1,2026-01-01T10:00:00,ship,,10001,cup,1,8\n"
        "web,m2,2026-01-01T10:00:00,pickup,north,,tea,3,3.5\n"
    )
    (tmp_path / "returns.csv").write_text(
        "return_key,channel_key,order_key,sku_key,units,time,node_key,postal_code,disposition\n"
        "r1,web,,cup,1,2026-01-03,north,,restock\n"
    )
    first = commands.json("import", str(tmp_path))
    assert first["applied"] == {"orders": 2, "returns": 1}
    before = commands.json("status")["on_hand_units"]
    second = commands.json("import", str(tmp_path))
    assert (second["applied"]["orders"], second["known_orders"], second["bad_rows"]) == (0, 2, 0)
    assert commands.json("status")["on_hand_units"] == before, "the same return is taken once"


def test_audit_over_the_wire(commands: Commands) -> None:
    assert commands.json("audit", "--replay")["ok"] is True
    assert "clean" in commands.run("audit").output


def test_nobody_there_is_said_with_what_to_type() -> None:
    nowhere = Commands("localhost:1")
    result = nowhere.run("status")
    assert result.exit_code == 1
    assert "no server answers at localhost:1" in result.stderr
    assert "next: stockpool serve" in result.stderr
    assert nowhere.json("status", code=1)["error"]["hint"]


@pytest.mark.parametrize("how", ["sigterm", "sigint", "eof"])
def test_a_server_drains_and_its_journal_can_be_audited_offline(tmp_path: Path, how: str) -> None:
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    with started("--journal", url) as (process, target):
        commands = Commands(target)
        assert commands.run("network", "put-channel", "web").exit_code == 0
        if how == "eof":
            assert process.stdin is not None
            process.stdin.close()
        else:
            process.send_signal(signal.SIGTERM if how == "sigterm" else signal.SIGINT)
        assert process.wait(30) == 0
    data = commands.json("audit", "--journal", url)
    assert (data["ok"], data["journal_seq"]) == (True, 1)


def test_a_port_that_is_taken_is_said(commands: Commands) -> None:
    port = commands.target.rpartition(":")[2]
    command = [*COMMAND, "serve", "--journal", "memory://", "--port", port]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "cannot listen on" in result.stderr


def test_settings_that_make_no_sense_exit_with_2() -> None:
    result = CliRunner().invoke(app, ["serve", "--journal", "file.db"])
    assert result.exit_code == 2
    assert "STOCKPOOL_JOURNAL" in result.stderr


@pytest.mark.parametrize("command", [["serve"], ["audit", "--journal", "memory://"]])
def test_a_misspelt_variable_ends_the_command(command: list[str]) -> None:
    result = CliRunner(env={"STOCKPOOL_LIMIT__CELLS_MAX": "5"}).invoke(app, command)
    assert result.exit_code == 2
    assert "did you mean STOCKPOOL_LIMITS__CELLS_MAX?" in result.stderr


def test_the_help_lists_every_setting() -> None:
    text = CliRunner().invoke(app, ["serve", "--help"]).stdout
    assert not [name for name in variables() if "__" not in name and name not in text and name != "STOCKPOOL_LIMITS"]


@pytest.mark.compiled
def test_warm_says_where_the_cache_is() -> None:
    data = json.loads(CliRunner().invoke(app, ["warm", "--json"]).stdout)
    assert data["modules"] > 5
    assert Path(data["cache"]).is_dir()

"""``stockpool order explain``: an explanation for people, from a server or straight from a journal."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from engine.cli.messages import as_data, show
from engine.cli.output import CommandFailed, console, print_json
from engine.cli.serve import load_settings

if TYPE_CHECKING:
    from rich.console import RenderableType

    from stockpool.v1.orders_pb2 import ExplainOrderResponse

_REASONS = {
    "CLOSED": "closed",
    "NOT_IN_CHANNEL": "not in the channel",
    "DOES_NOT_SHIP": "does not ship",
    "REJECTED_BEFORE": "rejected the order before",
    "NO_LANE": "no lane: the service does not go there",
    "NO_STOCK": "no free unit of it",
    "NOT_ENOUGH_STOCK": "not enough free units",
    "NO_SHIP_DAY": "no day with room within four weeks",
    "RULE": "not allowed by the rule",
    "COLLECTED_THERE": "it is sent there",
    "LATE": "too late for the promised day",
    "ARRIVAL_UNKNOWN": "nobody knows when it would arrive, and a day was promised",
}
_VERDICTS = {
    "SERVED": "served it",
    "SERVED_IN_PART": "served a part of it",
    "OTHER_SERVICE": "is for other services",
    "OTHER_VALUE": "is for orders of another value",
    "OTHER_UNITS": "is for another number of units",
    "OTHER_LINES": "is for another number of SKUs",
    "OTHER_REGION": "is for other regions",
    "TOO_FEW_UNITS": "its nodes had too few units",
    "NO_PLAN": "its form allowed no plan",
}


def explained_offline(
    url: str, folder: Path | None, order_id: int, channel_key: str, order_key: str
) -> "ExplainOrderResponse":
    """What a server on this journal would tell, however far back it has to replay. Raises CommandFailed."""
    from engine.cli.warm import warm_kernels
    from engine.follower.explanations import explain_order
    from engine.journal import JournalError, open_journal
    from engine.model.queries import GetOrder
    from engine.recovery import recover
    from engine.service.convert.explanations import EXPLAIN_ORDER, add_explanations
    from engine.snapshots import SnapshotError, SnapshotFolder

    limits = load_settings().limits
    warm_kernels()
    try:
        journal = open_journal(url, owner=False)
    except (JournalError, ValueError) as error:
        hint = "stockpool order explain ID --journal sqlite:///FILE"
        raise CommandFailed("the journal cannot be opened", str(error), hint) from None
    snapshots = None if folder is None else SnapshotFolder(folder)
    try:
        machine = recover(journal, limits, snapshots=snapshots)
        answer: Any = machine.answer(GetOrder(0, order_id, channel_key, order_key), machine.now_ns)
        response = EXPLAIN_ORDER.answer(machine.seq, answer, machine.pool.names)
        if answer.order is not None:
            explained = explain_order(journal, limits, answer.order, snapshots)
            add_explanations(response.routings, explained, machine.pool.names)
    except JournalError as error:
        raise CommandFailed("the journal cannot be replayed", str(error)) from None
    except SnapshotError as error:
        raise CommandFailed("the snapshots cannot be used", str(error)) from None
    finally:
        journal.close()
    return response


def show_explanation(response: "ExplainOrderResponse", *, as_json: bool) -> None:
    """Prints it, and ends the command with 1 when there is no such order."""
    if not response.HasField("order"):
        show(response, as_json=as_json)
        return
    if as_json:
        print_json(as_data(response))
        return
    data = as_data(response, brief=True)
    order = data["order"]
    typer.secho(
        f"order {order['order_id']} {order['order_key']}, {order['channel_key']}: {order['state'].lower()}", bold=True
    )
    if not data["routings"]:
        typer.echo("nothing was kept of its plans: it is of a version before explanations")
    for routing in data["routings"]:
        console().print(*_routing(routing), sep="\n")


def _routing(told: dict[str, Any]) -> "Iterable[RenderableType]":
    yield ""
    yield f"[bold]{told['command']}[/bold] at seq {told['journal_seq']:,}{_because(told)}"
    if not told["replayed"]:
        yield f"what was looked at is not told: {told['obstacle']}"
        return
    if not told["reproduced"]:
        yield "[yellow]the code of today would plan otherwise; what follows is its view[/yellow]"
    asked = ", ".join(f"{line['units']} x {line['sku_key']}" for line in told["lines"])
    where = f" to {told['region_key']} by {told['service_key']}" if told["region_key"] else ""
    where += f", promised for {told['promised_date']}" if told["promised_date"] else ""
    version = f" version {told['policy_version']}" if told["policy_version"] else ""
    yield f"asked for {asked}{where}, policy {told['policy_key']}{version}, planned at seq {told['plan_journal_seq']:,} ({told['plan_time']} UTC)"
    yield from _rules(told)
    yield f"{_counted(told['candidate_count'], 'candidate')} of {_counted(told['node_count'], 'node')}"
    for each in told["dropped"]:
        yield f"  {each['node_count']:>6,}  {_REASONS.get(str(each['reason']), each['reason'])}"
    yield from _plans(told)
    yield _stock(told["cells"])


def _because(told: dict[str, Any]) -> str:
    if told["rejected_fulfillment_order_id"]:
        return f", instead of fulfillment order {told['rejected_fulfillment_order_id']}, which was rejected"
    if told["proposed"]:
        return ", as proposed by a wave, which plans orders together"
    return f", by reservation {told['reservation_id']}" if told["reservation_id"] else ""


def _rules(told: dict[str, Any]) -> "Iterable[str]":
    """What each rule said that was asked."""
    for rule in told["rules"]:
        if rule["verdict"] in _VERDICTS:
            yield f"  rule {rule['name']}: {_VERDICTS[rule['verdict']]}"
    if told["after"] in ("HOLD", "BACKORDER", "PARTIAL", "REFUSE"):
        yield f"  what followed: {told['after'].lower()}"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _plans(told: dict[str, Any]) -> "Iterable[RenderableType]":
    from rich.table import Table

    if not told["plan"].get("cost"):
        if not told["plan"]["legs"]:
            yield "no node could serve any of it"
        return
    table = Table(header_style="dim", box=None, padding=(0, 1))
    plans = (told["plan"], *(each["plan"] for each in told["alternatives"]))
    late = any(plan["cost"].get("lateness") for plan in plans)
    weighed = any(plan["score"]["micros"] != plan["cost"]["total"]["micros"] for plan in plans)
    terms = ["carrier", "handling", "split_penalty", *(["lateness"] if late else []), "total"]
    terms += ["weighed"] if weighed else []
    for name in ("plan", "sent from", *(term.removesuffix("_penalty") for term in terms), "lost by"):
        table.add_column(name, justify="left" if name in ("plan", "sent from") else "right")
    exact = "chosen" if told["plan"]["cost"]["exact"] else "chosen (not proven)"
    table.add_row(exact, *_terms(told["plan"], terms), "")
    for number, other in enumerate(told["alternatives"], start=2):
        lost = f"{other['units_fewer']:,} units" if other["units_fewer"] else _money(other["extra_cost"])
        table.add_row(f"{number}.", *_terms(other["plan"], terms), lost)
    yield table
    if not told["alternatives"]:
        yield "there was no other plan"


def _terms(plan: dict[str, Any], names: "Iterable[str]") -> tuple[str, ...]:
    cost = plan["cost"] | {"weighed": plan["score"]}
    sent = "; ".join(
        f"{box['node_key']} (zone {box['zone']}, {box['weight_grams']:,} g{_arriving(box)})" for box in plan["packages"]
    )
    return (sent, *(_money(cost.get(name) or {"micros": 0}) for name in names))


def _arriving(box: dict[str, Any]) -> str:
    return f", arrives {box['arrival_date']}" if box["arrival_date"] else ""


def _money(money: dict[str, Any]) -> str:
    return f"{money['micros'] / 1e6:,.2f}"


def _stock(cells: list[dict[str, Any]]) -> "RenderableType":
    from rich.table import Table

    table = Table(
        title="stock then", title_justify="left", title_style="bold", header_style="dim", box=None, padding=(0, 1)
    )
    shown = (
        "sku_key",
        "node_key",
        "atf_units",
        "on_hand_units",
        "reserved_units",
        "allocated_units",
        "safety_stock_units",
    )
    for name in shown:
        label = "free" if name == "atf_units" else name.removesuffix("_units").removesuffix("_key").replace("_", " ")
        table.add_column(label, justify="left" if name.endswith("_key") else "right")
    for cell in cells:
        table.add_row(*(str(cell[name]) if name.endswith("_key") else f"{cell[name]:,}" for name in shown))
    return table

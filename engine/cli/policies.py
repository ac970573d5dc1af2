"""``stockpool policy``: routing policies as files, drafts, and what a draft would decide otherwise."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.connection import SERVER, Authority, Json, Server, Token, connected
from engine.cli.messages import show
from engine.cli.output import CommandFailed
from engine.cli.words import RequestId

if TYPE_CHECKING:
    from stockpool.v1.network_pb2 import RoutingPolicy

app = typer.Typer(
    help="List and look at routing policies; put one, or its draft, from a file; let a draft decide in the shadow; activate it.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

Key = Annotated[str, typer.Argument(metavar="POLICY", help="Its key.")]


@app.command("list")
def list_policies(
    server: Server = SERVER, token: Token = None, authority: Authority = None, as_json: Json = False
) -> None:
    """Print those in force, then the drafts."""
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1.network_pb2 import ListRoutingPoliciesRequest

        show(client.list_routing_policies(ListRoutingPoliciesRequest()), as_json=as_json)


@app.command("show")
def show_policy(
    policy_key: Key,
    draft: Annotated[bool, typer.Option("--draft", help="Its draft.")] = False,
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """Print one; with --json as `put` takes it."""
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1.network_pb2 import GetRoutingPolicyRequest

        request = GetRoutingPolicyRequest(policy_key=policy_key, draft=draft)
        show(client.get_routing_policy(request), as_json=as_json)


@app.command()
def put(
    file: Annotated[
        Path, typer.Argument(help="JSON of a RoutingPolicy of the contract, or what `show --json` prints.")
    ],
    draft: Annotated[bool, typer.Option("--draft", help="Keep what is in force; it waits for `activate`.")] = False,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="As a draft that decides in the shadow, see `shadow`.")
    ] = False,
    request_id: RequestId = "",
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """Add or replace a policy. It is in force from the next decision on, unless it is a draft."""
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1.network_pb2 import PutRoutingPolicyRequest

        policy = _read(file)
        policy.draft, policy.shadow = draft or shadow, shadow
        show(client.put_routing_policy(PutRoutingPolicyRequest(request_id=request_id, policy=policy)), as_json=as_json)


@app.command()
def activate(
    policy_key: Key,
    version: Annotated[int, typer.Option(min=0, help="Only if the draft has this version. [default: any]")] = 0,
    request_id: RequestId = "",
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """Put the draft of a policy in force."""
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1.network_pb2 import ActivateRoutingPolicyRequest

        request = ActivateRoutingPolicyRequest(request_id=request_id, policy_key=policy_key, version=version)
        show(client.activate_routing_policy(request), as_json=as_json)


@app.command()
def shadow(
    channel_key: Annotated[str, typer.Argument(metavar="CHANNEL", help="The channel whose policy has a draft.")],
    version: Annotated[int, typer.Option(min=0, help="Of the draft. [default: the one that is there]")] = 0,
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """What the draft of a channel's policy would have decided otherwise, since it was put with --shadow."""
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1.planning_pb2 import GetShadowReportRequest

        request = GetShadowReportRequest(channel_key=channel_key, version=version)
        show(client.get_shadow_report(request), as_json=as_json)


def _read(file: Path) -> "RoutingPolicy":
    """Raises CommandFailed when the file is no policy."""
    from google.protobuf.json_format import ParseDict, ParseError

    from stockpool.v1.network_pb2 import RoutingPolicy

    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        return ParseDict(data.get("policy", data), RoutingPolicy())
    except (OSError, ValueError, AttributeError, ParseError) as error:
        raise CommandFailed(
            f"{file} holds no routing policy", str(error), "stockpool policy show default --json prints one"
        ) from None

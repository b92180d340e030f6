"""`maxwell heat`: what a node sees, with ages; `maxwell heat node`: be one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from maxwell.cli.console import print_data, print_note
from maxwell.cli.settings import Settings, common_options
from maxwell.errors import ConfigError, HeatError

if TYPE_CHECKING:
    from collections.abc import Mapping

STATUS = click.Path(dir_okay=False, path_type=Path)


@click.group(invoke_without_command=True)
@click.option("--status", type=STATUS, help="File that the node writes; see `heat node`.")
@click.option("--json", is_flag=True, help="Print as JSON.")
@click.option("--prometheus", is_flag=True, help="Print figures and counters for Prometheus.")
@common_options
@click.pass_context
def command(
    context: click.Context, *, status: Path | None, json: bool, prometheus: bool
) -> int | None:
    """Show what a heat node sees: temperatures, prices, states, and how old each entry is."""
    if context.invoked_subcommand is not None:
        return None
    if status is None:
        raise click.UsageError("no status file: give --status FILE, as to `maxwell heat node`")
    seen = _read(status)
    if json:
        import msgspec

        sys.stdout.write(msgspec.json.format(msgspec.json.encode(seen), indent=2).decode() + "\n")
    elif prometheus:
        import msgspec

        from maxwell.heat.counters import HeatCounters, prometheus_lines

        counters = msgspec.convert(seen["counters"], HeatCounters)
        lines = prometheus_lines(counters, cast("dict[str, float]", seen["figures"]))
        sys.stdout.write("\n".join(lines) + "\n")
    else:
        _show(seen)
    return 0


def _read(path: Path) -> dict[str, Any]:
    """Reads a node's status.

    Raises:
        HeatError: MX1803 when there is none.
    """
    import msgspec

    try:
        seen = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        raise HeatError(
            f"no status of a heat node: {path}",
            code="MX1803",
            hint="start one with `maxwell heat node --status FILE`",
        ) from error
    if seen.get("schema") != "maxwell.heat.status/1":
        raise HeatError(f"not the status of a heat node: {path}", code="MX1803")
    return seen


def _show(seen: Mapping[str, Any]) -> None:
    from rich.table import Table

    figures: dict[str, float] = seen["figures"]
    print_data(
        f"node {seen['node']}  {seen['state']}  {figures['temperature_celsius']:.1f} °C "
        f"(in 20 s {figures['predicted_celsius']:.1f})  {figures['load_watts']:.0f} W load  "
        f"{figures['headroom_watts']:.0f} W room  ln price {figures['ln_price']:+.2f}"
    )
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("node", "state", "zone", "°C", "in 20 s", "W", "room W", "ln price", "age s"):
        table.add_column(name, justify="left" if name in ("node", "state") else "right")
    for row in sorted(seen["view"], key=lambda r: -float(r["t_hat_c"])):
        price = float(row["ln_price"])
        table.add_row(
            row["node"], row["state"], str(row["zone"]), f"{row['t_c']:.1f}",
            f"{row['t_hat_c']:.1f}", str(row["power_w"]), str(row["headroom_w"]),
            "closed" if price > 32 else f"{price:+.2f}", f"{row['age_s']:.1f}",
        )  # fmt: skip
    print_data(table)


def _address(text: str) -> tuple[str, int]:
    """Reads HOST:PORT; the host is a number.

    Raises:
        ConfigError: MX1004 when it is not one.
    """
    from ipaddress import ip_address

    host, _, port = text.rpartition(":")
    try:
        number = int(port)
        ip_address(host.strip("[]"))
    except ValueError as error:
        raise ConfigError(
            f"not an address: {text!r}", code="MX1004", hint="such as 127.0.0.1:7411 or [::1]:7411"
        ) from error
    if not 0 <= number <= 65_535:
        raise ConfigError(f"no such port: {number}", code="MX1006", hint="from 1 to 65535")
    return host.strip("[]"), number


@command.command("node")
@click.option("--bind", default="127.0.0.1:7411", show_default=True, help="Address to listen on.")
@click.option("--join", multiple=True, metavar="HOST:PORT", help="Nodes to introduce itself to.")
@click.option("--cluster-key", type=STATUS, required=True, help="File of 64 hexadecimal digits.")
@click.option("--identity", type=STATUS, required=True, help="This node's secret, the same form.")
@click.option("--boot", type=int, default=1, show_default=True, help="Counts this node's starts.")
@click.option("--zone", type=int, default=0, show_default=True, help="Its cooling or feed zone.")
@click.option("--nodes", type=int, default=20, show_default=True, help="Size of the cluster.")
@click.option("--policy", default="ours", show_default=True, help="As of `lab heat`.")
@click.option(
    "--load",
    "load_w",
    type=float,
    default=160.0,
    show_default=True,
    help="Watts of its simulated processes.",
)
@click.option("--fan-dies-after", type=float, metavar="S", help="Let the simulated fan die.")
@click.option("--loss", type=float, default=0.0, show_default=True, help="Packets to drop.")
@click.option("--duration", type=float, metavar="S", help="Stop after so long; else run on.")
@click.option("--status", type=STATUS, help="Write the view to this file each second.")
@common_options
@click.pass_obj
def node(
    settings: Settings, *, bind: str, join: tuple[str, ...], cluster_key: Path, identity: Path,
    boot: int, zone: int, nodes: int, policy: str, load_w: float, fan_dies_after: float | None,
    loss: float, duration: float | None, status: Path | None,
) -> int:  # fmt: skip
    """Be a heat node on UDP, with a simulated plant and workload."""
    import asyncio

    from maxwell.heat.live import LiveConfig, LiveNode, read_secret

    live = LiveNode(
        LiveConfig(
            bind=_address(bind),
            cluster_key=read_secret(cluster_key, "cluster key"),
            identity=read_secret(identity, "identity"),
            boot=boot,
            seeds=tuple(_address(text) for text in join),
            zone=zone,
            nodes=nodes,
            policy=policy,
            load_w=load_w,
            fan_dies_after_s=fan_dies_after,
            loss=loss,
            status=status,
        )
    )
    if not settings.quiet:
        print_note(f"node {live.node.node:016x} on {bind}")
    asyncio.run(live.run(duration))
    return 0

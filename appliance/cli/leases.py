"""`dhcp`: addresses for a network that has nobody else to give them."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import click

from appliance.cli.options import Call, leaf
from catalog.errors import ConfigError


@click.command()
@click.option("--address", required=True, help="Our own fixed address with its network, as 192.168.88.88/24.")
@click.option("--leases", type=click.Path(path_type=Path), default=Path("/run/shuxiang-dhcp/leases"), show_default=True, help="Where dnsmasq notes what it gave.")  # fmt: skip
@click.option(
    "--word", default="shuxiang", show_default=True, help="The name that is answered with our address."
)
@click.option("--pause", type=float, default=15.0, show_default=True, help="Seconds between questions for other servers.")  # fmt: skip
@leaf
def dhcp(call: Call, address: str, leases: Path, word: str, pause: float) -> None:
    """Give addresses (DHCP) as long as no other server on this network does. Asked for by network.dhcp in shuxiang.toml."""
    from appliance.leases.giving import Pace, give

    try:
        own = ipaddress.IPv4Interface(address)
    except ValueError as error:
        raise ConfigError(
            "E-CONFIG", where="--address", expected="192.168.88.88/24", found=address
        ) from error

    def tell(text: str) -> None:
        click.echo(f"dhcp {text}")

    give(own, word, leases, pace=Pace(pause_seconds=pause), tell=tell)

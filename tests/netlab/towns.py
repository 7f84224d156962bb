"""The networks that figures are taken in: a hub behind its uplink, towns behind routers, boxes on their LANs."""

from __future__ import annotations

from dataclasses import dataclass

from netlab.lab import Lab, Line, Node

HUB_PORT = 8088
_MBIT = 1_000_000
_NAT = """
table ip town {
 chain out { type nat hook postrouting priority 100; oifname "wan" masquerade; }
 chain in {
  type filter hook forward priority 0; policy accept;
  iifname "wan" ct state established,related accept
  iifname "wan" drop
 }
}
"""


@dataclass(frozen=True)
class Speeds:
    """Rates in bits per second as seen from each site, and the delay of each line one way."""

    hub_up: float = 8 * _MBIT
    hub_down: float = 8 * _MBIT
    town_down: float = 20 * _MBIT
    town_up: float = 5 * _MBIT
    delay_ms: float = 10.0
    queue_bytes: int = 64_000


@dataclass(frozen=True)
class Towns:
    """A hub, routers, and boxes, town by town. Each line's first direction leads away from its site."""

    hub: Node
    hub_host: str
    hub_line: Line
    town_lines: tuple[Line, ...]
    boxes: tuple[Node, ...]
    hosts: tuple[str, ...]

    def hub_sent_bytes(self) -> int:
        """Bytes that the hub's uplink has carried away from it."""
        return self.hub_line.carried()[0].size_bytes


def two_towns(lab: Lab, *, nat: bool = False, speeds: Speeds | None = None) -> Towns:
    """Build a hub and two towns of three boxes each; with `nat` the towns can be called by nobody."""
    return _build(lab, towns=2, boxes=3, nat=nat, speeds=speeds or Speeds())


def one_lan(lab: Lab, *, boxes: int = 6, nat: bool = False, speeds: Speeds | None = None) -> Towns:
    """Build a hub and one town of `boxes` boxes."""
    return _build(lab, towns=1, boxes=boxes, nat=nat, speeds=speeds or Speeds())


def _build(lab: Lab, *, towns: int, boxes: int, nat: bool, speeds: Speeds) -> Towns:
    hub, middle = lab.node("hub"), lab.node("middle")
    middle.set_kernel("net.ipv4.ip_forward", 1)
    hub_line = _uplink(lab, hub, middle, "hub", "203.0.113", speeds.hub_up, speeds.hub_down, speeds)
    lines: list[Line] = []
    nodes: list[Node] = []
    hosts: list[str] = []
    for town in range(1, towns + 1):
        router = lab.node(f"town{town}")
        router.set_kernel("net.ipv4.ip_forward", 1)
        outside = f"198.51.{100 + town}"
        lines.append(
            _uplink(lab, router, middle, f"town{town}", outside, speeds.town_up, speeds.town_down, speeds)
        )
        router.ip("link add lan type bridge")
        router.ip("link set lan up")
        router.ip(f"addr add 10.{town}.0.1/24 dev lan")
        if nat:
            router.run(["nft", "-f", "-"], input=_NAT)
        else:
            middle.ip(f"route add 10.{town}.0.0/24 via {outside}.2")
        for number in range(1, boxes + 1):
            box = lab.node(f"box{town}{number}")
            lab.cable(router, f"port{number}", box, "eth0")
            router.ip(f"link set port{number} master lan")
            host = f"10.{town}.0.{10 + number}"
            box.ip(f"addr add {host}/24 dev eth0")
            box.ip(f"route add default via 10.{town}.0.1")
            nodes.append(box)
            hosts.append(host)
    return Towns(
        hub=hub,
        hub_host="203.0.113.2",
        hub_line=hub_line,
        town_lines=tuple(lines),
        boxes=tuple(nodes),
        hosts=tuple(hosts),
    )


def _uplink(
    lab: Lab, site: Node, middle: Node, name: str, network: str, up_bits: float, down_bits: float, speeds: Speeds
) -> Line:  # fmt: skip
    line = lab.line(
        site,
        "wan",
        middle,
        name,
        there_bits=up_bits,
        back_bits=down_bits,
        delay_ms=speeds.delay_ms,
        queue_bytes=speeds.queue_bytes,
    )
    site.ip(f"addr add {network}.2/24 dev wan")
    middle.ip(f"addr add {network}.1/24 dev {name}")
    site.ip(f"route add default via {network}.1")
    return line

"""How a machine takes part in swarms, and what that means in libtorrent's settings (which are plain values).

Each setting that is no matter of taste has its reason here, found by experiment, and its test.
"""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from catalog.errors import ConfigError
from sync.line.network import Network
from sync.line.rate import Governor

# Verified pieces on their way to the disk: a part of the MiB that a cut may cost (`sync.roads.swarmfetch`).
QUEUED_BYTES = 256 << 10
RECONNECT_SECONDS = 1, 4
# What is asked of a peer and not here yet comes in one burst when the rate allows it, or lies in the kernel when the
# power is cut. 256 KiB: at a round trip of 100 ms 20 Mbit/s of each peer.
MOST_REQUESTS = 16
PORT_ATTEMPTS = 20
MOST_CONNECTIONS = 100
# Of libtorrent's enumerations `enc_level`, `enc_policy` and `io_buffer_mode_t`.
ENCRYPTION_EITHER, ENCRYPTION_ACCEPTED_ONLY, WRITE_THROUGH = 3, 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmSettings:
    """How a machine takes part. `listen`: addresses, all where empty; `networks` None: this machine's own subnets.

    `hub` are hosts that may be met outside the local network on any line; `education_line` 专网 opens it to everyone.
    `discovery`: whether neighbours are looked for by multicast, too. `governor` gives the rate of what comes from outside, `up_bytes_per_second` bounds what goes there.
    """

    port: int = 0
    listen: tuple[str, ...] = ()
    lan: bool = True
    discovery: bool = True
    education_line: bool = False
    hub: tuple[str, ...] = ()
    governor: Governor = field(default_factory=Governor)
    up_bytes_per_second: int | None = None
    networks: tuple[Network, ...] | None = None
    lan_seconds: float = 5.0
    stall_seconds: float = 30.0


def session_settings(settings: SwarmSettings, port: int) -> dict[str, Any]:
    """Return libtorrent's settings; each that is not a matter of taste has its reason and its test."""
    hosts = settings.listen or ("0.0.0.0", "::")
    return {
        "listen_interfaces": ",".join(f"{_bracketed(host)}:{port}" for host in hosts),
        # Each interface would fall back to a port of its own, and local discovery names one for all.
        "listen_system_port_fallback": False,
        "max_retry_port_bind": 0,
        "user_agent": "shuxiang",
        "peer_fingerprint": "-SX0100-",
        # Nobody is found but by the means named above.
        "enable_dht": False,
        "dht_bootstrap_nodes": "",
        "enable_upnp": False,
        "enable_natpmp": False,
        "webtorrent_stun_server": "",
        "enable_lsd": settings.lan and settings.discovery,
        # TCP passes the firewalls of education networks, and is cheaper on a small machine.
        "enable_incoming_utp": False,
        "enable_outgoing_utp": False,
        "allowed_enc_level": ENCRYPTION_EITHER,
        "out_enc_policy": ENCRYPTION_ACCEPTED_ONLY,
        # Behind a carrier's NAT many boxes have one address.
        "allow_multiple_connections_per_ip": True,
        # What is in memory is lost at a kill: 100 MiB of verified pieces by default. So small a queue costs no speed.
        "max_queued_disk_bytes": QUEUED_BYTES,
        "disk_io_write_mode": WRITE_THROUGH,
        "prioritize_partial_pieces": True,
        "request_queue_time": 1,
        # While a connection speeds up, as many requests go out as the other end says that it takes, whatever our own
        # bound: so we say so little. The rate is given to each peer for all that it was asked for at once.
        "max_out_request_queue": MOST_REQUESTS,
        "max_allowed_in_request_queue": MOST_REQUESTS,
        **reconnecting(),
        "max_failcount": 20,
        "urlseed_wait_retry": 1,
        "urlseed_max_request_bytes": 4 << 20,
        "web_seed_name_lookup_retry": 60,
        # A leader of another site takes from as many files at once as we fetch: each is a peer that wants a slot, and
        # who has none waits for a quarter of a minute.
        "unchoke_slots_limit": MOST_CONNECTIONS,
        # A small machine.
        "aio_threads": 2,
        "hashing_threads": 1,
        "file_pool_size": 20,
        "connections_limit": MOST_CONNECTIONS,
        "checking_mem_usage": 64,
        "max_peerlist_size": 200,
        "send_buffer_watermark": 256 << 10,
        "alert_queue_size": 20_000,
    }


def reconnecting() -> dict[str, Any]:
    """Return when a call that failed is tried again: each time this is asked another pause, of whole seconds.

    After a minute, as by default, is long on a line that is cut each MiB. Two machines that call each other at one
    moment both hang up; if they always waited equally long they would do so for ever.
    """
    return {"min_reconnect_time": random.randint(*RECONNECT_SECONDS)}


def free_port(settings: SwarmSettings) -> int:
    """Return the port wanted where it is free, else one that is free on all addresses; raise `ConfigError` E-PORT."""
    hosts = settings.listen or ("0.0.0.0",)
    for attempt in range(PORT_ATTEMPTS):
        port = settings.port if attempt == 0 else 0
        with ExitStack() as stack:
            try:
                for host in hosts:
                    family = socket.AF_INET6 if ":" in host else socket.AF_INET
                    probe = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind((host, port))
                    port = int(probe.getsockname()[1])
                return port
            except OSError:
                continue
    raise ConfigError("E-PORT", where="BitTorrent", found=settings.port)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def addresses_of(host: str) -> list[str]:
    """Return the addresses of a host, none where it has none now."""
    try:
        answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [str(place[0]).split("%")[0] for *_, place in answers]

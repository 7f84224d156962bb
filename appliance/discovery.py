"""Found on the network: a serving box or hub announces itself by mDNS/DNS-SD, and `discover` lists who is there.

RFC 6762 (mDNS) and RFC 6763 (DNS-SD), by python-zeroconf, which is imported only when it is needed. Two service
types carry the same instance name: `_shuxiang._tcp` for our own tools, `_http._tcp` for any browser of a network.
Invariant: what is announced are addresses that this machine has now; leaving says goodbye, so that no list shows
a box that has been switched off in good order. Nothing announced is trusted: an id is only a hint where to look.
"""

from __future__ import annotations

import ipaddress
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

from catalog.errors import RoadError

if TYPE_CHECKING:
    from zeroconf import IPVersion, ServiceInfo, Zeroconf

SERVICE_TYPE = "_shuxiang._tcp.local."
HTTP_TYPE = "_http._tcp.local."
SERVICE_TYPES = (SERVICE_TYPE, HTTP_TYPE)
CHECK_SECONDS = 3.0
_NAME_BYTES = 57  # of the 63 that DNS allows in a label: room for the `-2` of a name that is taken
_ASK_MILLISECONDS = 700
_PROBE_MILLISECONDS = 1500

_log = logging.getLogger("shuxiang.discovery")


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What a box or hub says about itself; `state` is short, such as `release 12`.

    `host` is the address it listens on: where that is one address, only this one is announced, and loopback never.
    `names` are labels that are ours on this network (`appliance.names`): each answers as `<label>.local`.
    """

    name: str
    id: str
    role: str
    version: str
    port: int
    state: str = ""
    host: str = ""
    names: tuple[str, ...] = ()

    def server(self, number: int) -> str:
        """Return the host name that the `number`-th service points to: mDNS answers for no others."""
        label = self.names[number % len(self.names)] if self.names else f"shuxiang-{self.id[:12]}"
        return f"{label}.local."


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A box or hub seen on this network; `addresses` as text, IPv4 first, link-local ones last with their zone."""

    name: str
    id: str
    role: str
    version: str
    state: str
    addresses: tuple[str, ...]
    port: int

    def to_json(self) -> dict[str, Any]:
        """Return the value that `shuxiang discover --json` prints for it (DESIGN 5.2)."""
        return {
            "name": self.name,
            "id": self.id,
            "role": self.role,
            "version": self.version,
            "state": self.state,
            "addresses": list(self.addresses),
            "port": self.port,
        }


class Announcer:
    """Announces one box or hub until it is closed, and anew whenever an address or the state changes.

    `start` returns at once: probing for the name takes a second, and a machine without a network waits for one.
    Nothing is loaded or sent in the first `settle_seconds`, which belong to the service itself.
    """

    def __init__(
        self,
        announcement: Announcement,
        *,
        check_seconds: float = CHECK_SECONDS,
        settle_seconds: float = 0.0,
    ) -> None:
        self._announcement = announcement
        self._check_seconds = check_seconds
        self._settle_seconds = settle_seconds
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._zeroconf: Zeroconf | None = None
        self._infos: dict[str, ServiceInfo] = {}
        self._announced: tuple[Announcement, tuple[str, ...]] | None = None

    def start(self) -> None:
        """Begin to announce, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="discovery", daemon=True)
        self._thread.start()

    def update(self, state: str) -> None:
        """Announce the new `state`; does not wait."""
        with self._lock:
            self._announcement = replace(self._announcement, state=state)
        self._wake.set()

    def rename(self, names: tuple[str, ...]) -> None:
        """Answer for these labels from now on (the first ones, as many as there are service types); does not wait."""
        with self._lock:
            self._announcement = replace(self._announcement, names=names[: len(SERVICE_TYPES)])
        self._wake.set()

    def close(self) -> None:
        """Say goodbye and stop; may take a second, and may be called again."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def __enter__(self) -> Announcer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        self._wake.wait(self._settle_seconds)
        if self._closing:
            return
        from zeroconf import Error, EventLoopBlocked

        while not self._closing:
            self._wake.clear()
            try:
                self._follow()
            except (OSError, Error, EventLoopBlocked) as error:
                _log.warning("announcing failed, trying again: %s: %s", type(error).__name__, error)
                self._leave()
            self._wake.wait(self._check_seconds)
        self._leave()

    def _follow(self) -> None:
        """Bring what is announced in line with the addresses and the state of this moment."""
        from zeroconf import InterfaceChoice, Zeroconf

        with self._lock:
            announcement = self._announcement
        addresses = reachable_at(announcement.host, local_addresses())
        if not addresses:
            self._leave()
            return
        version = _ip_version(addresses)
        if self._zeroconf is None:
            self._zeroconf = Zeroconf(interfaces=InterfaceChoice.All, ip_version=version)
        current = (announcement, addresses)
        if not self._infos:
            self._register(announcement, addresses)
        elif self._announced != current:
            for kind, old in self._infos.items():
                info = _service_info(kind, announcement, addresses, label=_label_of(old.name, kind))
                self._infos[kind] = info
                self._zeroconf.update_service(info)
        self._announced = current
        # Last, for it repeats what is registered over an interface that is new; and each time, for an IPv6
        # address cannot be bound in the first second of its life. It does nothing where all is as it was.
        self._zeroconf.update_interfaces(ip_version=version)

    def _register(self, announcement: Announcement, addresses: tuple[str, ...]) -> None:
        """Take the instance name for both types; one that is taken gets `-2`, `-3` … (RFC 6762 section 9)."""
        assert self._zeroconf is not None
        label = _free_label(self._zeroconf, announcement)
        for kind in SERVICE_TYPES:
            info = _service_info(kind, announcement, addresses, label=label)
            self._zeroconf.register_service(info, allow_name_change=True)
            self._infos[kind] = info
            label = _label_of(info.name, kind)

    def _leave(self) -> None:
        if self._zeroconf is not None:
            self._zeroconf.close()  # sends the goodbye of every registered service first
        self._zeroconf, self._infos, self._announced = None, {}, None


def discover(timeout_seconds: float = 3.0) -> list[Found]:
    """Return the boxes and hubs that answer on this network within `timeout_seconds`, hubs first, then by name.

    Raises `RoadError` E-ROAD where the network refuses multicast. One that answers twice (two names, two
    networks) is listed once, by its id.
    """
    from zeroconf import InterfaceChoice, ServiceBrowser, Zeroconf

    deadline = time.monotonic() + timeout_seconds
    addresses = local_addresses()
    if not addresses:
        return []
    try:
        zeroconf = Zeroconf(interfaces=InterfaceChoice.All, ip_version=_ip_version(addresses))
    except OSError as error:
        raise RoadError("E-ROAD", where="mDNS", found=error.strerror or error) from error
    names: dict[str, None] = {}
    changed = threading.Condition()

    def note(**change: Any) -> None:
        with changed:
            names[change["name"]] = None
            changed.notify()

    found: dict[str, Found] = {}
    try:
        browser = ServiceBrowser(zeroconf, SERVICE_TYPE, handlers=[note])
        while (left := deadline - time.monotonic()) > 0:
            with changed:
                if not names:
                    changed.wait(left)
                    continue
                asked = list(names)
                names.clear()
            for name in asked:
                answer = _ask(zeroconf, name)
                if answer is not None:
                    found[answer.id] = _merged(found.get(answer.id), answer)
        browser.cancel()
    finally:
        zeroconf.close()
    return sorted(found.values(), key=lambda one: (one.role != "hub", one.name, one.id))


def local_addresses() -> tuple[str, ...]:
    """Return this machine's addresses as others can use them: IPv4, global IPv6, then link-local; no loopback."""
    import ifaddr

    seen = set()
    for adapter in ifaddr.get_adapters():
        for address in adapter.ips:
            seen.add(ipaddress.ip_address(address.ip if isinstance(address.ip, str) else address.ip[0]))
    usable = [one for one in seen if not (one.is_loopback or one.is_unspecified or one.is_multicast)]
    return tuple(str(one) for one in sorted(usable, key=_address_order))


def reachable_at(host: str, addresses: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of this machine's `addresses` at which a server that listens on `host` answers."""
    if host in ("", "*", "0.0.0.0", "::"):
        return tuple(one for one in addresses if host != "0.0.0.0" or ":" not in one)
    return tuple(one for one in addresses if one == host)


def _address_order(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> tuple[bool, bool, bytes]:
    return (address.version == 6, address.is_link_local, address.packed)


def _ip_version(addresses: tuple[str, ...]) -> IPVersion:
    """Return the families to use: a socket of a family that this machine has switched off cannot be opened."""
    from zeroconf import IPVersion

    families = {ipaddress.ip_address(address).version for address in addresses}
    if families == {4, 6}:
        return IPVersion.All
    return IPVersion.V4Only if families == {4} else IPVersion.V6Only


def _service_label(name: str) -> str:
    """Return `name` as one DNS label: no dot at the ends, no control characters, at most 57 bytes of UTF-8."""
    clean = "".join(char for char in name if char.isprintable()).strip(" .") or "shuxiang"
    return clean.encode()[:_NAME_BYTES].decode(errors="ignore").replace(".", "·")


def _free_label(zeroconf: Zeroconf, announcement: Announcement) -> str:
    """Return the first of `name`, `name-2`, `name-3` … that no other id answers to.

    zeroconf's own probe waits half a second, too little for a loaded box; and it would rename a box that was cut
    from the mains and finds its own name still in the caches of the network.
    """
    first = label = _service_label(announcement.name)
    for number in range(2, 10):
        taken = zeroconf.get_service_info(
            SERVICE_TYPE, f"{label}.{SERVICE_TYPE}", timeout=_PROBE_MILLISECONDS
        )
        if taken is None or _texts(taken.decoded_properties).get("id") == announcement.id:
            break
        label = f"{first}-{number}"
    return label


def _label_of(name: str, kind: str) -> str:
    return name.removesuffix(f".{kind}")


def _service_info(
    kind: str, announcement: Announcement, addresses: tuple[str, ...], *, label: str
) -> ServiceInfo:
    from zeroconf import ServiceInfo

    properties = {
        "id": announcement.id,
        "role": announcement.role,
        "version": announcement.version,
        "state": announcement.state,
        "path": "/",
    }
    return ServiceInfo(
        kind,
        f"{label}.{kind}",
        port=announcement.port,
        properties=properties,
        server=announcement.server(SERVICE_TYPES.index(kind)),
        parsed_addresses=list(addresses),
    )


def _ask(zeroconf: Zeroconf, name: str) -> Found | None:
    """Return who `name` is, or None where it does not answer or is none of ours."""
    from zeroconf import IPVersion

    info = zeroconf.get_service_info(SERVICE_TYPE, name, timeout=_ASK_MILLISECONDS)
    if info is None or info.port is None:
        return None
    text = _texts(info.decoded_properties)
    if not text.get("id"):
        return None
    addresses = {ipaddress.ip_address(one) for one in info.parsed_scoped_addresses(IPVersion.All)}
    return Found(
        name=_label_of(name, SERVICE_TYPE),
        id=text["id"],
        role=text.get("role", ""),
        version=text.get("version", ""),
        state=text.get("state", ""),
        addresses=tuple(str(one) for one in sorted(addresses, key=_address_order)),
        port=info.port,
    )


def _texts(properties: Mapping[str, str | None]) -> dict[str, str]:
    """Return the TXT record's pairs as short printable texts: they come from anyone on the network."""
    return {
        key: "".join(char for char in value if char.isprintable())[:120]
        for key, value in properties.items()
        if value is not None
    }


def _merged(first: Found | None, second: Found) -> Found:
    """Return the newer answer of one id; it keeps the addresses of another name, not older ones of its own."""
    if first is None or first.name == second.name:
        return second
    return replace(second, addresses=tuple(dict.fromkeys(second.addresses + first.addresses)))

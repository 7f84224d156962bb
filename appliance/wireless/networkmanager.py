"""What NetworkManager says of wireless devices and networks: the only place that asks it, by nmcli(1), and reads it.

Reading is pure. nmcli escapes `:` and `\\` in its terse form by a backslash; states and reasons are the numbers of
NMDeviceState and NMDeviceStateReason (nm-dbus-interface.h), beside which it prints words of its own.
"""

from __future__ import annotations

import ipaddress
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from catalog.errors import ConfigError

CONNECTION = "shuxiang-wifi"
UNAVAILABLE, DISCONNECTED, IP_CONFIG, ACTIVATED, DEACTIVATING = 20, 30, 70, 100, 110
NO_SECRETS, NOT_FOUND = 7, 53
SUPPLICANT = frozenset((8, 9, 10, 11))
NO_ADDRESS = frozenset((5, 15, 16, 17))
MOST_NAMES = 5
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_ASK_SECONDS = 30
_FIELDS = "GENERAL.DEVICE,GENERAL.TYPE,GENERAL.STATE,GENERAL.CONNECTION,IP4.ADDRESS,IP6.ADDRESS"
_NOT_UP = "Connection activation failed:"
# What nmcli says where a device failed while a connection was brought up (some versions put the number before it): the
# number, and the name that NetworkManager's log has for it.
_REASONS = {
    "IP configuration could not be reserved": (5, "ip-config-unavailable"),
    "Secrets were required, but not provided": (NO_SECRETS, "no-secrets"),
    "802.1X supplicant disconnected": (8, "supplicant-disconnect"),
    "802.1X supplicant configuration failed": (9, "supplicant-config-failed"),
    "802.1X supplicant failed": (10, "supplicant-failed"),
    "802.1X supplicant took too long to authenticate": (11, "supplicant-timeout"),
    "DHCP client failed to start": (15, "dhcp-start-failed"),
    "DHCP client error": (16, "dhcp-error"),
    "DHCP client failed": (17, "dhcp-failed"),
    "The Wi-Fi network could not be found": (NOT_FOUND, "ssid-not-found"),
}
_MOST_WORDS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A wireless device: its `state`, the connection that it has or is making, its addresses without the network's length."""

    name: str
    state: int
    word: str
    connection: str = ""
    addresses: tuple[str, ...] = ()

    @property
    def useful_address(self) -> str:
        """The first address that somebody gave it, IPv4 before IPv6; "" where it has only what it took itself."""
        return next((one for one in self.addresses if not ipaddress.ip_address(one).is_link_local), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A wireless network in reach: `security` as `WPA2`, "" for an open one."""

    ssid: str
    security: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a connection was not made: NetworkManager's number and name of it, or 0 and what nmcli said."""

    reason: int
    words: str


def wireless_devices() -> tuple[Device, ...]:
    """Return this machine's wireless devices; raise `ConfigError` E-TOOL or E-SERVICE."""
    return read_devices(_must("--fields", _FIELDS, "device", "show"))


def networks_in_reach() -> tuple[Network, ...]:
    """Return the networks of the last scan, the strongest first."""
    return read_networks(_must("--fields", "SSID,SECURITY", "device", "wifi", "list", "--rescan", "no"))


def bring_up(seconds: float) -> Refusal | None:
    """Let NetworkManager make the connection of first boot now; return why it could not, None where it did.

    It is also the only way on after a wrong password: NetworkManager itself does not try that again.
    """
    told = _run("--wait", f"{seconds:.0f}", "connection", "up", CONNECTION, more_seconds=seconds)
    return None if told.returncode == 0 else read_refusal(told.stdout + told.stderr)


def read_devices(text: str) -> tuple[Device, ...]:
    """Return the wireless devices in what `nmcli --terse device show` prints, each from its own name on."""
    devices: list[dict[str, list[str]]] = []
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == "GENERAL.DEVICE":
            devices.append({})
        if devices and name:
            devices[-1].setdefault(name.partition("[")[0], []).append(_plain(value))
    return tuple(_device(fields) for fields in devices if fields.get("GENERAL.TYPE") == ["wifi"])


def _device(fields: Mapping[str, Sequence[str]]) -> Device:
    def first(name: str) -> str:
        return next(iter(fields.get(name, ())), "")

    number, _, word = first("GENERAL.STATE").partition(" ")
    addresses = (*fields.get("IP4.ADDRESS", ()), *fields.get("IP6.ADDRESS", ()))
    return Device(
        name=first("GENERAL.DEVICE"),
        state=int(number) if number.isdigit() else 0,
        word=word.strip("()"),
        connection=first("GENERAL.CONNECTION"),
        addresses=tuple(address.partition("/")[0] for address in addresses),
    )


def read_networks(text: str) -> tuple[Network, ...]:
    """Return each network once in what `nmcli --terse --fields SSID,SECURITY device wifi list` prints."""
    rows = (tuple(_parts(line)) for line in text.splitlines())
    pairs = (row for row in rows if len(row) == 2 and row[0])
    return tuple(
        Network(ssid=ssid, security="" if security == "--" else security)
        for ssid, security in dict.fromkeys(pairs)
    )


def read_refusal(text: str) -> Refusal:
    """Return why `nmcli connection up` failed, by what it printed."""
    line = next((line for line in text.splitlines() if line.startswith("Error:")), text)
    for words, (reason, name) in _REASONS.items():
        if words in line:
            return Refusal(reason=reason, words=name)
    words = " ".join(line.removeprefix("Error:").replace(_NOT_UP, "").split()).rstrip(".")
    return Refusal(reason=0, words=words[:_MOST_WORDS])


def _must(*words: str) -> str:
    done = _run(*words)
    if done.returncode:
        raise ConfigError("E-SERVICE", where="NetworkManager", found=" ".join(done.stderr.split())[:200])
    return done.stdout


def _run(*words: str, more_seconds: float = 0) -> subprocess.CompletedProcess[str]:
    command = ["nmcli", "--terse", *words]
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ASK_SECONDS + more_seconds,
            env={"PATH": _PATH, "LC_ALL": "C.UTF-8"},
        )
    except FileNotFoundError as error:
        raise ConfigError("E-TOOL", where="nmcli") from error
    except subprocess.TimeoutExpired as error:
        raise ConfigError("E-SERVICE", where="NetworkManager", found=f"> {error.timeout:.0f} s") from error


def _parts(line: str) -> Iterator[str]:
    part, rest = "", iter(line)
    for character in rest:
        if character == ":":
            yield part
            part = ""
        else:
            part += next(rest, "") if character == "\\" else character
    yield part


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)

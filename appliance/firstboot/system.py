"""The files of the system that a request asks for: host name, time zone, language, networks, keys for SSH.

Pure up to `write`: what each file is to hold is worked out first. Invariants: only the files named here are touched,
each in one durable step and only where it differs; those with passwords are readable by root alone (NetworkManager
takes no others). Keyfiles as in nm-settings-keyfile(5), GLib's key file syntax.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.firstboot.fields import HUB
from appliance.firstboot.request import Request
from appliance.names.labels import BOX_WORD, HUB_WORD
from catalog import durable

HOST_NAME, ZONE_NAME, ZONE_LINK = "etc/hostname", "etc/timezone", "etc/localtime"
ENVIRONMENT = "etc/shuxiang/language.conf"
CONNECTIONS = "etc/NetworkManager/system-connections"
WIFI, CABLE = f"{CONNECTIONS}/shuxiang-wifi.nmconnection", f"{CONNECTIONS}/shuxiang-cable.nmconnection"
SSH_KEYS = "etc/shuxiang/authorized_keys"
LEASES = "etc/shuxiang/dhcp.conf"
STAMP = "etc/shuxiang/firstboot.json"
ZONES = "/usr/share/zoneinfo"
_NAMESPACE = uuid.UUID("8f4f0c5e-6a1d-5c43-9d0b-3b6f5d0e51a7")
_PLAIN_SSID = re.compile("[A-Za-z_-][A-Za-z0-9_.-]*")
_PSK = re.compile("^psk=(.*)$", re.MULTILINE)
_LOCALES = {"zh-CN": "zh_CN.UTF-8", "en": "C.UTF-8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemFile:
    """One file below the system's root: `text` None for one that is not to be there, `link` for a symbolic link."""

    path: str
    text: str | None = None
    link: str | None = None
    mode: int = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Wifi:
    """The wireless network that was asked for last; `secured`: with a password."""

    ssid: str
    secured: bool


class System:
    """The root directory of the system that is set up."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def stamp(self) -> Mapping[str, Any]:
        """Return what was applied here last: `{"request": hash, "settings": …}`; empty where nothing was."""
        try:
            found = json.loads((self.root / STAMP).read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def has_wifi(self, ssid: object) -> bool:
        """Return whether the password of this wireless network is here."""
        stamp = self.stamp().get("settings")
        return isinstance(stamp, dict) and stamp.get("wifi.ssid") == ssid and self._stored_psk() is not None

    def wifi(self) -> Wifi | None:
        """Return the wireless network that this system joins; None where none was asked for."""
        said, psk = self.stamp().get("settings"), self._stored_psk()
        ssid = said.get("wifi.ssid") if isinstance(said, dict) else None
        return Wifi(ssid=ssid, secured=psk != "") if isinstance(ssid, str) and psk is not None else None

    def _stored_psk(self) -> str | None:
        try:
            text = (self.root / WIFI).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None
        found = _PSK.search(text)
        return found[1] if found else ""

    def write(self, request: Request, host_name: str) -> list[str]:
        """Bring every file to what `request` asks for; return the paths of those that changed."""
        stored = self._stored_psk() if "wifi.password" in request.kept else None
        return [file.path for file in system_files(request, host_name, stored) if self._bring(file)]

    def finish(self, fingerprint: str, settings: Mapping[str, Any]) -> None:
        """Remember that the request with this hash is applied here."""
        text = json.dumps({"request": fingerprint, "settings": dict(settings)}, ensure_ascii=False, indent=1)
        self._bring(SystemFile(path=STAMP, text=text + "\n"))

    def _bring(self, file: SystemFile) -> bool:
        path = self.root / file.path
        return durable.storage(lambda: _brought(path, file), path)


def _brought(path: Path, file: SystemFile) -> bool:
    if file.link is not None:
        if path.is_symlink() and str(path.readlink()) == file.link:
            return False
        durable.make_directory(path.parent)
        durable.point(path, file.link)
        return True
    if file.text is None:
        return durable.remove_file(path) if path.parent.is_dir() else False
    data = file.text.encode()
    if path.is_file() and path.read_bytes() == data and path.stat().st_mode & 0o777 == file.mode:
        return False
    durable.make_directory(path.parent, mode=0o755)
    durable.write_file(path, data, mode=file.mode)
    return True


def system_files(request: Request, host_name: str, stored_psk: str | None = None) -> list[SystemFile]:
    """Return the files of a request. `stored_psk` is the keyfile's own text of a password that is kept."""
    said = request.settings
    zone, language = said.get("time_zone"), said.get("language")
    files = [SystemFile(path=HOST_NAME, text=f"{host_name}\n")]
    if zone:
        files += [SystemFile(path=ZONE_LINK, link=f"{ZONES}/{zone}"), SystemFile(path=ZONE_NAME, text=f"{zone}\n")]  # fmt: skip
    files.append(
        SystemFile(path=ENVIRONMENT, text=f"LC_MESSAGES={_LOCALES[language]}\n" if language else None)
    )
    keys = said.get("ssh_keys")
    files.append(SystemFile(path=SSH_KEYS, text="".join(f"{key}\n" for key in keys) if keys else None))
    files.append(SystemFile(path=LEASES, text=_leases(said)))
    files.append(SystemFile(path=WIFI, text=_wifi(request, stored_psk), mode=0o600))
    files.append(SystemFile(path=CABLE, text=_cable(said), mode=0o600))
    return files


def _leases(said: Mapping[str, Any]) -> str | None:
    """Return the environment of the unit that gives addresses; None where it is not asked for."""
    if not said.get("network.dhcp") or not said.get("network.fixed_address"):
        return None
    word = HUB_WORD if said.get("role") == HUB else BOX_WORD
    return f"SHUXIANG_ADDRESS={said['network.fixed_address']}\nSHUXIANG_WORD={word}\n"


def _wifi(request: Request, stored_psk: str | None) -> str | None:
    said = request.settings
    ssid = said.get("wifi.ssid")
    if not ssid:
        return None
    password = request.passwords.get("wifi.password")
    psk = stored_psk if password is None else _escaped(password)
    parts = [_connection("shuxiang-wifi", "wifi")]
    parts.append(_section("wifi", {"mode": "infrastructure", "ssid": _ssid(ssid)} | ({"hidden": "true"} if said.get("wifi.hidden") else {})))  # fmt: skip
    if psk:
        parts.append(_section("wifi-security", {"key-mgmt": "wpa-psk", "psk": psk}))
    return "\n".join([*parts, *_addresses(said)])


def _cable(said: Mapping[str, Any]) -> str | None:
    """Return the profile for the cable; None where nothing is asked for, and NetworkManager's own way will do."""
    if not said.get("network.fixed_address") and not said.get("network.dns"):
        return None
    return "\n".join([_connection("shuxiang-cable", "ethernet"), *_addresses(said)])


def _connection(name: str, kind: str) -> str:
    fields = {"id": name, "uuid": str(uuid.uuid5(_NAMESPACE, name)), "type": kind, "autoconnect": "true"}
    return _section("connection", fields | {"autoconnect-retries": "0"})


def _addresses(said: Mapping[str, Any]) -> list[str]:
    """Return `[ipv4]` and `[ipv6]`: automatic for ever, and the fixed address beside it.

    A school without DHCP must still be reached at the fixed address: the search for a lease never ends the connection.
    """
    fixed, gateway = said.get("network.fixed_address"), said.get("network.gateway")
    four = {"method": "auto", "dhcp-timeout": "2147483647", "may-fail": "true"}
    if fixed:
        four["address1"] = fixed + (f",{gateway}" if gateway else "")
    servers: dict[str, list[str]] = {"4": [], "6": []}
    for server in said.get("network.dns") or ():
        servers["6" if ":" in server else "4"].append(server)
    six = {"method": "auto", "may-fail": "true"}
    for fields, version in ((four, "4"), (six, "6")):
        if servers[version]:
            fields["dns"] = "".join(f"{server};" for server in servers[version])
    return [_section("ipv4", four), _section("ipv6", six)]


def _section(name: str, fields: Mapping[str, str]) -> str:
    return f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in fields.items())


def _ssid(text: str) -> str:
    """Return a network's name; one that a reader could take for a list of bytes, or must escape, as that list."""
    return text if _PLAIN_SSID.fullmatch(text) else "".join(f"{byte};" for byte in text.encode())


def _escaped(text: str) -> str:
    r"""Return text as a GLib key file holds it: `\\`, and `\s` for spaces at the ends."""
    inner = text.replace("\\", "\\\\")
    body = inner.strip(" ")
    lead = len(inner) - len(inner.lstrip(" "))
    return "\\s" * lead + body + "\\s" * (len(inner) - lead - len(body))


def hash_of(data: bytes) -> str:
    """Return by what a request is known again."""
    return hashlib.sha256(data).hexdigest()

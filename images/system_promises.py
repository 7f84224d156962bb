"""What system A of an image promises: whose program it runs, what it writes, what it lets in, what each machine makes itself.

Every look yields `Found`: a stable name, the promise in both languages, what is wrong ("": it holds), what was found.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator, Mapping

from images.opened import Opened, Tree

Found = tuple[str, str, str, str, str]

OPEN_PORTS = frozenset(("80", "81", "5355", "8873", "8874", "137", "5353", "6771"))
"""What is served on the LAN: pages, interactive packages, names, a hub's rsync and BitTorrent, local discovery."""
_OF_OUR_OWN_ASKING = frozenset(("68", "546"))
# Where libtorrent listens for boxes of the same LAN: the kernel's free ports.
_LAN_RANGE = "32768-60999"
_UNITS = "/usr/lib/systemd/system"
_OWN = "/etc/systemd/system"
_HOME = "/root"
_KEYS = ("/etc/shuxiang/authorized_keys", f"{_HOME}/.ssh/authorized_keys")
_HISTORIES = (f"{_HOME}/.bash_history", f"{_HOME}/.python_history")
_SCRIPT = "/etc/initramfs-tools/scripts/local-bottom/shuxiang"
_UNWANTED = ("samba", "samba-common-bin", "winbind", "systemd-resolved", "avahi-daemon", "nmbd", "cups-daemon", "rpcbind")  # fmt: skip
_NO_PASSWORD = ("*", "!")
_ALLOWED_IN_LOG = frozenset(("journal", "private", "README"))


def is_our_program(image: Opened) -> Iterator[Found]:
    """Look at the package and its units."""
    system = image.system
    packages = _packages(system)
    status, version = packages.get("shuxiang", ("not installed", ""))
    wanted = image.description.version
    wrong = ""
    if status != "install ok installed" or system.entry("/usr/bin/shuxiang") is None:
        wrong = status
    elif wanted and version != wanted:
        wrong = f"{version} ≠ {wanted}"
    yield "package", "装好了软件包 shuxiang", "the package shuxiang is installed", wrong, version
    names = [name for name in system.names(_UNITS) if name.startswith("shuxiang") and "@" not in name]
    missing: list[str] = []
    enabled: list[str] = []
    for name in sorted(names):
        for target in _wanted_by(system.text(f"{_UNITS}/{name}") or ""):
            there = system.entry(f"{_OWN}/{target}.wants/{name}") is not None
            (enabled if there else missing).append(name)
    if "shuxiang.service" not in names:
        missing.append("shuxiang.service")
    yield "units", "服务会自己启动", "its units are enabled", " ".join(missing), " ".join(enabled)
    unwanted = [name for name in _UNWANTED if packages.get(name, ("",))[0] == "install ok installed"]
    yield "no strangers", "没有多余的网络服务", "no other network service is installed", " ".join(unwanted), "none"  # fmt: skip
    broken = [name for name, (state, _) in packages.items() if state.split()[-1] != "installed"]
    yield "dpkg", "软件包都装完整了", "all packages are whole", " ".join(broken), f"{len(packages)}"


def cares_for_cards(image: Opened) -> Iterator[Found]:
    """Look at what is written to the card, and what starts a machine that hangs."""
    system = image.system
    entry, script = system.entry(_SCRIPT), system.text(_SCRIPT) or ""
    wrong = []
    if entry is None or not int(entry.mode[-3:], 8) & 0o100:
        wrong.append("no script in the initramfs")
    if "remount,ro" not in script or "overlay" not in script or "tmpfs" not in script:
        wrong.append("no overlay in memory")
    lines = [
        line.split() for line in (system.text("/etc/fstab") or "").splitlines() if line and line[0] != "#"
    ]
    for fields in (fields for fields in lines if len(fields) > 3):
        options = fields[3].split(",")
        if fields[1] == "/" and "ro" not in options:
            wrong.append("fstab: / is not ro")
    yield "overlay", "系统只读，改动在内存里", "the system is only read, changes lie in memory", "; ".join(wrong), "yes"  # fmt: skip
    loud = [fields[1] for fields in lines if len(fields) > 3 and fields[2] in ("ext4", "vfat") and "noatime" not in fields[3]]  # fmt: skip
    mounts = [line.strip() for line in script.splitlines() if re.search(r"(mount -t ext4|^Options=rw)", line.strip())]  # fmt: skip
    loud += [line for line in mounts if "noatime" not in line]
    yield "noatime", "读文件不写盘（noatime）", "reading writes nothing (noatime)", "; ".join(loud) or ("" if mounts else "no mount"), f"{len(mounts)} mounts"  # fmt: skip
    storage = _setting(system, "journald", "Journal", "Storage")
    yield "journal", "日志在内存里", "logs lie in memory", "" if storage == "volatile" else storage or "auto", storage  # fmt: skip
    masked = _is_masked(system, "tmp.mount") or system.entry(f"{_UNITS}/tmp.mount") is None
    yield "tmp", "/tmp 在内存里", "/tmp lies in memory", "masked" if masked else "", "tmpfs"
    watchdog = _setting(system, "system", "Manager", "RuntimeWatchdogSec")
    off = watchdog in ("", "0", "off", "infinity")
    yield "watchdog", "死机会自己重启", "the hardware's watchdog is on", watchdog or "off" if off else "", watchdog  # fmt: skip
    swaps = [fields[0] for fields in lines if len(fields) > 2 and fields[2] == "swap"]
    yield "swap", "不在卡上换页", "no swap on the card", " ".join(swaps), "none"


def is_closed(image: Opened) -> Iterator[Found]:
    """Look at the firewall, SSH and passwords."""
    system = image.system
    rules = system.text("/etc/nftables.conf") or ""
    chain = re.search(r"hook input[^}]*?policy (\w+)", rules)
    ports = _open_ports(rules)
    wrong = []
    if chain is None or chain[1] != "drop":
        wrong.append("input is not dropped")
    if ports - OPEN_PORTS:
        wrong.append(f"open: {' '.join(sorted(ports - OPEN_PORTS))}")
    if not _is_started(system, "nftables.service"):
        wrong.append("not started")
    yield "firewall", "防火墙只放行所提供的服务", "the firewall lets in only what is served", "; ".join(wrong), " ".join(sorted(ports))  # fmt: skip
    yield "ssh", "没给钥匙就没有 SSH", "no SSH before a key is given", "; ".join(_ssh(system)), "off"
    shadow = [line.split(":") for line in (system.text("/etc/shadow") or "").splitlines() if line]
    open_accounts = [fields[0] for fields in shadow if not fields[1].startswith(_NO_PASSWORD)]
    people = [line.split(":") for line in (system.text("/etc/passwd") or "").splitlines() if line]
    strange = [fields[0] for fields in people if fields[2] == "0" and fields[0] != "root"]
    told = " ".join([*open_accounts, *strange]) or ("" if shadow else "no shadow")
    yield "passwords", "没有一个账号有密码", "no account has a password", told, f"{len(shadow)} accounts"


def is_whose_first_start(image: Opened) -> Iterator[Found]:
    """Look for what each machine must make itself, and for what the building machine must not leave behind."""
    system, data = image.system, image.data
    identity = system.entry("/etc/machine-id")
    left = [] if identity is not None and identity.size_bytes == 0 else ["/etc/machine-id"]
    left += [f"/etc/ssh/{name}" for name in system.names("/etc/ssh") if name.startswith("ssh_host_")]
    left += [path for path in ("/var/lib/systemd/random-seed", "/var/lib/dbus/machine-id") if (found := system.entry(path)) and not found.is_link]  # fmt: skip
    yield "identity", "每台机器自己生成身份", "each machine makes its own identity", " ".join(left), "none"
    left = [f"/var/lib/shuxiang/{name}" for name in system.names("/var/lib/shuxiang")]
    left += [path for path in (*_HISTORIES, *_KEYS) if system.entry(path)]  # fmt: skip
    state = data.names("/state")
    left += [f"/data/state/{name}" for name in ("key", "keys", "local.db", "config.toml") if name in state]
    left += [f"/data/system/{name}" for name in data.names("/system") if name not in ("etc", "etc-work")]
    yield (
        "secrets",
        "没有留下密钥、口令和状态",
        "no key, password or state is left behind",
        " ".join(left),
        "none",
    )
    left = [f"/var/lib/apt/lists/{name}" for name in system.names("/var/lib/apt/lists") if name not in ("lock", "partial", "auxfiles")]  # fmt: skip
    left += [name for name in system.names("/var/cache/apt/archives") if name.endswith(".deb")]
    left += [f"/var/log/{name}" for name in system.names("/var/log") if name not in _ALLOWED_IN_LOG]
    left += [f"/tmp/{name}" for name in system.names("/tmp")]
    left += [f"/home/{name}" for name in system.names("/home")]
    yield "leftovers", "没有留下软件源列表、日志、临时文件", "no package lists, logs or temporary files", " ".join(left[:6]), "none"  # fmt: skip
    sources = system.texts("/etc/apt/sources.list.d", ".list") | system.texts(
        "/etc/apt/sources.list.d", ".sources"
    )
    sources["sources.list"] = system.text("/etc/apt/sources.list") or ""
    named = [name for name, text in sources.items() if re.search(r"^\s*(deb|URIs:)", text, re.MULTILINE)]
    resolver = system.entry("/etc/resolv.conf")
    named += ["resolv.conf"] if resolver and not resolver.is_link and resolver.size_bytes else []
    yield "addresses", "没有构建机器的网络地址", "no address of the building machine", " ".join(named), "none"


def _open_ports(rules: str) -> set[str]:
    """Return the ports, or ranges of them, that a ruleset lets in from outside, as far as it names any."""
    found = set(re.findall(r"\bdport (\d[\d-]*)", rules)) - _OF_OUR_OWN_ASKING
    named = re.findall(r"type inet_service\b[^{}]*?elements = \{([^}]*)\}", rules)
    for inner in (*named, *re.findall(r"\bdport \{([^}]*)\}", rules)):
        found |= {one.strip() for one in inner.split(",") if one.strip()}
    local = re.findall(r"^.*saddr @private\d.*dport ([\d-]+) accept$", rules, re.MULTILINE)
    return found - ({_LAN_RANGE} if len(local) == rules.count(_LAN_RANGE) else set())


def _ssh(system: Tree) -> Iterator[str]:
    """Yield what would let someone in by SSH on a new machine."""
    if system.entry("/usr/sbin/sshd") is None:
        return
    for path in _KEYS:
        found = system.entry(path)
        if found is not None and found.size_bytes:
            yield path
    for unit in ("ssh.socket", "sshd-unix-local.socket", "sshd-vsock.socket"):
        if system.entry(f"{_UNITS}/{unit}") and not _is_masked(system, unit):
            yield unit
    conditions = " ".join(system.texts(f"{_OWN}/ssh.service.d", ".conf").values())
    if _is_started(system, "ssh.service") and "ConditionFileNotEmpty=" not in conditions:
        yield "ssh.service"
    words: dict[str, str] = {}
    # sshd takes the first value that it reads, and Debian's file reads these first.
    for text in (
        *system.texts("/etc/ssh/sshd_config.d", ".conf").values(),
        system.text("/etc/ssh/sshd_config") or "",
    ):
        for line in text.splitlines():
            name, _, value = line.strip().partition(" ")
            words.setdefault(name.lower(), value.strip().lower())
    for name in ("passwordauthentication", "kbdinteractiveauthentication"):
        if words.get(name) != "no":
            yield name


def _packages(system: Tree) -> Mapping[str, tuple[str, str]]:
    """Return status and version of each package."""
    found = {}
    for part in (system.text("/var/lib/dpkg/status") or "").split("\n\n"):
        fields = dict(re.findall(r"^(Package|Status|Version): (.*)$", part, re.MULTILINE))
        if "Package" in fields:
            found[fields["Package"]] = (fields.get("Status", ""), fields.get("Version", ""))
    return found


def _wanted_by(unit: str) -> list[str]:
    return [name for line in re.findall(r"^WantedBy=(.*)$", unit, re.MULTILINE) for name in line.split()]


def _is_masked(system: Tree, unit: str) -> bool:
    """Return whether a unit is masked: an empty file, or a link to nowhere, in /etc."""
    entry = system.entry(f"{_OWN}/{unit}")
    if entry is None:
        return False
    return system.link(f"{_OWN}/{unit}") == "/dev/null" if entry.is_link else entry.size_bytes == 0


def _is_started(system: Tree, unit: str) -> bool:
    """Return whether a target wants the unit: by a link, or by a file beside the target."""
    if _is_masked(system, unit):
        return False
    for name, entry in system.names(_OWN).items():
        place = f"{_OWN}/{name}"
        if entry.is_directory and name.endswith((".wants", ".requires")) and unit in system.names(place):
            return True
        if entry.is_directory and name.endswith(".target.d"):
            texts = system.texts(place, ".conf").values()
            if any(
                re.search(rf"^(Wants|Requires)=.*\b{re.escape(unit)}", text, re.MULTILINE) for text in texts
            ):
                return True
    return False


def _setting(system: Tree, program: str, section: str, key: str) -> str:
    """Return a setting of systemd as it is read: the file, then what stands beside it, the last word counts."""
    value = ""
    for text in (
        system.text(f"/etc/systemd/{program}.conf") or "",
        *system.texts(f"/etc/systemd/{program}.conf.d", ".conf").values(),
    ):
        parser = configparser.ConfigParser(strict=False, interpolation=None, allow_no_value=True)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read_string(text)
        value = parser.get(section, key, fallback=value) or value
    return value

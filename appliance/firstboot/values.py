"""How the values of a `shuxiang.toml` are judged, each by itself: from what was written to what it means.

Each function returns the meaning or raises `ConfigError` with the finding's code, what was expected and what was found;
secrets are never repeated. Words of the vocabulary may be labels or codes.
"""

from __future__ import annotations

import base64
import ipaddress
import re
import zoneinfo
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from catalog.curriculum import RAW_PREFIX, VOCABULARIES, code_of, fold, grades_of, label_of
from catalog.errors import ConfigError, ContentError
from catalog.manifest import is_bundle_id

KEPT = "*"
"""Stands for a password that was taken out of the file: it stays as it is."""
MOST_NAME_BYTES = 57
SHORTEST_PASSWORD, LONGEST_PASSWORD = 8, 63
ROLES = {"box": ("书箱", "学校"), "hub": ("县中心", "中心")}
LANGUAGES = {"zh-CN": ("中文", "zh", "简体中文"), "en": ("英文", "英语", "English")}
ZONES = {"Asia/Shanghai": ("北京时间", "上海"), "Asia/Urumqi": ("新疆时间", "乌鲁木齐")}
_SSH_KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa", "sk-ssh-ed25519@openssh.com")  # fmt: skip
_YEAR = re.compile(r"(?<!\d)((?:19|20)\d\d)(?!\d)")
_TERMS = {"a": "a", "b": "b"}


def wrong(code: str, expected: object = "", found: object = "") -> ConfigError:
    """Return the refusal of a value."""
    return ConfigError(code, expected=expected, found=str(found)[:80])


def word_of(words: Mapping[str, tuple[str, ...]], text: str) -> str:
    """Return the code among `words` that `text` names by itself or by one of its labels."""
    for code, labels in words.items():
        if fold(text) in {fold(code), *map(fold, labels)}:
            return code
    expected = ", ".join(f"{code} {labels[0]}" for code, labels in words.items())
    raise wrong("E-PRESEED-CODE", expected, text)


def role(text: str) -> str:
    return word_of(ROLES, text)


def language(text: str) -> str:
    return word_of(LANGUAGES, text)


def time_zone(text: str) -> str:
    """Return the name of a time zone of this system's own list."""
    for code, labels in ZONES.items():
        if fold(text) in map(fold, labels):
            return code
    if text not in zoneinfo.available_timezones():
        raise wrong("E-PRESEED-CODE", "Asia/Shanghai 北京时间", text)
    return text


def name(text: str) -> str:
    """Return a name that fits one label of DNS-SD: printable, at most 57 bytes of UTF-8 (19 Chinese characters)."""
    clean = " ".join(text.split())
    if not clean or not clean.isprintable() or len(clean.encode("utf-8", "replace")) > MOST_NAME_BYTES:
        raise wrong("E-PRESEED-TYPE", f"1-{MOST_NAME_BYTES} B (19 × 字)", text)
    return clean


def school_code(text: str) -> str:
    digits = "".join(text.split())
    if not re.fullmatch("[0-9]{10}", digits):
        raise wrong("E-PRESEED-TYPE", "0123456789 (10)", text)
    return digits


def password(text: str) -> str:
    """Return a password for a page, or `KEPT`."""
    if text != KEPT and not (SHORTEST_PASSWORD <= len(text) <= LONGEST_PASSWORD and text.isprintable()):
        raise wrong("E-PRESEED-PASSWORD", f"{SHORTEST_PASSWORD}-{LONGEST_PASSWORD}", len(text))
    return text


def ssid(text: str) -> str:
    """Return the name of a wireless network (IEEE 802.11: 1 to 32 bytes)."""
    size = len(text.encode("utf-8", "replace"))
    if not 1 <= size <= 32 or not text.isprintable():
        raise wrong("E-PRESEED-WIFI", "1-32 B", f"{size} B")
    return text


def wifi_password(text: str) -> str:
    """Return a WPA pass phrase (8 to 63 printable ASCII), its 64 hex digits, "" for an open network, or `KEPT`."""
    if text in ("", KEPT) or re.fullmatch("[0-9A-Fa-f]{64}", text):
        return text
    if not re.fullmatch("[ -~]{8,63}", text):
        raise wrong("E-PRESEED-WIFI", "8-63 (A-Z a-z 0-9 !…~)", len(text))
    return text


def fixed_address(text: str) -> str:
    """Return an IPv4 address with its network's length; "" for none."""
    if not text:
        return ""
    try:
        found = ipaddress.IPv4Interface(text)
    except ValueError as error:
        raise wrong("E-PRESEED-ADDRESS", "192.168.88.88/24", text) from error
    network, address = found.network, found.ip
    special = address.is_loopback or address.is_multicast or address.is_unspecified or address.is_link_local
    edge = network.prefixlen < 31 and address in (network.network_address, network.broadcast_address)
    if "/" not in text or special or edge or network.prefixlen < 8 or address.is_reserved:
        raise wrong("E-PRESEED-ADDRESS", "192.168.88.88/24", text)
    return str(found)


def address(text: str) -> str:
    """Return an IPv4 or IPv6 address; "" for none."""
    try:
        return str(ipaddress.ip_address(text)) if text else ""
    except ValueError as error:
        raise wrong("E-PRESEED-ADDRESS", "192.168.88.1", text) from error


def addresses(texts: list[str]) -> list[str]:
    return [address(text) for text in texts if text]


def tree_address(text: str) -> str:
    """Return the address of a hub or a box: http, https, rsync, or a directory."""
    expected = "http://192.168.1.10:8088"
    try:
        parts = urlsplit(text)
        fine = parts.scheme in ("http", "https", "rsync") and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise wrong("E-PRESEED-ADDRESS", expected, text) from error
    if not (fine or text.startswith("/")) or any(char.isspace() for char in text):
        raise wrong("E-PRESEED-ADDRESS", expected, text)
    return text.rstrip("/") or "/"


def tree_addresses(texts: list[str]) -> list[str]:
    return [tree_address(text) for text in texts]


def fingerprint(text: str) -> str:
    from sync.trust.pinned import read_fingerprint

    try:
        return read_fingerprint(text)
    except ContentError as error:
        raise wrong("E-PRESEED-ROOT", error.expected, error.found) from error


def file_beside(text: str) -> str:
    """Return the name of a file in the same folder."""
    if not text or re.search(r'[/\\:*?"<>|]', text) or text.startswith("."):
        raise wrong("E-PRESEED-ROOT", "1.root.json", text)
    return text


def subscriptions(texts: list[str]) -> list[str]:
    """Return bundle ids; `all` and `none` stand alone."""
    words = {"all": ("全部", "所有"), "none": ("不取", "无")}
    found = [text.strip() for text in texts if text.strip()]
    for one in found:
        whole = next((code for code, labels in words.items() if one == code or one in labels), None)
        if whole is not None and len(found) == 1:
            return [whole]
        if whole is not None or not is_bundle_id(one):
            raise wrong("E-PRESEED-TYPE", "all, none, 0-9a-z._-", one)
    return sorted(dict.fromkeys(found))


def ssh_keys(texts: list[str]) -> list[str]:
    """Return public keys as `authorized_keys` holds them (sshd(8)): kind, key, a name; no options, nothing private."""
    found = []
    for text in texts:
        kind, _, rest = " ".join(text.split()).partition(" ")
        key, _, name = rest.partition(" ")
        try:
            blob = base64.b64decode(key, validate=True)
        except ValueError:
            blob = b""
        # RFC 4253 section 6.6: the key says its own kind first.
        if kind not in _SSH_KINDS or not blob.startswith(len(kind).to_bytes(4, "big") + kind.encode()):
            raise wrong("E-PRESEED-TYPE", "ssh-ed25519 AAAA…", kind)
        if not name.isprintable():
            raise wrong("E-PRESEED-TYPE", "ssh-ed25519 AAAA… name", "")
        found.append(" ".join(filter(None, (kind, key, name))))
    return list(dict.fromkeys(found))


def stages(texts: list[str]) -> list[str]:
    return sorted({_code("stage", text) for text in texts})


def grades(texts: list[str]) -> list[str]:
    found: set[str] = set()
    for text in texts:
        named = grades_of(f"g{text}" if re.fullmatch(r"\d{1,2}", text) else text)
        if not named:
            raise wrong("E-PRESEED-CODE", "一年级 … 高三, g1 … g12", text)
        found.update(named)
    return sorted(found, key=lambda code: int(code[1:]))


def _code(field: str, text: str) -> str:
    found = code_of(field, text)
    if found is None:
        few = [f"{code} {entry[0]}" for code, entry in list(VOCABULARIES[field].items())[:4]]
        raise wrong("E-PRESEED-CODE", ", ".join(few) + " …", text)
    return found


def editions(rules: list[Any]) -> list[dict[str, Any]]:
    """Return edition rules as `Scope.to_json` writes them, from lines such as `三年级 数学 上册 北师大版 2024`, or tables."""
    return [_edition_table(rule) if isinstance(rule, dict) else _edition_words(str(rule)) for rule in rules]


def _edition_words(text: str) -> dict[str, Any]:
    rule: dict[str, Any] = {}
    rest = []
    year = _YEAR.search(text)
    if year:
        rule["textbook_year"] = int(year[1])
        text = text[: year.start()] + " " + text[year.end() :]
    for word in re.split(r"[\s,，、:：（）()]+", text):
        if not word:
            continue
        for key, field in (("subject", "subject"), ("stage", "stage"), ("grade", "grade"), ("term", "volume"), ("edition", "edition")):  # fmt: skip
            code = code_of(field, word)
            if code is not None and key not in rule and (key != "term" or code in _TERMS):
                rule[key] = code
                break
        else:
            rest.append(word)
    return _whole(rule, rest, text)


def _edition_table(given: dict[str, Any]) -> dict[str, Any]:
    fields = {
        "stage": "stage",
        "grade": "grade",
        "subject": "subject",
        "term": "volume",
        "edition": "edition",
    }
    names = {"学段": "stage", "年级": "grade", "学科": "subject", "册次": "term", "学期": "term", "版本": "edition", "教材年份": "textbook_year"}  # fmt: skip
    rule: dict[str, Any] = {}
    rest: list[str] = []
    for typed, value in given.items():
        key = names.get(typed, typed)
        if key == "textbook_year" and _YEAR.fullmatch(str(value)):
            rule[key] = int(value)
        elif key in fields and isinstance(value, str) and value:
            code = code_of(fields[key], value)
            if code is None and key == "edition":
                rest.append(value)
            elif code is None or (key == "term" and code not in _TERMS):
                raise wrong("E-PRESEED-CODE", key, value)
            else:
                rule[key] = code
        else:
            raise wrong("E-PRESEED-TYPE", ", ".join((*fields, "textbook_year")))
    return _whole(rule, rest, str(given))


def _whole(rule: dict[str, Any], rest: list[str], text: str) -> dict[str, Any]:
    """Return the rule; one word left over is an edition that the vocabulary does not know: kept as it is."""
    if "edition" not in rule and len(rest) == 1:
        rule["edition"] = RAW_PREFIX + rest.pop().removeprefix(RAW_PREFIX)
    if rest or not {"subject", "edition"} <= rule.keys():
        raise wrong("E-PRESEED-CODE", "数学 人教版; 三年级 数学 上册 北师大版 2024", " ".join(rest) or text)
    return dict(sorted(rule.items()))


def edition_text(rule: Mapping[str, Any]) -> str:
    """Return a rule as the line that `editions` reads."""
    fields = (("stage", "stage"), ("grade", "grade"), ("subject", "subject"), ("term", "volume"), ("edition", "edition"))  # fmt: skip
    words = [label_of(field, rule[key]) for key, field in fields if rule.get(key)]
    # A label with a space or a bracket in it would come apart; its code does not.
    words = [
        word if not re.search(r"[\s,，、:：（）()]", word) else rule[key]
        for word, (key, _) in zip(words, [one for one in fields if rule.get(one[0])], strict=True)
    ]
    return " ".join([*words, *([str(rule["textbook_year"])] if rule.get("textbook_year") else [])])

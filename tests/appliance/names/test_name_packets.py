"""LLMNR and NetBIOS packets: any bytes are read without harm, what we write is read back, and octets as the RFCs have them."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.names import dns, netbios
from appliance.names.labels import BOX_WORD, HUB_WORD, is_word, number_of, numbered, own_word

LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,12}[a-z0-9])?", fullmatch=True)
ADDRESSES = st.lists(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), max_size=20)
HEADERS = st.builds(
    lambda flags, counts, rest: struct.pack("!6H", 7, flags, *counts) + rest,
    st.integers(0, 0xFFFF),
    st.tuples(*[st.integers(0, 3)] * 4),
    st.binary(max_size=120),
)


@given(st.one_of(st.binary(max_size=600), HEADERS))
def test_any_bytes_are_read(packet: bytes) -> None:
    for read in (dns.read_query, dns.read_reply, netbios.read):
        read(packet)


@given(LABELS, ADDRESSES, st.sampled_from([dns.A, dns.AAAA, dns.ANY, 12]), st.booleans())
def test_an_llmnr_answer_is_read_back(
    label: str, addresses: list[dns.Address], kind: int, tentative: bool
) -> None:
    question = dns.read_query(dns.make_query(4711, label, kind))
    assert question == dns.Question(4711, label, kind)
    packet = dns.make_reply(question, addresses, tentative=tentative)
    assert len(packet) <= 512
    versions = {dns.A: {4}, dns.AAAA: {6}, dns.ANY: {4, 6}}.get(kind, set())
    told = tuple(one for one in addresses if one.version in versions)[: dns.MOST_ADDRESSES]
    assert dns.read_reply(packet) == dns.Reply(4711, label, told, tentative)
    assert dns.read_query(packet) is None
    for end in range(len(packet)):
        assert dns.read_reply(packet[:end]) is None


def test_a_query_as_windows_sends_it() -> None:
    packet = bytes.fromhex("a9fb0000000100000000000008") + b"SHUXIANG" + bytes.fromhex("0000010001")
    assert dns.read_query(packet) == dns.Question(0xA9FB, "shuxiang", dns.A)
    conflict = packet[:2] + b"\x04\x00" + packet[4:]
    assert dns.read_query(conflict) == dns.Question(0xA9FB, "shuxiang", dns.A, conflict=True)


@pytest.mark.parametrize(
    "change",
    [(2, 0x80), (2, 0x08), (2, 0x02), (5, 0), (5, 2), (7, 1), (9, 1), (len(b"\0" * 12) + 9 + 3, 3)],
    ids=["response", "opcode", "truncated", "no question", "two questions", "answer", "authority", "class"],
)
def test_a_query_that_asks_for_silence(change: tuple[int, int]) -> None:
    packet = bytearray(dns.make_query(1, "shuxiang"))
    packet[change[0]] = change[1]
    assert dns.read_query(bytes(packet)) is None


def test_names_that_point_in_circles_end() -> None:
    header = struct.pack("!6H", 1, 0, 1, 0, 0, 0)
    for name in (b"\xc0\x0c", b"\x01a\xc0\x0c", b"\xc0\xff", b"\xc0", b"\x3f", b"\x80a"):
        assert dns.read_query(header + name + b"\0\1\0\1") is None


@given(LABELS, st.sampled_from(netbios.SUFFIXES), st.lists(st.ip_addresses(v=4), max_size=12))
def test_a_netbios_answer_is_read_back(
    label: str, suffix: int, addresses: list[ipaddress.IPv4Address]
) -> None:
    request = netbios.read(netbios.make_query(99, label, suffix))
    assert request == netbios.Packet(99, netbios.QUERY, False, False, label, suffix, netbios.NB)
    reply = netbios.make_query_reply(request, addresses)
    assert netbios.read(reply) == netbios.Packet(99, netbios.QUERY, True, False, label, suffix, netbios.NB)
    told = reply[-6 * len(addresses[:8]) :] if addresses else b""
    assert told == b"".join(b"\0\0" + one.packed for one in addresses[: netbios.MOST_ADDRESSES])
    refusal = netbios.make_refusal(request, ipaddress.IPv4Address("10.0.0.1"))
    read = netbios.read(refusal)
    assert read is not None
    assert read.refused
    assert read.operation == netbios.REGISTRATION


def test_netbios_octets_of_the_rfc() -> None:
    # RFC 1001 section 14.1: "FRED" and spaces, as the second half of its bytes says.
    assert netbios.make_query(1, "fred", 0x20)[12:46] == b"\x20" + b"EGFCEFEE" + b"CA" * 12 + b"\0"
    registration = netbios.make_registration(1, "fred", 0, ipaddress.IPv4Address("10.0.0.1"), demand=False)
    assert registration[2:4] == b"\x29\x10"
    assert netbios.make_query(1, "fred")[2:4] == b"\x01\x10"


def test_words_are_words_on_every_system() -> None:
    for word in ("shuxiang", "qiaotou", "a", "box-7", HUB_WORD, BOX_WORD):
        assert is_word(word)
        assert len(numbered(word, 99)) <= 15
    for word in ("", "-a", "a-", "书箱", "a.b", "a b", "thirteenlongs", "127", "A"):
        assert not is_word(word)
    assert own_word("QiaoTou", "ab" * 16) == "qiaotou"
    assert own_word("石桥教学点", "0123456789abcdef") == "sx-01234567"
    assert [numbered("shuxiang", number) for number in (1, 2, 3)] == ["shuxiang", "shuxiang-2", "shuxiang-3"]
    assert [number_of("a", label) for label in ("a", "a-2", "b-2", "a-x", "a-100", "a-1")] == [
        1,
        2,
        1,
        1,
        1,
        1,
    ]

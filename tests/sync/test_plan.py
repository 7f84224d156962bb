"""The order of a plan and the ways in it; that nothing is in it twice or for nothing, and that it adds up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from builders import sha256
from hypothesis import given
from hypothesis import strategies as st

from catalog.fit import Want, fit
from catalog.resource import File
from sync.formats.transport import Member, Offers, Pack, Patch, Torrent, transport_blob
from sync.parcels.patches import beside_bytes
from sync.updating.carry import read_hints
from sync.updating.explain import PLACES, plan_json, plan_text
from sync.updating.loads import REQUEST_BYTES, Held, Load, Roads
from sync.updating.plan import (
    GROUP_FILES,
    LESSONS,
    OTHER,
    OWN_NOW,
    PACK,
    PATCH,
    REQUESTED,
    SPARE,
    SWARM,
    WHOLE,
    Haul,
    Plan,
    Step,
    plan_content,
)

ROOMY = 1 << 60
MIB = 1 << 20
SWARMING = Roads(swarm=True)


def digest(name: str) -> str:
    return sha256(name.encode())


def file(role: str, size_bytes: int, name: str) -> File:
    return File(
        role=role, name="f", media_type="x/y", size_bytes=size_bytes, sha256=digest(name),
        path="p" if role == "package" else None,
    )  # fmt: skip


def want(number: int, place: int, *files: File) -> Want:
    return Want(number=number, rank=(place, 0.0), files=files)


def held(*names: str, staged: dict[str, int] | None = None, torrents: Sequence[str] = ()) -> Held:
    lengths = {digest(name): length for name, length in (staged or {}).items()}
    return Held(
        has=set(map(digest, names)).__contains__,
        has_torrent=set(map(digest, torrents)).__contains__,
        staged_bytes=lambda sha256: lengths.get(sha256, 0),
    )


def patch(target: str, size_bytes: int, source: str, patch_bytes: int) -> Patch:
    return Patch(
        source=digest(source),
        target=digest(target),
        target_bytes=size_bytes,
        method="zstd",
        file=transport_blob(digest(f"patch {target} {source}"), patch_bytes),
        release=1,
    )


def pack(name: str, *members: tuple[str, int]) -> Pack:
    found, offset = [], 0
    for member, size_bytes in members:
        sha = member if len(member) == 64 else digest(member)
        found.append(Member(sha, size_bytes, offset))
        offset += size_bytes
    return Pack(file=transport_blob(digest(name), offset), members=tuple(found), release=1)


def torrent(name: str, size_bytes: int) -> Torrent:
    return Torrent(
        blob=digest(name), size_bytes=size_bytes, piece_length=1 << 18, pieces_root=digest("root"), v1="0" * 40,
        v2=digest("v2"), file=transport_blob(digest(f"torrent {name}"), 3000),
    )  # fmt: skip


def offers(*found: Pack | Patch | Torrent) -> Offers:
    patches: dict[str, tuple[Patch, ...]] = {}
    for one in found:
        if isinstance(one, Patch):
            patches[one.target] = (*patches.get(one.target, ()), one)
    return Offers(
        packs=tuple(one for one in found if isinstance(one, Pack)),
        patches=patches,
        torrents={one.blob: one for one in found if isinstance(one, Torrent)},
    )


def haul(
    wants: Sequence[Want], here: Held | None = None, found: Offers | None = None, roads: Roads | None = None
) -> Haul:
    return plan_content(wants, fit(wants, ROOMY), here or held(), found, roads)


def ways(made: Haul) -> dict[str, str]:
    return {step.file.sha256: step.way.kind for step in made.steps}


def way_of(made: Haul, name: str) -> Step:
    return next(step for step in made.steps if step.file.sha256 == digest(name))


def order(*wants: Want) -> list[tuple[int, int]]:
    return [(step.number, step.file.size_bytes) for step in haul(wants).steps]


def test_order() -> None:
    video = want(1, OWN_NOW, file("source", 900, "v1"), file("thumb", 5, "v2"), file("play", 100, "v3"))
    deck = want(2, OWN_NOW, file("page", 20, "d1"), file("page", 21, "d2"), file("source", 30, "d3"))
    asked = want(3, REQUESTED, file("play", 5000, "a1"))
    other = want(4, OTHER, file("play", 1, "o1"))
    lesson = want(5, LESSONS, file("play", 9000, "l1"))
    assert order(other, video, deck, asked, lesson) == [
        (5, 9000),  # what these days' lessons need
        (3, 5000),  # what was asked for
        (2, 30), (2, 20), (2, 21),  # small before large; the original of courseware before its pages
        (1, 100), (1, 5),  # of a video what plays
        (4, 1),
        (1, 900),  # its original last of all
    ]  # fmt: skip


def test_a_patch_that_the_disk_has_no_room_to_apply_is_no_way() -> None:
    wants = [want(1, OTHER, file("source", 9000, "new"))]
    between_forms = replace(patch("new", 9000, "old", 500), method="inflatezstd")
    needed = beside_bytes(between_forms, 7000)
    assert needed > 128 << 20
    plain = patch("new", 9000, "older", 800)
    roomy = replace(held("old", "older"), size_of=lambda _: 7000, spare_bytes=needed)
    assert way_of(haul(wants, roomy, offers(between_forms, plain)), "new").way.source == digest("old")
    narrow = replace(roomy, spare_bytes=needed - 1)
    assert way_of(haul(wants, narrow, offers(between_forms, plain)), "new").way.source == digest("older")
    alone = way_of(haul(wants, narrow, offers(between_forms)), "new")
    assert (alone.way.kind, alone.way.cost_bytes) == (WHOLE, 9000)


def test_a_shared_blob_is_fetched_once_at_its_first_place() -> None:
    shared = file("play", 10, "s")
    made = haul([want(1, OTHER, shared), want(2, REQUESTED, shared)])
    assert [(step.number, step.place) for step in made.steps] == [(2, REQUESTED)]


def test_a_patch_is_taken_where_its_source_is_here_and_it_is_shorter_than_the_rest() -> None:
    wants = [want(1, OTHER, file("source", 9000, "new"))]
    found = offers(patch("new", 9000, "old", 800), patch("new", 9000, "older", 700))
    step = way_of(haul(wants, held("old"), found), "new")
    assert (step.way.kind, step.way.cost_bytes, step.way.source) == (PATCH, 800, digest("old"))
    assert way_of(haul(wants, held("old", "older"), found), "new").way.cost_bytes == 700
    assert way_of(haul(wants, held(), found), "new").way.kind == WHOLE
    # Nearly all of it lies in staging: the rest of the blob is shorter than the patch.
    begun = haul(wants, held("old", staged={"new": 8500}), found)
    assert (way_of(begun, "new").way.kind, begun.line_bytes, begun.begun_bytes) == (WHOLE, 500, 8500)
    # A patch of another length than the catalogue's is not for this blob.
    assert ways(haul(wants, held("old"), offers(patch("new", 9001, "old", 8)))) == {digest("new"): WHOLE}


def test_from_a_disk_that_is_here_files_come_whole() -> None:
    wants = [want(n, OTHER, file("play", 100, f"s{n}")) for n in range(5)]
    found = offers(pack("p", *((f"s{n}", 100) for n in range(5))), patch("s1", 100, "old", 9))
    made = haul(wants, held("old"), found, Roads(first="directory"))
    assert set(ways(made).values()) == {WHOLE} and made.line_bytes == 500


def test_a_pack_is_taken_for_three_members_and_where_it_is_cheaper() -> None:
    wants = [want(n, OTHER, file("play", 100, f"s{n}")) for n in range(4)]
    all_of_it = pack("p", *((f"s{n}", 100) for n in range(4)))
    made = haul(wants, held(), offers(all_of_it))
    assert set(ways(made).values()) == {PACK} and made.line_bytes == 400
    assert [load.file for load in made.loads] == [all_of_it.file] and len(made.loads[0].inside) == 4
    # Two are not worth it, nor are three out of one that is mostly something else.
    assert set(ways(haul(wants[:2], held(), offers(all_of_it))).values()) == {WHOLE}
    mostly_else = pack("q", *((f"s{n}", 100) for n in range(4)), ("else", 5 * REQUEST_BYTES))
    assert set(ways(haul(wants, held(), offers(mostly_else))).values()) == {WHOLE}
    # What an earlier run brought whole is used to its end.
    begun = haul(wants[:1], held(staged={"p": 400}), offers(all_of_it))
    assert set(ways(begun).values()) == {PACK} and begun.line_bytes == 0


def test_files_without_a_torrent_travel_in_a_pack_that_has_one() -> None:
    """Six boxes that want the same: the hub sends what the swarm carries once, not six times."""
    wants = [want(n, OTHER, file("source", 2 * MIB, f"m{n}")) for n in range(6)]
    together = pack("p", *((f"m{n}", 2 * MIB) for n in range(6)))
    seeds = torrent("p", 12 * MIB)
    made = haul(wants, held(), offers(together, seeds), SWARMING)
    assert set(ways(made).values()) == {PACK}
    by_swarm = sum(load.cost_bytes for load in made.loads if load.torrent is not None)
    assert by_swarm == 12 * MIB and made.line_bytes - by_swarm < 10_000
    # Who wants but a few of them takes those by themselves.
    some = haul(wants[:3], held(), offers(together, seeds), SWARMING)
    assert set(ways(some).values()) == {WHOLE} and some.line_bytes == 6 * MIB


def test_patches_and_torrent_files_travel_in_packs() -> None:
    change = patch("new", 9000, "old", 800)
    seeds = torrent("film", 5 * MIB)
    wants = [
        want(1, REQUESTED, file("source", 9000, "new")),
        want(2, OTHER, file("play", 5 * MIB, "film"), file("thumb", 70, "cover")),
    ]
    bundle = pack("p", (change.file.sha256, 800), (seeds.file.sha256, 3000), ("cover", 70))
    made = haul(wants, held("old"), offers(change, seeds, bundle), SWARMING)
    assert ways(made) == {digest("new"): PATCH, digest("film"): SWARM, digest("cover"): PACK}
    # The pack stands where its most urgent member does; the film comes after it.
    assert [(load.file.sha256, load.place) for load in made.loads] == [
        (bundle.file.sha256, REQUESTED),
        (digest("film"), OTHER),
    ]
    assert sum(step.way.cost_bytes for step in made.steps) == made.line_bytes == 3870 + 5 * MIB
    assert made.sources() == {digest("old")}
    assert made.needs() == {digest(name) for name in ("new", "film", "cover", "p")} | {
        change.file.sha256,
        seeds.file.sha256,
    }


def test_torrents_are_kept_for_every_road_and_brought_once() -> None:
    wants = [want(1, OTHER, file("play", 5 * MIB, "film"))]
    found = offers(torrent("film", 5 * MIB))
    for roads, way in ((Roads(), WHOLE), (Roads(first="rsync"), WHOLE), (SWARMING, SWARM)):
        made = haul(wants, held(), found, roads)
        assert [load.file.size_bytes for load in made.loads] == [3000, 5 * MIB]
        assert set(ways(made).values()) == {way}
        assert len(haul(wants, held(torrents=["film"]), found, roads).loads) == 1
    # A torrent of another length is of something else.
    assert set(ways(haul(wants, held(), offers(torrent("film", 6 * MIB)), SWARMING)).values()) == {WHOLE}


def test_a_big_pack_goes_by_the_swarm_with_its_torrent_file_before_it() -> None:
    wants = [want(n, OTHER, file("page", MIB, f"s{n}")) for n in range(5)]
    big = pack("p", *((f"s{n}", MIB) for n in range(5)))
    made = haul(wants, held(), offers(big, torrent("p", 5 * MIB)), SWARMING)
    assert [(load.file.size_bytes, load.torrent is not None) for load in made.loads] == [
        (3000, False),
        (5 * MIB, True),
    ]
    assert {step.way.road for step in made.steps} == {"swarm"}
    assert [group.road for group in made.groups()] == [WHOLE, SWARM]


blobs = st.integers(0, 12)
SIZES = [10 + 97 * number for number in range(13)]


@st.composite
def offered(draw: st.DrawFn) -> Offers:
    """Ways for the blobs b0…b12, some of them wrong in what they claim."""
    found: list[Pack | Patch | Torrent] = []
    for target, source, size_bytes, right in draw(
        st.lists(st.tuples(blobs, blobs, st.integers(1, 300), st.booleans()), max_size=8)
    ):
        if target != source:
            found.append(patch(f"b{target}", SIZES[target] + (not right), f"b{source}", size_bytes))
    for number in draw(st.sets(blobs, max_size=4)):
        found.append(torrent(f"b{number}", SIZES[number]))
    small = [(f"b{number}", SIZES[number]) for number in range(13)]
    small += [(one.file.sha256, one.file.size_bytes) for one in found if isinstance(one, Patch | Torrent)]
    unique = list({name: (name, size_bytes) for name, size_bytes in small}.values())
    for number, members in enumerate(
        draw(st.lists(st.lists(st.sampled_from(unique), min_size=2, max_size=9, unique=True), max_size=4))
    ):
        found.append(pack(f"pack{number}", *members))
    return offers(*found)


@given(
    st.lists(
        st.tuples(
            st.integers(-1, 4),
            st.lists(st.tuples(st.sampled_from(["source", "play", "page"]), blobs), max_size=5),
        ),
        max_size=8,
    ),
    st.sets(blobs),
    st.integers(0, 9000),
    offered(),
    st.dictionaries(blobs, st.integers(1, 2000), max_size=4),
    st.booleans(),
)
def test_a_plan_is_what_fits_and_is_not_here_and_adds_up(
    shape: list[tuple[int, list[tuple[str, int]]]],
    here: set[int],
    capacity: int,
    found: Offers,
    staged: dict[int, int],
    swarm: bool,
) -> None:
    wants = [
        want(number, place, *(file(role, SIZES[blob], f"b{blob}") for role, blob in files))
        for number, (place, files) in enumerate(shape)
    ]
    fitted = fit(wants, capacity)
    known = held(*(f"b{n}" for n in here), staged={f"b{n}": length for n, length in staged.items()})
    made = plan_content(wants, fitted, known, found, Roads(swarm=swarm))
    whole = plan_content(wants, fitted, known, None, Roads(swarm=swarm))
    hashes = [step.file.sha256 for step in made.steps]
    assert len(hashes) == len(set(hashes))
    assert set(hashes) == fitted.keep - {digest(f"b{n}") for n in here}
    for places in ([step.place for step in made.steps], [load.place for load in made.loads]):
        assert places == sorted(places) and all(LESSONS <= place <= SPARE for place in places)
    # Nothing travels twice, and all that a blob comes out of travels.
    flat = [one for load in made.loads for one in (load, *load.inside)]
    travelling = [load.file.sha256 for load in flat]
    assert len(travelling) == len(set(travelling))
    for step in made.steps:
        carrier = step.file.sha256
        if step.way.kind == PATCH:
            assert known.has(step.way.source) and step.way.file is not None
            carrier = step.way.file.sha256
        assert carrier in travelling
    # The costs of the blobs are the costs of the loads, and never more than whole files would cost.
    assert sum(step.way.cost_bytes for step in made.steps) == made.line_bytes
    assert line_cost(made.loads) - torrent_cost(flat) <= line_cost(whole.loads)
    assert [load for group in made.groups() for load in group.loads] == list(made.loads)


def line_cost(loads: Sequence[Load]) -> int:
    return sum(load.cost_bytes + REQUEST_BYTES for load in loads if load.cost_bytes)


def torrent_cost(flat: Sequence[Load]) -> int:
    """What torrent files would cost by themselves: they are no part of what whole files cost."""
    return sum(load.file.size_bytes + REQUEST_BYTES for load in flat if isinstance(load.offer, Torrent))


def test_groups_keep_the_order() -> None:
    wants = [
        want(number, number % 2, file("play", number, str(number))) for number in range(GROUP_FILES * 2 + 2)
    ]
    made = haul(wants)
    groups = list(made.groups())
    assert [len(group.loads) for group in groups] == [GROUP_FILES, 1, GROUP_FILES, 1]
    assert [one.file for group in groups for one in group.loads] == [step.file for step in made.steps]
    assert list(Haul().groups()) == []


def test_a_plan_says_what_and_why_and_how_long() -> None:
    change = patch("new", 9000, "old", 800)
    wants = [want(1, REQUESTED, file("source", 9000, "new")), want(2, OTHER, file("play", 100, "a"))]
    plan = Plan(release=7, haul=haul(wants, held("old"), offers(change)))
    data = plan_json(plan, 200)
    assert (data["fetch_bytes"], data["line_bytes"], data["seconds"]) == (9100, 900, 10)
    assert [(group["why"], group["line_bytes"]) for group in data["groups"]] == [
        ("requested", 800),
        ("other", 100),
    ]
    assert data["groups"][0]["ways"] == [
        {"way": "patch", "road": "http", "blobs": 1, "bytes": 9000, "line_bytes": 800}
    ]
    assert plan_json(plan)["seconds"] is None
    words = plan_text(plan, "zh-CN", 200)
    assert "点播申请：1 个数据块" in words and "线路上要传：900 字节，按每秒 200 字节约 0:00:10" in words
    assert "patch (only what changed): 1 blobs, 9,000 bytes, 800 on the line" in plan_text(plan, "en", 200)
    assert set(PLACES) == set(range(LESSONS, SPARE + 1))


def test_hints_lead_to_servers_only() -> None:
    data = (
        b'{"roads": ["rsync://{host}:8873/tree/", "file:///etc", "/etc", 5, "http://mirror/", "gopher://x/"]}'
    )
    assert read_hints(data, host="10.0.0.5") == ["rsync://10.0.0.5:8873/tree/", "http://mirror/"]
    assert read_hints(data, host="fe80::1")[0] == "rsync://[fe80::1]:8873/tree/"
    assert read_hints(data, host=None) == ["http://mirror/"]
    for broken in (b"", b"[]", b"{}", b'{"roads": 5}', b"<html>"):
        assert read_hints(broken, host="h") == []

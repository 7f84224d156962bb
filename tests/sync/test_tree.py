"""Names in a tree: what is made is parsed, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.manifest import is_bundle_id
from sync import tree

SHA = "0a" * 32
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
bundle_ids = st.from_regex(r"[0-9a-z][0-9a-z._-]{0,20}", fullmatch=True)
versions = st.integers(1, 10**10 - 1)


@given(digests, bundle_ids, versions, st.booleans())
def test_every_name_that_is_made_is_parsed(
    sha256: str, bundle_id: str, version: int, compressed: bool
) -> None:
    assert is_bundle_id(bundle_id)
    assert tree.parse(tree.blob_path(sha256)) == tree.TreeName(kind="blob", sha256=sha256)
    assert tree.parse(tree.catalog_path(sha256)) == tree.TreeName(kind="catalog", sha256=sha256)
    assert tree.parse(tree.pack_path(sha256)) == tree.TreeName(kind="pack", sha256=sha256)
    part = version % 9999 + 1
    assert tree.parse(tree.part_path(sha256, part)) == tree.TreeName(kind="part", sha256=sha256, version=part)
    for kind, path in (
        ("root", tree.root_path),
        ("snapshot", tree.snapshot_path),
        ("targets", tree.targets_path),
    ):
        assert tree.parse(path(version)) == tree.TreeName(kind=kind, version=version)
    found = tree.parse(tree.transport_path(sha256, bundle_id, compressed=compressed))
    assert found == tree.TreeName(kind="transport", sha256=sha256, id=bundle_id, compressed=compressed)
    found = tree.parse(tree.manifest_path(sha256, bundle_id, compressed=compressed))
    assert found is not None and found.sha256 == sha256 and found.compressed == compressed


def test_the_fixed_names_are_parsed() -> None:
    kinds = {
        path: name.kind
        for path in (tree.TIMESTAMP, tree.PINNED_ROOT, tree.ROADS)
        if (name := tree.parse(path))
    }
    assert kinds == {tree.TIMESTAMP: "timestamp", tree.PINNED_ROOT: "root", tree.ROADS: "roads"}
    box = tree.parse(tree.box_path("ab" * 16))
    assert box == tree.TreeName(kind="box", id="ab" * 16)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/metadata/timestamp.json",
        "metadata",
        "metadata/",
        "metadata/timestamp.json\n",
        "metadata/0.root.json",
        "metadata/01.root.json",
        "metadata/../keys/targets.pem",
        "metadata/root.json",
        f"blobs/0b/{SHA}",
        f"blobs/0a/{SHA.upper()}",
        f"blobs/0a/{SHA}/..",
        f"blobs/0a/{SHA}.0",
        f"blobs/0a/{SHA}.01",
        f"packs/{SHA}",
        f"packs/../{SHA}.pack",
        f"blobs\\0a\\{SHA}",
        f"targets/{SHA}.other.json",
        f"targets/bundles/{SHA}..jsonl",
        f"targets/bundles/{SHA}.A.jsonl",
        f"targets/bundles/{SHA}.../../x.jsonl",
        "boxes/xyz.json",
        "../config.toml",
    ],
)
def test_nothing_else_is_a_name(path: str) -> None:
    assert tree.parse(path) is None

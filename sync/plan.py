"""What to fetch, in which order, and why: pure.

Order (rule 4): what was asked for, then this term's books of the school, then its others, then the rest; inside each
class the resource that needs the fewest bytes first, and of a resource what a lesson starts with: the playable file of
a video, the original of courseware before its page images. The originals of videos come last of all.
Invariant: a blob is fetched once, at the place of the first resource that needs it, and never one that is here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from catalog.fit import Fit, Want, spare_roles
from catalog.resource import File
from sync.release import TreeFile
from sync.roads.road import blob_file

REQUESTED, OWN_NOW, OWN, THIS_TERM, OTHER, SPARE = range(6)
_PLACES = {
    REQUESTED: ("点播申请", "requested"),
    OWN_NOW: ("本校本学期教材", "the school's books of this term"),
    OWN: ("本校其他教材", "the school's other books"),
    THIS_TERM: ("其他教材，本学期", "other books of this term"),
    OTHER: ("其他", "everything else"),
    SPARE: ("视频原件", "originals of videos"),
}
_ROLE_ORDER = {
    role: place
    for place, role in enumerate(
        ("play", "subtitle", "source", "package", "preview", "thumb", "text", "page")
    )
}
# One fetch of a road: long enough that starting it costs nothing, short enough that the order is kept.
GROUP_FILES = 5000
GROUP_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One blob to fetch; `place` is the class that puts it there, `number` the resource that needs it first."""

    file: TreeFile
    place: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleDelta:
    """How a bundle's catalogue differs from the one here; `version` 0: the bundle is gone."""

    id: str
    version: int
    added: int
    changed: int
    removed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run does: catalogue changes, then `steps` in order. `missing` is what does not fit."""

    release: int
    bundles: tuple[BundleDelta, ...] = ()
    steps: tuple[Step, ...] = ()
    left_out: int = 0
    left_out_bytes: int = 0
    sources: tuple[str, ...] = field(default=())

    @property
    def fetch_bytes(self) -> int:
        return sum(step.file.size_bytes for step in self.steps)

    def groups(self) -> Iterator[Sequence[TreeFile]]:
        """Yield the files in order, in runs of one class that a road fetches at once."""
        group: list[TreeFile] = []
        size_bytes = 0
        place = -1
        for step in self.steps:
            if group and (
                step.place != place
                or len(group) >= GROUP_FILES
                or size_bytes + step.file.size_bytes > GROUP_BYTES
            ):
                yield group
                group, size_bytes = [], 0
            place = step.place
            group.append(step.file)
            size_bytes += step.file.size_bytes
        if group:
            yield group

    def explain(self, language: str) -> str:
        """Return what would be done and why, as lines in `language` (`zh-CN` or `en`)."""
        chinese = language.startswith("zh")
        lines = [f"第 {self.release} 次发布" if chinese else f"release {self.release}"]
        lines += [f"← {source}" for source in self.sources]
        for bundle in self.bundles:
            counts = f"+{bundle.added} ~{bundle.changed} -{bundle.removed}"
            lines.append(
                f"资源包 {bundle.id} v{bundle.version}：{counts}"
                if chinese
                else f"bundle {bundle.id} v{bundle.version}: {counts}"
            )
        lines.append(_amount(chinese, "要取", "to fetch", self.steps))
        for place, (zh, en) in _PLACES.items():
            if steps := [step for step in self.steps if step.place == place]:
                lines.append("  " + _amount(chinese, zh, en, steps))
        if self.left_out:
            lines.append(
                f"磁盘放不下：{self.left_out} 个资源，{self.left_out_bytes:,} 字节"
                if chinese
                else f"no room for: {self.left_out} resources, {self.left_out_bytes:,} bytes"
            )
        return "\n".join(lines)


def plan_content(wants: Iterable[Want], fitted: Fit, has: Callable[[str], bool]) -> tuple[Step, ...]:
    """Return the blobs to fetch, in order: those of `fitted.keep` that `has` does not know."""
    found: list[tuple[tuple[int, int, int, int, int, int], Step]] = []
    for want in wants:
        missing = _missing(want, fitted, has)
        if not missing:
            continue
        spare = spare_roles(want.files)
        place = int(want.rank[0]) if want.rank else OTHER
        needed_bytes = sum(file.size_bytes for file in missing if file.role not in spare)
        for position, file in enumerate(missing):
            is_spare = file.role in spare
            step = Step(
                file=blob_file(file.sha256, file.size_bytes),
                place=SPARE if is_spare else place,
                number=want.number,
            )
            weight = file.size_bytes if is_spare else needed_bytes
            role = _ROLE_ORDER.get(file.role, len(_ROLE_ORDER))
            found.append(((step.place, weight, want.number, role, position, file.size_bytes), step))
    found.sort(key=lambda item: item[0])
    steps: dict[str, Step] = {}
    for _, step in found:
        steps.setdefault(step.file.sha256, step)
    return tuple(steps.values())


def _missing(want: Want, fitted: Fit, has: Callable[[str], bool]) -> list[File]:
    left_out = fitted.left_out.get(want.number, frozenset())
    return [
        file
        for file in want.files
        if file.role not in left_out and file.sha256 in fitted.keep and not has(file.sha256)
    ]


def _amount(chinese: bool, zh: str, en: str, steps: Sequence[Step]) -> str:
    size_bytes = sum(step.file.size_bytes for step in steps)
    if chinese:
        return f"{zh}：{len(steps)} 个数据块，{size_bytes:,} 字节"
    return f"{en}: {len(steps)} blobs, {size_bytes:,} bytes"

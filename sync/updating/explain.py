"""A plan in words and as data: what would come, why, by which way, how many bytes, how long (pure).

`plan_json` is what `box sync --dry-run --json` prints and what the sync page shows; `plan_text` says the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sync.updating.loads import REQUEST_BYTES
from sync.updating.plan import (
    DIFFERENCES,
    LESSONS,
    OTHER,
    OWN,
    OWN_NOW,
    PACK,
    PATCH,
    REQUESTED,
    SPARE,
    SWARM,
    THIS_TERM,
    WAYS,
    WHOLE,
    Plan,
    Step,
)

PLACES = {
    LESSONS: ("lessons", "这几天的课", "the lessons of these days"),
    REQUESTED: ("requested", "点播申请", "requested"),
    OWN_NOW: ("own-now", "本校本学期教材", "the school's books of this term"),
    OWN: ("own", "本校其他教材", "the school's other books"),
    THIS_TERM: ("this-term", "其他教材，本学期", "other books of this term"),
    OTHER: ("other", "其他", "everything else"),
    SPARE: ("spare", "视频原件", "originals of videos"),
}
"""Class -> its stable word, and what people read."""
WAY_WORDS = {
    PATCH: ("补丁（只取改动）", "patch (only what changed)"),
    PACK: ("合包", "pack"),
    DIFFERENCES: ("与本机旧版比对（只取不同处）", "compared with the older edition here (only what differs)"),
    SWARM: ("邻居互传", "swarm"),
    WHOLE: ("整份", "whole"),
}


def seconds_for(count: int, loads: int, bytes_per_second: int | None) -> int | None:
    """Return how long `count` bytes in `loads` files take at a rate; None where there is no rate."""
    return -(-(count + loads * REQUEST_BYTES) // bytes_per_second) if bytes_per_second else None


def plan_json(plan: Plan, bytes_per_second: int | None = None) -> dict[str, Any]:
    """Return the plan as data; `bytes_per_second` is the rate that its seconds are reckoned by."""
    line_bytes = plan.haul.line_bytes
    return {
        "release": plan.release,
        "sources": list(plan.sources),
        "bundles": [
            {
                "id": bundle.id,
                "version": bundle.version,
                "added": bundle.added,
                "changed": bundle.changed,
                "removed": bundle.removed,
            }
            for bundle in plan.bundles
        ],
        "fetch_blobs": len(plan.steps),
        "fetch_bytes": plan.fetch_bytes,
        "line_bytes": line_bytes,
        "begun_bytes": plan.haul.begun_bytes,
        "bytes_per_second": bytes_per_second,
        "seconds": seconds_for(line_bytes, len(plan.haul.loads), bytes_per_second),
        "groups": [
            _group_json(place, steps, bytes_per_second) for place, steps in _by_place(plan.steps).items()
        ],
        "left_out": plan.left_out,
        "left_out_bytes": plan.left_out_bytes,
    }


def plan_text(plan: Plan, language: str, bytes_per_second: int | None = None) -> str:
    """Return what would be done and why, as lines in `language` (`zh-CN` or `en`)."""
    chinese = language.startswith("zh")
    data = plan_json(plan, bytes_per_second)
    lines = [f"第 {plan.release} 次发布" if chinese else f"release {plan.release}"]
    lines += [f"← {source}" for source in plan.sources]
    for bundle in plan.bundles:
        counts = f"+{bundle.added} ~{bundle.changed} -{bundle.removed}"
        lines.append(
            f"资源包 {bundle.id} v{bundle.version}：{counts}"
            if chinese
            else f"bundle {bundle.id} v{bundle.version}: {counts}"
        )
    lines.append(_amount(chinese, "要取", "to fetch", data["fetch_blobs"], data["fetch_bytes"]))
    lines.append(_line(chinese, data))
    for group in data["groups"]:
        _, zh, en = PLACES[group["place"]]
        lines.append("  " + _amount(chinese, zh, en, group["blobs"], group["bytes"]))
        for way in group["ways"]:
            zh, en = WAY_WORDS[way["way"]]
            words = _amount(chinese, zh, en, way["blobs"], way["bytes"])
            cost = f"{way['line_bytes']:,}"
            lines.append("    " + words + (f"，线路上 {cost}" if chinese else f", {cost} on the line"))
    if plan.left_out:
        lines.append(
            f"磁盘放不下：{plan.left_out} 个资源，{plan.left_out_bytes:,} 字节"
            if chinese
            else f"no room for: {plan.left_out} resources, {plan.left_out_bytes:,} bytes"
        )
    return "\n".join(lines)


def _group_json(place: int, steps: Sequence[Step], bytes_per_second: int | None) -> dict[str, Any]:
    word, zh, en = PLACES[place]
    ways = [
        {"way": kind, "road": road, **_sums([step for step in steps if _way(step) == (kind, road)])}
        for kind, road in sorted({_way(step) for step in steps}, key=lambda one: (WAYS.index(one[0]), one[1]))
    ]
    sums = _sums(steps)
    return {
        "place": place,
        "why": word,
        "words": {"zh-CN": zh, "en": en},
        **sums,
        "seconds": seconds_for(sums["line_bytes"], 0, bytes_per_second),
        "ways": ways,
    }


def _sums(steps: Sequence[Step]) -> dict[str, int]:
    return {
        "blobs": len(steps),
        "bytes": sum(step.file.size_bytes for step in steps),
        "line_bytes": sum(step.way.cost_bytes for step in steps),
    }


def _way(step: Step) -> tuple[str, str]:
    return (step.way.kind, step.way.road)


def _by_place(steps: Iterable[Step]) -> dict[int, list[Step]]:
    found: dict[int, list[Step]] = {}
    for step in steps:
        found.setdefault(step.place, []).append(step)
    return dict(sorted(found.items()))


def _amount(chinese: bool, zh: str, en: str, blobs: int, size_bytes: int) -> str:
    if chinese:
        return f"{zh}：{blobs} 个数据块，{size_bytes:,} 字节"
    return f"{en}: {blobs} blobs, {size_bytes:,} bytes"


def _line(chinese: bool, data: dict[str, Any]) -> str:
    seconds, rate = data["seconds"], data["bytes_per_second"]
    if chinese:
        words = f"线路上要传：{data['line_bytes']:,} 字节"
        return words + (f"，按每秒 {rate:,} 字节约 {_duration(seconds)}" if seconds is not None else "")
    words = f"on the line: {data['line_bytes']:,} bytes"
    return words + (f", about {_duration(seconds)} at {rate:,} bytes/s" if seconds is not None else "")


def _duration(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"

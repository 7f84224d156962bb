"""What the record says, as a table for people and as schema.org JSON-LD for machines (LRMI). Pure."""

from __future__ import annotations

from typing import Any

from catalog.resource import Resource
from webui.i18n import Translate
from webui.words import Words

_LICENCE_ADDRESSES = {
    "CC0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY": "https://creativecommons.org/licenses/by/4.0/",
    "CC-BY-SA": "https://creativecommons.org/licenses/by-sa/4.0/",
    "CC-BY-NC": "https://creativecommons.org/licenses/by-nc/4.0/",
    "CC-BY-NC-SA": "https://creativecommons.org/licenses/by-nc-sa/4.0/",
}
_A11Y = {"subtitles": "字幕", "sign": "手语", "large-print": "大字"}
_REQUIRES = {"flash": "Flash", "wps": "WPS", "seewo": "希沃白板", "network": "需联网", "js": "JavaScript"}


def facts_of(resource: Resource, words: Words, translate: Translate) -> list[tuple[str, str]]:
    """Return (name, value) rows of what the record says, in the reader's language; nothing empty."""
    comma = "、" if words.chinese else ", "
    rows = (
        ("学段", words.label("stage", resource.stage)),
        ("年级", words.grades(resource.grades)),
        ("学科", words.label("subject", resource.subject)),
        ("版本", words.edition(resource.edition_code, resource.textbook_year)),
        ("册次", words.volume(resource.volume, resource.volume_text)),
        ("单元", resource.unit or ""),
        ("课", resource.lesson or ""),
        ("类型", words.label("kind", resource.kind)),
        ("课堂形态", words.label("class_mode", resource.class_mode) if resource.class_mode != "none" else ""),
        ("适用对象", comma.join(words.label("audience", code) for code in resource.audience)),
        ("语种", words.language_name(resource.language) if resource.language else ""),
        ("知识点", comma.join(resource.knowledge)),
        ("关键词", comma.join(resource.keywords)),
        ("时长", words.duration(resource.duration_seconds) if resource.duration_seconds else ""),
        ("页数", words.pages(resource.pages) if resource.pages else ""),
        ("大小", words.size(resource.size_bytes) if resource.size_bytes else ""),
        ("来源", words.label("origin", resource.origin)),
        ("获奖", resource.award or ""),
        ("作者", resource.author or ""),
        ("审核", resource.reviewer or ""),
        ("授权", words.label("licence", resource.licence)),
        ("有效期至", resource.valid_to or ""),
        ("无障碍", comma.join(translate(_A11Y.get(code, code)) for code in resource.a11y)),
        ("运行要求", comma.join(translate(_REQUIRES.get(code, code)) for code in resource.requires)),
    )
    return [(translate(name), value) for name, value in rows if value]


def json_ld_of(resource: Resource, base: str) -> dict[str, Any]:
    """Return the record as a schema.org LearningResource; `base` is the address that was asked, with a slash."""
    words = {
        "@context": "https://schema.org",
        "@type": "LearningResource",
        "@id": f"{base}r/{resource.id}",
        "identifier": resource.id,
        "name": resource.title,
        "alternateName": resource.alt_title,
        "description": resource.description,
        "learningResourceType": resource.kind,
        "educationalLevel": [code for code in (resource.stage, *resource.grades) if code],
        "about": resource.subject,
        "isPartOf": " / ".join(resource.path),
        "position": resource.lesson_no,
        "inLanguage": resource.language or "zh-CN",
        "author": {"@type": "Person", "name": resource.author} if resource.author else None,
        "license": _LICENCE_ADDRESSES.get(resource.licence or "", resource.licence),
        "expires": resource.valid_to,
        "keywords": list(resource.keywords),
        "teaches": list(resource.knowledge),
        "award": resource.award,
        "accessibilityFeature": list(resource.a11y),
        "timeRequired": f"PT{round(resource.duration_seconds)}S" if resource.duration_seconds else None,
        "dateModified": resource.updated,
    }
    return {name: value for name, value in words.items() if value not in (None, [], "")}

"""How codes, sizes, lengths and dates read on a page, in the page's language. Pure.

Invariant: nothing here asks the clock, the library or the request.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from catalog.curriculum import RAW_PREFIX, codes_in_order, label_of
from catalog.resource import Resource
from webui.i18n import Translate

_SUBJECTS_DRAWN = frozenset(
    [
        "chinese",
        "math",
        "english",
        "morals",
        "politics",
        "science",
        "music",
        "art",
        "arts",
        "drama",
        "pe",
        "it",
        "labour",
        "calligraphy",
        "history",
        "geography",
        "physics",
        "chemistry",
        "biology",
        "gentech",
        "mental",
        "safety",
        "ethnic-unity",
        "reading",
        "local",
        "integrated",
    ]
)
_TONGUES = frozenset(("japanese", "russian", "french", "german", "spanish"))
_KINDS_DRAWN = frozenset(
    [
        "video",
        "courseware",
        "plan",
        "tasksheet",
        "exercise",
        "paper",
        "recording",
        "textbook",
        "ebook",
        "audio",
        "interactive",
        "experiment",
        "image",
        "material",
        "case",
        "tool",
        "topic",
        "training",
        "notice",
    ]
)
_SAME_GLYPH = {"politics": "morals", "arts": "art"}
_LANGUAGE_NAMES = {
    "zh": "中文",
    "en": "英语",
    "bo": "藏语",
    "ug": "维吾尔语",
    "mn": "蒙古语",
    "kk": "哈萨克语",
    "sce": "东乡语",
    "ja": "日语",
    "ru": "俄语",
    "fr": "法语",
    "de": "德语",
    "es": "西班牙语",
}
_ENGLISH_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_WEEKDAYS = ("星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日")


def subject_class(subject: str | None) -> str:
    """Return the name of the colour that stands for the subject."""
    if subject in _TONGUES:
        return "tongue"
    return subject if subject in _SUBJECTS_DRAWN else "other"


def subject_glyph(subject: str | None) -> str:
    """Return the name of the drawn sign of the subject in `static/glyphs.svg`."""
    name = subject_class(subject)
    return f"s-{_SAME_GLYPH.get(name, name)}"


def kind_glyph(kind: str | None) -> str:
    """Return the name of the drawn sign of the kind in `static/glyphs.svg`."""
    return f"k-{kind}" if kind in _KINDS_DRAWN else "k-other"


# Suppliers' own words make new ones without end; the books of a county do not.
MOST_BOOKS = 2000


class Words:
    """The words of one language."""

    def __init__(self, language: str, translate: Translate) -> None:
        self.language = language
        self.chinese = language != "en"
        self._t = translate
        self._labels: dict[tuple[str, str], str] = {}
        self._books: dict[tuple[tuple[str, ...], str | None, str | None, str | None, str | None], str] = {}

    def label(self, field: str, code: str | None) -> str:
        """Return the label of `code`, the supplier's own word for a raw one, "" for none."""
        if not code:
            return ""
        key = (field, code)
        label = self._labels.get(key)
        if label is None:
            label = label_of(field, code, self.language)
            if not code.startswith(RAW_PREFIX):
                self._labels[key] = label
        return label

    def grades(self, codes: Iterable[str]) -> str:
        """Return the grades as one word: 五年级、六年级."""
        return ("、" if self.chinese else ", ").join(
            self.label("grade", code) for code in codes_in_order("grade", codes)
        )

    def edition(self, code: str | None, textbook_year: int | None) -> str:
        """Return the edition with the textbook's year, since old and new ones differ."""
        label = self.label("edition", code)
        if not textbook_year:
            return label
        year = f"{textbook_year}年版" if self.chinese else str(textbook_year)
        return f"{label}（{year}）" if self.chinese else f"{label} ({year})".strip()

    def volume(self, code: str | None, text: str | None = None) -> str:
        """Return the volume; 必修1 and the like as the supplier wrote them."""
        return text if text and code in (None, "", "other") else self.label("volume", code)

    def place(self, resource: Resource) -> str:
        """Return where the resource stands: 三年级数学 · 人教版上册 · 分数的初步认识."""
        key = (
            resource.grades,
            resource.subject,
            resource.edition_code,
            resource.volume,
            resource.volume_text,
        )
        book = self._books.get(key)
        if book is None:
            if len(self._books) >= MOST_BOOKS:
                self._books.clear()
            book = self._books[key] = self._book(*key)
        lesson = resource.path[-1] if resource.path and resource.path[-1] not in resource.title else ""
        return f"{book} · {lesson}" if book and lesson else book or lesson

    def _book(
        self,
        grades: tuple[str, ...],
        subject: str | None,
        edition: str | None,
        volume: str | None,
        volume_text: str | None,
    ) -> str:
        gap = "" if self.chinese else " "
        first = gap.join(filter(None, (self.grades(grades), self.label("subject", subject))))
        second = gap.join(filter(None, (self.edition(edition, None), self.volume(volume, volume_text))))
        return " · ".join(filter(None, (first, second)))

    def size(self, size_bytes: int) -> str:
        """Return a size for people: 780 kB, 12.3 MB."""
        if size_bytes < 1_000_000:
            return f"{max(1, round(size_bytes / 1000)) if size_bytes else 0} kB"
        for unit, factor in (("MB", 1e6), ("GB", 1e9), ("TB", 1e12)):
            value = size_bytes / factor
            if value < 999.5 or unit == "TB":
                return f"{value:.1f} {unit}" if value < 100 else f"{value:.0f} {unit}"
        raise AssertionError("unreachable")

    def duration(self, seconds: float) -> str:
        """Return a length in time: 4:05, 1:02:30."""
        whole = round(seconds)
        hours, minutes = divmod(whole // 60, 60)
        return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"

    def pages(self, count: int) -> str:
        """Return a number of pages."""
        if self.chinese:
            return f"{count} 页"
        return f"{count} page" if count == 1 else f"{count} pages"

    def items(self, count: int) -> str:
        """Return a number of resources."""
        if self.chinese:
            return f"{count} 项"
        return f"{count} item" if count == 1 else f"{count} items"

    def day(self, day: date, *, year: bool = False) -> str:
        """Return a date: 11月21日, or with the year."""
        if self.chinese:
            return f"{day.year}年{day.month}月{day.day}日" if year else f"{day.month}月{day.day}日"
        text = f"{day.day} {_ENGLISH_MONTHS[day.month - 1]}"
        return f"{text} {day.year}" if year else text

    def weekday(self, day: date) -> str:
        """Return the name of the weekday."""
        return self._t(_WEEKDAYS[day.weekday()])

    def language_name(self, tag: str) -> str:
        """Return the name of a BCP 47 language in the page's language; the tag itself where it is not a common one."""
        return self._t(_LANGUAGE_NAMES.get(tag.partition("-")[0].lower(), tag))

    def extent(self, resource: Resource) -> str:
        """Return how long or large the resource is, whichever says most: its time, its pages, its size."""
        if resource.duration_seconds:
            return self.duration(resource.duration_seconds)
        if resource.pages:
            return self.pages(resource.pages)
        return self.size(resource.size_bytes) if resource.size_bytes else ""

"""What a search looks at in the library: entries read once, phrases confirmed in their text, words marked in them."""

from __future__ import annotations

from catalog.finder import Hit
from catalog.library import Entry, Reader
from catalog.search.highlight import highlight_hit
from catalog.search.language import fold_text
from catalog.search.query import SearchAnswer
from catalog.search.record import text_of

EXCERPT_CHARACTERS = 90


class LookedAt:
    """The entries that one search looks at, each read once."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._read: dict[int, Entry] = {}

    def entries(self, numbers: tuple[int, ...] | list[int]) -> list[Entry]:
        """Return the entries of `numbers` in that order; what the library does not have is left out."""
        missing = [number for number in numbers if number not in self._read]
        self._read.update((entry.number, entry) for entry in self._reader.by_numbers(missing))
        return [self._read[number] for number in numbers if number in self._read]

    def confirm(self, numbers: list[int], phrases: tuple[str, ...]) -> set[int]:
        """Return the numbers in whose text each of `phrases` stands in one piece."""
        true = set()
        for entry in self.entries(numbers):
            # Most have it in the title; the whole text is only put together for the others.
            title = fold_text(entry.resource.title)
            missing = [phrase for phrase in phrases if phrase not in title]
            text = text_of(entry.resource) if missing else ""
            if all(phrase in text for phrase in missing):
                true.add(entry.number)
        return true


def hit_of(entry: Entry, answer: SearchAnswer) -> Hit:
    """Return an entry as a page of results shows it, with the words of `answer` marked."""
    resource = entry.resource
    parts = [resource.description, " › ".join(resource.path), "、".join(resource.keywords)]
    parts += ["、".join(resource.knowledge), resource.author, *resource.raw.values()]
    title, excerpt = highlight_hit(
        resource.title, list(filter(None, parts)), answer.words, limit=EXCERPT_CHARACTERS
    )
    return Hit(entry=entry, title_html=title, excerpt_html=excerpt)

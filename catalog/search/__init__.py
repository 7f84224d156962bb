"""Search: the only folder that knows Whoosh, rjieba and pypinyin.

`index` writes, `query` answers; `language` is what both agree on. The library decides what is shown: an index holds
terms, facet codes and row numbers, never text.
"""

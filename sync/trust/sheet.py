"""The sheet that `hub init` gives to be printed: one self-contained page, Chinese first.

Invariant: every address, picture and style is in the page itself; it opens on an office PC without a network.
"""

from __future__ import annotations

import re
from datetime import datetime
from html import escape

from catalog.clock import CHINA

_STYLE = """
@page { size: A4; margin: 18mm }
body { font: 12pt/1.6 "Noto Serif CJK SC", "Source Han Serif SC", SimSun, serif; color: #222; max-width: 174mm; margin: 2em auto }
h1 { font-size: 22pt; font-weight: normal; margin: 0 } h1 small { font-size: 12pt; color: #666 }
h2 { font-size: 13pt; margin: 1.6em 0 .3em } p, li { margin: .2em 0 } .en { color: #555; font-size: 10pt }
.code { font: 13pt/1.7 "Noto Sans Mono", Consolas, "Courier New", monospace; letter-spacing: .04em }
.box { border: 1px solid #999; padding: .7em 1em } .qr { float: right; margin: 0 0 1em 1.5em; text-align: center }
.line { border-bottom: 1px solid #999; display: inline-block; min-width: 9em } ol { padding-left: 1.4em }
"""


_PASSPHRASE = re.compile(r'<p class="box code"><b>([^<]+)</b></p>')


def groups(fingerprint: str) -> str:
    """Return a fingerprint in groups of four, as people read it aloud."""
    return " ".join(fingerprint[start : start + 4] for start in range(0, len(fingerprint), 4))


def render_sheet(*, name: str, fingerprint: str, passphrase: str, now: datetime) -> str:
    """Return the sheet of the hub `name` as an HTML page; its QR code holds the fingerprint."""
    # Only for a hub that is made: commands that sign, or write a stick, start sooner without it.
    import segno

    # Capitals let the code use its alphanumeric mode, which is smaller and easier for an old camera.
    code = segno.make(fingerprint.upper(), error="m").svg_inline(scale=4, border=2)
    words = groups(fingerprint).split()
    lines = "<br>".join(escape(" ".join(words[start : start + 8])) for start in (0, 8))
    day = now.astimezone(CHINA)
    return f"""<!DOCTYPE html>
<html lang="zh-CN"><head><meta charset="utf-8"><title>书箱县中心 · {escape(name)}</title><style>{_STYLE}</style></head>
<body>
<div class="qr">{code}<br><span class="en">指纹 fingerprint</span></div>
<h1>{escape(name)}<br><small>书箱县中心凭证　Shuxiang hub sheet</small></h1>
<p>建立日期：{day.year} 年 {day.month} 月 {day.day} 日 <span class="en">created {day:%Y-%m-%d}</span></p>

<h2>一、信任指纹 <span class="en">Trust fingerprint</span></h2>
<p>可以公开。新书箱初次设置时核对它：一致，才是本县的书箱。</p>
<p class="en">Public. Compare it when a new box is set up: only if it matches does the box follow this hub.</p>
<p class="box code">{lines}</p>

<h2>二、恢复口令 <span class="en">Recovery passphrase</span></h2>
<p><b>保密，只印在这张纸上。</b>县中心的电脑坏了或丢了，凭它和恢复文件重建；没有它，谁也打不开恢复文件。</p>
<p class="en">Secret; it stands on this sheet only. Together with the recovery file it rebuilds a lost hub.</p>
<p class="box code"><b>{escape(passphrase)}</b></p>

<h2>三、请现在就做 <span class="en">Do this now</span></h2>
<ol>
<li>打印本页两份，装入信封，由两位负责人分别锁好。
<br><span class="en">Print this page twice, seal each copy, let two people lock them away.</span></li>
<li>把恢复文件 recovery.json 拷到两只 U 盘，与这张纸分开存放。
<br><span class="en">Copy recovery.json to two USB sticks; keep them apart from this sheet.</span></li>
<li>核对无误后，在县中心网页的“恢复单”一页按“核对，并从主机上删除”；不用网页的，删除 recovery 文件夹里的这一页和 recovery.json。
<br><span class="en">Then have both deleted by the hub's page “Recovery sheet”, or delete this page and recovery.json from its recovery folder.</span></li>
</ol>

<p style="margin-top:2.5em">保管人 <span class="line">&nbsp;</span>　保管人 <span class="line">&nbsp;</span>　日期 <span class="line">&nbsp;</span></p>
</body></html>
"""


def passphrase_on(sheet: str) -> str:
    """Return the passphrase that stands on a sheet of `render_sheet`; "" where none does."""
    found = _PASSPHRASE.search(sheet)
    return found[1] if found else ""

"""What a kill costs: bytes sent again after `kill -9` of `box sync` at random moments, on each road.

Run: `python tests/bench/bench_cuts.py [--kills 8] [--megabytes 40] [--roads http rsync]`. A box behind 16 Mbit/s is killed
so often, with every program it started, while it fetches three large files and a hundred small ones; then it finishes. `again` is what the
hub sent beyond what one undisturbed run of the same content takes, per kill. Beside it, in the same run: `rsync -a`
with `--partial` into a folder, killed as often. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from command import command, environment
from netlab import HUB_PORT, Lab, Node, Speeds, Towns, one_lan, why_not
from poor_lines import RSYNC_PORT, CountyHub, plain_rsync, rsync_words, write_content

MBIT = 1_000_000
SPEEDS = Speeds(hub_up=16 * MBIT, hub_down=16 * MBIT, town_down=16 * MBIT, town_up=16 * MBIT, delay_ms=5)
SMALL, LARGE = 100, 3
SETTLE_SECONDS = 1.0


def run_with_kills(
    towns: Towns, node: Node, words: Sequence[object], total_bytes: int, moments: Sequence[float]
) -> tuple[int, int]:
    """Run `words` to its end, killed each time when so much of the content has gone; return bytes sent, and kills."""
    before, kills = towns.hub_sent_bytes(), 0
    waiting = list(moments)
    while True:
        process = subprocess.Popen(
            node.command(words), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True, env=environment(),
        )  # fmt: skip
        try:
            while process.poll() is None:
                if waiting and towns.hub_sent_bytes() - before > waiting[0] * total_bytes:
                    waiting.pop(0)
                    os.killpg(process.pid, signal.SIGKILL)
                    kills += 1
                    break
                time.sleep(0.02)
            status = process.wait()
        finally:
            process.kill()
            process.wait()
        # What was on its way still arrives at the line.
        time.sleep(SETTLE_SECONDS)
        if status == 0:
            return towns.hub_sent_bytes() - before, kills
        if status != -signal.SIGKILL:
            raise SystemExit(f"{words}: {status}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--megabytes", type=float, default=40)
    parser.add_argument("--roads", nargs="+", default=["http", "rsync"])
    options = parser.parse_args()
    if reason := why_not():
        sys.exit(reason)
    chance = random.Random(5)
    moments = sorted(chance.uniform(0.05, 0.95) for _ in range(options.kills))
    total_bytes = int(options.megabytes * 1e6)
    found: dict[str, Any] = {"megabytes": options.megabytes}
    with tempfile.TemporaryDirectory() as name, Lab() as lab:
        work = Path(name)
        content = write_content(work / "content", total_bytes=total_bytes, files=SMALL + LARGE, large=LARGE)
        towns = one_lan(lab, boxes=1, speeds=SPEEDS)
        node, hub = towns.boxes[0], CountyHub(work / "hub", towns.hub_host)
        hub.publish({Path(one).stem: [content.folder / one] for one in content.names})

        def way(label: str, words_for: Any) -> None:
            undisturbed, _ = run_with_kills(towns, node, words_for(work / "calm"), total_bytes, ())
            sent, kills = run_with_kills(towns, node, words_for(work / "killed"), total_bytes, moments)
            found[label] = {
                "kills": kills,
                "undisturbed_bytes": undisturbed,
                "again_bytes_per_kill": round((sent - undisturbed) / max(1, kills)),
            }
            for place in ("calm", "killed"):
                shutil.rmtree(work / place)

        addresses = {
            "http": f"http://{towns.hub_host}:{HUB_PORT}/",
            "rsync": f"rsync://{towns.hub_host}:{RSYNC_PORT}/tree/",
        }
        with hub.running(towns.hub):
            for road in options.roads:
                way(
                    f"ours, {road}",
                    lambda state, road=road: command(hub.new_box(state, addresses[road]), "box", "sync"),
                )
        with plain_rsync(towns.hub, content.folder, work / "rsyncd"):
            way("rsync -a --partial", lambda target: rsync_words(towns.hub_host, target, "--partial"))
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()

"""`image write`, `image writer` and `image check`: cards and disks for machines to be, and what a finished image promises."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from appliance.cli.bar import Bar, size_text, time_text
from appliance.cli.options import Call, leaf
from appliance.cli.preseed import check_preseed, sound_request
from catalog.clock import system_clock
from catalog.errors import ConfigError, ContentError, UsageError
from catalog.progress import OnProgress, Progress

if TYPE_CHECKING:
    from images.devices import Device
    from images.write import Target, Written


@click.command()
@click.argument("image", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.argument("targets", type=click.Path(path_type=Path, readable=False), nargs=-1)
@click.option(
    "--list", "only_list", is_flag=True, help="Show the cards and disks that may be written, and end."
)
@click.option("--yes-disk", is_flag=True, help="Also write a disk that is built in; never the system's.")
@click.option(
    "--preseed",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A shuxiang.toml to put on the card.",
)
@click.option(
    "--record", type=click.Path(path_type=Path), help="The table of cards; else cards.csv beside IMAGE."
)
@leaf
def write(
    call: Call,
    image: Path | None,
    targets: tuple[Path, ...],
    only_list: bool,
    yes_disk: bool,
    preseed: Path | None,
    record: Path | None,
) -> None:
    """Write IMAGE (.img, .img.xz, .img.zst) to cards, disks or files, several at once, and read them back.

    A device loses all it holds; one that is mounted, too small, built in or the system's is refused before anything is
    written. A file that is not there is made; one that is there is written like a card of its size.
    """
    from images import records
    from images.image_file import describe
    from images.write import refuse_device, write_image

    if only_list:
        list_devices(call)
        return
    if image is None or not targets:
        raise UsageError("E-USAGE", found="IMAGE TARGET…")
    if not image.is_file():
        raise ConfigError("E-IMAGE-NONE", where=image)
    description = describe(image)
    request = sound_request(call, preseed) if preseed else None
    chosen = [target_at(path, request) for path in dict.fromkeys(targets)]
    for target in chosen:
        if target.device is not None:
            refuse_device(target.device, description.size_bytes, fixed_too=yes_disk)
    with image.open("rb") as file, together(call, "card", len(chosen)) as progress:
        try:
            results = write_image(
                file, image.name, description, chosen, progress, system_clock
            )  # fmt: skip
        except KeyboardInterrupt:
            for target in chosen:
                target.stop.set()
            raise
    records.keep(record or image.with_name(records.RECORD_NAME), [records.line_of(one) for one in results])
    call.answer([written_json(call, one) for one in results], "\n".join(_text(call, one) for one in results))
    call.end(next((one.refusal for one in results if one.refusal is not None), None))


def target_at(path: Path, preseed: bytes | None = None) -> Target:
    """Return the device or file at `path` as something to write; raise `ConfigError` E-CARD-NONE, E-CARD-PART."""
    from images.devices import device_at, is_block_device
    from images.write import Target

    school = "" if preseed is None else path.name
    if is_block_device(path):
        device = device_at(path)
        return Target(path=device.path, device=device, preseed=preseed, school=school)
    if str(path).startswith("/dev/"):
        # A mistyped name must not become a file in memory.
        raise ConfigError("E-CARD-NONE", where=path)
    return Target(path=path, preseed=preseed, school=school)


def list_devices(call: Call) -> None:
    """Answer with the cards and disks that may be written."""
    from images.devices import devices

    found = [device for device in devices() if device.size_bytes and not device.is_system]
    call.answer(
        [
            {
                "path": str(one.path),
                "model": one.model,
                "serial": one.serial,
                "bus": one.bus,
                "size_bytes": one.size_bytes,
                "removable": one.is_removable,
                "read_only": one.is_read_only,
                "mounted": list(one.mounted),
            }
            for one in found
        ],
        "\n".join(_line(call, one) for one in found) or call.words("没有卡，也没有别的盘。", "No card and no other disk."),
    )  # fmt: skip


def _line(call: Call, device: Device) -> str:
    words = [str(device.path), size_text(device.size_bytes), device.bus, device.model, device.serial]
    if device.mounted:
        words.append(call.words("已挂载：", "mounted: ") + " ".join(device.mounted))
    elif not device.is_removable:
        words.append(call.words("装在机器里，要 --yes-disk", "built in: needs --yes-disk"))
    return "  ".join(filter(None, words))


@contextmanager
def together(call: Call, what: str, count: int) -> Iterator[Any]:
    """Give what takes the progress of every `card` or `disk` and draws one bar for all: the slowest tells how long."""
    draw: OnProgress = call.progress()
    lock, standing = threading.Lock(), dict[int, Progress]()

    def tell(number: int, progress: Progress) -> None:
        with lock:
            standing[number] = progress
            last = min(standing.values(), key=lambda one: (one.phase != "write", one.share or 0.0))
            draw(
                Progress(
                    phase=f"{what}-{last.phase}",
                    done=sum(one.phase != "write" and one.share == 1.0 for one in standing.values()),
                    total=count,
                    done_bytes=last.done_bytes,
                    total_bytes=last.total_bytes,
                    bytes_per_second=last.bytes_per_second,
                    seconds_left=last.seconds_left,
                )
            )

    try:
        yield tell
    finally:
        if isinstance(draw, Bar):
            draw.close()


def written_json(call: Call, written: Written) -> dict[str, Any]:
    """Return what `--json` prints of a card or disk that was written."""
    refusal = written.refusal
    return {
        "target": str(written.target.path),
        "serial": written.target.device.serial if written.target.device else "",
        "done": refusal is None,
        "size_bytes": written.image.size_bytes,
        "written_bytes": written.written_bytes,
        "sha256": written.image.sha256,
        "seconds": round(written.seconds, 1),
        "code": refusal.code if refusal else None,
        "message": refusal.line(call.language) if refusal else None,
    }


def _text(call: Call, written: Written) -> str:
    place = written.target.path
    if written.refusal is not None:
        return f"{place}  {written.refusal.line(call.language)}"
    size, time = size_text(written.image.size_bytes), time_text(written.seconds)
    return call.words(
        f"{place}  写好并核对过：{size}，用时 {time}。可以拔出。",
        f"{place}  written and read back: {size} in {time}. It may be taken out.",
    )


@click.command()
@click.argument("image", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option(
    "--preseed",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A shuxiang.toml, with 1.root.json beside it where it names no fingerprint.",
)
@leaf
def check(call: Call, image: Path | None, preseed: Path | None) -> None:
    """Prove what a finished IMAGE promises, without mounting it; or check a shuxiang.toml as a machine will."""
    if (image is None) == (preseed is None):
        raise UsageError("E-USAGE", expected=call.words("IMAGE 或 --preseed FILE", "IMAGE or --preseed FILE"))
    if preseed is not None:
        check_preseed(call, preseed)
    elif image is not None:
        _prove(call, image)


def _prove(call: Call, image: Path) -> None:
    from images.check import check_image

    if not image.is_file():
        raise ConfigError("E-IMAGE-NONE", where=image)
    promises = check_image(image)
    broken = sum(not one.holds for one in promises)
    call.answer(
        [
            {"name": one.name, "title": one.zh if call.chinese else one.en, "holds": one.holds, "found": one.found}
            for one in promises
        ],
        "\n".join(
            f"{'✓' if one.holds else '✗'} {one.zh if call.chinese else one.en}{'：' if call.chinese else ': '}{one.found}"
            for one in promises
        ),
    )  # fmt: skip
    call.end(ContentError("E-IMAGE-PROMISE", where=image.name, found=broken) if broken else None)


@click.command()
@click.option(
    "--socket", "path", type=click.Path(path_type=Path), help="Socket to make, where systemd gives none."
)
@leaf
def writer(call: Call, path: Path | None) -> None:
    """The privileged half of the hub's page for cards: systemd starts it when the page asks, and it ends by itself.

    It believes nothing but names: it finds out itself which cards may be written.
    """
    from appliance.cards.wire import SOCKET
    from appliance.cards.writer import Writer, listening_socket

    with listening_socket(path or SOCKET) as listening:
        serving = Writer(system_clock)
        try:
            serving.serve(listening)
        finally:
            serving.close()

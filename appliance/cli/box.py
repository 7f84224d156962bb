"""`shuxiang box …`: everything a box can be asked to do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from appliance import state
from appliance.box import ALL, Box, NewBox
from appliance.cli.bar import Bar, size_text
from appliance.cli.export import export_box
from appliance.cli.options import Call, leaf
from appliance.cli.policy import pause, policy, resume
from appliance.cli.seed import seed_box
from catalog.clock import system_clock
from catalog.durable import storage
from catalog.errors import ContentError
from webui.accounts import ACCOUNTS

if TYPE_CHECKING:
    from sync.updating.update import UpdateResult


@click.group()
def box() -> None:
    """The box in a school."""


for command in (seed_box, pause, resume, policy, export_box):
    box.add_command(command)


@box.command()
@click.option("--hub", required=True, help="Address of the hub's tree: http://…, rsync://… or a directory.")
@click.option(
    "--root", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="The hub's 1.root.json."
)
@click.option("--fingerprint", help="SHA-256 of the hub's 1.root.json, from its sheet.")
@click.option("--name", help="Name of the box.")
@click.option("--subscribe", help="all, none, or bundle ids with commas.")
@leaf
def init(
    call: Call, hub: str, root: Path | None, fingerprint: str | None, name: str | None, subscribe: str | None
) -> None:
    """Make a new box that trusts one hub, and show the first passwords of its `/admin` page."""

    if root is None and fingerprint is None:
        raise click.UsageError("--root FILE or --fingerprint HEX is needed")
    data = storage(root.read_bytes, root) if root else None
    chosen = (
        None
        if subscribe is None
        else ()
        if subscribe == "none"
        else tuple(filter(None, subscribe.split(",")))
    )
    new = NewBox(hub=hub, name=name, root=data, fingerprint=fingerprint, subscriptions=chosen)
    with Box.create(call.state, new) as made:
        passwords = made.first_passwords()
        value: dict[str, Any] = {
            "id": made.id,
            "name": made.config.name,
            "hub": hub,
            "fingerprint": made.config.fingerprint,
            "passwords": passwords,
        }
        logins = "  ".join(f"{account} {password}" for account, password in passwords.items())
        call.answer(
            value,
            call.words(
                f"书箱“{made.config.name}”已建好，编号 {made.id}。\n"
                f"管理页 /admin 的登录（只显示这一次）：{logins}\n下一步：shuxiang box sync",
                f"Box “{made.config.name}” is ready, id {made.id}.\n"
                f"Logins for /admin (shown this once): {logins}\nNext: shuxiang box sync",
            ),
        )


@box.command()
@click.argument("account", type=click.Choice(ACCOUNTS))
@leaf
def password(call: Call, account: str) -> None:
    """Give an account of the box a new password and show it once."""
    with Box.open(call.state) as opened:
        made = opened.new_password(account)
        call.answer({"account": account, "password": made}, f"{account}  {made}")


@box.command()
@click.option("--from", "source", help="Sync from this address or directory only.")
@click.option("--dry-run", is_flag=True, help="Print what would be fetched, why, and how much.")
@click.option(
    "--governed",
    is_flag=True,
    help="Take the rate from standard input: bytes a second per line, 0 for no limit; its end stops the sync.",
)
@leaf
def sync(call: Call, source: str | None, dry_run: bool, governed: bool) -> None:
    """Get what changed. Safe to kill at any moment; the next run goes on where this one stopped."""
    from appliance.syncing import MOST_WARNINGS, result_json, run_dry, run_governed, run_sync

    with Box.open(call.state) as opened:
        if dry_run:
            found = run_dry(opened, source)
            call.answer(found.to_json(), found.text(call.language))
            return
        progress = call.progress()
        try:
            result = (run_governed if governed else run_sync)(opened, source, progress)
        finally:
            if isinstance(progress, Bar):
                progress.close()
        call.answer(result_json(result), _sync_text(call, result))
        for warning in result.warnings[:MOST_WARNINGS]:
            call.say(warning.line("zh-CN"), warning.line("en"))
        call.end(result.failure)


def _sync_text(call: Call, result: UpdateResult) -> str:
    saved = result.saved
    parts = [
        call.words(
            f"已更新到第 {result.release} 次发布：取 {result.fetched_blobs} 个数据块，{size_text(result.fetched_bytes)}，"
            f"用时 {result.seconds:.1f} 秒。",
            f"At release {result.release}: {result.fetched_blobs} blobs, {size_text(result.fetched_bytes)}, "
            f"{result.seconds:.1f} s.",
        )
    ]
    if saved.get("patch"):
        parts.append(
            call.words(
                f"补丁省下 {size_text(saved['patch'])}。", f"Patches spared {size_text(saved['patch'])}."
            )
        )
    if saved.get("lan"):
        parts.append(
            call.words(f"邻居给了 {size_text(saved['lan'])}。", f"Neighbours gave {size_text(saved['lan'])}.")
        )
    return " ".join(parts)


@box.command()
@leaf
def status(call: Call) -> None:
    """Say what is here."""
    with Box.open(call.state) as opened:
        value = opened.status()
        call.answer(value, _status_text(call, value))


def _status_text(call: Call, value: dict[str, Any]) -> str:
    disk = value["disk"]
    last = value["last_sync"]
    lines = [
        f"{value['name']}  {value['id']}",
        call.words(
            f"目录：第 {value['release']} 次发布，{value['resources']} 个资源，其中 {value['cached']} 个内容齐全",
            f"catalogue: release {value['release']}, {value['resources']} resources, {value['cached']} wholly here",
        ),
        call.words(
            f"内容：第 {value['content_release']} 次发布", f"content: release {value['content_release']}"
        ),
        call.words(
            f"磁盘：剩 {size_text(disk['free_bytes'])}，共 {size_text(disk['total_bytes'])}",
            f"disk: {size_text(disk['free_bytes'])} free of {size_text(disk['total_bytes'])}",
        ),
    ]
    if last:
        lines.append(
            call.words("上次同步：", "last sync: ") + f"{last['at']} {last['result']} {last['code']}".rstrip()
        )
    if damaged := value["damaged"]:
        lines.append(
            call.words(
                f"损坏的数据块：{damaged} 个（box verify --repair）",
                f"damaged blobs: {damaged} (box verify --repair)",
            )
        )
    return "\n".join(lines)


@box.command()
@click.option(
    "--repair", is_flag=True, help="Mend what is damaged: only the bad pieces of big files are fetched."
)
@click.option(
    "--continue",
    "go_on",
    is_flag=True,
    help="Go on with this month's round in the background; what was read this month is not read again.",
)
@click.option(
    "--rate",
    type=click.IntRange(1),
    help="Read at most so many bytes a second; --continue alone reads as fast as the month asks.",
)
@leaf
def verify(call: Call, repair: bool, go_on: bool, rate: int | None) -> None:
    """Re-read every blob and compare its hash."""
    from appliance.verifying import run_patrol, run_verify, verify_json

    with Box.open(call.state) as opened:
        run = run_patrol if go_on else run_verify
        result = run(opened, repair, rate, call.progress())
        call.answer(
            verify_json(result),
            call.words(
                f"已校验 {result.checked} 个数据块，损坏 {result.damaged}，修复 {result.repaired}。",
                f"{result.checked} blobs checked, {result.damaged} damaged, {result.repaired} repaired.",
            ),
        )
        call.end(result.damage())


@box.command()
@leaf
def reindex(call: Call) -> None:
    """Build the search index anew from the library."""
    from appliance.syncing import run_reindex

    with Box.open(call.state) as opened:
        count = run_reindex(opened, call.progress())
        call.answer(
            {"resources": count}, call.words(f"已为 {count} 个资源建索引。", f"{count} resources indexed.")
        )


@box.command()
@click.argument("words", nargs=-1, required=True)
@leaf
def search(call: Call, words: tuple[str, ...]) -> None:
    """Search the catalogue."""
    from catalog.finder import Finder
    from webui.answers import search_answer

    with Box.open(call.state) as opened:
        finder = Finder(opened.library, opened.index)
        found = finder.search(" ".join(words))
        value = search_answer(found)
        lines = [f"{hit['title']}  {hit['id']}" for hit in value["hits"]]
        call.answer(value, "\n".join([call.words(f"共 {found.total} 个", f"{found.total} found"), *lines]))


@box.command()
@click.argument("bundles", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All bundles.")
@leaf
def subscribe(call: Call, bundles: tuple[str, ...], everything: bool) -> None:
    """Keep the content of these bundles as well."""
    if everything == bool(bundles):
        raise click.UsageError("bundle ids or --all")
    with Box.open(call.state) as opened, state.locked(call.state, "subscribe"):
        chosen = opened.subscribe(None if everything or bundles == (ALL,) else bundles)
        value = ALL if chosen is None else sorted(chosen)
        call.answer({"subscriptions": value}, call.words(f"已订阅：{value}", f"subscribed: {value}"))


@box.command()
@click.argument("resource_ids", nargs=-1, required=True)
@leaf
def request(call: Call, resource_ids: tuple[str, ...]) -> None:
    """Ask for resources outside the subscription; they come with the next sync."""
    with Box.open(call.state) as opened:
        with opened.library.reading() as reader:
            known = reader.numbers_of(resource_ids)
        for resource_id in resource_ids:
            if resource_id not in known:
                raise ContentError("E-RESOURCE", where=resource_id)
            opened.local.add_request(resource_id, system_clock())
        call.answer(
            {"requested": list(resource_ids)},
            call.words(f"已申请 {len(resource_ids)} 个资源。", f"{len(resource_ids)} resources requested."),
        )


@box.command()
@click.option("--port", type=int, help="Port of the pages.")
@click.option("--package-port", type=int, help="Port of interactive packages (else port + 1 or a free one).")
@click.option("--host", default="", help="Address to listen on; all by default.")
@leaf
def serve(call: Call, port: int | None, package_port: int | None, host: str) -> None:
    """Serve the pages, nothing else."""
    from appliance.service import serve_box

    with Box.open(call.state) as opened:
        serve_box(opened, call.answer, port=port, package_port=package_port, host=host, service=False)


@box.command()
@click.option("--port", type=int, help="Port of the pages.")
@click.option("--package-port", type=int, help="Port of interactive packages (else port + 1 or a free one).")
@click.option("--host", default="", help="Address to listen on; all by default.")
@leaf
def run(call: Call, port: int | None, package_port: int | None, host: str) -> None:
    """The service: pages, sync by itself, discovery."""
    from appliance.service import serve_box

    with Box.open(call.state) as opened:
        serve_box(opened, call.answer, port=port, package_port=package_port, host=host, service=True)

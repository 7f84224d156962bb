"""`shuxiang hub …`: what county staff and technicians ask of a hub at a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from appliance.cli.assign import assign
from appliance.cli.bar import Bar, size_text
from appliance.cli.export import export_hub
from appliance.cli.options import Call, leaf
from appliance.cli.preseed import preseed_schools
from appliance.cli.seed import seed_hub
from appliance.hub import MAIN, Hub
from catalog.curriculum import LICENCES
from webui.hub.accounts import FIRST_USER

if TYPE_CHECKING:
    from catalog.ingest.findings import Finding
    from catalog.ingest.session import IngestResult, Scan


@click.group()
def hub() -> None:
    """The hub in a county office."""


hub.add_command(seed_hub)
hub.add_command(assign)
hub.add_command(preseed_schools)
hub.add_command(export_hub)


@hub.command()
@click.option("--name", required=True, help="Name of the county or office.")
@leaf
def init(call: Call, name: str) -> None:
    """Make a new hub: its keys, its trust root, its recovery file and the sheet to print."""
    made, new = Hub.create(call.state, name)
    with made:
        identity = new.identity
        value = {
            "id": made.id,
            "name": name,
            "fingerprint": identity.fingerprint,
            "root": str(identity.root_path),
            "recovery": str(identity.recovery_path),
            "sheet": str(identity.sheet_path),
            "passphrase": identity.passphrase,
            "user": new.user,
            "password": new.password,
        }
        call.answer(
            value,
            call.words(
                f"县中心“{name}”已建好。\n"
                f"信任根指纹：{identity.fingerprint}\n"
                f"页面登录：用户 {new.user}，密码 {new.password}（只显示这一次）\n"
                f"请打印 {identity.sheet_path}，把 {identity.recovery_path} 存到别处（U 盘），然后从本机删除。",
                f"Hub “{name}” is ready.\n"
                f"fingerprint of the trust root: {identity.fingerprint}\n"
                f"login for the pages: user {new.user}, password {new.password} (shown this once)\n"
                f"Print {identity.sheet_path}; move {identity.recovery_path} to a stick and delete it here.",
            ),
        )


@hub.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--sheet", type=click.Path(path_type=Path), help="The list: .xlsx, .xls, .csv or .jsonl.")
@click.option("--bundle", default=MAIN, show_default=True, help="Bundle that the resources go to.")
@click.option("--licence", type=click.Choice(LICENCES), help="Licence of rows that name none.")
@click.option("--dry-run", is_flag=True, help="Only say what would happen and what is wrong.")
@click.option("--rejected", type=click.Path(path_type=Path), help="Write the rejected rows to this .xlsx.")
@leaf
def ingest(
    call: Call,
    source: Path,
    sheet: Path | None,
    bundle: str,
    licence: str | None,
    dry_run: bool,
    rejected: Path | None,
) -> None:
    """Take content from a folder with a list, a folder alone, an archive, or a .jsonl file."""
    from catalog.ingest.rejected import write_rejected
    from catalog.ingest.session import Scan

    progress = call.progress()
    with Hub.open(call.state) as opened:
        try:
            with opened.ingesting(
                source, bundle=bundle, sheet=sheet, licence=licence, progress=progress, dry_run=dry_run
            ) as session:
                done: Scan | IngestResult = session.scan() if dry_run else session.run()
        finally:
            if isinstance(progress, Bar):
                progress.close()
    findings = done.findings if isinstance(done, Scan) else (*done.rejected, *done.warnings)
    for finding in findings:
        click.echo(_finding_text(call, finding), err=True)
    if rejected is not None and done.rejected_rows:
        write_rejected(done.rejected_rows, rejected, language=call.language)
    if isinstance(done, Scan):
        _answer_scan(call, done)
    else:
        _answer_result(call, done)
    if done.exit_code:
        click.get_current_context().exit(done.exit_code)


def _finding_text(call: Call, finding: Finding) -> str:
    place = f"{finding.sheet} " if finding.sheet else ""
    if finding.row:
        place += call.words(f"第 {finding.row} 行 ", f"row {finding.row} ")
    return place + finding.line(call.language)


def _finding_json(call: Call, finding: Finding) -> dict[str, Any]:
    return {
        "sheet": finding.sheet,
        "row": finding.row,
        "code": finding.code,
        "message": finding.line(call.language),
    }


def _answer_result(call: Call, done: IngestResult) -> None:
    call.answer(
        {
            "rows": done.rows,
            "added": done.added,
            "changed": done.changed,
            "unchanged": done.unchanged,
            "rejected": [_finding_json(call, finding) for finding in done.rejected],
            "warnings": [_finding_json(call, finding) for finding in done.warnings],
        },
        call.words(
            f"共 {done.rows} 行：新增 {done.added}，更新 {done.changed}，未变 {done.unchanged}，"
            f"退回 {len(done.rejected_rows)}。",
            f"{done.rows} rows: {done.added} added, {done.changed} changed, {done.unchanged} unchanged, "
            f"{len(done.rejected_rows)} rejected.",
        ),
    )


def _answer_scan(call: Call, done: Scan) -> None:
    known = done.resources - done.new
    for folder in done.folders:
        read_as = "  ".join(f"{name}={value}" for name, value in folder.values)
        call.say(
            f"{folder.folder} → {read_as}（{folder.files} 个文件）",
            f"{folder.folder} → {read_as} ({folder.files} files)",
        )
    call.answer(
        {
            "rows": done.rows,
            "added": done.new,
            "known": known,
            "files": done.files,
            "bytes": done.total_bytes,
            "rejected": [_finding_json(call, finding) for finding in done.errors],
            "warnings": [_finding_json(call, found) for found in done.findings if found not in done.errors],
        },
        call.words(
            f"试运行：共 {done.rows} 行，可收 {done.resources}（其中新的 {done.new}），退回 {len(done.rejected_rows)}，"
            f"文件 {done.files} 个，{size_text(done.total_bytes)}。没有写入任何内容。",
            f"Dry run: {done.rows} rows, {done.resources} would be taken ({done.new} new), "
            f"{len(done.rejected_rows)} rejected, {done.files} files, {size_text(done.total_bytes)}. Nothing written.",
        ),
    )


@hub.group()
def bundle() -> None:
    """Named lists of resources."""


@bundle.command(name="list")
@leaf
def list_bundles(call: Call) -> None:
    """List the bundles."""
    with Hub.open(call.state) as opened, opened.library.reading() as reader:
        bundles = reader.bundles()
        value = [
            {"id": found.id, "title": found.title, "version": found.version, "resources": found.resources}
            for found in bundles
        ]
        call.answer(value, "\n".join(f"{found.id}  {found.title}  {found.resources}" for found in bundles))


@bundle.command()
@click.argument("bundle_id")
@click.option("--title", help="Title in Chinese.")
@leaf
def create(call: Call, bundle_id: str, title: str | None) -> None:
    """Make an empty bundle."""
    with Hub.open(call.state) as opened:
        opened.create_bundle(bundle_id, title or bundle_id)
        call.answer(
            {"id": bundle_id}, call.words(f"已建资源包 {bundle_id}。", f"bundle {bundle_id} is there.")
        )


@bundle.command()
@click.argument("bundle_id")
@click.argument("resource_ids", nargs=-1, required=True)
@leaf
def add(call: Call, bundle_id: str, resource_ids: tuple[str, ...]) -> None:
    """List resources in a bundle."""
    with Hub.open(call.state) as opened:
        count = opened.change_members(bundle_id, resource_ids, add=True)
        call.answer(
            {"id": bundle_id, "added": count},
            call.words(f"加入 {count} 个资源。", f"{count} resources added."),
        )


@bundle.command()
@click.argument("bundle_id")
@click.argument("resource_ids", nargs=-1, required=True)
@leaf
def remove(call: Call, bundle_id: str, resource_ids: tuple[str, ...]) -> None:
    """Take resources off a bundle; their records stay."""
    with Hub.open(call.state) as opened:
        count = opened.change_members(bundle_id, resource_ids, add=False)
        call.answer(
            {"id": bundle_id, "removed": count},
            call.words(f"移出 {count} 个资源。", f"{count} resources removed."),
        )


@hub.command()
@click.option("--user", default=FIRST_USER, show_default=True, help="Whose password.")
@leaf
def password(call: Call, user: str) -> None:
    """Give a user of the staff pages a new password and show it once."""
    with Hub.open(call.state) as opened:
        made = opened.new_password(user)
        call.answer({"user": user, "password": made}, f"{user}  {made}")


@hub.command()
@leaf
def publish(call: Call) -> None:
    """Sign a new release and put it into STATE/public; where nothing changed, say so."""
    progress = call.progress()
    with Hub.open(call.state) as opened:
        try:
            result = opened.publish(progress)
        finally:
            if isinstance(progress, Bar):
                progress.close()
        call.answer(
            {
                "release": result.release,
                "bundles": result.bundles,
                "added": result.added,
                "changed": result.changed,
                "recalled": result.recalled,
                "bytes_new": result.bytes_new,
                "published": result.published,
            },
            call.words(
                f"第 {result.release} 次发布：新增 {result.added}，更新 {result.changed}，下架 {result.recalled}，"
                f"新内容 {size_text(result.bytes_new)}。"
                if result.published
                else f"没有变化，仍是第 {result.release} 次发布。",
                f"Release {result.release}: {result.added} added, {result.changed} changed, "
                f"{result.recalled} recalled, {size_text(result.bytes_new)} new."
                if result.published
                else f"Nothing changed: still release {result.release}.",
            ),
        )


@hub.command()
@click.option("--port", type=int, help="Port of console and tree.")
@click.option("--host", default="", help="Address to listen on; all by default.")
@leaf
def serve(call: Call, port: int | None, host: str) -> None:
    """Serve the console and the tree over HTTP."""
    from appliance.hub_service import serve_hub

    with Hub.open(call.state) as opened:
        serve_hub(opened, call.answer, port=port, host=host, rsync_port=None)


@hub.command()
@click.option("--port", type=int, help="Port of console and tree.")
@click.option("--rsync-port", type=int, help="Port of the rsync daemon.")
@click.option("--torrent-port", type=int, help="Port for BitTorrent.")
@click.option("--host", default="", help="Address to listen on; all by default.")
@leaf
def run(call: Call, port: int | None, rsync_port: int | None, torrent_port: int | None, host: str) -> None:
    """The service: console and tree over HTTP, the rsync daemon, and BitTorrent."""
    from appliance.hub_service import serve_hub

    with Hub.open(call.state) as opened:
        serve_hub(
            opened,
            call.answer,
            port=port,
            host=host,
            rsync_port=opened.config.rsync_port if rsync_port is None else rsync_port,
            torrent_port=opened.config.torrent_port if torrent_port is None else torrent_port,
        )

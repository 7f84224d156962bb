"""What is said where images of cards and disks are built."""

from __future__ import annotations

from catalog.message import Message

IMAGES: dict[str, Message] = {
    "E-RECIPE": Message(
        3,
        "镜像配方有误",
        "the recipe of the image is wrong",
        "改正所列各项",
        "correct the keys that are named",
    ),
    "E-ROOT-ONLY": Message(
        3, "需要 root 权限", "this needs root", "用 sudo 或 root 运行", "run it as root (sudo)"
    ),
    "E-APT": Message(
        3,
        "本机没有 Debian 的软件源",
        "this machine has no source of Debian packages",
        "在 /etc/apt 里配置 Debian 软件源",
        "configure a source of Debian in /etc/apt",
    ),
}

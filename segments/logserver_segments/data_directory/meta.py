"""Whose data directory it is: the lock, `meta.properties`, and refusing what is not ours."""

import base64
from typing import Final, NamedTuple

from logserver_segments.errors import DirectoryInUse, ForeignDirectory
from logserver_segments.seams import Disk, Lock, Random

META: Final = "meta.properties"
LOCK: Final = ".lock"
FORMAT: Final = 1


class Meta(NamedTuple):
    """Whose data directory it is."""

    cluster_id: str
    node_id: int
    directory_id: str


def random_id(random: Random) -> str:
    """Returns 16 random bytes as Kafka prints ids: URL-safe base64 without padding, never beginning with `-`."""
    while True:
        text = base64.urlsafe_b64encode(random.randbytes(16)).decode("ascii").rstrip("=")
        if not text.startswith("-"):
            return text


def claim(path: str, disk: Disk) -> Lock:
    """Locks a directory for this process, making it if it is not there.

    Raises:
        DirectoryInUse: another process has it open.
        ForeignDirectory: it holds something else than this server's data; nothing was written there.
        OSError: the disk refused.
    """
    if disk.exists(path):
        _refuse_foreign(path, disk)
    disk.make_directory(path)
    try:
        return disk.lock(f"{path}/{LOCK}")
    except BlockingIOError:
        raise DirectoryInUse(
            f"the data directory {path} is in use by another server; stop that one or name another directory"
        ) from None


def _refuse_foreign(path: str, disk: Disk) -> None:
    """Before anything is written there: is the directory ours, or empty?"""
    own = {LOCK, "lost+found", META + ".tmp"}
    names = {entry.name for entry in disk.list(path)} - own
    if META in names:
        properties = parse_properties(disk.read_file(f"{path}/{META}"))
        found = properties.get("logserver.format")
        if found is None:
            raise ForeignDirectory(
                f"{path} is the data directory of an Apache Kafka broker (its {META} has no logserver.format), and is "
                f"left as it is; name another directory, or bring its topics and groups into a new one with "
                f"`logserver import-kafka {path} NEW_DIRECTORY`"
            )
        if found != str(FORMAT):
            raise ForeignDirectory(
                f"{path} has format {found} of this server's data, this version knows format {FORMAT}; "
                f"use a version that knows it"
            )
    elif names:
        raise ForeignDirectory(
            f"{path} is not empty and has no {META}, so it is not a data directory of this server "
            f"(it holds {min(names)!r}); name an empty or a new directory"
        )


def load_meta(directory: str, node_id: int, disk: Disk, random: Random, cluster_id: str | None = None) -> Meta:
    """Returns whose data directory it is; a new one becomes that of `node_id`.

    Args:
        cluster_id: that it must have, and that a new one gets; None: any, and a new one gets one of its own.

    Raises:
        ForeignDirectory: the file is damaged, or names another node or cluster.
        OSError: the disk refused.
    """
    path = f"{directory}/{META}"
    if not disk.exists(path):
        meta = Meta(cluster_id or random_id(random), node_id, random_id(random))
        lines = (
            f"logserver.format={FORMAT}",
            "version=1",
            f"cluster.id={meta.cluster_id}",
            f"node.id={meta.node_id}",
            f"directory.id={meta.directory_id}",
            "",
        )
        disk.write_file(path, "\n".join(lines).encode("ascii"), durable=True)
        return meta
    properties = parse_properties(disk.read_file(path))
    try:
        meta = Meta(properties["cluster.id"], int(properties["node.id"]), properties["directory.id"])
    except (KeyError, ValueError) as error:
        raise ForeignDirectory(f"{path} is damaged: {error}") from None
    if meta.node_id != node_id:
        raise ForeignDirectory(
            f"{directory} belongs to node.id={meta.node_id}, this server has node.id={node_id}; "
            f"set node.id={meta.node_id} or name another directory"
        )
    if cluster_id is not None and meta.cluster_id != cluster_id:
        raise ForeignDirectory(
            f"{directory} belongs to the cluster {meta.cluster_id}, the other data directories to {cluster_id}; "
            f"take out the one that is not this server's"
        )
    return meta


def parse_properties(content: bytes) -> dict[str, str]:
    """Returns the names and values in a file of lines `name=value`."""
    lines = content.decode("utf-8", "replace").splitlines()
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.lstrip().startswith("#"))
    return {name.strip(): value.strip() for name, value in pairs}

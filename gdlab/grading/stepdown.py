"""Started as root (CI, containers): how a box still runs as nobody in particular.

The box must never belong to the machine's root: with every capability dropped, root in a user
namespace still owned 763 writable kernel settings. So bubblewrap is started under a user id that no
account has. That user may be unable to reach the interpreter, where root keeps it in a folder closed
to others. Then this process takes a mount namespace of its own, and shows the interpreter's
folders once more under a path that everybody can enter. Nobody else sees these mounts, and they end
with the process.
"""

import ctypes
import os
import pwd
import shutil
import stat
import tempfile
from functools import cache
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

# linux/sched.h, linux/mount.h
CLONE_NEWNS = 0x00020000
MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE = 4096, 8192, 16384, 1 << 18
MNT_DETACH = 2

# What systemd sets aside for services without an account; all are tried until one is free.
UNOWNED_IDS = range(61184, 65520)


def box_user() -> int | None:
    """The user id that boxes get: None for "this one", a free one where this one is root."""
    return _free_id() if os.geteuid() == 0 else None


def as_user(user: int | None) -> tuple[list[str], dict[str, Any]]:
    """How a program is started as `user`: what its command begins with, and what `subprocess.Popen` is told.

    Python can change the user only in a copy of itself, and copying a grader that holds torch takes longer than
    raising walls does; where there is setpriv (util-linux), that does it.
    """
    if user is None:
        return [], {}
    if setpriv := _setpriv():
        return [setpriv, f"--reuid={user}", f"--regid={user}", "--clear-groups"], {}
    return [], {"user": user, "group": user, "extra_groups": []}


@cache
def _setpriv() -> str | None:
    return shutil.which("setpriv")


@cache
def reachable(path: Path, user: int | None) -> Path:
    """Where `user` finds the folder `path`: there, or staged under one that everybody can enter."""
    if user is None or _open_to_others(path):
        return path
    staged = _stage() / f"{sum(1 for _ in _stage().iterdir())}-{path.name}"
    staged.mkdir()
    _mount(str(path), str(staged), MS_BIND | MS_REC)
    return staged


def become(user: int, folders: list[Path]) -> None:
    """From root to `user`, for good, in this process alone; `folders` can be read afterwards, closed as they may be.

    What lies above a closed folder is covered by an empty one that holds only what was asked for.
    """
    _own_mounts()
    for closed in {_closed_above(folder) for folder in folders} - {None}:
        cover = Path(tempfile.mkdtemp(prefix="gdlab-cover-"))
        _mount("tmpfs", str(cover), 0, kind="tmpfs", options="mode=0755,size=1m")
        for folder in folders:
            if folder.is_relative_to(closed):
                shown = cover / folder.relative_to(closed)
                shown.mkdir(parents=True, exist_ok=True)
                _mount(str(folder), str(shown), MS_BIND | MS_REC)
        _mount(str(cover), str(closed), MS_MOVE)
        cover.rmdir()
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def _closed_above(path: Path) -> Path | None:
    """The outermost folder on the way to `path`, or itself, that a stranger cannot enter."""
    way = [*reversed(path.parents), path]
    return next((folder for folder in way if not folder.stat().st_mode & stat.S_IXOTH), None)


@cache
def _free_id() -> int:
    for number in UNOWNED_IDS:
        try:
            pwd.getpwuid(number)
        except KeyError:
            return number
    raise OSError("no user id is free")


def _open_to_others(path: Path) -> bool:
    """Whether a stranger can walk down to `path` and read it."""
    entries = [path, *path.parents]
    return all(entry.stat().st_mode & stat.S_IXOTH for entry in entries[1:]) and bool(
        path.stat().st_mode & stat.S_IROTH
    )


@cache
def _stage() -> Path:
    """A small in-memory folder, in a mount namespace of this process alone."""
    _own_mounts()
    folder = Path(tempfile.mkdtemp(prefix="gdlab-stage-"))
    _mount("tmpfs", str(folder), 0, kind="tmpfs", options="mode=0755,size=1m")
    Finalize(None, _leave, (folder,), exitpriority=0)  # unlike atexit, it runs in a worker process too
    return folder


def _own_mounts() -> None:
    """A mount namespace of this process alone: what is mounted in it nobody else sees."""
    if _libc().unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "root of this machine may not make a mount namespace")
    _mount("none", "/", MS_REC | MS_PRIVATE)


def _leave(folder: Path) -> None:
    _libc().umount2(str(folder).encode(), MNT_DETACH)
    folder.rmdir()


def _mount(source: str, target: str, flags: int, kind: str | None = None, options: str | None = None) -> None:
    encoded = [text.encode() if text is not None else None for text in (source, target, kind, options)]
    if _libc().mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3]):
        raise OSError(ctypes.get_errno(), f"root of this machine may not mount {target}")


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)

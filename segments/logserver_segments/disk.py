"""The real file system behind the `Disk` seam. Linux is the platform; each fallback elsewhere is named here.

This is the only module that maps files. A mapping is read only where the page cache holds the data: a page fault on
a failing disk is a SIGBUS, and a slow one holds the interpreter's lock.
"""

import contextlib
import ctypes
import errno
import mmap
import os
import shutil
import sys
import threading
from collections.abc import Sequence

from logserver_records.batch import Buffer

from logserver_segments.seams import Entry

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform != "win32" else None
_RWF_NOWAIT = getattr(os, "RWF_NOWAIT", None)
_PAGE = mmap.PAGESIZE
# How many buffers one pwritev takes; POSIX promises 16, Linux takes 1024.
_MAX_BUFFERS = os.sysconf("SC_IOV_MAX") if hasattr(os, "sysconf") else 16
_COLD = (errno.EAGAIN, errno.EWOULDBLOCK)


# Zeroing what is read over at once takes a fifth of the processor time of reading megabytes. For a few kilobytes it is
# cheaper than this call.
_unfilled = ctypes.pythonapi.PyByteArray_FromStringAndSize
_unfilled.restype = ctypes.py_object
_unfilled.argtypes = (ctypes.c_char_p, ctypes.c_ssize_t)
_UNFILLED_FROM = 64 * 1024


class _PyBuffer(ctypes.Structure):
    """CPython's Py_buffer, as far as needed to learn the address of a read-only mapping."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


def _address(buffer: mmap.mmap) -> int:
    view = _PyBuffer()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(buffer), ctypes.byref(view), 0)
    try:
        return int(view.buf)
    finally:
        ctypes.pythonapi.PyBuffer_Release(ctypes.byref(view))


class OsMapping:
    """A read-only mapping; unmapped when the last slice of its view goes."""

    __slots__ = ("_address", "_mmap", "view")

    def __init__(self, fd: int, size: int) -> None:
        self._mmap = mmap.mmap(fd, size, access=mmap.ACCESS_READ)
        self._address = _address(self._mmap)
        self.view = memoryview(self._mmap)

    def is_resident(self, position: int, size: int) -> bool:
        # mincore rather than preadv(RWF_NOWAIT): it answers for the whole range and copies nothing.
        start = position - position % _PAGE
        length = position + size - start
        pages = (length + _PAGE - 1) // _PAGE
        vector = ctypes.create_string_buffer(pages)
        assert _libc is not None
        failed = _libc.mincore(ctypes.c_void_p(self._address + start), ctypes.c_size_t(length), vector)
        if failed:
            return False
        return 0 not in vector.raw


_WRITE_OUT = 1 | 2 | 4
"""Flags of sync_file_range(2): waits for what is on its way, begins with the rest, and waits for that."""


class OsFile:
    """A file descriptor; closed when the last reference to this object goes."""

    __slots__ = ("_fd", "path")

    def __init__(self, path: str, fd: int) -> None:
        self.path = path
        self._fd = fd

    def __del__(self) -> None:
        os.close(self._fd)

    def write(self, buffers: Sequence[Buffer], position: int) -> int:
        size = 0
        for buffer in buffers:
            size += len(buffer)
        written = os.pwritev(self._fd, buffers if len(buffers) <= _MAX_BUFFERS else [b"".join(buffers)], position)
        if written == size:
            return written
        return self._write_rest(buffers, position, written, size)

    def _write_rest(self, buffers: Sequence[Buffer], position: int, written: int, size: int) -> int:
        """Goes on after a short write, which Linux makes at 2 GiB, on signals, and just before a disk is full."""
        rest = memoryview(b"".join(buffers))
        while written < size:
            count = os.pwrite(self._fd, rest[written:], position + written)
            if count == 0:
                raise OSError(errno.EIO, "the disk took no bytes", self.path)
            written += count
        return written

    def read(self, size: int, position: int) -> bytes:
        data = os.pread(self._fd, size, position)
        while len(data) < size:
            more = os.pread(self._fd, size - len(data), position + len(data))
            if not more:
                break
            data += more
        return data

    def read_resident(self, size: int, position: int) -> Buffer | None:
        if _RWF_NOWAIT is None:
            return self.read(size, position)
        # Of an unfilled one only what was read is handed out.
        buffer: bytearray = bytearray(size) if size < _UNFILLED_FROM else _unfilled(None, size)
        try:
            count = os.preadv(self._fd, [buffer], position, _RWF_NOWAIT)
        except OSError as error:
            if error.errno in _COLD:
                return None
            if error.errno == errno.EOPNOTSUPP:
                # tmpfs on older kernels: always resident.
                return self.read(size, position)
            raise
        if count == size:
            return buffer
        if position + count >= self.size():
            return memoryview(buffer)[:count]
        return None

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def truncate(self, size: int) -> None:
        os.ftruncate(self._fd, size)

    def write_out(self, position: int, size: int) -> None:
        if sys.platform != "linux":
            return
        assert _libc is not None
        offset, length = ctypes.c_int64(position), ctypes.c_int64(size)
        if _libc.sync_file_range(self._fd, offset, length, ctypes.c_uint(_WRITE_OUT)):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), self.path)

    def sync(self) -> None:
        if sys.platform == "darwin":
            os.fsync(self._fd)
        else:
            os.fdatasync(self._fd)

    def map(self, size: int) -> OsMapping:
        try:
            return OsMapping(self._fd, size)
        except ValueError as error:
            # mmap's way to say that the file is shorter.
            raise OSError(errno.EINVAL, str(error), self.path) from None


class OsLock:
    """An flock on a lock file."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _locked(path: str, flags: int) -> OsLock:
    import fcntl  # not on Windows, where the server does not run and the client must still import

    fd = os.open(path, flags | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return OsLock(fd)


class _Descriptor:
    """A file descriptor, closed when the last reference to this object goes.

    Args:
        is_untold: whether there was a failure that it will not be told, having been opened later.
    """

    __slots__ = ("device", "is_untold", "number")

    def __init__(self, number: int, device: int, is_untold: bool) -> None:
        self.number = number
        self.device = device
        self.is_untold = is_untold

    def __del__(self) -> None:
        os.close(self.number)


class _FileSystems(threading.local):
    """The descriptors that one thread syncs file systems through, by path.

    Linux reports a failed write-back once to each descriptor that was open when it happened, and to one opened later
    only if nobody was told yet. So they are kept open, and each thread has its own: an error that another thread was
    told is not kept from this one, nor from one that opens its descriptor later.

    Args:
        failed: the devices that a thread of this process was told a failure of.
    """

    def __init__(self, failed: set[int]) -> None:
        self._failed = failed
        self._open: dict[str, _Descriptor] = {}

    def sync(self, path: str) -> None:
        """Flushes the file system of a path.

        Raises:
            OSError: that has failed, or did before this thread could be told.
        """
        assert _libc is not None
        found = self._descriptor(path)
        code = ctypes.get_errno() if _libc.syncfs(found.number) else 0
        if code:
            self._failed.add(found.device)
        elif found.is_untold:
            code = errno.EIO
        found.is_untold = False
        if code:
            raise OSError(code, os.strerror(code), path)

    def _descriptor(self, path: str) -> _Descriptor:
        known = self._open.get(path)
        # A file system may have been mounted there since.
        if known is None or known.device != os.stat(path).st_dev:
            number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            device = os.fstat(number).st_dev
            known = self._open[path] = _Descriptor(number, device, device in self._failed)
        return known


class OsDisk:
    """The operating system's file system."""

    __slots__ = ("_file_systems",)

    _file_systems: _FileSystems

    def __new__(cls, *_: object, **__: object) -> "OsDisk":
        disk = super().__new__(cls)
        disk._file_systems = _FileSystems(set())
        return disk

    def __reduce__(self) -> "tuple[type[OsDisk], tuple[()]]":
        # In a worker process it is that process's own.
        return type(self), ()

    def open(self, path: str, *, create: bool = False) -> OsFile:
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if create else 0)
        return OsFile(path, os.open(path, flags, 0o644))

    def list(self, path: str) -> Sequence[Entry]:
        entries = []
        with os.scandir(path) as found:
            for entry in found:
                is_directory = entry.is_dir(follow_symlinks=True)
                entries.append(Entry(entry.name, is_directory, 0 if is_directory else entry.stat().st_size))
        return entries

    def exists(self, path: str) -> bool:
        # Not `os.path.exists`: to it what a failing disk does not tell is not there.
        try:
            os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def read_file(self, path: str) -> bytes:
        with open(path, "rb") as file:
            return file.read()

    def write_file(self, path: str, content: bytes, *, durable: bool) -> None:
        temporary = path + ".tmp"
        try:
            self._write_new(temporary, content, durable)
            os.replace(temporary, path)
        except OSError:
            # On a full disk the part that was written is space that somebody needs.
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        if durable:
            self.sync_directory(os.path.dirname(path))

    @staticmethod
    def _write_new(path: str, content: bytes, durable: bool) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(fd, rest) :]
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)

    def make_directory(self, path: str) -> None:
        os.makedirs(path, exist_ok=True)

    def rename(self, source: str, target: str) -> None:
        os.replace(source, target)

    def remove(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    def remove_tree(self, path: str) -> None:
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            # Somebody else removes it, too.
            if os.path.lexists(path):
                self.remove_tree(path)

    def sync_directory(self, path: str) -> None:
        fd = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def sync_filesystem(self, path: str) -> None:
        if sys.platform != "linux":
            os.sync()
            return
        self._file_systems.sync(path)

    def space(self, path: str) -> tuple[int, int]:
        found = os.statvfs(path)
        return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize

    def lock(self, path: str) -> OsLock:
        return _locked(path, os.O_RDWR | os.O_CREAT)


class ReadOnlyDisk(OsDisk):
    """The same for who only looks: files are opened for reading, so that they can be on what can't be written to."""

    __slots__ = ()

    def open(self, path: str, *, create: bool = False) -> OsFile:
        if create:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return OsFile(path, os.open(path, os.O_RDONLY | os.O_CLOEXEC))

    def lock(self, path: str) -> OsLock:
        try:
            return super().lock(path)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EROFS) or not os.access(path, os.R_OK):
                raise
        # Linux gives a lock to whoever has opened the file, for whatever it was opened.
        return _locked(path, os.O_RDONLY)

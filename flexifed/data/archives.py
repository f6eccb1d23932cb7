"""Published archives: fetched from the first mirror that works, checked against pinned digests, unpacked safely."""

import gzip
import shutil
import stat
import tarfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import requests
import urllib3
from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema

from flexifed.system import locks
from flexifed.system.errors import UserError
from flexifed.system.files import FULL, digest, writing
from flexifed.system.progress import Progress

CHUNK = 1 << 20  # bytes copied at a time
PIECE = 1 << 14  # bytes received at a time: what a broken connection can lose
ATTEMPTS = 5
TIMEOUT = (15, 60)  # seconds to connect, and between two packets
RETRIED = {408, 425, 429, 500, 502, 503, 504}

# The published archives unpack to less than three times their size; a gzip bomb reaches a thousand.
LARGEST_RATIO = 20
SMALLEST_LIMIT = 64 << 20
MOST_MEMBERS = 1_000_000  # CINIC-10 has 270,000
LARGEST_HEADER = 1 << 20  # bytes of a long name or of extended attributes, which are read into memory


@dataclass(frozen=True)
class Archive:
    """A published file.

    Attributes:
        file: Name under which it is kept.
        urls: Mirrors, tried in this order.
        bytes: Its size, where known.
        sha256: Its digest in hex; None where none was published.
        md5: Likewise; only looked at where there is no sha256.
        licence: Terms of use, in a few words.
    """

    file: str
    urls: tuple[str, ...]
    bytes: int | None = None
    sha256: str | None = None
    md5: str | None = None
    licence: str = ""

    @property
    def pinned(self) -> tuple[str, str] | None:
        """Algorithm and digest that the file must have; None where nothing is pinned."""
        if self.sha256:
            return "sha256", self.sha256.lower()
        return ("md5", self.md5.lower()) if self.md5 else None


class _MirrorError(Exception):
    """This mirror cannot serve the file; the next one may."""


def fetch(archive: Archive, folder: Path, progress: Progress, *, backoff: float = 1.0) -> dict[str, Any]:
    """Put a verified copy of an archive into a folder.

    A file of that name that is there already is verified and kept, also in a folder that cannot be written. A download
    that broke off is left as `{file}.part` and taken up again by the next attempt, from any mirror, also in another
    run. Where two processes want the same file, the second waits for the first.

    Args:
        archive: What to fetch.
        folder: Created if need be.
        progress: Called with bytes done and bytes in total.
        backoff: Seconds before the second attempt at a mirror; doubled before each one after it.

    Returns:
        name, bytes and sha256 of the file, and the url if it was downloaded now.

    Raises:
        UserError: no mirror had it (each is listed with what it answered), the disk is full, or a file of that name
            is there and is not the archive or cannot be read, or the folder cannot be written.
    """
    if (path := folder / archive.file).exists():  # whole, since a download is moved there once it is verified
        return _kept(archive, path)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with locks.held(folder / f".{archive.file}.lock"):
            return _fetch(archive, folder, progress, backoff)


def _kept(archive: Archive, path: Path) -> dict[str, Any]:
    """The record of a file that is there already."""
    try:
        if wrong := _mismatch(archive, path):
            raise UserError(f"{path} is not the published file: {wrong}. Remove it to have it downloaded again.")
        return _record(path)
    except PermissionError as error:
        raise UserError(f"may not read {path}: {error.strerror}. Its owner can make it readable.") from error


def _fetch(archive: Archive, folder: Path, progress: Progress, backoff: float) -> dict[str, Any]:
    path, partial = folder / archive.file, folder / f"{archive.file}.part"
    if path.exists():  # another process has downloaded it meanwhile
        return _kept(archive, path)
    failures = []
    for url in archive.urls:
        try:
            _from_mirror(archive, url, partial, progress, backoff)
        except _MirrorError as failure:
            failures.append(f"  {url}: {failure}")
            continue
        partial.replace(path)
        return _record(path) | {"url": url}
    raise UserError(
        f"{archive.file} could not be downloaded to {folder}:\n" + "\n".join(failures) + "\n"
        "Run again to resume, set other mirrors under `archives` of the data set in the config, "
        "or point its `local` to a copy you have."
    )


def _record(path: Path) -> dict[str, Any]:
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": digest(path)}


def _mismatch(archive: Archive, path: Path) -> str | None:
    """What is wrong with a file that should be this archive; None when nothing is."""
    size = path.stat().st_size
    if archive.bytes is not None and size != archive.bytes:
        return f"expected {archive.bytes:,} bytes, found {size:,}"
    if archive.pinned:
        algorithm, expected = archive.pinned
        found = digest(path, algorithm)
        if found != expected:
            return f"expected {algorithm} {expected}, found {found}"
    return None


def _from_mirror(archive: Archive, url: str, partial: Path, progress: Progress, backoff: float) -> None:
    """Complete `partial` from one mirror and verify it."""
    if not archive.pinned:
        partial.unlink(missing_ok=True)  # no digest would tell that two pieces are not of the same file
    condition: dict[str, str] = {}
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(backoff * 2 ** (attempt - 1))
        try:
            continued = _receive(archive, url, partial, progress, condition)
        except (InvalidURL, InvalidSchema, MissingSchema) as error:
            raise _MirrorError(f"not an http address ({error})") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            failure = f"{type(error).__name__} in attempt {attempt + 1} of {ATTEMPTS}: {error}"
            continue
        wrong = _mismatch(archive, partial)
        if not wrong:
            return
        partial.unlink()
        if not continued:
            raise _MirrorError(f"{archive.file} is damaged there, or another file: {wrong}")
        failure = wrong  # the pieces may have been of different files: once more from the start
    raise _MirrorError(failure)


def _receive(archive: Archive, url: str, partial: Path, progress: Progress, condition: dict[str, str]) -> bool:
    """One request: append what is missing of `partial`, or write it anew where the server does not resume.

    `condition` holds If-Range once the server has named the version of its file; it is filled here.

    Returns:
        Whether `partial` still begins with what it held before.
    """
    have = partial.stat().st_size if partial.exists() else 0
    if archive.bytes is not None and have >= archive.bytes:
        return True
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-"} | condition
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        if answer.status_code == 416 and have:
            if not _mismatch(archive, partial):  # all of it was there: a run was killed before it could say so
                return True
            partial.unlink()
            raise requests.HTTPError("the server has no bytes beyond those received before; starting again")
        _check_answer(answer)
        if answer.status_code != 206:
            have = 0
        elif not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            partial.unlink(missing_ok=True)
            raise requests.HTTPError("answered a request to resume with another part of the file; starting again")
        continued = have > 0
        tag = answer.headers.get("ETag", "")
        if tag and not tag.startswith("W/"):  # weak tags may not be used with If-Range (RFC 9110, 13.1.5)
            condition["If-Range"] = tag
        length = answer.headers.get("Content-Length", "")
        total = have + int(length) if length.isascii() and length.isdecimal() else 0
        if archive.bytes is not None and total not in (0, archive.bytes):
            raise _MirrorError(f"offers another file: expected {archive.bytes:,} bytes, found {total:,}")
        # Not iter_content: where a server labels .gz files as gzip-encoded, it would hand out the unpacked bytes.
        pieces = answer.raw.stream(PIECE, decode_content=False)
        first = next(pieces, b"")
        if not have:
            _check_not_html(first)
        with enough_space(partial.parent, max(total - have, 0)), partial.open("ab" if have else "wb") as stream:
            for piece in chain([first], pieces):
                stream.write(piece)
                have += len(piece)
                progress(have, total)
                if archive.bytes is not None and have > archive.bytes:
                    break  # an answer without Content-Length may never end
    return continued


def _check_answer(answer: requests.Response) -> None:
    status = f"answered {answer.status_code} {answer.reason}"
    if answer.status_code in RETRIED:
        raise requests.HTTPError(status)
    if answer.status_code not in (200, 206):
        raise _MirrorError(status)
    if answer.headers.get("Content-Type", "").lower().startswith(("text/html", "application/xhtml")):
        raise _MirrorError("answered with a web page (HTML) in place of the file")


def _check_not_html(start: bytes) -> None:
    if start.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        raise _MirrorError("answered with a web page (HTML) in place of the file")


@contextmanager
def enough_space(folder: Path, needed: int) -> Iterator[None]:
    """Turn a full disk into an error that names the folder and the bytes.

    Args:
        folder: Where the block writes.
        needed: Bytes that the block will write, 0 where that is not known.

    Raises:
        UserError: fewer than `needed` bytes are free, or writing in the block met a full disk or quota.
    """

    def error() -> UserError:
        free = shutil.disk_usage(folder).free
        wanted = f"{needed:,} bytes are needed" if needed else "more is needed"
        return UserError(f"no space left in {folder}: {free:,} bytes are free, {wanted}. Make room and run again.")

    if needed > shutil.disk_usage(folder).free:
        raise error()
    try:
        yield
    except OSError as failure:
        if failure.errno not in FULL:
            raise
        raise error() from failure


@contextmanager
def unpacked(archives: list[Path], beside: Path) -> Iterator[Path]:
    """Unpack tar.gz and zip archives into a temporary folder beside a path, removed when the block ends.

    Raises:
        UserError: an archive is damaged or truncated, holds a member that has no place in a data set (a link, a
            device, a path that leads out of the folder, a name that is there already), or unpacks to far more than
            its size or to far too many files.
    """
    folder = beside.with_name(f".{beside.name}.unpacked")
    shutil.rmtree(folder, ignore_errors=True)  # gigabytes may be left from a run that was killed
    folder.mkdir(parents=True)
    try:
        for archive in archives:
            with enough_space(folder, 0):
                _unpack(archive, folder)
        yield folder
    finally:
        shutil.rmtree(folder)


class _Limited:
    """A decompressed stream that ends in an error beyond a number of bytes: the guard against gzip bombs."""

    def __init__(self, stream: BinaryIO, archive: Path, limit: int) -> None:
        self._stream, self._archive, self._limit, self._left = stream, archive, limit, limit

    def read(self, size: int) -> bytes:
        block = self._stream.read(size)
        self._left -= len(block)
        if self._left < 0:
            raise _too_large(self._archive, self._limit)
        return block


_EXTENDED = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)


class _Header(tarfile.TarInfo):
    """A member's header, refused where it asks for more memory than any name or attribute needs."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Header":
        """See `tarfile.TarInfo.frombuf`."""
        header = super().frombuf(buf, encoding, errors)
        if header.type in _EXTENDED and header.size > LARGEST_HEADER:
            raise tarfile.ReadError(f"member {header.name!r} is a header of {header.size:,} bytes")
        return header


DAMAGE = (
    *(tarfile.TarError, gzip.BadGzipFile, zipfile.BadZipFile, EOFError, zlib.error),
    *(ValueError, NotImplementedError, RuntimeError),  # of damaged headers; an encrypted zip
)


def _unpack(archive: Path, folder: Path) -> None:
    limit = max(LARGEST_RATIO * archive.stat().st_size, SMALLEST_LIMIT)
    form, unpack = ("zip", _unpack_zip) if archive.suffix == ".zip" else ("tar.gz", _unpack_tar)
    try:
        unpack(archive, folder, limit)
    except UserError:
        raise
    except DAMAGE as error:
        raise UserError(
            f"{archive} is truncated or not a {form} archive ({error}). Remove it to have it downloaded again."
        ) from error


def _unpack_tar(archive: Path, folder: Path, limit: int) -> None:
    with gzip.open(archive) as stream:
        limited = _Limited(stream, archive, limit)  # type: ignore[arg-type]
        with tarfile.open(fileobj=limited, mode="r|", tarinfo=_Header) as tar:  # type: ignore[call-overload]
            for number, member in enumerate(tar, start=1):
                if number > MOST_MEMBERS:
                    raise _refused(archive, member.name, f"comes after {MOST_MEMBERS:,} others")
                _unpack_member(archive, tar, member, folder)
                tar.members.clear()  # tarfile would keep them all
        while limited.read(CHUNK):  # gzip compares its checksum only when it is read to the end
            pass


def _unpack_zip(archive: Path, folder: Path, limit: int) -> None:
    """No more is read of a member than its header says, and zipfile holds the content against its checksum."""
    with zipfile.ZipFile(archive) as packed:
        members = packed.infolist()
        if sum(member.file_size for member in members) > limit:
            raise _too_large(archive, limit)
        for number, member in enumerate(members, start=1):
            if number > MOST_MEMBERS:
                raise _refused(archive, member.filename, f"comes after {MOST_MEMBERS:,} others")
            if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(archive, member.filename, "is neither a plain file nor a folder")
            if stream := _opened(archive, member.filename, folder, is_folder=member.is_dir()):
                with stream:
                    _copy_member(packed, member, stream)


def _copy_member(packed: zipfile.ZipFile, member: zipfile.ZipInfo, stream: BinaryIO) -> None:
    try:
        with packed.open(member) as content:
            shutil.copyfileobj(content, stream, CHUNK)
    except OSError as error:
        if error.errno in FULL:
            raise
        raise zipfile.BadZipFile(f"{member.filename!r} begins at no place in it") from error


def _too_large(archive: Path, limit: int) -> UserError:
    return UserError(f"{archive} unpacks to more than {limit:,} bytes, {LARGEST_RATIO} times its size: refused.")


def _refused(archive: Path, name: str, reason: str) -> UserError:
    return UserError(f"{archive}: member {name!r} {reason}: refused.")


def _unpack_member(archive: Path, tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    if not member.isdir() and member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        raise _refused(archive, member.name, "is neither a plain file nor a folder")
    if member.issparse():  # its size may be anything, whatever the archive's is
        raise _refused(archive, member.name, "is a sparse file")
    if stream := _opened(archive, member.name, folder, is_folder=member.isdir()):
        content = tar.extractfile(member)
        assert content is not None
        with stream:
            shutil.copyfileobj(content, stream, CHUNK)


def _opened(archive: Path, name: str, folder: Path, *, is_folder: bool) -> BinaryIO | None:
    """A new file for a member, open for writing; None for a folder, which is made."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise _refused(archive, name, "leads out of the folder to unpack into")
    target = folder / path
    try:
        if is_folder:
            target.mkdir(parents=True, exist_ok=True)
            return None
        target.parent.mkdir(parents=True, exist_ok=True)
        return target.open("xb")
    except (FileExistsError, NotADirectoryError) as error:
        raise _refused(archive, name, "has the name of another member, or lies below a file") from error
    except (ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        raise _refused(archive, name, f"cannot be a file here ({error})") from error

"""
A job that reports to the page that started it, through a signalbox hub (PROTOCOL.md, chapter 16). This file is all there
is: Python 3.9 or newer, standard library only.

    from signalbox import Job

    with Job(uuid, "import", title="Import") as job:
        for at, row in enumerate(rows):
            job.progress(at, len(rows), f"Reading {row}")    # raises Cancelled when the user wants it to stop
        job.result = {"rows": len(rows)}

Leaving the `with` says how the job ended:

- at its end: done, with `job.result`;
- by `Cancelled`: aborted. The `with` swallows it, for it did what the user wanted; what stands behind the `with` runs then as well,
  and asks `job.cancelled` if that matters. A transaction belongs inside the `with`: it sees the exception, and is rolled back;
- by `KeyboardInterrupt`: aborted; by `sys.exit()` without a complaint: done; by any other exception: failed, with its text. All
  of these go on their way.

A report never ends the job for lack of a hub and never holds it up for longer than `timeout`: without a hub, or without the
page, the job goes on. A process that dies is shown as `lost`.
"""
from __future__ import annotations

import hmac
import json
import logging
import os
import re
import socket
import ssl
import threading
import time
import uuid as uuids
from urllib.parse import unquote, urlsplit

__all__ = ["Cancelled", "Error", "Job"]

_DEFAULT_HUB = "tcp://127.0.0.1:8097"
_CONNECT_TIMEOUT = 2.0  # seconds to connect and be let in
_PAUSE = 1.0  # seconds between two attempts of a report
_PAUSE_FACTOR = 10  # a hub that hangs costs the job a tenth of its time, not more
_MAX_PAUSE = 3.0  # below the 5 s after which the hub takes a job without a connection for lost, together with _SHORT
_SHORT = 0.5  # seconds that a hub which hung just now may hold the job up
_END_PAUSE = 0.2  # seconds between two attempts of an end
_MAX_TEXT = 1_000  # UTF-16 units that the hub takes [JOB-2]
_MAX_PACKET = 65_536  # bytes: no report that the hub accepts is longer
_MAX_LINE = 2**24  # bytes of a line of the hub: above this it is no hub
_FINAL = {1002: "protocol", 4003: "forbidden", 4401: "unauthorized", 4404: "no-resource"}  # another attempt is of no use
_TROUBLES = ("unavailable", "app-error", "app-timeout", "over-budget")  # refusals that say nothing about what was reported

_log = logging.getLogger("signalbox")


class Error(Exception):
    """What was reported is wrong, or there is no way to report it. `code`: `bad-message`, `job-ended`, `unreachable`, …"""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Cancelled(BaseException):
    """
    The user wants the job to stop; `reason` says why. Like KeyboardInterrupt it is no `Exception`: an `except Exception`
    around one row of many must not swallow it.
    """

    def __init__(self, job: Job, reason: str) -> None:
        super().__init__(reason)
        self.job = job
        self.reason = reason


class Job:
    """One run of a job. Several threads may report for it."""

    def __init__(self, uuid, name="job", *, hub=None, key=None, title=None, cancellable=None, timeout=5.0, tls=None):
        """
        Says nothing yet: the first report does.

        :param uuid: of the page
        :param name: of the job; several jobs of one page have several names
        :param hub: `tcp://HOST:PORT`, `unix:PATH` or `tls://HOST:PORT`; default: the environment's SIGNALBOX_HUB, else
            tcp://127.0.0.1:8097
        :param key: where the hub is on another host, its `backendKey`, or an application key, the tuple `(id, secret)`, whose
            secret is shown without being said; default: the environment's SIGNALBOX_APPLICATION_KEY (`ID:SECRET`), else its
            SIGNALBOX_BACKEND_KEY
        :param title: what the job is, for people
        :param cancellable: False where it cannot be stopped; default: True
        :param timeout: seconds for which a report may hold the job up, and for which its end is tried; default: 5
        :param tls: an `ssl.SSLContext`; default: the system's
        :raises ValueError: the address is none, or the key is
        """
        hub = hub or os.environ.get("SIGNALBOX_HUB") or _DEFAULT_HUB
        self._line = _Line(hub, _environment_key() if key in (None, "") else key, tls)
        # The name of the run is what lets it go on over a second connection [JOB-7].
        self._about = {"uuid": str(uuid), "job": name or "job", "run": uuids.uuid4().hex}
        self._description = _given(title=_text(title), cancellable=cancellable)
        self._timeout = timeout
        self._lock = threading.RLock()
        self._over = False
        self._complained = False
        self._put_off_until = 0.0
        #: What leaving the `with` says at the end: at most 8 KiB of JSON; None: nothing.
        self.result = None
        #: Why the user wants the job to stop: `user`, or what the page said; None while nobody does.
        self.reason = None
        #: Has the page left for good? Whether the job goes on then is its own affair.
        self.gone = False

    @property
    def cancelled(self) -> bool:
        """Does the user want the job to stop?"""
        return self.reason is not None

    def progress(self, at=None, of=None, message=None) -> None:
        """
        Says how far the job is. What is None stays as it was. Cheap: report as often as you like, the hub tells the page ten
        times a second.

        Where there is no hub this says so once in the log `signalbox` (which prints on standard error unless told otherwise),
        tries again at most once a second, and the job goes on.

        :param at: how much is done, 0 or more
        :param of: how much there is, above 0
        :param message: what it is doing now; a line end becomes a blank, 1,000 characters are kept
        :raises Cancelled: the user wants the job to stop; each report says so from then on
        :raises Error: what was reported is wrong (`bad-message`), the job was ended by somebody else or by you (`job-ended`), the hub
            never let it in (`forbidden`, `unauthorized`, …); PROTOCOL.md, chapter 10, has the codes
        """
        with self._lock:
            if self._over:
                raise Error("job-ended", "Expected no report behind the end of the job.")
            report = _given(at=_number(at), of=_number(of), message=_text(message))
            if time.monotonic() >= self._put_off_until:
                self._report({"opcode": "progress", **self._about, **self._description, **report})
            if self.reason is not None:
                raise Cancelled(self, self.reason)

    def done(self, result=None, message=None) -> bool:
        """
        Says that the job is done. The first end counts, what is said behind it is not sent.

        :param result: what the job has to say at its end: at most 8 KiB of JSON; None: nothing
        :returns: True where the page hears of it, now or when it is back; False where it has gone, or the end had been said already
        :raises Error: refused (the job has not ended then), or there was no hub for `timeout` (`unreachable`)
        """
        return self._end("done", message, result)

    def failed(self, message) -> bool:
        """Says that the job has failed; else as `done`."""
        return self._end("failed", message)

    def aborted(self, message=None) -> bool:
        """Says that the job has stopped because its user wanted it to; else as `done`."""
        return self._end("aborted", message)

    def __enter__(self) -> Job:
        return self

    def __exit__(self, _kind, error, _trace) -> bool:
        if isinstance(error, Cancelled) and error.job is self:
            self.aborted()
            return True
        if error is None:
            self._leave()
        elif isinstance(error, SystemExit) and error.code in (None, 0):
            self._leave()
        else:
            self._leave_by(error)
        return False

    def _leave(self) -> None:
        try:
            self.done(self.result)
        except Error as error:
            if not self._over:
                self._leave_by(error)
            raise

    def _leave_by(self, error: BaseException) -> None:
        stopped = isinstance(error, (KeyboardInterrupt, Cancelled))
        try:
            self._end("aborted" if stopped else "failed", str(error) or type(error).__name__)
        except Error as trouble:
            # The exception that is on its way says more than this one.
            _log.warning("job %s: %s", self._about["job"], trouble)

    def _report(self, packet: dict) -> None:
        began = time.monotonic()
        # A hub that hung just now may hold the job up for a moment, not for all of its patience again.
        deadline = began + (min(self._timeout, _SHORT) if self._put_off_until else self._timeout)
        try:
            if self._line.is_open:
                try:
                    self._attempt(packet, deadline)
                    self._put_off_until = 0.0
                    return
                except _Trouble:
                    # Only this connection may have ended: a hub that was started anew is there already.
                    pass
            self._attempt(packet, deadline)
            self._put_off_until = 0.0
        except _Trouble as trouble:
            now = time.monotonic()
            self._put_off_until = now + min(_MAX_PAUSE, max(_PAUSE, _PAUSE_FACTOR * (now - began)))
            if not self._complained:
                _log.warning("job %s goes on without its hub: %s", self._about["job"], trouble)
            self._complained = True
        finally:
            self._look_for_cancel()

    def _end(self, state: str, message, result=None) -> bool:
        with self._lock:
            if self._over:
                return False
            packet = {"opcode": "end", "state": state, **self._about, **_given(message=_text(message), result=result)}
            status = self._insist(packet, time.monotonic() + self._timeout)
            self._over = True
            self._line.quit()
            return status != "gone"

    def _insist(self, packet: dict, deadline: float) -> str:
        retried = False
        while True:
            try:
                return self._attempt(packet, deadline)
            except _Trouble as trouble:
                if time.monotonic() + _END_PAUSE >= deadline:
                    self._over = True
                    raise Error("unreachable", f"The end of the job was not told: {trouble}") from None
            except Error as error:
                # The attempt before had arrived, only its answer was lost.
                if retried and error.code == "job-ended":
                    return "sent"
                raise
            retried = True
            time.sleep(_END_PAUSE)

    def _attempt(self, packet: dict, deadline: float) -> str:
        answer = self._line.ask(packet, deadline)
        status = answer.get("status")
        if status == "refused":
            self._refused(answer.get("error") or {})
        if status == "cancel":
            self.reason = self.reason or str(answer.get("reason", "user"))
        self.gone = status == "gone"
        return status

    def _look_for_cancel(self) -> None:
        """The hub says it at once [JOB-5]; the connection may have ended behind it, before any answer."""
        for push in self._line.take_pushes():
            own = all(push.get(field) == self._about[field] for field in ("uuid", "job"))
            if own and push["opcode"] == "cancel":
                self.reason = self.reason or str(push.get("reason", "user"))

    def _refused(self, error: dict) -> None:
        code, message = error.get("code", "refused"), error.get("message", "")
        if code in _TROUBLES:
            raise _Trouble(f"{code}: {message}")
        if code == "job-ended":
            self._over = True
            self._line.quit()
        raise Error(code, message)


class _Trouble(Exception):
    """The hub cannot be reached now; it may be later."""


class _Line:
    """A connection to the hub, opened when it is needed: one packet a line, one answer a line. Nothing here waits without an end."""

    def __init__(self, hub: str, key: str | tuple[str, str] | None, tls: ssl.SSLContext | None) -> None:
        self._hub = hub
        self._at, self._secure, resource = _parse(hub)
        self._tls = tls
        shown, self._secret = _shown(key)
        self._hello = {"opcode": "hello", "resource": resource, **shown}
        self._socket = None
        self._read = bytearray()
        self._pushes: list[dict] = []
        self._was_let_in = False

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    def ask(self, packet: dict, deadline: float) -> dict:
        """:returns: the answer :raises _Trouble, Error:"""
        line = _encode(packet)
        try:
            if self._socket is None:
                self._open(min(deadline, time.monotonic() + _CONNECT_TIMEOUT))
            self._write(line, deadline)
            return self._read_until(("next",), deadline)
        except OSError as error:
            self._close()
            raise _Trouble(f"{self._hub}: {error}") from error
        except BaseException:
            # Interrupted between a report and its answer: the next report must not take that answer for its own.
            self._close()
            raise

    def take_pushes(self) -> list[dict]:
        """What the hub said unasked, once."""
        pushes, self._pushes = self._pushes, []
        return pushes

    def quit(self) -> None:
        """Ends the connection on purpose: it has not died [JOB-6]."""
        try:
            if self._socket:
                self._socket.sendall(b'{"opcode":"quit"}\n')
        except OSError:
            pass
        self._close()

    def _open(self, deadline: float) -> None:
        self._socket = _connected(self._at, deadline)
        if self._secure:
            self._socket.settimeout(_left(deadline))
            context = self._tls or ssl.create_default_context()
            self._socket = context.wrap_socket(self._socket, server_hostname=self._at[0])
        self._write(_encode(self._hello), deadline)
        self._be_let_in(deadline)
        self._was_let_in = True

    def _be_let_in(self, deadline: float) -> None:
        """A hub that trusts this host greets it at once; any other may ask for a proof, and nothing is said before that [AUTH-6]."""
        packet = self._read_until(("ready", "challenge") if self._secret else ("ready",), deadline)
        if packet["opcode"] == "challenge":
            self._write(_encode({"opcode": "proof", "mac": self._mac(packet.get("nonce"))}), deadline)
            self._read_until(("ready",), deadline)

    def _mac(self, nonce) -> str:
        if not _is_text(nonce):
            raise _Trouble(f"What listens at {self._hub} is no hub.")
        return hmac.new(self._secret, f"signalbox.1\n{self._hello['key']}\n{nonce}".encode(), "sha256").hexdigest()

    def _close(self) -> None:
        if self._socket:
            self._socket.close()
        self._socket = None
        self._read.clear()

    def _write(self, line: bytes, deadline: float) -> None:
        self._socket.settimeout(_left(deadline))
        self._socket.sendall(line)

    def _read_until(self, opcodes: tuple[str, ...], deadline: float) -> dict:
        """What comes in front of it was not asked for and is kept aside."""
        while True:
            try:
                packet = json.loads(self._read_line(deadline))
                said = packet["opcode"]
            except (ValueError, TypeError, KeyError):
                raise _Trouble(f"What listens at {self._hub} is no hub.") from None
            if said in opcodes:
                return packet
            if said == "close":
                self._closed(packet.get("code", 0), packet.get("error", ""))
            self._pushes.append(packet)

    def _closed(self, code: int, error: str) -> None:
        """A job that was let in once goes on, whatever the hub thinks of it later."""
        if code in _FINAL and not self._was_let_in:
            raise Error(_FINAL[code], error)
        raise _Trouble(f"The hub closed the connection: {code} {error}")

    def _read_line(self, deadline: float) -> bytes:
        searched = 0
        while (end := self._read.find(b"\n", searched)) < 0:
            searched = len(self._read)
            if searched > _MAX_LINE:
                raise _Trouble(f"What listens at {self._hub} is no hub.")
            self._socket.settimeout(_left(deadline))
            some = self._socket.recv(65_536)
            if not some:
                raise _Trouble("The hub closed the connection.")
            self._read += some
        line = bytes(self._read[:end])
        del self._read[: end + 1]
        return line


def _parse(hub: str) -> tuple[tuple, bool, str]:
    """Where it is, whether with TLS, and the resource."""
    if hub.startswith("unix:") and len(hub) > 5:
        return (hub[5:],), False, "/"
    try:
        url = urlsplit(hub)
        if url.scheme in ("tcp", "tls") and url.hostname and url.port:
            return (url.hostname, url.port), url.scheme == "tls", unquote(url.path) or "/"
    except ValueError:
        pass
    raise ValueError(f"Expected a hub's address, tcp://HOST:PORT, tls://HOST:PORT or unix:PATH, got `{hub}`.")


def _environment_key() -> str | tuple[str, str] | None:
    given = os.environ.get("SIGNALBOX_APPLICATION_KEY")
    if not given:
        return os.environ.get("SIGNALBOX_BACKEND_KEY")
    # Every client takes it for UTF-8; Python has read it as the locale says.
    key_id, _, secret = os.fsencode(given).decode("utf-8", "surrogateescape").partition(":")
    if not (_is_text(key_id) and _is_text(secret)):
        raise ValueError("Expected SIGNALBOX_APPLICATION_KEY to be ID:SECRET.")
    return key_id, secret


def _shown(key) -> tuple[dict, bytes | None]:
    """:returns: what the hello says of it, and the secret of which a proof can be shown :raises ValueError: without the secret"""
    if key is None or isinstance(key, str):
        return _given(token=key), None
    if isinstance(key, (tuple, list)) and len(key) == 2 and all(map(_is_text, key)):
        return {"key": key[0]}, key[1].encode()
    raise ValueError("Expected `key` to be a string, or a tuple (id, secret) of two strings.")


def _is_text(value) -> bool:
    """Is there something in it, and can UTF-8 say it? A byte that was none of UTF-8 is a lone surrogate."""
    return isinstance(value, str) and re.fullmatch(r"[^\ud800-\udfff]+", value) is not None


def _connected(at: tuple, deadline: float) -> socket.socket:
    """The first address of that name that answers, all of them within one deadline."""
    if len(at) == 1:
        places = [(socket.AF_UNIX, socket.SOCK_STREAM, 0, "", at[0])]
    else:
        places = socket.getaddrinfo(*at, type=socket.SOCK_STREAM)
    problem: OSError = OSError("it has no address")
    for family, kind, protocol, _, address in places:
        wire = socket.socket(family, kind, protocol)
        try:
            wire.settimeout(_left(deadline))
            wire.connect(address)
            return wire
        except OSError as error:
            wire.close()
            problem = error
    raise problem


def _left(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("it did not answer in time")
    return seconds


def _encode(packet: dict) -> bytes:
    try:
        line = json.dumps(packet, allow_nan=False).encode() + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise Error("bad-json", f"This cannot be said in JSON: {error}") from error
    if len(line) > _MAX_PACKET:
        raise Error("too-big", f"Expected a result of at most 8 KiB of JSON, got {len(line)} bytes.")
    return line


def _number(value):
    """Decimals and the numbers of numpy are none to JSON."""
    return value if value is None or isinstance(value, (int, float)) else float(value)


def _text(text) -> str | None:
    """One line, as long as the hub takes it, and UTF-8 whatever a file was called: a report is no reason to fail."""
    if text is None:
        return None
    line = re.sub(r"[\r\n]+", " ", str(text))
    units = line.encode("utf-16-le", "replace")
    if len(units) <= 2 * _MAX_TEXT:
        return units.decode("utf-16-le")
    return units[: 2 * (_MAX_TEXT - 1)].decode("utf-16-le", "ignore") + "…"


def _given(**fields) -> dict:
    return {name: value for name, value in fields.items() if value is not None}

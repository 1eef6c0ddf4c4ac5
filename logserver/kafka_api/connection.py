"""One client's connection: bytes in, requests served, responses out in the order of the requests.

Fed with bytes, and without any waiting of its own: a socket and a simulation use it alike. It reads straight from its
buffer, which starts small and grows with the frames that really come. Requests are served as they arrive; one that
can't be answered yet holds a slot, and what is answered behind it waits for it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Sequence
from struct import Struct as Packed
from typing import Final

from logserver_records.batch import Buffer
from logserver_segments.logs import get_logger

from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import (
    MalformedMessage,
    Struct,
    read_request,
    response_header_is_flexible,
    write_response,
)
from logserver.kafka_api.frames import SIZE, UnknownApi, looks_like, read_header
from logserver.kafka_api.listener import Listener
from logserver.kafka_api.registry import API_VERSIONS, APIS
from logserver.kafka_api.transport import Transport

_log = get_logger("logserver.kafka")

_START_BYTES: Final = 2048
_MOST_FREE_BYTES: Final = 256 * 1024
"""A buffer beyond this is given back once it is empty."""
_MOST_UNANSWERED: Final = 1_000
_RESPONSE_HEAD: Final = Packed(">ii")
_NO_TAGS: Final = b"\x00"


class _Slot:
    """The response to one request."""

    __slots__ = ("chunks", "is_done", "request_bytes")

    def __init__(self, request_bytes: int) -> None:
        self.request_bytes = request_bytes
        self.is_done = False
        self.chunks: Sequence[Buffer] = ()


class Connection:
    """One connection.

    Args:
        peer: the client's address, as HOST:PORT.
        local: this end's address, for clients of a listener on all addresses.
    """

    def __init__(self, listener: Listener, transport: Transport, peer: str, local: str) -> None:
        self._listener = listener
        self._transport = transport
        self._peer = peer
        self._host, self._port = listener.advertised(local)
        self._buffer = bytearray(_START_BYTES)
        self._start = 0
        self._end = 0
        self._slots: deque[_Slot] = deque()
        self._unanswered_bytes = 0
        self._is_reading = True
        self._is_writable = True
        self._is_closed = False
        self._is_parsing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._has_spoken = False
        self.last_used_ms = listener.services.clock.monotonic_ms()

    # From the transport

    def get_buffer(self) -> memoryview:
        """Returns where the next bytes are to go; never empty."""
        if self._end == len(self._buffer):
            self._make_room()
        return memoryview(self._buffer)[self._end :]

    def received(self, count: int) -> None:
        """Takes in that so many bytes are there."""
        self._end += count
        self.last_used_ms = self._listener.services.clock.monotonic_ms()
        self._parse()

    def pause_writing(self) -> None:
        """The client does not read: nothing more is served until `resume_writing`."""
        self._is_writable = False
        self._regulate()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._is_writable = True
        self._regulate()
        self._parse()

    def closed(self) -> None:
        """The connection is gone."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        self._slots.clear()

    # From the door

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way."""
        return not self._slots

    def close(self, reason: str | None = None) -> None:
        """Closes the connection, telling the log why if there is a reason."""
        if self._is_closed:
            return
        if reason is not None:
            _log.warning("connection closed", peer=self._peer, listener=self._listener.name, reason=reason)
        self.closed()
        self._transport.close()

    # Frames

    def _make_room(self) -> None:
        """Makes room behind the bytes that are there: by moving them to the front, by doubling where that is not
        enough."""
        held = self._end - self._start
        if self._start and held <= len(self._buffer) // 2:
            self._buffer[:held] = self._buffer[self._start : self._end]
        else:
            # Never resized in place: views of it may be about.
            grown = bytearray(len(self._buffer) * 2)
            grown[:held] = memoryview(self._buffer)[self._start : self._end]
            self._buffer = grown
        self._start, self._end = 0, held

    def _parse(self) -> None:
        """Serves the whole frames that are there, as long as the client may have more under way."""
        if self._is_parsing:
            return
        self._is_parsing = True
        try:
            while self._serve_next():
                # What is answered already makes room for more.
                if not self._is_reading:
                    self._flush()
        finally:
            self._is_parsing = False
        if self._is_closed:
            return
        self._flush()
        if self._start == self._end:
            self._start = self._end = 0
            if len(self._buffer) > _MOST_FREE_BYTES:
                self._buffer = bytearray(_START_BYTES)

    def _serve_next(self) -> bool:
        """Serves the next frame; returns whether there was a whole one to serve."""
        begin = self._start + SIZE.size
        if not self._is_reading or self._is_closed or self._end < begin:
            return False
        size: int = SIZE.unpack_from(self._buffer, self._start)[0]
        if not 0 < size <= self._listener.request_max_bytes:
            self._refuse_size(size)
            return False
        if self._end - begin < size:
            return False
        self._start = begin + size
        view = memoryview(self._buffer)
        self._serve(view[begin : self._start])
        return True

    def _refuse_size(self, size: int) -> None:
        start = bytes(memoryview(self._buffer)[self._start : self._start + 16])
        if not self._has_spoken:
            self.close(looks_like(start))
        else:
            self.close(f"a request claims {size} bytes, socket.request.max.bytes={self._listener.request_max_bytes}")

    def _serve(self, frame: memoryview) -> None:
        """Serves one request; what is wrong with it closes the connection."""
        try:
            header = read_header(frame)
            api = APIS.get(header.api_key)
            if api is None or not api.lowest <= header.version <= api.highest:
                raise UnknownApi(
                    f"version {header.version} of API key {header.api_key} is not served",
                    header.api_key,
                    header.version,
                    header.correlation_id,
                )
            slot = self._new_slot(len(frame))
            call = Call(
                self._listener.services,
                header.api_key,
                header.version,
                header.client_id,
                f"/{self._peer.rpartition(':')[0]}",
                self._host,
                self._port,
                self._listener.name,
            )
            self._has_spoken = True
            body = frame[header.body :]
            if api.raw is not None:
                correlation_id = header.correlation_id

                def answer(chunks: Sequence[Buffer] | None) -> None:
                    self._done(slot, call, correlation_id, chunks)

                api.raw(call, body, answer)
                return
            request = read_request(header.api_key, header.version, body)
        except UnknownApi as error:
            self._refuse_api(error, len(frame))
            return
        except MalformedMessage as error:
            shown = looks_like(bytes(frame[:16])) if not self._has_spoken else str(error)
            self.close(f"a request can't be read: {error}" if self._has_spoken else f"{shown} ({error})")
            return
        except Exception:
            _log.exception("request failed", peer=self._peer)
            self.close("a request failed; the lines above say why")
            return
        self._handle(api, call, header.correlation_id, slot, request)

    def _refuse_api(self, error: UnknownApi, size: int) -> None:
        if error.api_key != API_VERSIONS or self._is_closed:
            self.close(str(error) if self._has_spoken else f"no request that this server knows: {error}")
            return
        # KIP-511: whatever version a client asks for, it learns which there are.
        self._has_spoken = True
        slot = self._new_slot(size)
        versions = APIS[API_VERSIONS]
        call = Call(self._listener.services, API_VERSIONS, 0, "", "", self._host, self._port, self._listener.name)
        assert versions.failed is not None
        response = versions.failed(Struct({}, lambda name: None), ErrorCode.unsupported_version.value, "")
        self._done(slot, call, error.correlation_id, (write_response(API_VERSIONS, 0, response),))

    def _new_slot(self, size: int) -> _Slot:
        slot = _Slot(size)
        self._slots.append(slot)
        self._unanswered_bytes += size
        self._regulate()
        return slot

    def _handle(self, api: Api, call: Call, correlation_id: int, slot: _Slot, request: Struct) -> None:
        assert api.handle is not None
        response: Response | Awaitable[Response] | None
        try:
            response = api.handle(call, request)
        except Exception as error:
            response = self._failed(api, request, error)
        if isinstance(response, Awaitable):
            task = asyncio.ensure_future(self._finish(api, call, correlation_id, slot, request, response))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._respond(call, correlation_id, slot, response)

    async def _finish(
        self,
        api: Api,
        call: Call,
        correlation_id: int,
        slot: _Slot,
        request: Struct,
        awaited: Awaitable[Response],
    ) -> None:
        try:
            response: Response | None = await awaited
        except Exception as error:
            response = self._failed(api, request, error)
        self._respond(call, correlation_id, slot, response)

    def _failed(self, api: Api, request: Struct, error: Exception) -> Response | None:
        """Returns the response that says that a request as a whole has failed; None where that can't be said."""
        if isinstance(error, LogServerError):
            code, message = error.code.value, error.message
        else:
            _log.error("request failed", api=api.name, peer=self._peer, exc_info=error)
            code, message = ErrorCode.unknown_server_error.value, "the server failed at this request; its log says more"
        if api.failed is not None:
            return api.failed(request, code, message)
        return {"error_code": code, "error_message": message}

    def _respond(self, call: Call, correlation_id: int, slot: _Slot, response: Response | None) -> None:
        if self._is_closed:
            return
        assert response is not None
        try:
            body = write_response(call.api_key, call.version, response)
        except Exception:
            _log.exception("response can't be written", api_key=call.api_key, version=call.version)
            self.close("a response could not be written; the lines above say why")
            return
        self._done(slot, call, correlation_id, (body,))

    # Responses

    def _done(self, slot: _Slot, call: Call, correlation_id: int, chunks: Sequence[Buffer] | None) -> None:
        """Takes in the response to a request."""
        if self._is_closed:
            return
        assert not slot.is_done
        slot.is_done = True
        if chunks is not None:
            tags = _NO_TAGS if response_header_is_flexible(call.api_key, call.version) else b""
            size = 4 + len(tags) + sum(map(len, chunks))
            slot.chunks = (_RESPONSE_HEAD.pack(size, correlation_id) + tags, *chunks)
        if not self._is_parsing:
            self._flush()
            # What has been held up may go on.
            self._parse()

    def _flush(self) -> None:
        """Sends the responses that are next in order."""
        slots = self._slots
        out: list[Buffer] = []
        while slots and slots[0].is_done:
            slot = slots.popleft()
            self._unanswered_bytes -= slot.request_bytes
            out += slot.chunks
        if out:
            self._transport.writelines(out)
            self.last_used_ms = self._listener.services.clock.monotonic_ms()
        self._regulate()

    def _regulate(self) -> None:
        """Reads from the client while it may have more under way."""
        may_read = (
            self._is_writable
            and len(self._slots) < _MOST_UNANSWERED
            and self._unanswered_bytes < self._listener.inflight_max_bytes
        )
        if self._is_closed or may_read == self._is_reading:
            return
        self._is_reading = may_read
        if may_read:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

"""One client's connection: bytes in, requests served, responses out in the order of the requests.

Fed with bytes, and without any waiting of its own: a socket and a simulation use it alike. It reads straight from its
buffer, which starts small and grows with the frames that really come. Requests are served as they arrive; one that
can't be answered yet keeps its place, and what is answered behind it waits for it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Sequence
from struct import Struct as Packed
from typing import Final

from logserver_records.batch import Buffer
from logserver_segments.logs import get_logger

from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Cancel, Client, CloseConnection, Response
from logserver.kafka_api.codec import MalformedMessage, Struct, read_request, write_response
from logserver.kafka_api.frames import SIZE, UnknownApi, looks_like, read_header
from logserver.kafka_api.listener import Listener
from logserver.kafka_api.registry import API_VERSIONS, APIS
from logserver.kafka_api.transport import Transport

_log = get_logger("logserver.kafka")

_START_BYTES: Final = 2048
_STREAM_BYTES: Final = 64 * 1024
"""So large a buffer becomes for a client that sends more at a time than its frames would need."""
_KEPT_MS: Final = 1000
"""A buffer that has grown is given back when nothing has come for so long: to a client that goes on sending large
frames a new one each time costs more than the frames themselves."""
_LEAST_ROOM_BYTES: Final = 1024
"""With less room than this behind them, the bytes of a frame's beginning are moved to the front."""
_MOST_UNANSWERED: Final = 1_000
_RESPONSE_HEAD: Final = Packed(">ii")
_RESPONSE_HEAD_AND_TAGS: Final = Packed(">iix")


class _Request(Call):
    """A request under way, then its response until it is sent."""

    __slots__ = ("_connection", "cancel", "chunks", "correlation_id", "has_tags", "is_done", "size_bytes")

    def __init__(
        self,
        connection: "Connection",
        client: Client,
        api_key: int,
        version: int,
        client_id: str,
        correlation_id: int,
        has_tags: bool,
        size_bytes: int,
    ) -> None:
        self._connection = connection
        self.client = client
        self.api_key = api_key
        self.version = version
        self.client_id = client_id
        self.correlation_id = correlation_id
        self.has_tags = has_tags
        self.size_bytes = size_bytes
        self.is_done = False
        self.chunks: Sequence[Buffer] | None = None
        self.cancel: Cancel | None = None

    def answer(self, chunks: Sequence[Buffer] | None) -> None:
        """Takes in the response: its chunks behind the header, or None where none is due."""
        assert not self.is_done
        self.is_done = True
        self.chunks = chunks
        # It may hold this request and large buffers, which must not wait for the garbage collector.
        self.cancel = None
        self._connection.answered()


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
        host, port = listener.advertised(local)
        peer_host, _, peer_port = peer.rpartition(":")
        self._client = Client(listener.services, f"/{peer_host}", host, port, listener.name, int(peer_port))
        self._clock = listener.services.clock
        # Clients hardly ever change their id.
        self._client_id_bytes = b""
        self._client_id = ""
        self._buffer = bytearray(_START_BYTES)
        self._start = 0
        self._end = 0
        self._requests: deque[_Request] = deque()
        self._unanswered_bytes = 0
        self._is_reading = True
        self._is_writable = True
        self._is_closed = False
        self._is_parsing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._has_spoken = False
        # Whether the last read left no room, so that there may be more to read.
        self._is_crowded = False
        self._keeping: asyncio.TimerHandle | None = None
        self.last_used_ms = self._clock.monotonic_ms()

    # From the transport

    def get_buffer(self) -> memoryview:
        """Returns where the next bytes are to go; never empty."""
        if self._is_crowded or len(self._buffer) - self._end < _LEAST_ROOM_BYTES:
            self._make_room()
        return memoryview(self._buffer)[self._end :]

    def received(self, count: int) -> None:
        """Takes in that so many bytes are there."""
        self._end += count
        self._is_crowded = self._end == len(self._buffer) < _STREAM_BYTES
        self.last_used_ms = self._clock.monotonic_ms()
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
        if self._keeping is not None:
            self._keeping.cancel()
        for task in self._tasks:
            task.cancel()
        requests, self._requests = self._requests, deque()
        for request in requests:
            if request.cancel is not None:
                request.cancel()
                request.cancel = None

    # From the door

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way."""
        return not self._requests

    def close(self, reason: str | None = None) -> None:
        """Closes the connection, telling the log why if there is a reason."""
        if self._is_closed:
            return
        if reason is not None:
            _log.warning("connection closed", peer=self._peer, listener=self._listener.name, reason=reason)
        # The requests before a bad one have their answers.
        self._flush()
        self.closed()
        self._transport.close()

    # Frames

    def _make_room(self) -> None:
        """Makes room behind the bytes that are there: by moving them to the front, by doubling where that is not
        enough."""
        held = self._end - self._start
        if self._start and held <= len(self._buffer) // 2 and not self._is_crowded:
            self._buffer[:held] = self._buffer[self._start : self._end]
        else:
            # Never resized in place: views of it may be about.
            grown = bytearray(len(self._buffer) * 2)
            grown[:held] = memoryview(self._buffer)[self._start : self._end]
            self._buffer = grown
            self._is_crowded = False
            if self._keeping is None:
                self._keep()
        self._start, self._end = 0, held

    def _keep(self) -> None:
        """Keeps the buffer as large as it is for a while."""
        self._keeping = asyncio.get_running_loop().call_later(_KEPT_MS / 1000, self._give_back)

    def _give_back(self) -> None:
        """Takes a small buffer again if the large one is not used."""
        self._keeping = None
        if self._is_closed:
            return
        if self._start == self._end and self.last_used_ms <= self._clock.monotonic_ms() - _KEPT_MS / 2:
            self._start = self._end = 0
            self._buffer = bytearray(_START_BYTES)
        else:
            self._keep()

    def _parse(self) -> None:
        """Serves the whole frames that are there, as long as the client may have more under way."""
        if self._is_parsing:
            return
        self._is_parsing = True
        try:
            while self._is_reading and self._serve_next():
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

    def _serve_next(self) -> bool:
        """Serves the next frame; returns whether there was a whole one to serve."""
        begin = self._start + SIZE.size
        if self._end < begin or self._is_closed:
            return False
        size: int = SIZE.unpack_from(self._buffer, self._start)[0]
        if not 0 < size <= self._listener.request_max_bytes:
            self._refuse_size(size)
            return False
        end = begin + size
        if self._end < end:
            return False
        self._start = end
        self._serve(self._buffer, begin, end)
        return True

    def _refuse_size(self, size: int) -> None:
        start = bytes(memoryview(self._buffer)[self._start : self._start + 16])
        if not self._has_spoken:
            self.close(looks_like(start))
        else:
            self.close(f"a request claims {size} bytes, socket.request.max.bytes={self._listener.request_max_bytes}")

    def _serve(self, data: bytearray, begin: int, end: int) -> None:
        """Serves one request; what is wrong with it closes the connection."""
        try:
            route, version, correlation_id, client_id, body = read_header(data, begin, end)
            if client_id != self._client_id_bytes:
                self._client_id_bytes = client_id
                self._client_id = client_id.decode("utf-8", "replace")
            api = route.api
            call = _Request(
                self,
                self._client,
                api.key,
                version,
                self._client_id,
                correlation_id,
                route.response_has_tags,
                end - begin,
            )
            self._begin(call)
            self._has_spoken = True
            message = memoryview(data)[body:end]
            if api.raw is not None:
                cancel = api.raw(call, message, call.answer)
                if not call.is_done:
                    call.cancel = cancel
                return
            request = read_request(api.key, version, message, self._client.services.settings.request_max_elements)
        except UnknownApi as error:
            self._refuse_api(error, end - begin)
            return
        except CloseConnection as error:
            self.close(str(error))
            return
        except MalformedMessage as error:
            shown = looks_like(bytes(data[begin : begin + 16])) if not self._has_spoken else "a request can't be read"
            self.close(f"{shown}: {error}")
            return
        except Exception:
            _log.exception("request failed", peer=self._peer)
            self.close("a request failed; the lines above say why")
            return
        self._handle(api, call, request)

    def _refuse_api(self, error: UnknownApi, size: int) -> None:
        if error.api_key != API_VERSIONS:
            self.close(str(error) if self._has_spoken else f"no request that this server knows: {error}")
            return
        # KIP-511: whatever version a client asks for, it learns which there are.
        self._has_spoken = True
        call = _Request(self, self._client, API_VERSIONS, 0, "", error.correlation_id, False, size)
        self._begin(call)
        versions = APIS[API_VERSIONS]
        assert versions.failed is not None
        response = versions.failed(Struct({}, lambda name: None), ErrorCode.unsupported_version.value, "")
        call.answer((write_response(API_VERSIONS, 0, response),))

    def _begin(self, request: _Request) -> None:
        """Gives a request its place in the order of the responses."""
        self._requests.append(request)
        self._unanswered_bytes += request.size_bytes
        if self._unanswered_bytes >= self._listener.inflight_max_bytes or len(self._requests) >= _MOST_UNANSWERED:
            self._regulate()

    def _handle(self, api: Api, call: _Request, request: Struct) -> None:
        assert api.handle is not None
        response: Response | Awaitable[Response]
        try:
            response = api.handle(call, request)
        except Exception as error:
            response = self._failed(api, request, error)
        if isinstance(response, Awaitable):
            task = asyncio.ensure_future(self._finish(api, call, request, response))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._respond(call, response)

    async def _finish(self, api: Api, call: _Request, request: Struct, awaited: Awaitable[Response]) -> None:
        try:
            response = await awaited
        except Exception as error:
            response = self._failed(api, request, error)
        self._respond(call, response)

    def _failed(self, api: Api, request: Struct, error: Exception) -> Response:
        """Returns the response that says that a request as a whole has failed."""
        if isinstance(error, LogServerError):
            code, message = error.code.value, error.message
        else:
            _log.error("request failed", api=api.name, peer=self._peer, exc_info=error)
            code, message = ErrorCode.unknown_server_error.value, "the server failed at this request; its log says more"
        if api.failed is not None:
            return api.failed(request, code, message)
        return {"error_code": code, "error_message": message}

    def _respond(self, call: _Request, response: Response) -> None:
        if self._is_closed:
            return
        try:
            body = write_response(call.api_key, call.version, response)
        except Exception:
            _log.exception("response can't be written", api_key=call.api_key, version=call.version)
            self.close("a response could not be written; the lines above say why")
            return
        call.answer((body,))

    # Responses

    def answered(self) -> None:
        """Sends what is next in order, after one of the requests got its response."""
        if self._is_parsing or self._is_closed:
            return
        if self._requests[0].is_done:
            self._flush()
        if self._start != self._end:
            # What has been held up may go on.
            self._parse()

    def _flush(self) -> None:
        """Sends the responses that are next in order."""
        requests = self._requests
        out: list[Buffer] = []
        while requests and requests[0].is_done:
            request = requests.popleft()
            self._unanswered_bytes -= request.size_bytes
            chunks = request.chunks
            if chunks is None:
                continue
            size = sum(map(len, chunks))
            if request.has_tags:
                out.append(_RESPONSE_HEAD_AND_TAGS.pack(size + 5, request.correlation_id))
            else:
                out.append(_RESPONSE_HEAD.pack(size + 4, request.correlation_id))
            out += chunks
        if out:
            self._transport.writelines(out)
            self.last_used_ms = self._clock.monotonic_ms()
        if not self._is_reading:
            self._regulate()

    def _regulate(self) -> None:
        """Reads from the client while it may have more under way."""
        may_read = (
            self._is_writable
            and len(self._requests) < _MOST_UNANSWERED
            and self._unanswered_bytes < self._listener.inflight_max_bytes
        )
        if self._is_closed or may_read == self._is_reading:
            return
        self._is_reading = may_read
        if may_read:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

"""One client's connection: bytes in, requests served, responses out in the order of the requests.

Fed with bytes, and without any waiting of its own: a socket and a simulation use it alike. Requests are served as they
arrive, straight from the buffer that they came into; one that can't be answered yet keeps its place, and what is
answered behind it waits for it.
"""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Sequence
from struct import Struct as Packed
from typing import Final

from logserver_records.batch import Buffer
from logserver_segments.logs import get_logger

from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Cancel, Client, CloseConnection, Place, Response
from logserver.kafka_api.codec import Budget, MalformedMessage, Struct, read_within, write_response
from logserver.kafka_api.frames import SIZE, UnknownApi, looks_like, read_header
from logserver.kafka_api.incoming import Incoming
from logserver.kafka_api.listener import Listener
from logserver.kafka_api.registry import API_VERSIONS, APIS
from logserver.kafka_api.routes import Route
from logserver.kafka_api.transport import Transport

_log = get_logger("logserver.kafka")

_MOST_UNANSWERED: Final = 1_000
_ELEMENT_BYTES: Final = 512
"""What an element of a request takes in memory, as a rule."""
_TURN_MS: Final = 5
"""When requests that came together have taken so long, others are served before the rest of them."""
_MOST_READY: Final = 256
"""So many responses are sent together at most."""
_MOST_UNSENT_BYTES: Final = 1 << 20
"""With so many bytes of responses others wait no longer to be sent with them: a packet may ask for gigabytes."""
_JOINED_BYTES: Final = 16 * 1024
"""Responses that have no more than this together are joined: the socket takes one piece faster than many."""
_KIND: Final = Packed(">ii")
"""API key and version in one, correlation id."""
_RESPONSE_HEAD: Final = Packed(">ii")
_RESPONSE_HEAD_AND_TAGS: Final = Packed(">iix")


class _Request(Call):
    """A request under way, then its response until it is sent."""

    __slots__ = ("_connection", "_correlation_id", "_has_tags", "cancel", "chunks", "size_bytes")

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
        self._correlation_id = correlation_id
        self._has_tags = has_tags
        self.size_bytes = size_bytes
        self.chunks: Sequence[Buffer] | None = None
        self.cancel: Cancel | None = None

    def close(self, reason: str) -> None:
        """As `Call.close`."""
        self._connection.close(reason)

    def carry_out(self, task: asyncio.Task[None]) -> None:
        """As `Call.carry_out`."""
        self._connection.carry_out(task, self.size_bytes)

    def weigh(self, elements: int) -> None:
        """As `Call.weigh`."""
        self._hold(elements * _ELEMENT_BYTES)

    def _hold(self, size: int) -> None:
        self.size_bytes += size
        self._connection.holds(size)

    def answer(self, chunks: Sequence[Buffer] | None) -> None:
        """Takes in the response: its chunks behind the header, or None where none is due."""
        assert self.chunks is None
        if chunks is None:
            self.chunks = ()
        else:
            size = sum(map(len, chunks))
            if self._has_tags:
                head = _RESPONSE_HEAD_AND_TAGS.pack(size + 5, self._correlation_id)
            else:
                head = _RESPONSE_HEAD.pack(size + 4, self._correlation_id)
            self.chunks = (head, *chunks)
            self._connection.unsent_bytes += size + len(head)
            # It may have to wait for those before it.
            self._hold(size)
        # It may hold this request and large buffers, which must not wait for the garbage collector.
        self.cancel = None
        self._connection.answered()

    def late(self, now_s: float) -> float:
        """See `Place`: who handles it looks after its time."""
        return math.inf


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
        self._clock = listener.services.socket_clock
        # Clients hardly ever change their id.
        self._client_id_bytes = b""
        self._client_id = ""
        self._incoming = Incoming(listener.scratch)
        # In the order of the requests. Responses whose turn has come wait for no more than others to be sent with.
        self._places: deque[Place | bytes] = deque()
        self._ready: list[Buffer] = []
        self.unsent_bytes = 0
        """Of responses that are there, and wait for those of earlier requests or for others to be sent with."""
        # The header of the last request, as bytes and as read: most are followed by more of the kind.
        self._last_kind = -1
        self._last_rest = b""
        self._last_route: Route | None = None
        self._unanswered_bytes = 0
        self._is_reading = True
        self._is_writable = True
        self._is_closed = False
        self._is_parsing = False
        self._tasks: dict[asyncio.Task[None], int] = {}
        self._has_spoken = False
        self._is_flush_due = False
        # Whether it has been served for so long that it is the others' turn.
        self._has_had_turn = False
        self._alarm: asyncio.TimerHandle | None = None
        self.last_used_ms = self._clock.monotonic_ms()

    # From the transport

    def get_buffer(self) -> memoryview:
        """Returns where the next bytes are to go; never empty. No other connection may be handed any before these are
        `received`."""
        return self._incoming.room()

    def received(self, count: int) -> None:
        """Takes in that so many bytes are there."""
        self._incoming.received(count)
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
        if not self._is_parsing:
            self._incoming.close()
        if self._alarm is not None:
            self._alarm.cancel()
        tasks, self._tasks = self._tasks, {}
        self._listener.abandoned.take(tasks)
        for gone in tuple(self._client.when_gone.values()):
            gone()
        places, self._places = self._places, deque()
        for place in places:
            if not isinstance(place, bytes) and place.cancel is not None:
                place.cancel()
                place.cancel = None

    # From the door

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way."""
        return not self._places

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

    def _parse(self) -> None:
        """Serves the whole frames that are there, as long as the client may have more under way."""
        if self._is_parsing:
            return
        incoming = self._incoming
        data, start, end = incoming.data, incoming.start, incoming.end
        most = self._listener.request_max_bytes
        turn_ends_ms = math.inf
        self._is_parsing = True
        try:
            while self._is_reading and end - start >= SIZE.size:
                begin = start + SIZE.size
                size: int = SIZE.unpack_from(data, start)[0]
                if not 0 < size <= most:
                    self._refuse_size(size, bytes(data[start : min(end, start + 16)]))
                    break
                behind = begin + size
                if behind > end:
                    break
                start = behind
                if not self._serve(data, begin, behind) and start != end:
                    now_ms = self._clock.monotonic_ms()
                    if now_ms >= turn_ends_ms:
                        self._end_turn()
                    turn_ends_ms = min(turn_ends_ms, now_ms + _TURN_MS)
                if self._is_closed:
                    break
                # What is answered already makes room for more.
                if not self._is_reading or len(self._ready) >= _MOST_READY or self.unsent_bytes >= _MOST_UNSENT_BYTES:
                    self._flush()
                    if self.unsent_bytes >= _MOST_UNSENT_BYTES:
                        self._regulate()
        finally:
            self._is_parsing = False
            incoming.start = start
            if self._is_closed:
                incoming.close()
            else:
                incoming.settle()
        if not self._is_closed:
            self._flush()

    def _end_turn(self) -> None:
        """Has all others served before what is left here: a packet may hold thousands of requests for everything."""
        if not self._is_closed and not self._has_had_turn:
            self._has_had_turn = True
            self._regulate()
            asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._has_had_turn = False
        if not self._is_closed:
            self._regulate()
            self._parse()

    def _refuse_size(self, size: int, start: bytes) -> None:
        if not self._has_spoken:
            self.close(looks_like(start))
        else:
            self.close(f"a request claims {size} bytes, socket.request.max.bytes={self._listener.request_max_bytes}")

    def _serve(self, data: bytearray, begin: int, end: int) -> bool:
        """Serves one request; what is wrong with it closes the connection. Returns whether it went the short way."""
        try:
            kind, correlation_id = _KIND.unpack_from(data, begin) if end - begin >= _KIND.size else (None, -1)
            route = self._last_route
            if (
                route is None
                or kind != self._last_kind
                or not data.startswith(self._last_rest, begin + _KIND.size, end)
            ):
                route = self._read_header(data, begin, end)
            body = begin + _KIND.size + len(self._last_rest)
            if route.quick is not None and (answer := route.quick(self, correlation_id, data, body, end)) is not None:
                self._take_quick(answer)
                # What is read takes its time.
                return isinstance(answer, bytes)
            api = route.api
            call = _Request(
                self,
                self._client,
                api.key,
                route.version,
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
                if call.chunks is None:
                    call.cancel = cancel
                return False
            budget = Budget(self._client.services.settings.request_max_elements)
            request = read_within(api.key, route.version, message, budget)
            call.weigh(budget.taken)
        except UnknownApi as error:
            self._refuse_api(error, end - begin)
            return False
        except CloseConnection as error:
            self.close(str(error))
            return False
        except MalformedMessage as error:
            shown = looks_like(bytes(data[begin : begin + 16])) if not self._has_spoken else "a request can't be read"
            self.close(f"{shown}: {error}")
            return False
        except Exception:
            _log.exception("request failed", peer=self._peer)
            self.close("a request failed; the lines above say why")
            return False
        self._handle(api, call, request)
        return False

    def _read_header(self, data: bytearray, begin: int, end: int) -> Route:
        """Reads a header; those of the requests that follow are held against it."""
        route, _, _, client_id, body = read_header(data, begin, end)
        if client_id != self._client_id_bytes:
            self._client_id_bytes = client_id
            self._client_id = client_id.decode("utf-8", "replace")
        self._last_kind, _ = _KIND.unpack_from(data, begin)
        self._last_rest = bytes(data[begin + _KIND.size : body])
        failing = self._listener.services.failing
        if failing is not None:
            route = failing.of(route)
        self._last_route = route
        return route

    def _take_quick(self, answer: bytes | Place) -> None:
        self._has_spoken = True
        if not isinstance(answer, bytes):
            self._begin(answer)
        elif self._places:
            self._places.append(answer)
        else:
            self._ready.append(answer)

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

    def _begin(self, place: Place) -> None:
        """Gives a request its place in the order of the responses."""
        self._places.append(place)
        self._unanswered_bytes += place.size_bytes
        if self._unanswered_bytes >= self._listener.inflight_max_bytes or len(self._places) >= _MOST_UNANSWERED:
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
            self.carry_out(task, call.size_bytes)
        else:
            self._respond(call, response)

    def carry_out(self, task: asyncio.Task[None], size_bytes: int) -> None:
        """Keeps a task of a request, also when the client has gone."""
        self._tasks[task] = size_bytes
        task.add_done_callback(self._tasks.pop)

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

    def holds(self, size: int) -> None:
        """Takes in that a request under way holds so many bytes more."""
        self._unanswered_bytes += size
        if self._is_reading and self._unanswered_bytes >= self._listener.inflight_max_bytes:
            self._regulate()

    @property
    def client(self) -> Client:
        """Who is at the other end."""
        return self._client

    @property
    def has_tasks(self) -> bool:
        """Whether requests are under way that others may not overtake."""
        return bool(self._tasks)

    def ring_at(self, at_s: float) -> None:
        """Tells the requests under way when a time has come, by the event loop's clock: one timer does for all."""
        if self._alarm is not None:
            if self._alarm.when() <= at_s:
                return
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_at(at_s, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        now_s = asyncio.get_running_loop().time()
        waiting = [place for place in self._places if not isinstance(place, bytes) and place.chunks is None]
        next_s = min((place.late(now_s) for place in waiting), default=math.inf)
        if next_s < math.inf and not self._is_closed:
            self.ring_at(next_s)

    def answered(self) -> None:
        """Sends what is next in order, after one of the requests got its response."""
        if self._is_parsing or self._is_closed or self._is_flush_due:
            return
        first = self._places[0]
        if isinstance(first, bytes) or first.chunks is None:
            return
        if len(self._places) == 1:
            self._go_on()
        else:
            # What waits behind it may be answered in the same moment: a flush answers many.
            self._is_flush_due = True
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._is_flush_due = False
        if self._is_closed:
            return
        self._flush()
        if self._incoming.start != self._incoming.end:
            # What has been held up may go on.
            self._parse()

    def _flush(self) -> None:
        """Sends the responses that are next in order."""
        places, ready = self._places, self._ready
        while places:
            first = places[0]
            if isinstance(first, bytes):
                ready.append(first)
            elif first.chunks is None:
                break
            else:
                self._unanswered_bytes -= first.size_bytes
                self.unsent_bytes -= sum(map(len, first.chunks))
                ready += first.chunks
            places.popleft()
        if ready:
            self._ready = []
            if len(ready) > 1 and sum(map(len, ready)) <= _JOINED_BYTES:
                ready = [b"".join(ready)]
            self._transport.writelines(ready)
            self.last_used_ms = self._clock.monotonic_ms()
        if not self._is_reading:
            self._regulate()

    def _regulate(self) -> None:
        """Reads from the client while it may have more under way."""
        may_read = (
            self._is_writable
            and not self._has_had_turn
            and len(self._places) < _MOST_UNANSWERED
            and self._unanswered_bytes + self.unsent_bytes < self._listener.inflight_max_bytes
        )
        if self._is_closed or may_read == self._is_reading:
            return
        self._is_reading = may_read
        if may_read:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

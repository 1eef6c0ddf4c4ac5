"""ApiVersions: what clients learn first."""

import pytest

from logserver.errors import ErrorCode

from .raw_client import API_VERSIONS, PRODUCE, RawClient, request_frame, served_versions

CLIENT = {"client_software_name": "raw", "client_software_version": "1"}


@pytest.mark.parametrize("version", served_versions(API_VERSIONS))
def test_every_version_names_what_is_served(client: RawClient, version: int) -> None:
    response = client.call(API_VERSIONS, version, CLIENT)
    served = {key.api_key: (key.min_version, key.max_version) for key in response.api_keys}
    assert response.error_code == 0
    assert served[API_VERSIONS] == (0, 4)
    # librdkafka takes a broker without version 0 for an ancient one.
    assert served[PRODUCE][0] == 0


def test_a_version_that_is_not_known_is_answered_in_version_0_and_the_connection_stays(client: RawClient) -> None:
    newer = bytearray(request_frame(API_VERSIONS, 4, CLIENT, 1))
    newer[6:8] = (99).to_bytes(2, "big")
    client.send(API_VERSIONS, 0, {})
    client.receive()
    client.send_bytes(bytes(newer))
    frame = client.receive_frame()
    assert int.from_bytes(frame[4:6], "big") == ErrorCode.unsupported_version.value
    assert client.call(API_VERSIONS, 4, CLIENT).error_code == 0


def test_a_software_name_that_is_none_is_refused(client: RawClient) -> None:
    response = client.call(API_VERSIONS, 3, {"client_software_name": " ", "client_software_version": "1"})
    assert response.error_code == ErrorCode.invalid_request.value

"""What the script that asks both servers makes of two answers."""

from pathlib import Path
from typing import Any

from logserver.kafka_api.codec import read_request, write_response
from logserver.kafka_api.registry import APIS

from .batches import batch, patched, read_back
from .compare import Difference, differences
from .explained import Explained, rows_without_place, sort
from .keys import Key
from .known import KNOWN
from .messages import read_response, versions, write_request
from .normal import Normalizer
from .report import text
from .session import Exchange

BASE = 1_700_000_000_000


def exchange(answer: dict[str, Any], label: str = "label", key: int = Key.METADATA) -> Exchange:
    """An exchange of one part."""
    return Exchange("part", label, key, 12, answer)


def fields(kafka: dict[str, Any], ours: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """The differences of two answers, which are made comparable first."""
    found = differences(Normalizer(BASE).all([exchange(kafka)]), Normalizer(BASE).all([exchange(ours)]))
    return {difference.field: (difference.kafka, difference.ours) for difference in found}


def test_every_field_is_compared_and_named_by_what_it_belongs_to() -> None:
    kafka = {"topics": [{"name": "a", "error_code": "NONE", "partitions": [{"index": 3, "offset": 5}]}], "time": 0}
    ours = {"topics": [{"name": "a", "error_code": "NONE", "partitions": [{"index": 3, "offset": 6}]}], "time": 0}
    assert fields(kafka, ours) == {"topics/a/partitions/3/offset": ("5", "6")}
    assert fields(kafka, {**kafka, "time": None}) == {"time": ("0", "None")}
    assert fields(kafka, kafka) == {}


def test_the_order_of_named_elements_does_not_matter_but_their_number_does() -> None:
    one, two = {"name": "a", "value": 1}, {"name": "b", "value": 2}
    assert fields({"x": [one, two]}, {"x": [two, one]}) == {}
    assert fields({"x": [one, two]}, {"x": [one]}) == {"x/b": ("present", "absent")}
    assert fields({"x": [one, one]}, {"x": [one]}) == {"x/a#2": ("present", "absent")}
    assert fields({"x": [1, 2]}, {"x": [2, 1]}) == {"x": ("[1, 2]", "[2, 1]")}
    assert fields({"x": [one]}, {"x": []}) == {"x": ("present", "[]")}
    first, second = {"partition_index": 0, "records": b""}, {"partition_index": 1, "records": b""}
    assert fields({"x": [first, second]}, {"x": [second, first]}) == {}
    assert fields({"x": [{"name": ""}, one]}, {"x": [one, {"name": ""}]}) == {}


def test_ids_are_compared_by_where_they_came_from() -> None:
    def answer(first: str, second: str, own: str) -> dict[str, Any]:
        members = [{"member_id": f"m-{first}"}, {"member_id": f"m-{second}"}]
        return {"members": members, "own": f"m-{own}"}

    one, two = "11111111-2222-3333-4444-555555555555", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
    assert fields(answer(one, two, one), answer(two, one, two)) == {}
    assert fields(answer(one, two, one), answer(one, two, two)) == {"own": ("'m-<uuid 1>'", "'m-<uuid 2>'")}
    topic = {"topics": [{"name": "t", "topic_id": "x" * 22}], "other": {"topic_id": "x" * 22}}
    other = {"topics": [{"name": "t", "topic_id": "y" * 22}], "other": {"topic_id": "z" * 22}}
    assert fields(topic, other) == {"other/topic_id": ("'<id of t>'", "'<uuid 1>'")}
    assert fields({"producer_id": 7}, {"producer_id": 1007}) == {}
    assert fields({"producer_id": -1}, {"producer_id": 1007}) == {"producer_id": ("-1", "'<producer 1>'")}


def test_texts_and_ports_are_compared_by_whether_they_are_there() -> None:
    assert fields({"error_message": "a", "port": 1}, {"error_message": "b", "port": 2}) == {}
    assert fields({"error_message": None}, {"error_message": "b"}) == {"error_message": ("None", "'<text>'")}
    assert fields({"error_message": ""}, {"error_message": None}) == {"error_message": ("''", "None")}


def test_records_are_compared_inside() -> None:
    made = batch("a", "b", at_ms=BASE, key="k")
    (header,) = read_back(made)
    assert (header["crc"], header["count"], header["records"][1]) == ("right", 2, f"1 @{BASE + 1} b'k'=b'b'")
    assert read_back(patched(made, base_offset=7, crc=1, is_crc_right=False))[0]["crc"] == "wrong"
    assert read_back(made + made[:70])[1] == {"bytes_left": 70}
    assert fields({"records": made}, {"records": patched(made, partition_leader_epoch=4)}) == {
        "records/0/partition_leader_epoch": ("-1", "4")
    }


def test_requests_that_only_one_server_was_asked_are_differences() -> None:
    (found,) = differences([exchange({}, "a"), exchange({}, "b")], [exchange({}, "a")])
    assert (found.label, found.kafka, found.ours) == ("b", "present", "not asked")


def test_explanations_cover_what_they_name_and_are_told_when_they_cover_nothing() -> None:
    difference = Difference("part", "label [1]", Key.METADATA, 12, "topics/a/error_code", "'NONE'", "'X'")
    other = Difference("part", "other", Key.METADATA, 12, "topics/a/error_code", "'Y'", "'X'")
    right = Explained("row", "Metadata", "topics/*/error_code", kafka="'NONE'", about="part/label [1]")
    needless = Explained("row", "Metadata", "topics/*/name")
    found = sort([difference, other], [right, needless])
    assert found.explained == [(right, difference)]
    assert found.unexplained == [other]
    assert found.needless == [needless]
    report = text([exchange({}, "label [1]"), exchange({}, "other")], found, has_all=True)
    assert "Metadata topics/a/error_code" in report and "part/other (v12)" in report
    assert "Metadata topics/*/name" in report
    assert "0 answers are equal, 1 differ as explained, 1 differ without an explanation" in report


def test_every_explanation_names_a_row_of_the_page(tmp_path: Path) -> None:
    assert rows_without_place(KNOWN) == []
    page = tmp_path / "page.md"
    page.write_text("| What | Here |\n| --- | --- |\n| row | x |\n")
    assert rows_without_place([Explained("row", "*", "*"), Explained("gone", "*", "*")], page) == ["gone"]


def test_the_other_codec_writes_what_ours_reads_and_reads_what_ours_writes() -> None:
    for key, api in APIS.items():
        for version in versions(key):
            if version > api.highest:
                continue
            read_request(key, version, memoryview(write_request(key, version, {})), 1000)
            read_response(key, version, write_response(key, version, {}))

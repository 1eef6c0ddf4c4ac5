"""Records of Apache Kafka 4.3.1: of brokers that have had transactions of raw requests and of librdkafka, whose
transactional id is not ASCII, and of its generated classes, which write what brokers seldom or never do."""

from typing import Final, NamedTuple

from logserver.coordinator.transactions.formats import TopicPartitions, TransactionLogValue, TransactionState

h = bytes.fromhex


class Vector(NamedTuple):
    """A record, and how it was made."""

    made: str
    key_data: bytes
    value_data: bytes | None
    transactional_id: str
    value: TransactionLogValue | None


VECTORS: Final = [
    Vector(
        "broker, Empty of version 0, under another producer id, 0 topics",
        h("00000008636173652d383932"),
        h("000100000000000006fb00000000ea600000000001a1ff46dc7bffffffffffffffff01000800000000006ad33c"),
        "case-892",
        TransactionLogValue(
            producer_id=1787,
            producer_epoch=0,
            timeout_ms=60000,
            state=TransactionState.EMPTY,
            last_update_timestamp_ms=1795284196475,
            previous_producer_id=7000892,
        ),
    ),
    Vector(
        "broker, Empty of version 0, 0 topics",
        h("0000000b6772c3b6c39f652de7b584"),
        h("0001000000000000072400000000afc80000000001a1ff46e164ffffffffffffffff0100080000000000000724"),
        "größe-組",
        TransactionLogValue(
            producer_id=1828,
            producer_epoch=0,
            timeout_ms=45000,
            state=TransactionState.EMPTY,
            last_update_timestamp_ms=1795284197732,
            previous_producer_id=1828,
        ),
    ),
    Vector(
        "broker, Empty of version 2, 0 topics",
        h("00000008636173652d343833"),
        h("000100000000000005ab00030000ea600000000001a1ff468be0ffffffffffffffff02000800000000000005ab02020002"),
        "case-483",
        TransactionLogValue(
            producer_id=1451,
            producer_epoch=3,
            timeout_ms=60000,
            state=TransactionState.EMPTY,
            last_update_timestamp_ms=1795284175840,
            previous_producer_id=1451,
            client_transaction_version=2,
        ),
    ),
    Vector(
        "broker, Ongoing of version 0, 1 topic",
        h("00000007636173652d3435"),
        h(
            "000100000000000003f500000000ea6001020e74616b65732d6d61726b657273020000000100000001a1ff467860000001a1"
            "ff46786001000800000000000003f5"
        ),
        "case-45",
        TransactionLogValue(
            producer_id=1013,
            producer_epoch=0,
            timeout_ms=60000,
            state=TransactionState.ONGOING,
            partitions=(TopicPartitions("takes-markers", (1,)),),
            last_update_timestamp_ms=1795284170848,
            start_timestamp_ms=1795284170848,
            previous_producer_id=1013,
        ),
    ),
    Vector(
        "broker, Ongoing of version 0, 2 topics",
        h("0000000b6772c3b6c39f652de7b584"),
        h(
            "0001000000000000072400000000afc8010303696e020000000000046f757403000000020000000000000001a1ff46e1f000"
            "0001a1ff46e1f00100080000000000000724"
        ),
        "größe-組",
        TransactionLogValue(
            producer_id=1828,
            producer_epoch=0,
            timeout_ms=45000,
            state=TransactionState.ONGOING,
            partitions=(
                TopicPartitions("in", (0,)),
                TopicPartitions("out", (2, 0)),
            ),
            last_update_timestamp_ms=1795284197872,
            start_timestamp_ms=1795284197872,
            previous_producer_id=1828,
        ),
    ),
    Vector(
        "broker, Ongoing of version 0, 3 topics",
        h("0000000b6772c3b6c39f652de7b584"),
        h(
            "0001000000000000072400000000afc8010403696e020000000000135f5f636f6e73756d65725f6f66667365747302000000"
            "0100046f757403000000020000000000000001a1ff47302a000001a1ff46e1f00100080000000000000724"
        ),
        "größe-組",
        TransactionLogValue(
            producer_id=1828,
            producer_epoch=0,
            timeout_ms=45000,
            state=TransactionState.ONGOING,
            partitions=(
                TopicPartitions("in", (0,)),
                TopicPartitions("__consumer_offsets", (1,)),
                TopicPartitions("out", (2, 0)),
            ),
            last_update_timestamp_ms=1795284217898,
            start_timestamp_ms=1795284197872,
            previous_producer_id=1828,
        ),
    ),
    Vector(
        "broker, Ongoing of version 2, 1 topic",
        h("00000007636173652d3831"),
        h(
            "0001000000000000041900010000ea6001020e74616b65732d6d61726b657273020000000100000001a1ff467b33000001a1"
            "ff467b33020008000000000000041902020002"
        ),
        "case-81",
        TransactionLogValue(
            producer_id=1049,
            producer_epoch=1,
            timeout_ms=60000,
            state=TransactionState.ONGOING,
            partitions=(TopicPartitions("takes-markers", (1,)),),
            last_update_timestamp_ms=1795284171571,
            start_timestamp_ms=1795284171571,
            previous_producer_id=1049,
            client_transaction_version=2,
        ),
    ),
    Vector(
        "broker, PrepareCommit of version 0, 1 topic",
        h("00000008636173652d313739"),
        h(
            "0001000000000000047b00010000ea6002020e74616b65732d6d61726b657273020000000000000001a1ff467f12000001a1"
            "ff467f10010008000000000000047b"
        ),
        "case-179",
        TransactionLogValue(
            producer_id=1147,
            producer_epoch=1,
            timeout_ms=60000,
            state=TransactionState.PREPARE_COMMIT,
            partitions=(TopicPartitions("takes-markers", (0,)),),
            last_update_timestamp_ms=1795284172562,
            start_timestamp_ms=1795284172560,
            previous_producer_id=1147,
        ),
    ),
    Vector(
        "broker, PrepareCommit of version 2, 1 topic",
        h("00000008636173652d323336"),
        h(
            "000100000000000004b400020000ea6002020e74616b65732d6d61726b657273020000000000000001a1ff46813a000001a1"
            "ff46813802000800000000000004b402020002"
        ),
        "case-236",
        TransactionLogValue(
            producer_id=1204,
            producer_epoch=2,
            timeout_ms=60000,
            state=TransactionState.PREPARE_COMMIT,
            partitions=(TopicPartitions("takes-markers", (0,)),),
            last_update_timestamp_ms=1795284173114,
            start_timestamp_ms=1795284173112,
            previous_producer_id=1204,
            client_transaction_version=2,
        ),
    ),
    Vector(
        "broker, PrepareCommit of version 2, epochs used up, 1 topic",
        h("00000008636173652d383433"),
        h(
            "000100000000006ad30b7fff000927c002020e74616b65732d6d61726b657273020000000000000001a1ff46db24000001a1"
            "ff46495c03000800000000006ad30b010800000000000006d002020002"
        ),
        "case-843",
        TransactionLogValue(
            producer_id=7000843,
            producer_epoch=32767,
            timeout_ms=600000,
            state=TransactionState.PREPARE_COMMIT,
            partitions=(TopicPartitions("takes-markers", (0,)),),
            last_update_timestamp_ms=1795284196132,
            start_timestamp_ms=1795284158812,
            previous_producer_id=7000843,
            next_producer_id=1744,
            client_transaction_version=2,
        ),
    ),
    Vector(
        "broker, PrepareAbort of version 0, 1 topic",
        h("00000008636173652d323635"),
        h(
            "000100000000000004d100020000ea6003020e74616b65732d6d61726b657273020000000000000001a1ff46838a000001a1"
            "ff46838801000800000000000004d1"
        ),
        "case-265",
        TransactionLogValue(
            producer_id=1233,
            producer_epoch=2,
            timeout_ms=60000,
            state=TransactionState.PREPARE_ABORT,
            partitions=(TopicPartitions("takes-markers", (0,)),),
            last_update_timestamp_ms=1795284173706,
            start_timestamp_ms=1795284173704,
            previous_producer_id=1233,
        ),
    ),
    Vector(
        "broker, PrepareAbort of version 2, 0 topics",
        h("00000007636173652d3639"),
        h("0001000000000000040d00010000ea600301000001a1ff467a75000001a1ff467a75020008000000000000040d02020002"),
        "case-69",
        TransactionLogValue(
            producer_id=1037,
            producer_epoch=1,
            timeout_ms=60000,
            state=TransactionState.PREPARE_ABORT,
            last_update_timestamp_ms=1795284171381,
            start_timestamp_ms=1795284171381,
            previous_producer_id=1037,
            client_transaction_version=2,
        ),
    ),
    Vector(
        "broker, PrepareAbort of version 2, 1 topic",
        h("00000008636173652d313535"),
        h(
            "0001000000000000046300020000ea6003020e74616b65732d6d61726b657273020000000000000001a1ff467e33000001a1"
            "ff467e2c020008000000000000046302020002"
        ),
        "case-155",
        TransactionLogValue(
            producer_id=1123,
            producer_epoch=2,
            timeout_ms=60000,
            state=TransactionState.PREPARE_ABORT,
            partitions=(TopicPartitions("takes-markers", (0,)),),
            last_update_timestamp_ms=1795284172339,
            start_timestamp_ms=1795284172332,
            previous_producer_id=1123,
            client_transaction_version=2,
        ),
    ),
    Vector(
        "broker, PrepareAbort of version 2, 3 topics",
        h("0000000b6772c3b6c39f652de7b584"),
        h(
            "0001000000000000072400010000afc8030403696e020000000000135f5f636f6e73756d65725f6f66667365747302000000"
            "0100046f757403000000020000000000000001a1ff479252000001a1ff46e1f0020008000000000000072402020002"
        ),
        "größe-組",
        TransactionLogValue(
            producer_id=1828,
            producer_epoch=1,
            timeout_ms=45000,
            state=TransactionState.PREPARE_ABORT,
            partitions=(
                TopicPartitions("in", (0,)),
                TopicPartitions("__consumer_offsets", (1,)),
                TopicPartitions("out", (2, 0)),
            ),
            last_update_timestamp_ms=1795284243026,
            start_timestamp_ms=1795284197872,
            previous_producer_id=1828,
            client_transaction_version=2,
        ),
    ),
    Vector(
        "broker, PrepareAbort of version 2, epochs used up, 0 topics",
        h("00000008636173652d383036"),
        h(
            "000100000000006ad2e67fff000927c00301000001a1ff46daca000001a1ff46daca03000800000000006ad2e60108000000"
            "00000006cb02020002"
        ),
        "case-806",
        TransactionLogValue(
            producer_id=7000806,
            producer_epoch=32767,
            timeout_ms=600000,
            state=TransactionState.PREPARE_ABORT,
            last_update_timestamp_ms=1795284196042,
            start_timestamp_ms=1795284196042,
            previous_producer_id=7000806,
            next_producer_id=1739,
            client_transaction_version=2,
        ),
    ),
    Vector(
        "broker, PrepareAbort of version 2, epochs used up, 1 topic",
        h("00000008636173652d383130"),
        h(
            "000100000000006ad2ea7fff000927c003020e74616b65732d6d61726b657273020000000000000001a1ff46dacc000001a1"
            "ff46495c03000800000000006ad2ea010800000000000006cc02020002"
        ),
        "case-810",
        TransactionLogValue(
            producer_id=7000810,
            producer_epoch=32767,
            timeout_ms=600000,
            state=TransactionState.PREPARE_ABORT,
            partitions=(TopicPartitions("takes-markers", (0,)),),
            last_update_timestamp_ms=1795284196044,
            start_timestamp_ms=1795284158812,
            previous_producer_id=7000810,
            next_producer_id=1740,
            client_transaction_version=2,
        ),
    ),
    Vector(
        "broker, CompleteCommit of version 0, 0 topics",
        h("00000008636173652d313739"),
        h("0001000000000000047b00010000ea600401000001a1ff467f15000001a1ff467f10010008000000000000047b"),
        "case-179",
        TransactionLogValue(
            producer_id=1147,
            producer_epoch=1,
            timeout_ms=60000,
            state=TransactionState.COMPLETE_COMMIT,
            last_update_timestamp_ms=1795284172565,
            start_timestamp_ms=1795284172560,
            previous_producer_id=1147,
        ),
    ),
    Vector(
        "broker, CompleteCommit of version 2, under another producer id, 0 topics",
        h("00000008636173652d383433"),
        h("000100000000000006d00000000927c00401000001a1ff46db24000001a1ff46495c02000800000000006ad30b02020002"),
        "case-843",
        TransactionLogValue(
            producer_id=1744,
            producer_epoch=0,
            timeout_ms=600000,
            state=TransactionState.COMPLETE_COMMIT,
            last_update_timestamp_ms=1795284196132,
            start_timestamp_ms=1795284158812,
            previous_producer_id=7000843,
            client_transaction_version=2,
        ),
    ),
    Vector(
        "broker, CompleteCommit of version 2, 0 topics",
        h("00000008636173652d323336"),
        h("000100000000000004b400020000ea600401000001a1ff46813a000001a1ff46813802000800000000000004b402020002"),
        "case-236",
        TransactionLogValue(
            producer_id=1204,
            producer_epoch=2,
            timeout_ms=60000,
            state=TransactionState.COMPLETE_COMMIT,
            last_update_timestamp_ms=1795284173114,
            start_timestamp_ms=1795284173112,
            previous_producer_id=1204,
            client_transaction_version=2,
        ),
    ),
    Vector(
        "broker, CompleteAbort of version 0, 0 topics",
        h("00000008636173652d323635"),
        h("000100000000000004d100020000ea600501000001a1ff46838a000001a1ff46838801000800000000000004d1"),
        "case-265",
        TransactionLogValue(
            producer_id=1233,
            producer_epoch=2,
            timeout_ms=60000,
            state=TransactionState.COMPLETE_ABORT,
            last_update_timestamp_ms=1795284173706,
            start_timestamp_ms=1795284173704,
            previous_producer_id=1233,
        ),
    ),
    Vector(
        "broker, CompleteAbort of version 2, under another producer id, 0 topics",
        h("00000008636173652d383130"),
        h("000100000000000006cc0000000927c00501000001a1ff46dacd000001a1ff46495c02000800000000006ad2ea02020002"),
        "case-810",
        TransactionLogValue(
            producer_id=1740,
            producer_epoch=0,
            timeout_ms=600000,
            state=TransactionState.COMPLETE_ABORT,
            last_update_timestamp_ms=1795284196045,
            start_timestamp_ms=1795284158812,
            previous_producer_id=7000810,
            client_transaction_version=2,
        ),
    ),
    Vector(
        "broker, CompleteAbort of version 2, 0 topics",
        h("00000007636173652d3639"),
        h("0001000000000000040d00010000ea600501000001a1ff467a81000001a1ff467a75020008000000000000040d02020002"),
        "case-69",
        TransactionLogValue(
            producer_id=1037,
            producer_epoch=1,
            timeout_ms=60000,
            state=TransactionState.COMPLETE_ABORT,
            last_update_timestamp_ms=1795284171393,
            start_timestamp_ms=1795284171381,
            previous_producer_id=1037,
            client_transaction_version=2,
        ),
    ),
    Vector(
        "broker of transaction.version 0, Empty, 0 topics",
        h("0000000b6772c3b6c39f652de7b584"),
        h("0000000000000000000000000000afc800ffffffff000001a1ff6a5efdffffffffffffffff"),
        "größe-組",
        TransactionLogValue(
            producer_id=0,
            producer_epoch=0,
            timeout_ms=45000,
            state=TransactionState.EMPTY,
            last_update_timestamp_ms=1795286523645,
        ),
    ),
    Vector(
        "broker of transaction.version 0, Ongoing, 2 topics",
        h("0000000b6772c3b6c39f652de7b584"),
        h(
            "0000000000000000000000000000afc801000000020002696e000000010000000000036f7574000000020000000200000000"
            "000001a1ff6a5fd6000001a1ff6a5fd6"
        ),
        "größe-組",
        TransactionLogValue(
            producer_id=0,
            producer_epoch=0,
            timeout_ms=45000,
            state=TransactionState.ONGOING,
            partitions=(
                TopicPartitions("in", (0,)),
                TopicPartitions("out", (2, 0)),
            ),
            last_update_timestamp_ms=1795286523862,
            start_timestamp_ms=1795286523862,
        ),
    ),
    Vector(
        "broker of transaction.version 0, Ongoing, 3 topics",
        h("0000000b6772c3b6c39f652de7b584"),
        h(
            "0000000000000000000000000000afc801000000030002696e000000010000000000125f5f636f6e73756d65725f6f666673"
            "657473000000010000000100036f7574000000020000000200000000000001a1ff6a60dd000001a1ff6a5fd6"
        ),
        "größe-組",
        TransactionLogValue(
            producer_id=0,
            producer_epoch=0,
            timeout_ms=45000,
            state=TransactionState.ONGOING,
            partitions=(
                TopicPartitions("in", (0,)),
                TopicPartitions("__consumer_offsets", (1,)),
                TopicPartitions("out", (2, 0)),
            ),
            last_update_timestamp_ms=1795286524125,
            start_timestamp_ms=1795286523862,
        ),
    ),
    Vector(
        "broker of transaction.version 0, PrepareCommit, 3 topics",
        h("0000000b6772c3b6c39f652de7b584"),
        h(
            "0000000000000000000000000000afc802000000030002696e000000010000000000125f5f636f6e73756d65725f6f666673"
            "657473000000010000000100036f7574000000020000000200000000000001a1ff6a619a000001a1ff6a5fd6"
        ),
        "größe-組",
        TransactionLogValue(
            producer_id=0,
            producer_epoch=0,
            timeout_ms=45000,
            state=TransactionState.PREPARE_COMMIT,
            partitions=(
                TopicPartitions("in", (0,)),
                TopicPartitions("__consumer_offsets", (1,)),
                TopicPartitions("out", (2, 0)),
            ),
            last_update_timestamp_ms=1795286524314,
            start_timestamp_ms=1795286523862,
        ),
    ),
    Vector(
        "broker of transaction.version 0, PrepareAbort, 3 topics",
        h("0000000b6772c3b6c39f652de7b584"),
        h(
            "0000000000000000000000000000afc803000000030002696e000000010000000000125f5f636f6e73756d65725f6f666673"
            "657473000000010000000100036f7574000000020000000200000000000001a1ff6a6399000001a1ff6a62a4"
        ),
        "größe-組",
        TransactionLogValue(
            producer_id=0,
            producer_epoch=0,
            timeout_ms=45000,
            state=TransactionState.PREPARE_ABORT,
            partitions=(
                TopicPartitions("in", (0,)),
                TopicPartitions("__consumer_offsets", (1,)),
                TopicPartitions("out", (2, 0)),
            ),
            last_update_timestamp_ms=1795286524825,
            start_timestamp_ms=1795286524580,
        ),
    ),
    Vector(
        "broker of transaction.version 0, CompleteCommit, 0 topics",
        h("0000000b6772c3b6c39f652de7b584"),
        h("0000000000000000000000000000afc80400000000000001a1ff6a61a4000001a1ff6a5fd6"),
        "größe-組",
        TransactionLogValue(
            producer_id=0,
            producer_epoch=0,
            timeout_ms=45000,
            state=TransactionState.COMPLETE_COMMIT,
            last_update_timestamp_ms=1795286524324,
            start_timestamp_ms=1795286523862,
        ),
    ),
    Vector(
        "broker of transaction.version 0, CompleteAbort, 0 topics",
        h("0000000b6772c3b6c39f652de7b584"),
        h("0000000000000000000000000000afc80500000000000001a1ff6a6399000001a1ff6a62a4"),
        "größe-組",
        TransactionLogValue(
            producer_id=0,
            producer_epoch=0,
            timeout_ms=45000,
            state=TransactionState.COMPLETE_ABORT,
            last_update_timestamp_ms=1795286524825,
            start_timestamp_ms=1795286524580,
        ),
    ),
    Vector(
        "broker, forgotten after transactional.id.expiration.ms",
        h("0000000b6772c3b6c39f652de7b584"),
        None,
        "größe-組",
        None,
    ),
    Vector(
        "class, version 0, Ongoing",
        h("0000000b6772c3b6c39f652de7b584"),
        h(
            "000000200000000000017ffa7fffffff010000000200125f5f636f6e73756d65725f6f666673657473000000010000003100"
            "ce742e622d635f78787878787878787878787878787878787878787878787878787878787878787878787878787878787878"
            "7878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878"
            "7878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878"
            "7878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878"
            "78787878787878000000037fffffff0000000000000007000001a1ff3a7a22000001a1ff3a76c0"
        ),
        "größe-組",
        TransactionLogValue(
            producer_id=9007199254740993,
            producer_epoch=32762,
            timeout_ms=2147483647,
            state=TransactionState.ONGOING,
            partitions=(
                TopicPartitions("__consumer_offsets", (49,)),
                TopicPartitions("t.b-c_" + "x" * 200, (2147483647, 0, 7)),
            ),
            last_update_timestamp_ms=1795283384866,
            start_timestamp_ms=1795283384000,
        ),
    ),
    Vector(
        "class, version 1, Empty",
        h("0000000b6772c3b6c39f652de7b584"),
        h("000100200000000000017ff97fffffff0000000001a1ff3a7a22ffffffffffffffff00"),
        "größe-組",
        TransactionLogValue(
            producer_id=9007199254740993,
            producer_epoch=32761,
            timeout_ms=2147483647,
            state=TransactionState.EMPTY,
            last_update_timestamp_ms=1795283384866,
        ),
    ),
    Vector(
        "class, version 1, Ongoing",
        h("0000000b6772c3b6c39f652de7b584"),
        h(
            "000100200000000000017ffa7fffffff0103135f5f636f6e73756d65725f6f666673657473020000003100cf01742e622d63"
            "5f78787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878"
            "7878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878"
            "7878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878"
            "7878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878"
            "78047fffffff000000000000000700000001a1ff3a7a22000001a1ff3a76c000"
        ),
        "größe-組",
        TransactionLogValue(
            producer_id=9007199254740993,
            producer_epoch=32762,
            timeout_ms=2147483647,
            state=TransactionState.ONGOING,
            partitions=(
                TopicPartitions("__consumer_offsets", (49,)),
                TopicPartitions("t.b-c_" + "x" * 200, (2147483647, 0, 7)),
            ),
            last_update_timestamp_ms=1795283384866,
            start_timestamp_ms=1795283384000,
        ),
    ),
    Vector(
        "class, version 1, PrepareCommit",
        h("0000000b6772c3b6c39f652de7b584"),
        h(
            "000100200000000000017ffb7fffffff0203135f5f636f6e73756d65725f6f66667365747302000000310009742e622d635f"
            "7878047fffffff000000000000000700000001a1ff3a7a22000001a1ff3a76c0040008000000000000000001080000000000"
            "00004d0202000203020003"
        ),
        "größe-組",
        TransactionLogValue(
            producer_id=9007199254740993,
            producer_epoch=32763,
            timeout_ms=2147483647,
            state=TransactionState.PREPARE_COMMIT,
            partitions=(
                TopicPartitions("__consumer_offsets", (49,)),
                TopicPartitions("t.b-c_xx", (2147483647, 0, 7)),
            ),
            last_update_timestamp_ms=1795283384866,
            start_timestamp_ms=1795283384000,
            previous_producer_id=0,
            next_producer_id=77,
            client_transaction_version=2,
            next_producer_epoch=3,
        ),
    ),
    Vector(
        "class, version 1, PrepareAbort",
        h("0000000b6772c3b6c39f652de7b584"),
        h(
            "000100200000000000017ffc7fffffff0303135f5f636f6e73756d65725f6f66667365747302000000310009742e622d635f"
            "7878047fffffff000000000000000700000001a1ff3a7a22000001a1ff3a76c000"
        ),
        "größe-組",
        TransactionLogValue(
            producer_id=9007199254740993,
            producer_epoch=32764,
            timeout_ms=2147483647,
            state=TransactionState.PREPARE_ABORT,
            partitions=(
                TopicPartitions("__consumer_offsets", (49,)),
                TopicPartitions("t.b-c_xx", (2147483647, 0, 7)),
            ),
            last_update_timestamp_ms=1795283384866,
            start_timestamp_ms=1795283384000,
        ),
    ),
    Vector(
        "class, version 1, CompleteCommit",
        h("0000000b6772c3b6c39f652de7b584"),
        h("000100200000000000017ffd7fffffff0401000001a1ff3a7a22000001a1ff3a76c000"),
        "größe-組",
        TransactionLogValue(
            producer_id=9007199254740993,
            producer_epoch=32765,
            timeout_ms=2147483647,
            state=TransactionState.COMPLETE_COMMIT,
            last_update_timestamp_ms=1795283384866,
            start_timestamp_ms=1795283384000,
        ),
    ),
    Vector(
        "class, version 1, CompleteAbort",
        h("0000000b6772c3b6c39f652de7b584"),
        h("000100200000000000017ffe7fffffff0501000001a1ff3a7a22000001a1ff3a76c000"),
        "größe-組",
        TransactionLogValue(
            producer_id=9007199254740993,
            producer_epoch=32766,
            timeout_ms=2147483647,
            state=TransactionState.COMPLETE_ABORT,
            last_update_timestamp_ms=1795283384866,
            start_timestamp_ms=1795283384000,
        ),
    ),
]

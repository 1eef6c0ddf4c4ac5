"""How answers differ from Apache Kafka's on purpose; a part of docs/compatibility.md.

`make differential` finds what differs, and holds this list to it (`tests/differential/known.py`).
"""

from typing import Final

DIFFERENCES: Final = (
    (
        "`acks=all`",
        "answered when the records are on disk (`flush.messages=1`)",
        "answered when all replicas have them in memory",
        "one server has no replicas to fall back on",
    ),
    (
        "the high watermark",
        "follows what is on disk",
        "follows the replicas",
        "nobody reads a record that a power cut could still take back",
    ),
    ("settings", "some defaults differ, see the end of [settings.md](settings.md#differences-from-kafka)", "", ""),
    (
        "a classic group whose `sticky` or `cooperative-sticky` assignor keeps user data in assignments (librdkafka)",
        "becomes a consumer group like any other",
        "GROUP_ID_NOT_FOUND for the consumer that joins it, fatal to librdkafka",
        "the data is about stickiness, which is the server's from there on",
    ),
    (
        "a consumer group that becomes a classic one",
        "always rebalances, after a restart, too; its first record has what members own",
        "keeps its assignment if a static member's return is the reason; its first record has what members are to own",
        "a partition never has two owners, nor none for long",
    ),
    (
        "what a member of a cooperative assignor has been asked to give up when its group becomes a consumer group",
        "is its own until it joins without it",
        "is free for others at once",
        "it may still work on it",
    ),
    (
        "JoinGroup to a consumer group with partitions, of a member that is none (any more)",
        "UNKNOWN_MEMBER_ID",
        "it is a new member",
        "others may have those partitions by now; so it gives them up first",
    ),
    (
        "a heartbeat of a consumer that was given up, when its group is a classic one by now",
        "UNKNOWN_MEMBER_ID: it joins again",
        "GROUP_ID_NOT_FOUND, fatal to clients",
        "as where there is no such group",
    ),
    (
        "assignor `uniform`",
        "deals free partitions in turn, and balances until nothing is left to do",
        "hands out runs, stops after 16 rounds",
        "fewer moves",
    ),
    (
        "a member's commit for a partition that another member owns now",
        "refused with STALE_MEMBER_EPOCH, or with REBALANCE_IN_PROGRESS for one of the classic protocol",
        "taken while the member's epoch has not changed",
        "it could take back what the new owner has committed",
    ),
    (
        "old offsets of consumer groups",
        "kept for `offsets.retention.minutes` after the last member has left",
        "kept so long after the commit",
        "a group that was idle for a week loses nothing when its last member restarts",
    ),
    (
        "retention of a segment whose largest timestamp is in the future, or that has none",
        "it goes when what was written behind it is old enough",
        "a timestamp in the future keeps it and everything behind it until then; without any, its file's time counts",
        "one record with a wrong time must not keep everything else for good",
    ),
    (
        "`segment.ms` of a segment that begins with a timestamp more than an hour (or `segment.ms`) ahead",
        "counts by the server's clock",
        "does not roll it by time",
        "as above",
    ),
    (
        "a disk that fails to write or to flush",
        "the partition it happened to is offline; what could not be flushed is cut off",
        "the whole log directory is offline, and the broker ends with its last one",
        "one bad file is not a bad disk, and one server has no replicas to fall back on",
    ),
    (
        "several log directories: a partition's move (AlterReplicaLogDirs)",
        "INVALID_REQUEST, except to where it is",
        "copies the log and changes over",
        "not done yet",
    ),
    (
        "a topic that comes into being by being asked for",
        "is told in the same answer",
        "UNKNOWN_TOPIC_OR_PARTITION first",
        "clients that ask once have it at once",
    ),
    (
        "names of settings",
        "those that this server does not have are refused, for brokers with INVALID_REQUEST, for topics and groups "
        "with INVALID_CONFIG; `min.insync.replicas` can only be 1",
        "brokers take any name",
        "a typing error is told and not kept",
    ),
    (
        "which of a broker's settings can be changed while it runs",
        "those that topics take their defaults from, `max.connections`, `producer.id.expiration.ms`; others are "
        "refused with INVALID_REQUEST",
        "more, such as threads and listeners",
        "there are none of these here",
    ),
    (
        "settings of a group",
        "`consumer.*`; sessions and heartbeats from 1 ms on, unless `group.consumer.min.*` says otherwise",
        "sessions from 45 s, heartbeats from 5 s on, unless `group.consumer.min.*` says otherwise",
        "short sessions make examples and tests quick",
    ),
    (
        "a changed setting",
        "is in force, and described so, when its change is answered",
        "a little later",
        "there is one node",
    ),
    (
        "UnregisterBroker of the running broker",
        "refused with INVALID_REQUEST",
        "the broker is fenced, its partitions are offline",
        "there is no other",
    ),
    (
        "features",
        "`group.version`, `metadata.version`, `share.version` and `transaction.version` stay at their levels as long "
        "as this version runs; those of streams groups and of several nodes are not named",
        "can be raised and lowered; more of them",
        "they say what this version serves",
    ),
    (
        "metrics of clients",
        "go into the topic `client.metrics.topic`; without it clients are not asked",
        "go to a plugin of the operator's; without it clients are not asked",
        "a topic is what a log server has",
    ),
    (
        "client quotas, SCRAM credentials",
        "can't be set: UNSUPPORTED_VERSION, UNSUPPORTED_SASL_MECHANISM",
        "are kept",
        "not done yet; nothing would come of them",
    ),
    (
        "texts of errors",
        "each error has a sentence, success has none",
        "often none, and `NONE` with some successes",
        "they are for people",
    ),
    (
        "requests that make no sense",
        "are answered with an error that says so, or taken as what they can only mean (a negative size is 0, an "
        "unknown isolation level is none); an array with a length below -1 closes the connection",
        "UNKNOWN_SERVER_ERROR, no answer at all (null for records, a resource that AlterConfigs names twice), or a "
        "closed connection",
        "who writes a client is told what is wrong",
    ),
    (
        "records in a batch",
        "count, timestamps and compression are taken from the batch's header, unless a setting of the topic is about "
        "each record; what contradicts itself there is refused with INVALID_RECORD, a timestamp type that is the "
        "topic's with INVALID_TIMESTAMP",
        "each record is read; timestamp type and largest timestamp in the header are put right",
        "records are decoded once, by their reader",
    ),
    (
        "a batch that a producer sends again",
        "DUPLICATE_SEQUENCE_NUMBER where it is older than the last five; append time -1",
        "OUT_OF_ORDER_SEQUENCE_NUMBER; the largest timestamp for append time",
        "clients take the one for stored, the other for lost",
    ),
    (
        "errors of single records (KIP-467)",
        "at most 1,000 in an answer",
        "all",
        "an answer stays small",
    ),
    (
        "`timeout_ms` of Produce",
        "less than a second is a second",
        "counts, but nobody waits for a single replica",
        "clients that leave it at 0 wait for the disk here",
    ),
    (
        "what ends a fetched partition",
        "the last batch that fits",
        "any byte; clients drop what is cut off",
        "nothing travels for nothing",
    ),
    (
        "a partition that a request names twice",
        "is answered twice by Produce and ListOffsets",
        "once",
        "each has its answer at its place",
    ),
    (
        "the largest timestamp of a partition (ListOffsets -3)",
        "is that of a record that can be read",
        "may be that of a record before the log start offset",
        "the offset can be fetched",
    ),
    (
        "the empty group id",
        "is refused everywhere with INVALID_GROUP_ID",
        "is not found, and may commit and fetch offsets",
        "clients have refused it since 2.2 (KIP-289)",
    ),
    (
        "a heartbeat of a consumer whose group does not exist",
        "UNKNOWN_MEMBER_ID: it joins again",
        "GROUP_ID_NOT_FOUND, fatal to clients",
        "it goes on",
    ),
    (
        "a group that nobody could join",
        "does not exist",
        "is listed as empty",
        "nothing is known of it",
    ),
    (
        "epochs of consumer groups and share groups",
        "begin with 1",
        "begin with 2",
        "the first change is the first",
    ),
    (
        "a consumer that joins (KIP-848)",
        "has a rebalance timeout of at least 1 ms: INVALID_REQUEST otherwise",
        "may have none",
        "it could give nothing up",
    ),
    (
        "ids of members that the server makes",
        "client id or instance id, if it is not empty, and a UUID",
        "a UUID alone in a consumer group that a classic member asks to join",
        "logs tell who it is",
    ),
    (
        "members of a classic group that rebalances, described",
        "have no assignment",
        "have that of before",
        "they own nothing while they join",
    ),
    (
        "members that commit and ask for offsets",
        "of a consumer group may commit in old versions, too; one that a group does not know is refused also where "
        "the group has no members; offsets are 0 or more",
        "UNSUPPORTED_VERSION before version 9; taken; any number",
        "a wrong epoch is told in every version",
    ),
    (
        "the server's own topics",
        "can't be created, and keep their number of partitions and `cleanup.policy=compact`; each comes into being "
        "with what is first kept in it",
        "can be changed",
        "what groups have committed would be lost",
    ),
    (
        "topics in one request whose names collide (`a.b` and `a_b`)",
        "only the first is made",
        "both are made, and collide",
        "as between two requests",
    ),
    (
        "values of settings",
        "`segment.bytes` from 1 KiB, `retention.bytes` from -1; `preallocate` and `remote.storage.enable` can only be "
        "`false`; settings about several brokers or tiered storage are kept and change nothing",
        "`segment.bytes` from 1 MiB, any `retention.bytes`",
        "see [settings.md](settings.md#topic-settings)",
    ),
    (
        "where a setting's value comes from (synonyms)",
        "settings of this server, those in hours and minutes among them; `min.insync.replicas` is a default",
        "no hours; `min.insync.replicas` comes from the cluster, `node.id` from the command line or a file",
        "what can be set here is told",
    ),
    (
        "settings of streams groups",
        "there are none",
        "`streams.*`",
        "there are no such groups yet",
    ),
    (
        "the size of a request",
        "`request.max.elements` in all its lists, besides `socket.request.max.bytes`; more closes the connection",
        "only the bytes count",
        "100 MB of two-byte elements take 13 GB of memory and stop the server for minutes",
    ),
    (
        "what a request names more than once (settings, groups, producers, log directories, all offsets of a group)",
        "is told once",
        "is told each time",
        "the answer grows with what there is, not with the question",
    ),
    (
        "text in requests",
        "has to be UTF-8; anything else closes the connection",
        "bytes that are no UTF-8 become U+FFFD",
        "no name is kept that nobody has sent",
    ),
    (
        "partitions that are new to a share group",
        "are in the answer to the heartbeat that brings them",
        "are assigned at the next heartbeat, 5 s later",
        "whoever joins wants to begin",
    ),
    (
        "the metadata quorum (DescribeQuorum)",
        "has the listener of brokers, and the offsets and epoch of this server's own metadata",
        "has a listener of controllers",
        "one process, no controller",
    ),
    (
        "InitProducerId of a producer that resumes with an epoch that is not the current one (KIP-360)",
        "PRODUCER_FENCED, always",
        "while a transaction is open it is aborted first; where epochs are used up, UNKNOWN_SERVER_ERROR",
        "whoever is fenced changes nothing",
    ),
    (
        "EndTxn 5 with the epoch before the current one, when the last transaction was ended by EndTxn 4 or lower",
        "PRODUCER_FENCED",
        "taken for a retry: the producer is given the current epoch, which is somebody else's",
        "whoever is fenced changes nothing",
    ),
    (
        "a transaction that takes longer than its timeout",
        "aborted at once",
        "within the 10 s of `transaction.abort.timed.out.transaction.cleanup.interval.ms`",
        "consumers of what is committed wait for it",
    ),
    (
        "where a share group stands (DescribeShareGroupOffsets)",
        "start offset and lag are those of what was acknowledged last; the lag is never negative",
        "the start offset is that of the acknowledgement before; a group set behind the end has a negative lag",
        "an acknowledgement that was answered is seen",
    ),
    (
        "what members of share groups are given (ShareFetch)",
        "offsets without a record are settled by the server and never acquired; `min_bytes` counts as 1; after a "
        "restart a partition is opened anew by an acknowledgement, too; what was delivered before "
        "`share.isolation.level` became read_committed may come again, also of aborted transactions",
        "members acquire such offsets and acknowledge them as gaps; waits for `min_bytes`; such an acknowledgement is "
        "UNKNOWN_TOPIC_OR_PARTITION; nothing of aborted transactions comes again",
        "queues of all doors have one delivery, which knows what there is to deliver",
    ),
    (
        "streams groups, what is among brokers",
        "neither keys nor features are named; a request closes the connection",
        "are served",
        "not done yet; there are no other brokers",
    ),
)
"""What, here, in Apache Kafka, why."""

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Members of share groups, each with a KafkaShareConsumer, that do what they are told one thing after the other.
 *
 * Each line of the standard input is a JSON object, and has a line of the standard output as its answer, one as well:
 *
 * {"do": "open", "member": M, "topic": T, "settings": {...}}: subscribes with a new consumer.
 * {"do": "poll", "member": M, "ms": N}: {"records": [{"partition", "offset", "value", "deliveries"}], "lock_ms"}; waits N
 *     milliseconds at most.
 * {"do": "acknowledge", "member": M, "records": [[partition, offset]], "type": ACCEPT, RELEASE, REJECT or RENEW}: of
 *     records that were polled; sent with the next commit or poll.
 * {"do": "commit", "member": M}: {"outcomes": {partition: null or the class of what went wrong}}.
 * {"do": "close", "member": M}
 *
 * The answer is {"error": class, "message"} where the consumer has thrown something. Ends at the end of its input.
 */
public final class ShareConsumers {
    private static final Duration COMMIT = Duration.ofSeconds(60);
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Map<String, Member> MEMBERS = new HashMap<>();

    /** A consumer and the records that it has given, by place. */
    private static final class Member {
        final KafkaShareConsumer<String, String> consumer;
        final Map<List<Long>, ConsumerRecord<String, String>> records = new HashMap<>();

        Member(JsonNode settings) {
            Map<String, Object> values = new HashMap<>();
            settings.fields().forEachRemaining(setting -> values.put(setting.getKey(), setting.getValue().asText()));
            consumer = new KafkaShareConsumer<>(values, new StringDeserializer(), new StringDeserializer());
        }
    }

    public static void main(String[] none) throws Exception {
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream answers = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        System.setOut(System.err);
        for (String line = requests.readLine(); line != null; line = requests.readLine()) {
            Map<String, Object> answer;
            try {
                answer = answer(JSON.readTree(line));
            } catch (RuntimeException thrown) {
                answer = Map.of("error", thrown.getClass().getSimpleName(), "message", thrown.toString());
            }
            answers.println(JSON.writeValueAsString(answer));
        }
        Runtime.getRuntime().halt(0);
    }

    private static Map<String, Object> answer(JsonNode request) {
        String name = request.get("member").asText();
        if (request.get("do").asText().equals("open")) {
            Member opened = new Member(request.get("settings"));
            MEMBERS.put(name, opened);
            opened.consumer.subscribe(List.of(request.get("topic").asText()));
            return Map.of();
        }
        Member member = MEMBERS.get(name);
        switch (request.get("do").asText()) {
            case "poll":
                return poll(member, request.get("ms").asLong());
            case "acknowledge":
                AcknowledgeType type = AcknowledgeType.valueOf(request.get("type").asText());
                for (JsonNode place : request.get("records")) {
                    List<Long> key = List.of(place.get(0).asLong(), place.get(1).asLong());
                    member.consumer.acknowledge(member.records.get(key), type);
                }
                return Map.of();
            case "commit":
                return commit(member);
            case "close":
                MEMBERS.remove(name).consumer.close();
                return Map.of();
            default:
                throw new IllegalArgumentException(request.toString());
        }
    }

    private static Map<String, Object> poll(Member member, long ms) {
        List<Map<String, Object>> found = new ArrayList<>();
        for (ConsumerRecord<String, String> record : member.consumer.poll(Duration.ofMillis(ms))) {
            member.records.put(List.of((long) record.partition(), record.offset()), record);
            Map<String, Object> told = new LinkedHashMap<>();
            told.put("partition", record.partition());
            told.put("offset", record.offset());
            told.put("value", record.value());
            told.put("deliveries", record.deliveryCount().orElseThrow());
            found.add(told);
        }
        Map<String, Object> answer = new LinkedHashMap<>();
        answer.put("records", found);
        answer.put("lock_ms", member.consumer.acquisitionLockTimeoutMs().orElse(null));
        return answer;
    }

    private static Map<String, Object> commit(Member member) {
        Map<String, String> outcomes = new TreeMap<>();
        member.consumer.commitSync(COMMIT).forEach((place, error) -> outcomes.put(
            String.valueOf(place.partition()), error.map(thrown -> thrown.getClass().getSimpleName()).orElse(null)));
        return Map.of("outcomes", outcomes);
    }
}

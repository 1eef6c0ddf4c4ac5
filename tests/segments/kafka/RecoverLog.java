import java.io.File;
import java.util.Arrays;
import java.util.Map;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.server.util.KafkaScheduler;
import org.apache.kafka.storage.internals.checkpoint.LeaderEpochCheckpointFile;
import org.apache.kafka.storage.internals.epoch.LeaderEpochFileCache;
import org.apache.kafka.storage.internals.log.LogConfig;
import org.apache.kafka.storage.internals.log.LogDirFailureChannel;
import org.apache.kafka.storage.internals.log.LogSegment;
import org.apache.kafka.storage.internals.log.ProducerStateManager;
import org.apache.kafka.storage.internals.log.ProducerStateManagerConfig;

/** Lets Kafka's own recovery make everything again that belongs to the .log files of a directory (an absolute path). */
public class RecoverLog {
    public static void main(String[] args) throws Exception {
        File directory = new File(args[0]);
        TopicPartition partition = new TopicPartition("t", 0);
        KafkaScheduler scheduler = new KafkaScheduler(1);
        scheduler.startup();
        LeaderEpochFileCache epochs = new LeaderEpochFileCache(
            partition,
            new LeaderEpochCheckpointFile(new File(directory, "leader-epoch-checkpoint"), new LogDirFailureChannel(1)),
            scheduler);
        ProducerStateManager producers = new ProducerStateManager(
            partition, directory, 900_000, new ProducerStateManagerConfig(86_400_000, false), Time.SYSTEM);
        String[] names = directory.list((parent, name) -> name.endsWith(".log"));
        Arrays.sort(names);
        for (String name : names) {
            long base = Long.parseLong(name.substring(0, 20));
            LogSegment segment = LogSegment.open(directory, base, new LogConfig(Map.of()), Time.SYSTEM, 0, false);
            segment.recover(producers, epochs);
            segment.flush();
            producers.updateMapEndOffset(segment.readNextOffset());
            segment.close();
        }
        producers.takeSnapshot();
        System.out.println(producers.firstUndecidedOffset().orElse(-1));
        scheduler.shutdown();
    }
}

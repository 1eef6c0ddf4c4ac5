import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.locks.LockSupport;

import org.apache.kafka.common.utils.Exit;

/**
 * Runs Apache Kafka's command line tools one after the other in one JVM, because starting one for each costs seconds.
 *
 * A request is a count of strings (the class, then its arguments), those strings, and what the tool is to read as its
 * standard input; the answer is the exit status, the standard output and the standard error. Numbers have four bytes,
 * and strings have their length in bytes before them. Ends at the end of its own standard input.
 */
public final class ToolRunner {
    /** Goes to another stream for each tool: classes keep the System.out that they have seen first. */
    private static final class Switch extends OutputStream {
        private ByteArrayOutputStream to = new ByteArrayOutputStream();

        @Override
        public synchronized void write(int value) {
            to.write(value);
        }

        @Override
        public synchronized void write(byte[] bytes, int from, int count) {
            to.write(bytes, from, count);
        }

        synchronized byte[] take() {
            byte[] taken = to.toByteArray();
            to = new ByteArrayOutputStream();
            return taken;
        }
    }

    private static final long HOOK_MS = 10_000;
    private static final BlockingQueue<Integer> STATUS = new LinkedBlockingQueue<>();
    private static final Queue<Runnable> HOOKS = new ConcurrentLinkedQueue<>();

    public static void main(String[] none) throws Exception {
        DataInputStream requests = new DataInputStream(new BufferedInputStream(System.in));
        DataOutputStream answers = new DataOutputStream(new BufferedOutputStream(System.out));
        Switch output = new Switch();
        Switch errors = new Switch();
        System.setOut(new PrintStream(output, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(errors, true, StandardCharsets.UTF_8));
        Exit.setExitProcedure(ToolRunner::end);
        Exit.setHaltProcedure(ToolRunner::end);
        Exit.setShutdownHookAdder((name, hook) -> HOOKS.add(hook));
        while (true) {
            String[] words;
            try {
                words = new String[requests.readInt()];
            } catch (EOFException over) {
                Runtime.getRuntime().halt(0);
                return;
            }
            for (int number = 0; number < words.length; number++) {
                words[number] = new String(bytes(requests), StandardCharsets.UTF_8);
            }
            System.setIn(new ByteArrayInputStream(bytes(requests)));
            answers.writeInt(run(words));
            System.out.flush();
            System.err.flush();
            for (Switch part : List.of(output, errors)) {
                byte[] taken = part.take();
                answers.writeInt(taken.length);
                answers.write(taken);
            }
            answers.flush();
        }
    }

    private static int run(String[] words) throws InterruptedException {
        STATUS.clear();
        HOOKS.clear();
        inBackground(() -> {
            try {
                String[] arguments = List.of(words).subList(1, words.length).toArray(new String[0]);
                Class.forName(words[0]).getMethod("main", String[].class).invoke(null, (Object) arguments);
                STATUS.add(0);
            } catch (InvocationTargetException thrown) {
                thrown.getCause().printStackTrace();
                STATUS.add(1);
            } catch (ReflectiveOperationException wrong) {
                wrong.printStackTrace();
                STATUS.add(1);
            }
        });
        int status = STATUS.take();
        for (Runnable hook : HOOKS) {
            inBackground(hook).join(HOOK_MS);
        }
        return status;
    }

    /** Takes the place of an exit, which does not return either: a tool that went on would say more. */
    private static void end(int status, String message) {
        STATUS.add(status);
        while (true) {
            LockSupport.park();
        }
    }

    private static Thread inBackground(Runnable task) {
        Thread thread = new Thread(task);
        thread.setDaemon(true);
        thread.start();
        return thread;
    }

    private static byte[] bytes(DataInputStream from) throws IOException {
        byte[] read = new byte[from.readInt()];
        from.readFully(read);
        return read;
    }
}

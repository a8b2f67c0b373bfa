import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.serialization.*;

/** The cases of tests/wire/cases.py that the Java client runs; prints "name<TAB>pass<TAB>note" or "name<TAB>fail<TAB>why". */
public class Suite {
    interface Case { void run(String name) throws Exception; }
    interface Call { void run() throws Exception; }

    static final long WAIT_MS = 45_000;
    static final Map<String, String> FOR_EVER = Map.of("retention.ms", "-1"); // records of times long past would expire
    static Map<String, Object> connecting;
    static int nodes;
    static String note; // what a case has to say though it passed
    static Admin admin;

    public static void main(String[] words) throws Exception {
        connecting = connecting(words[0]);
        nodes = words.length > 1 ? Integer.parseInt(words[1]) : 1;
        admin = Admin.create(connecting);
        Map<String, Case> cases = cases();
        if (words.length > 3) cases.keySet().removeIf(name -> !List.of(words[3].split(",")).contains(name.split("_")[0]));
        for (Map.Entry<String, Case> one : cases.entrySet()) {
            String result;
            note = "";
            try {
                one.getValue().run(one.getKey().replace('_', '-') + ".java" + (words.length > 2 && !words[2].isEmpty() ? "." + words[2] : ""));
                result = "pass\t" + note;
            } catch (Throwable trouble) {
                result = "fail\t" + String.valueOf(trouble).replaceAll("\\s+", " ");
            }
            System.out.println(one.getKey() + "\t" + result);
            System.out.flush();
        }
        admin.close(Duration.ofSeconds(5));
        System.exit(0);
    }

    /** Options of everything that connects; who the suite is, if anybody, stands in its environment. */
    static Map<String, Object> connecting(String bootstrap) {
        Map<String, Object> options = new HashMap<>(Map.of("bootstrap.servers", bootstrap));
        Map<String, String> told = System.getenv();
        if (!told.containsKey("SUITE_USER")) return options;
        options.put("security.protocol", "SASL_SSL");
        options.put("ssl.truststore.type", "PEM");
        options.put("ssl.truststore.location", told.get("SUITE_AUTHORITY"));
        options.put("sasl.mechanism", told.get("SUITE_MECHANISM"));
        options.put("sasl.jaas.config", String.format("%s required username=\"%s\" password=\"%s\";",
            "org.apache.kafka.common.security.scram.ScramLoginModule", told.get("SUITE_USER"), told.get("SUITE_PASSWORD")));
        return options;
    }

    static Map<String, Case> cases() {
        Map<String, Case> cases = new LinkedHashMap<>();
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            String name = codec.equals("none") ? "produce_uncompressed" : "produce_" + codec;
            cases.put(name, topic -> roundTrip(topic, numbered(200, 100), Map.of("compression.type", codec)));
        }
        cases.put("produce_acks_none", topic -> roundTrip(topic, numbered(50, 100), plain("0")));
        cases.put("produce_acks_leader", topic -> roundTrip(topic, numbered(50, 100), plain("1")));
        cases.put("produce_idempotent", topic -> roundTrip(topic, numbered(500, 100), Map.of("enable.idempotence", true)));
        cases.put("produce_tombstones", topic -> roundTrip(topic, List.of(record("k", "v"), record("k", null), record("o", null)), Map.of()));
        cases.put("produce_null_keys", topic -> roundTrip(topic, List.of(record(null, "1"), record("k", "2"), record(null, "3")), Map.of()));
        cases.put("produce_empty_keys_and_values", topic -> roundTrip(topic, List.of(record("", ""), record("", null), record("k", "")), Map.of()));
        cases.put("produce_headers", Suite::headers);
        cases.put("produce_big_message", topic -> roundTrip(topic, numbered(2, 900_000), Map.of()));
        cases.put("produce_too_large", Suite::tooLarge);
        cases.put("produce_in_order", topic -> roundTrip(topic, numbered(20_000, 16), Map.of()));
        cases.put("produce_to_partitions", Suite::toPartitions);
        cases.put("produce_create_time", Suite::createTime);
        cases.put("produce_log_append_time", Suite::logAppendTime);
        cases.put("produce_creates_topic", topic -> { send(topic, numbered(1, 10), Map.of()); read(topic, 1, Map.of(), Map.of()); });
        cases.put("produce_keyless_to_compacted", Suite::keyless);
        cases.put("consume_many_partitions", Suite::manyPartitions);
        cases.put("consume_from_offset", Suite::fromOffset);
        cases.put("consume_small_fetches", Suite::smallFetches);
        cases.put("consume_read_committed", topic -> { create(topic, 1, Map.of()); send(topic, numbered(50, 50), Map.of()); read(topic, 50, Map.of(), Map.of("isolation.level", "read_committed")); });
        cases.put("consume_out_of_range_earliest", topic -> { create(topic, 1, Map.of()); send(topic, numbered(30, 50), Map.of()); equal(0L, read(topic, 30, Map.of(0, 5000L), Map.of()).get(0).offset()); });
        cases.put("consume_by_time", Suite::byTime);
        cases.put("consume_after_last_time", topic -> { create(topic, 1, FOR_EVER); send(topic, List.of(at("v", 1_700_000_000_000L)), Map.of()); equal(-1L, offset(topic, OffsetSpec.forTimestamp(1_700_000_000_001L))); });
        cases.put("consume_watermarks", topic -> { create(topic, 1, Map.of()); send(topic, numbered(17, 50), Map.of()); equal(0L, offset(topic, OffsetSpec.earliest())); equal(17L, offset(topic, OffsetSpec.latest())); });
        cases.put("consume_deleted_records", Suite::deletedRecords);
        cases.put("group_reads_all", Suite::groupReadsAll);
        cases.put("group_resumes", Suite::groupResumes);
        cases.put("group_rebalances", topic -> joinAndLeave(topic, Map.of("partition.assignment.strategy", RangeAssignor.class.getName())));
        cases.put("group_rebalances_cooperatively", topic -> joinAndLeave(topic, Map.of("partition.assignment.strategy", CooperativeStickyAssignor.class.getName())));
        cases.put("group_static_member", Suite::staticMember);
        cases.put("group_commit_without_joining", Suite::commitAlone);
        cases.put("group_listed_and_described", Suite::listedAndDescribed);
        cases.put("group_deleted", topic -> { create(topic, 1, Map.of()); commit(topic, 3); admin.deleteConsumerGroups(List.of(topic)).all().get(); check(!groups().contains(topic), "still listed"); });
        cases.put("group_in_use_not_deleted", Suite::inUse);
        cases.put("admin_create_and_delete", topic -> { create(topic, 3, Map.of()); equal(3, partitions(topic)); admin.deleteTopics(List.of(topic)).all().get(); until("gone", () -> !admin.listTopics().names().get().contains(topic)); });
        cases.put("admin_recreate", Suite::recreate);
        cases.put("admin_create_twice", topic -> { create(topic, 1, Map.of()); refused(TopicExistsException.class, () -> create(topic, 1, Map.of())); });
        cases.put("admin_bad_name", topic -> refused(InvalidTopicException.class, () -> create("not a name!", 1, Map.of())));
        cases.put("admin_bad_config", topic -> refused(InvalidConfigurationException.class, () -> create(topic, 1, Map.of("no.such.config", "1"))));
        cases.put("admin_delete_unknown", topic -> refused(UnknownTopicOrPartitionException.class, () -> admin.deleteTopics(List.of(topic)).all().get()));
        cases.put("admin_add_partitions", topic -> { create(topic, 1, Map.of()); admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(4))).all().get(); until("four", () -> partitions(topic) == 4); });
        cases.put("admin_fewer_partitions", topic -> { create(topic, 3, Map.of()); refused(InvalidPartitionsException.class, () -> admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all().get()); });
        cases.put("admin_topic_configs", Suite::topicConfigs);
        cases.put("admin_broker_configs", topic -> check(config(ConfigResource.Type.BROKER, String.valueOf(admin.describeCluster().nodes().get().iterator().next().id())).get("num.partitions") != null, "num.partitions"));
        cases.put("admin_nodes", topic -> equal(nodes, admin.describeCluster().nodes().get().size()));
        cases.put("transaction_commits_and_aborts", Suite::commitsAndAborts);
        cases.put("transaction_over_partitions", Suite::overPartitions);
        cases.put("transaction_open_is_not_read", Suite::openIsNotRead);
        cases.put("transaction_with_offsets", Suite::withOffsets);
        cases.put("transaction_zombie", Suite::zombie);
        cases.put("transaction_times_out", Suite::timesOut);
        cases.put("transaction_timeout_too_long", Suite::timeoutTooLong);
        return cases;
    }

    // -- what cases are made of

    static void check(boolean holds, String what) { if (!holds) throw new AssertionError(what); }
    static void equal(Object expected, Object found) { check(Objects.equals(expected, found), "expected " + expected + ", found " + found); }
    static byte[] bytes(String text) { return text == null ? null : text.getBytes(StandardCharsets.UTF_8); }
    static Map<String, Object> plain(String acks) { return Map.of("acks", acks, "enable.idempotence", false); }

    static void until(String what, Callable<Boolean> probe) throws Exception {
        long end = System.nanoTime() + WAIT_MS * 1_000_000;
        while (!probe.call()) { check(System.nanoTime() < end, what + ": not in time"); Thread.sleep(50); }
    }

    /** As `known` in cases.py: at once on one node; of several, one that did not make the change may be asked. */
    static void known(String what, Callable<Boolean> probe) throws Exception {
        long began = System.nanoTime();
        if (probe.call()) return;
        check(nodes > 1, what);
        until(what, probe);
        note = what + ": a node that was asked at first knew it " + (System.nanoTime() - began) / 1_000_000 + " ms later";
    }

    static void refused(Class<?> kind, Call call) throws Exception {
        try { call.run(); } catch (Exception error) {
            Throwable cause = error instanceof ExecutionException ? error.getCause() : error;
            check(kind.isInstance(cause), "expected " + kind.getSimpleName() + ", found " + cause);
            return;
        }
        throw new AssertionError("not refused");
    }

    static ProducerRecord<byte[], byte[]> record(String key, String value) { return new ProducerRecord<>("", 0, bytes(key), bytes(value)); }
    static ProducerRecord<byte[], byte[]> at(String value, long timestamp) { return new ProducerRecord<>("", 0, timestamp, null, bytes(value)); }

    static List<ProducerRecord<byte[], byte[]>> numbered(int count, int size) {
        return IntStream.range(0, count).mapToObj(n -> record("k" + n, String.format("%08d", n).repeat(Math.max(1, size / 8)))).collect(Collectors.toList());
    }

    static void create(String topic, int partitions, Map<String, String> configs) throws Exception {
        admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1).configs(configs))).all().get();
    }

    static int partitions(String topic) throws Exception { return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size(); }

    static List<Long> send(String topic, List<ProducerRecord<byte[], byte[]>> records, Map<String, Object> given) throws Exception {
        Map<String, Object> options = new HashMap<>(connecting);
        options.putAll(Map.of("linger.ms", 20, "max.request.size", 10_000_000, "delivery.timeout.ms", (int) WAIT_MS, "request.timeout.ms", 20_000));
        options.putAll(given);
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(options, new ByteArraySerializer(), new ByteArraySerializer())) {
            List<Future<RecordMetadata>> futures = new ArrayList<>();
            for (ProducerRecord<byte[], byte[]> one : records)
                futures.add(producer.send(new ProducerRecord<>(topic, one.partition(), one.timestamp(), one.key(), one.value(), one.headers())));
            producer.flush();
            List<Long> offsets = new ArrayList<>();
            for (Future<RecordMetadata> future : futures) offsets.add(future.get().offset());
            return offsets;
        }
    }

    static KafkaConsumer<byte[], byte[]> consumer(String group, Map<String, Object> given) {
        Map<String, Object> options = new HashMap<>(connecting);
        options.putAll(Map.of("enable.auto.commit", false, "auto.offset.reset", "earliest"));
        if (group != null) options.put("group.id", group);
        options.putAll(given);
        return new KafkaConsumer<>(options, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    static List<ConsumerRecord<byte[], byte[]>> take(KafkaConsumer<byte[], byte[]> consumer, int count) {
        List<ConsumerRecord<byte[], byte[]>> got = new ArrayList<>();
        long end = System.nanoTime() + WAIT_MS * 1_000_000;
        while (got.size() < count) {
            check(System.nanoTime() < end, got.size() + " of " + count + " records in time");
            consumer.poll(Duration.ofMillis(200)).forEach(got::add);
        }
        return got;
    }

    static List<ConsumerRecord<byte[], byte[]>> read(String topic, int count, Map<Integer, Long> starts, Map<String, Object> options) throws Exception {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(null, options)) {
            int partitions = partitions(topic);
            List<TopicPartition> places = IntStream.range(0, partitions).mapToObj(n -> new TopicPartition(topic, n)).collect(Collectors.toList());
            consumer.assign(places);
            consumer.seekToBeginning(places);
            starts.forEach((partition, offset) -> consumer.seek(new TopicPartition(topic, partition), offset));
            return take(consumer, count);
        }
    }

    static List<ConsumerRecord<byte[], byte[]>> roundTrip(String topic, List<ProducerRecord<byte[], byte[]>> records, Map<String, Object> options) throws Exception {
        create(topic, 1, FOR_EVER);
        send(topic, records, options);
        List<ConsumerRecord<byte[], byte[]>> got = read(topic, records.size(), Map.of(), Map.of());
        for (int n = 0; n < records.size(); n++) {
            equal((long) n, got.get(n).offset());
            check(Arrays.equals(records.get(n).key(), got.get(n).key()), "key " + n);
            check(Arrays.equals(records.get(n).value(), got.get(n).value()), "value " + n);
            equal(records.get(n).headers(), got.get(n).headers());
        }
        return got;
    }

    static long offset(String topic, OffsetSpec spec) throws Exception {
        TopicPartition place = new TopicPartition(topic, 0);
        return admin.listOffsets(Map.of(place, spec)).all().get().get(place).offset();
    }

    static Set<String> groups() throws Exception { return admin.listConsumerGroups().all().get().stream().map(ConsumerGroupListing::groupId).collect(Collectors.toSet()); }
    static void commit(String topic, long offset) throws Exception { admin.alterConsumerGroupOffsets(topic, Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(offset))).all().get(); }

    static Map<String, String> config(ConfigResource.Type type, String name) throws Exception {
        ConfigResource resource = new ConfigResource(type, name);
        Map<String, String> found = new HashMap<>();
        admin.describeConfigs(List.of(resource)).all().get().get(resource).entries().forEach(entry -> found.put(entry.name(), entry.value()));
        return found;
    }

    // -- cases of several lines

    static void headers(String topic) throws Exception {
        ProducerRecord<byte[], byte[]> one = record("k", "v");
        one.headers().add("a", bytes("1")).add("a", bytes("2")).add("empty", new byte[0]).add("größe", new byte[] {0, (byte) 255});
        roundTrip(topic, List.of(one, record("k", "w")), Map.of());
    }

    static void tooLarge(String topic) throws Exception {
        create(topic, 1, Map.of("max.message.bytes", "1000"));
        refused(RecordTooLargeException.class, () -> send(topic, numbered(1, 5000), Map.of()));
        equal(List.of(0L), send(topic, numbered(1, 16), Map.of()));
    }

    static void toPartitions(String topic) throws Exception {
        create(topic, 5, Map.of());
        List<ProducerRecord<byte[], byte[]>> records = IntStream.range(0, 5).mapToObj(n -> new ProducerRecord<byte[], byte[]>("", n, null, bytes("" + n))).collect(Collectors.toList());
        equal(List.of(0L, 0L, 0L, 0L, 0L), send(topic, records, Map.of()));
        for (ConsumerRecord<byte[], byte[]> one : read(topic, 5, Map.of(), Map.of())) equal("" + one.partition(), new String(one.value()));
    }

    static void createTime(String topic) throws Exception {
        List<ConsumerRecord<byte[], byte[]>> got = roundTrip(topic, List.of(at("a", 1_600_000_000_123L), at("b", 1_500_000_000_456L)), Map.of());
        equal(1_600_000_000_123L, got.get(0).timestamp());
        equal(1_500_000_000_456L, got.get(1).timestamp());
    }

    static void logAppendTime(String topic) throws Exception {
        create(topic, 1, Map.of("message.timestamp.type", "LogAppendTime"));
        send(topic, List.of(at("a", 1_000_000_000_000L)), Map.of());
        check(read(topic, 1, Map.of(), Map.of()).get(0).timestamp() > 1_600_000_000_000L, "the node's time");
    }

    static void keyless(String topic) throws Exception {
        create(topic, 1, Map.of("cleanup.policy", "compact"));
        refused(InvalidRecordException.class, () -> send(topic, List.of(record(null, "v")), Map.of()));
        equal(List.of(0L), send(topic, List.of(record("k", "v")), Map.of()));
    }

    static void manyPartitions(String topic) throws Exception {
        create(topic, 20, Map.of());
        List<ProducerRecord<byte[], byte[]>> records = IntStream.range(0, 400).mapToObj(n -> new ProducerRecord<byte[], byte[]>("", n % 20, null, bytes("" + n))).collect(Collectors.toList());
        send(topic, records, Map.of());
        equal(400L, read(topic, 400, Map.of(), Map.of()).stream().map(one -> one.partition() + "-" + one.offset()).distinct().count());
    }

    static void fromOffset(String topic) throws Exception {
        create(topic, 1, Map.of());
        send(topic, numbered(1000, 50), Map.of());
        equal(493L, read(topic, 10, Map.of(0, 493L), Map.of()).get(0).offset());
    }

    static void smallFetches(String topic) throws Exception {
        create(topic, 1, Map.of());
        for (int n = 0; n < 3; n++) send(topic, numbered(100, 400), Map.of());
        List<ConsumerRecord<byte[], byte[]>> got = read(topic, 300, Map.of(), Map.of("max.partition.fetch.bytes", 1000, "fetch.max.bytes", 1000));
        for (int n = 0; n < 300; n++) equal((long) n, got.get(n).offset());
    }

    static void byTime(String topic) throws Exception {
        create(topic, 1, FOR_EVER);
        long start = 1_700_000_000_000L;
        send(topic, IntStream.range(0, 100).mapToObj(n -> at("" + n, start + 1000L * n)).collect(Collectors.toList()), Map.of());
        equal(0L, offset(topic, OffsetSpec.forTimestamp(start)));
        equal(42L, offset(topic, OffsetSpec.forTimestamp(start + 41_500)));
        equal(99L, offset(topic, OffsetSpec.maxTimestamp()));
    }

    static void deletedRecords(String topic) throws Exception {
        create(topic, 1, Map.of());
        send(topic, numbered(100, 50), Map.of());
        admin.deleteRecords(Map.of(new TopicPartition(topic, 0), RecordsToDelete.beforeOffset(40))).all().get();
        equal(40L, offset(topic, OffsetSpec.earliest()));
        equal(40L, read(topic, 60, Map.of(), Map.of()).get(0).offset());
    }

    static void groupReadsAll(String topic) throws Exception {
        create(topic, 3, Map.of());
        send(topic, IntStream.range(0, 90).mapToObj(n -> new ProducerRecord<byte[], byte[]>("", n % 3, null, bytes("" + n))).collect(Collectors.toList()), Map.of());
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(topic, Map.of())) { consumer.subscribe(List.of(topic)); take(consumer, 90); consumer.commitSync(); }
    }

    static void groupResumes(String topic) throws Exception {
        create(topic, 1, Map.of());
        send(topic, numbered(20, 50), Map.of());
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(topic, Map.of())) { consumer.subscribe(List.of(topic)); take(consumer, 20); consumer.commitSync(); }
        send(topic, numbered(5, 50), Map.of());
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(topic, Map.of())) { consumer.subscribe(List.of(topic)); equal(20L, take(consumer, 5).get(0).offset()); }
    }

    /** A group member that polls in a thread until it is closed. */
    static class Member implements AutoCloseable {
        volatile Set<Integer> held = Set.of();
        volatile boolean stopping;
        final Thread thread;

        Member(String topic, Map<String, Object> given) {
            Map<String, Object> options = new HashMap<>(given);
            options.put("heartbeat.interval.ms", 300);
            options.putIfAbsent("session.timeout.ms", 10_000);
            KafkaConsumer<byte[], byte[]> consumer = consumer(topic, options);
            consumer.subscribe(List.of(topic));
            thread = new Thread(() -> {
                while (!stopping) {
                    consumer.poll(Duration.ofMillis(100));
                    held = consumer.assignment().stream().map(TopicPartition::partition).collect(Collectors.toSet());
                }
                consumer.close();
            });
            thread.setDaemon(true);
            thread.start();
        }

        public void close() throws InterruptedException { stopping = true; thread.join(WAIT_MS); }
    }

    static boolean settled(int partitions, Member... members) {
        List<Integer> all = new ArrayList<>();
        for (Member member : members) { if (member.held.isEmpty()) return false; all.addAll(member.held); }
        Collections.sort(all);
        return all.equals(IntStream.range(0, partitions).boxed().collect(Collectors.toList()));
    }

    static void joinAndLeave(String topic, Map<String, Object> options) throws Exception {
        create(topic, 4, Map.of());
        try (Member first = new Member(topic, options)) {
            until("one holds all", () -> settled(4, first));
            try (Member second = new Member(topic, options)) { until("two share", () -> settled(4, first, second)); }
            until("one holds all again", () -> settled(4, first));
        }
    }

    static void staticMember(String topic) throws Exception {
        create(topic, 4, Map.of());
        Map<String, Object> one = Map.of("group.instance.id", "one", "session.timeout.ms", 30_000), two = Map.of("group.instance.id", "two", "session.timeout.ms", 30_000);
        try (Member first = new Member(topic, one)) {
            Set<Integer> held;
            try (Member second = new Member(topic, two)) { until("two share", () -> settled(4, first, second)); held = second.held; }
            try (Member back = new Member(topic, two)) { until("the same partitions", () -> back.held.equals(held)); }
        }
    }

    static void commitAlone(String topic) throws Exception {
        create(topic, 1, Map.of());
        commit(topic, 12);
        equal(12L, admin.listConsumerGroupOffsets(topic).partitionsToOffsetAndMetadata().get().get(new TopicPartition(topic, 0)).offset());
    }

    static void listedAndDescribed(String topic) throws Exception {
        create(topic, 1, Map.of());
        try (Member member = new Member(topic, Map.of())) {
            until("holds", () -> settled(1, member));
            check(groups().contains(topic), "listed");
            ConsumerGroupDescription found = admin.describeConsumerGroups(List.of(topic)).all().get().get(topic);
            equal("Stable", found.groupState().toString());
            equal(1, found.members().size());
        }
    }

    static void inUse(String topic) throws Exception {
        create(topic, 1, Map.of());
        try (Member member = new Member(topic, Map.of())) {
            until("holds", () -> settled(1, member));
            refused(GroupNotEmptyException.class, () -> admin.deleteConsumerGroups(List.of(topic)).all().get());
        }
    }

    static void recreate(String topic) throws Exception {
        create(topic, 1, Map.of());
        send(topic, numbered(10, 50), Map.of());
        admin.deleteTopics(List.of(topic)).all().get();
        until("gone", () -> !admin.listTopics().names().get().contains(topic));
        create(topic, 1, Map.of());
        equal(0L, offset(topic, OffsetSpec.latest()));
    }

    static void topicConfigs(String topic) throws Exception {
        create(topic, 1, Map.of("retention.ms", "3600000"));
        equal("3600000", config(ConfigResource.Type.TOPIC, topic).get("retention.ms"));
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        admin.incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(new ConfigEntry("max.message.bytes", "2000"), AlterConfigOp.OpType.SET)))).all().get();
        known("a config is altered", () -> "2000".equals(config(ConfigResource.Type.TOPIC, topic).get("max.message.bytes")));
        equal("3600000", config(ConfigResource.Type.TOPIC, topic).get("retention.ms"));
    }

    // -- transactions

    static KafkaProducer<byte[], byte[]> transactional(String id, int timeoutMs) {
        Map<String, Object> options = new HashMap<>(connecting);
        options.putAll(Map.of("transactional.id", id, "transaction.timeout.ms", timeoutMs, "max.block.ms", WAIT_MS, "delivery.timeout.ms", (int) WAIT_MS, "request.timeout.ms", 20_000));
        KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(options, new ByteArraySerializer(), new ByteArraySerializer());
        try { producer.initTransactions(); } catch (RuntimeException error) { producer.close(Duration.ZERO); throw error; }
        return producer;
    }

    static void write(KafkaProducer<byte[], byte[]> producer, String topic, int over, List<String> values) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (int n = 0; n < values.size(); n++) sent.add(producer.send(new ProducerRecord<>(topic, n % over, null, bytes(values.get(n)))));
        producer.flush();
        for (Future<RecordMetadata> one : sent) one.get();
    }

    static void transact(KafkaProducer<byte[], byte[]> producer, String topic, int over, List<String> values, boolean commit) throws Exception {
        producer.beginTransaction();
        write(producer, topic, over, values);
        if (commit) producer.commitTransaction(); else producer.abortTransaction();
    }

    static List<String> named(String name, int count) { return IntStream.range(0, count).mapToObj(n -> name + "-" + n).collect(Collectors.toList()); }

    static List<String> values(List<ConsumerRecord<byte[], byte[]>> got) {
        return got.stream().sorted(Comparator.comparingInt((ConsumerRecord<byte[], byte[]> one) -> one.partition()).thenComparingLong(one -> one.offset())).map(one -> new String(one.value())).collect(Collectors.toList());
    }

    static List<String> committed(String topic, int count) throws Exception { return values(read(topic, count, Map.of(), Map.of("isolation.level", "read_committed"))); }

    static void commitsAndAborts(String topic) throws Exception {
        create(topic, 1, Map.of());
        List<String> all = new ArrayList<>(), good = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer = transactional(topic, 60_000)) {
            for (int n = 0; n < 6; n++) {
                boolean commit = n % 3 != 1;
                transact(producer, topic, 1, named("" + n, 10), commit);
                all.addAll(named("" + n, 10));
                if (commit) good.addAll(named("" + n, 10));
            }
        }
        equal(good, committed(topic, 40));
        equal(all, values(read(topic, 60, Map.of(), Map.of())));
    }

    static void overPartitions(String topic) throws Exception {
        create(topic, 12, Map.of());
        try (KafkaProducer<byte[], byte[]> producer = transactional(topic, 60_000)) {
            for (String name : List.of("a", "b", "c")) transact(producer, topic, 12, named(name, 24), !name.equals("b"));
        }
        Set<String> expected = new HashSet<>(named("a", 24));
        expected.addAll(named("c", 24));
        equal(expected, new HashSet<>(committed(topic, 48)));
    }

    static void openIsNotRead(String topic) throws Exception {
        create(topic, 2, Map.of());
        try (KafkaProducer<byte[], byte[]> producer = transactional(topic, 60_000)) {
            producer.beginTransaction();
            write(producer, topic, 1, List.of("open"));
            send(topic, List.of(record(null, "behind"), new ProducerRecord<>("", 1, null, bytes("beside"))), Map.of());
            equal(List.of("beside"), committed(topic, 1));
            producer.commitTransaction();
        }
        equal(List.of("open", "behind", "beside"), committed(topic, 3));
    }

    static Long committedOffset(String group) throws Exception {
        OffsetAndMetadata found = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(new TopicPartition(group, 0));
        return found == null ? null : found.offset();
    }

    static void withOffsets(String topic) throws Exception {
        String target = topic + ".out";
        create(topic, 1, Map.of());
        create(target, 1, Map.of());
        send(topic, named("in", 15).stream().map(value -> record(null, value)).collect(Collectors.toList()), Map.of());
        long first = 0;
        try (KafkaProducer<byte[], byte[]> producer = transactional(topic, 60_000)) {
            for (boolean commit : List.of(false, true, false, true, true)) {
                try (KafkaConsumer<byte[], byte[]> consumer = consumer(topic, Map.of("isolation.level", "read_committed", "max.poll.records", 5))) {
                    consumer.subscribe(List.of(topic));
                    List<ConsumerRecord<byte[], byte[]>> got = take(consumer, 5);
                    equal(first, got.get(0).offset());
                    producer.beginTransaction();
                    write(producer, target, 1, values(got));
                    producer.sendOffsetsToTransaction(Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(first + 5)), consumer.groupMetadata());
                    if (commit) producer.commitTransaction(); else producer.abortTransaction();
                }
                if (commit) first += 5;
                Long expected = first == 0 ? null : first;
                until("the offset is settled", () -> Objects.equals(expected, committedOffset(topic)));
            }
        }
        equal(named("in", 15), committed(target, 15));
    }

    static void fenced(Call call) throws Exception {
        try { call.run(); } catch (ProducerFencedException | InvalidProducerEpochException error) { return; }
        throw new AssertionError("not fenced");
    }

    static void zombie(String topic) throws Exception {
        create(topic, 1, Map.of());
        try (KafkaProducer<byte[], byte[]> zombie = transactional(topic, 60_000)) {
            zombie.beginTransaction();
            write(zombie, topic, 1, List.of("zombie"));
            try (KafkaProducer<byte[], byte[]> living = transactional(topic, 60_000)) {
                fenced(zombie::commitTransaction);
                transact(living, topic, 1, List.of("living"), true);
            }
        }
        equal(List.of("living"), committed(topic, 1));
    }

    /** The client has no class for this refusal: its message is the error code's. */
    static void timeoutTooLong(String topic) throws Exception {
        try { transactional(topic, 10_000_000).close(); } catch (KafkaException error) {
            check(String.valueOf(error.getMessage()).contains("transaction.max.timeout.ms"), "refused with " + error);
            return;
        }
        throw new AssertionError("not refused");
    }

    static void timesOut(String topic) throws Exception {
        create(topic, 1, Map.of());
        try (KafkaProducer<byte[], byte[]> slow = transactional(topic, 1_000)) {
            slow.beginTransaction();
            write(slow, topic, 1, List.of("slow"));
            send(topic, List.of(record(null, "after")), Map.of());
            equal(List.of("after"), committed(topic, 1));
            fenced(slow::commitTransaction);
        }
        try (KafkaProducer<byte[], byte[]> again = transactional(topic, 60_000)) { transact(again, topic, 1, List.of("again"), true); }
        equal(List.of("after", "again"), committed(topic, 2));
    }
}

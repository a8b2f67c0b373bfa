import java.io.FileReader;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.acl.*;
import org.apache.kafka.common.quota.*;
import org.apache.kafka.common.resource.*;
import org.apache.kafka.common.serialization.*;

/** Words: bootstrap, the file of an administrator's client properties, that of a user's. Prints "case, outcome". */
public class Rules {
    static String bootstrap;

    interface Act {
        Object run() throws Exception;
    }

    public static void main(String[] words) throws Exception {
        bootstrap = words[0];
        Properties user = load(words[2]);
        try (Admin admin = Admin.create(load(words[1])); Admin own = Admin.create(user)) {
            tell("create", () -> admin.createTopics(List.of(new NewTopic("java-rules", 1, (short) 1))).all().get());
            tell("write-refused", () -> write(user));
            allow(admin, ResourceType.TOPIC, "java-", PatternType.PREFIXED, AclOperation.WRITE);
            tell("write", () -> write(user));
            tell("group-refused", () -> read(user));
            allow(admin, ResourceType.GROUP, "java-group", PatternType.LITERAL, AclOperation.READ);
            tell("read-refused", () -> read(user));
            allow(admin, ResourceType.TOPIC, "java-rules", PatternType.LITERAL, AclOperation.READ);
            tell("read", () -> read(user));
            tell("transaction-refused", () -> transact(user));
            allow(admin, ResourceType.TRANSACTIONAL_ID, "java-id", PatternType.LITERAL, AclOperation.WRITE);
            tell("transaction", () -> transact(user));
            tell("create-refused", () -> own.createTopics(List.of(new NewTopic("other", 1, (short) 1))).all().get());
            tell("rules-refused", () -> own.describeAcls(AclBindingFilter.ANY).values().get());
            tell("rules", () -> admin.describeAcls(AclBindingFilter.ANY).values().get().size());
            tell("operations", () -> operations(own));
            tell("quotas", () -> quotas(admin));
            tell("quotas-refused", () -> quotas(own));
            tell("removed", () -> admin.deleteAcls(List.of(AclBindingFilter.ANY)).all().get().size());
            tell("write-refused-again", () -> write(user));
        }
        System.exit(0);
    }

    static Properties load(String file) throws Exception {
        Properties properties = new Properties();
        try (FileReader reader = new FileReader(file)) {
            properties.load(reader);
        }
        properties.put("bootstrap.servers", bootstrap);
        return properties;
    }

    static void tell(String name, Act act) {
        String outcome;
        try {
            outcome = String.valueOf(act.run());
        } catch (Exception trouble) {
            boolean wrapped = trouble instanceof ExecutionException && trouble.getCause() != null;
            outcome = (wrapped ? trouble.getCause() : trouble).getClass().getSimpleName();
        }
        System.out.println("outcome\t" + name + "\t" + outcome.replaceAll("\\s+", " "));
        System.out.flush();
    }

    static void allow(Admin admin, ResourceType type, String name, PatternType pattern, AclOperation operation)
            throws Exception {
        AccessControlEntry entry = new AccessControlEntry("User:alice", "*", operation, AclPermissionType.ALLOW);
        admin.createAcls(List.of(new AclBinding(new ResourcePattern(type, name, pattern), entry))).all().get();
    }

    static Object write(Properties properties) throws Exception {
        try (Producer<String, String> producer =
                new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer())) {
            return producer.send(new ProducerRecord<>("java-rules", "value")).get().offset();
        }
    }

    static Object read(Properties given) throws Exception {
        Properties properties = new Properties();
        properties.putAll(given);
        properties.put("group.id", "java-group");
        properties.put("auto.offset.reset", "earliest");
        try (Consumer<String, String> consumer =
                new KafkaConsumer<>(properties, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of("java-rules"));
            for (int second = 0; second < 60; second++) {
                for (ConsumerRecord<String, String> found : consumer.poll(Duration.ofSeconds(1))) {
                    return found.value();
                }
            }
            return "nothing";
        }
    }

    static Object transact(Properties given) throws Exception {
        Properties properties = new Properties();
        properties.putAll(given);
        properties.put("transactional.id", "java-id");
        try (Producer<String, String> producer =
                new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer())) {
            producer.initTransactions();
            producer.beginTransaction();
            producer.send(new ProducerRecord<>("java-rules", "transacted"));
            producer.commitTransaction();
            return "committed";
        }
    }

    static Object operations(Admin admin) throws Exception {
        DescribeTopicsOptions options = new DescribeTopicsOptions().includeAuthorizedOperations(true);
        TopicDescription found = admin.describeTopics(List.of("java-rules"), options).allTopicNames().get().get("java-rules");
        return new TreeSet<>(found.authorizedOperations());
    }

    static Object quotas(Admin admin) throws Exception {
        ClientQuotaEntity alice = new ClientQuotaEntity(Map.of(ClientQuotaEntity.USER, "alice"));
        ClientQuotaAlteration.Op rate = new ClientQuotaAlteration.Op("producer_byte_rate", 1e9);
        admin.alterClientQuotas(List.of(new ClientQuotaAlteration(alice, List.of(rate)))).all().get();
        return admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get().get(alice).get("producer_byte_rate");
    }
}

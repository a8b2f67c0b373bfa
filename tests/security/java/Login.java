import java.io.FileReader;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.serialization.StringSerializer;

/** For each file of client properties: "in" and the offset of a record that was produced, or why there was no way in. */
public class Login {
    public static void main(String[] words) throws Exception {
        for (int number = 1; number < words.length; number++) {
            Properties properties = new Properties();
            try (FileReader reader = new FileReader(words[number])) {
                properties.load(reader);
            }
            properties.put("bootstrap.servers", words[0]);
            properties.put("max.block.ms", "60000");
            System.out.println("outcome\t" + outcome(properties));
            System.out.flush();
        }
        System.exit(0);
    }

    static String outcome(Properties properties) {
        try (Admin admin = Admin.create(properties)) {
            admin.listTopics().names().get(60, TimeUnit.SECONDS);
        } catch (Exception trouble) {
            return String.valueOf(trouble.getCause() == null ? trouble : trouble.getCause()).replaceAll("\\s+", " ");
        }
        try (Producer<String, String> producer =
                new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer())) {
            return "in " + producer.send(new ProducerRecord<>("java", "v")).get(60, TimeUnit.SECONDS).offset();
        } catch (Exception trouble) {
            return String.valueOf(trouble).replaceAll("\\s+", " ");
        }
    }
}

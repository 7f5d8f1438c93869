import java.io.File;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.security.SecureRandom;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.GenericRecordBuilder;
import org.apache.avro.message.BinaryMessageEncoder;

/**
 * One report to a gate, with Apache Avro.
 *
 * <p>TOKEN=... java -cp 'jars/*' Send.java https://GATE/t/TIER/v1/reports/route_window route_window.v1.avsc
 */
public class Send {
    static GenericData.EnumSymbol symbol(Schema record, String field, String name) {
        return new GenericData.EnumSymbol(record.getField(field).schema(), name);
    }

    public static void main(String[] arguments) throws Exception {
        Schema schema = new Schema.Parser().parse(new File(arguments[1]));
        Schema rowSchema = schema.getField("rows").schema().getElementType();
        Schema histogram = rowSchema.getField("latency").schema().getTypes().get(1);
        byte[] id = new byte[16];
        new SecureRandom().nextBytes(id); // drawn once for a report, and the same whenever it is posted again
        long start = System.currentTimeMillis() / 3_600_000 * 3_600_000 - 3_600_000;

        var row = new GenericRecordBuilder(rowSchema); // what is not said has the schema's default
        Map.of("data_class", "internal", "task_kind", "document", "input_size", "medium", "authority", "local_safe",
                "device_approved", "approved", "planned_route", "on_device", "actual_route", "edge",
                "decision_reason", "quality", "precision", "int4")
            .forEach((field, name) -> row.set(field, symbol(rowSchema, field, name)));
        row.set("model", "assistant-small").set("tasks", 3).set("latency",
            new GenericRecordBuilder(histogram).set("offset", 80).set("counts", List.of(2L, 0L, 1L)).build());
        GenericRecord report = new GenericRecordBuilder(schema)
            .set("report_id", new GenericData.Fixed(schema.getField("report_id").schema(), id))
            .set("window_start", start).set("window_end", start + 300_000).set("region", "eu-west")
            .set("hardware_tier", symbol(schema, "hardware_tier", "small")).set("agent_version", "1.4.2")
            .set("network_context", symbol(schema, "network_context", "office"))
            .set("rows", List.of(row.build())).build();
        // Marker and fingerprint of the schema are written by the encoder.
        byte[] message = new BinaryMessageEncoder<GenericRecord>(GenericData.get(), schema).encode(report).array();

        HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0]))
            .header("Authorization", "Bearer " + System.getenv("TOKEN")).header("Content-Type", "application/avro")
            .POST(BodyPublishers.ofByteArray(message)).build();
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build(); // no Upgrade: h2c
        var response = client.send(request, BodyHandlers.ofString());
        System.out.println(response.statusCode() + " " + response.body());
    }
}

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.avro.Schema;
import org.apache.avro.SchemaNormalization;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.message.BinaryMessageDecoder;
import org.apache.avro.message.BinaryMessageEncoder;

/**
 * Every golden report, decoded and encoded anew by Apache Avro, to a gate: where a sender in another language begins.
 *
 * <p>java -cp 'jars/*' Golden.java https://GATE tests/golden/wire schemas/reports [?check=1]
 *
 * <p>TOKEN_MANAGED, TOKEN_BYOD and TOKEN_CONTRACTOR hold the tokens. A line for each report: its file, the body that was
 * posted in hexadecimal, status and answer; before them one for each schema: the fingerprint that the library computes.
 */
public class Golden {
    static final HttpClient CLIENT = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    static final HexFormat HEX = HexFormat.of();

    public static void main(String[] arguments) throws Exception {
        String query = arguments.length > 3 ? arguments[3] : "";
        Map<String, Schema> schemas = new TreeMap<>();
        for (Path file : files(Path.of(arguments[2]), ".avsc")) {
            Schema schema = new Schema.Parser().parse(file.toFile());
            schemas.put(report(file), schema);
            byte[] fingerprint = SchemaNormalization.parsingFingerprint("CRC-64-AVRO", schema);
            System.out.println("schema\t" + report(file) + "\t" + HEX.formatHex(fingerprint));
        }
        for (Path file : files(Path.of(arguments[1]), ".avro", ".avro-sequence")) {
            Schema schema = schemas.get(report(file));
            boolean batch = file.toString().endsWith("-sequence");
            byte[] body = batch ? sequence(Files.readAllBytes(file), schema) : anew(Files.readAllBytes(file), schema);
            String tier = file.getParent().getFileName().toString();
            String url = arguments[0] + "/t/" + tier + "/v1/reports/" + report(file) + query;
            HttpRequest request = HttpRequest.newBuilder(URI.create(url))
                .header("Authorization", "Bearer " + System.getenv("TOKEN_" + tier.toUpperCase()))
                .header("Content-Type", batch ? "application/avro-sequence" : "application/avro")
                .POST(BodyPublishers.ofByteArray(body)).build();
            var response = CLIENT.send(request, BodyHandlers.ofString());
            System.out.println(String.join("\t", "report", tier + "/" + file.getFileName(), HEX.formatHex(body),
                String.valueOf(response.statusCode()), response.body()));
        }
    }

    /** A batch whose messages are written anew: each stands behind its length, four bytes, big-endian. */
    static byte[] sequence(byte[] body, Schema schema) throws IOException {
        ByteBuffer rest = ByteBuffer.wrap(body);
        var written = new ByteArrayOutputStream();
        while (rest.hasRemaining()) {
            byte[] message = new byte[rest.getInt()];
            rest.get(message);
            byte[] made = anew(message, schema);
            written.writeBytes(ByteBuffer.allocate(4).putInt(made.length).array());
            written.writeBytes(made);
        }
        return written.toByteArray();
    }

    /** The message of the same report as Apache Avro writes it; the fingerprint is its own as well. */
    static byte[] anew(byte[] message, Schema schema) throws IOException {
        GenericRecord report = new BinaryMessageDecoder<GenericRecord>(GenericData.get(), schema).decode(message);
        ByteBuffer made = new BinaryMessageEncoder<GenericRecord>(GenericData.get(), schema).encode(report);
        byte[] bytes = new byte[made.remaining()];
        made.get(bytes);
        return bytes;
    }

    static List<Path> files(Path folder, String... endings) throws IOException {
        try (Stream<Path> found = Files.walk(folder)) {
            return found.filter(file -> Stream.of(endings).anyMatch(file.toString()::endsWith)).sorted().toList();
        }
    }

    static String report(Path file) {
        return file.getFileName().toString().split("\\.")[0];
    }
}

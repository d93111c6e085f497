// Java's HttpClient, as it is by default: it offers an upgrade to HTTP/2 with each request.
import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;

class Client {
    public static void main(String[] given) throws Exception {
        byte[] data = Files.readAllBytes(Path.of(given[2]));
        BodyPublisher body;
        switch (given[0]) {
            case "raw", "upgrade", "large" -> body = BodyPublishers.ofByteArray(data);
            case "chunked" -> body = BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(data));
            default -> {
                System.exit(3);
                return;
            }
        }
        var request = HttpRequest.newBuilder(URI.create(given[1])).header("Content-Type", "image/jpeg").POST(body).build();
        var answer = HttpClient.newHttpClient().send(request, BodyHandlers.ofString());
        System.out.println(answer.body());
        System.out.println(answer.statusCode());
    }
}

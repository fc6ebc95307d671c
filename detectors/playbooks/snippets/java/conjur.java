import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Base64;

final class ExampleToken {
    private static final HttpClient CLIENT = HttpClient.newHttpClient();

    static String read() throws InterruptedException {
        String url = setting("CONJUR_APPLIANCE_URL");
        String account = setting("CONJUR_ACCOUNT");
        String login = URLEncoder.encode(setting("CONJUR_AUTHN_LOGIN"), StandardCharsets.UTF_8);
        String name = URLEncoder.encode("example-provider/example_token", StandardCharsets.UTF_8);
        String session = ask(HttpRequest.newBuilder(URI.create(url + "/authn/" + account + "/" + login + "/authenticate"))
                .POST(HttpRequest.BodyPublishers.ofString(setting("CONJUR_AUTHN_API_KEY"))));
        String token = Base64.getEncoder().encodeToString(session.getBytes(StandardCharsets.UTF_8));
        return ask(HttpRequest.newBuilder(URI.create(url + "/secrets/" + account + "/variable/" + name))
                .header("Authorization", "Token token=\"" + token + "\""));
    }

    private static String ask(HttpRequest.Builder request) throws InterruptedException {
        try {
            var answer = CLIENT.send(request.timeout(Duration.ofSeconds(10)).build(), BodyHandlers.ofString());
            if (answer.statusCode() != 200) {
                throw new IllegalStateException("Conjur answered " + answer.statusCode());
            }
            return answer.body();
        } catch (IOException error) {
            throw new IllegalStateException("example-provider/example_token cannot be read from Conjur", error);
        }
    }

    private static String setting(String name) {
        String value = System.getenv(name);
        if (value == null || value.isEmpty()) {
            throw new IllegalStateException(name + " is not set");
        }
        return value;
    }
}

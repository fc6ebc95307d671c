import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import software.amazon.awssdk.core.exception.SdkException;
import software.amazon.awssdk.services.secretsmanager.SecretsManagerClient;

final class ExampleToken {
    static String read() {
        try (SecretsManagerClient client = SecretsManagerClient.create()) {
            String answer = client.getSecretValue(request -> request.secretId("example-provider")).secretString();
            JsonNode value = new ObjectMapper().readTree(answer).path("example_token");
            if (value.isMissingNode()) {
                throw new IllegalStateException("example-provider holds no field example_token");
            }
            return value.asText();
        } catch (SdkException error) {
            throw new IllegalStateException("example-provider cannot be read from AWS Secrets Manager", error);
        } catch (JsonProcessingException error) {
            throw new IllegalStateException("example-provider holds no JSON");
        }
    }
}

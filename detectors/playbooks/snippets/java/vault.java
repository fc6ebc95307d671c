import io.github.jopenlibs.vault.Vault;
import io.github.jopenlibs.vault.VaultConfig;
import io.github.jopenlibs.vault.VaultException;
import java.util.Map;

final class ExampleToken {
    static String read() {
        try {
            // takes VAULT_ADDR and VAULT_TOKEN from the environment
            Vault vault = Vault.create(new VaultConfig().engineVersion(2).build());
            Map<String, String> fields = vault.logical().read("secret/example-provider").getData();
            String value = fields.get("example_token");
            if (value == null) {
                throw new IllegalStateException("secret/example-provider holds no field example_token");
            }
            return value;
        } catch (VaultException error) {
            throw new IllegalStateException("secret/example-provider cannot be read from Vault", error);
        }
    }
}

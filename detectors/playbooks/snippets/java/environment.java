final class ExampleToken {
    static String read() {
        String value = System.getenv("EXAMPLE_TOKEN");
        if (value == null || value.isEmpty()) {
            throw new IllegalStateException("EXAMPLE_TOKEN is not set");
        }
        return value;
    }
}

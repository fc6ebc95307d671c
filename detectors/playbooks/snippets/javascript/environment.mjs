export function exampleToken() {
  const value = process.env.EXAMPLE_TOKEN;
  if (!value) {
    throw new Error("EXAMPLE_TOKEN is not set");
  }
  return value;
}

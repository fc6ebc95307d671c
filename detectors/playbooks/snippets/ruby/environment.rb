def example_token
  value = ENV.fetch("EXAMPLE_TOKEN", "")
  raise "EXAMPLE_TOKEN is not set" if value.empty?

  value
end

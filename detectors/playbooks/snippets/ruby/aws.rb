require "aws-sdk-secretsmanager"
require "json"

def example_token
  answer = Aws::SecretsManager::Client.new.get_secret_value(secret_id: "example-provider")
  JSON.parse(answer.secret_string).fetch("example_token")
rescue Aws::Errors::ServiceError => e
  raise "example-provider cannot be read from AWS Secrets Manager: #{e.class}"
rescue KeyError, JSON::ParserError
  raise "example-provider holds no field example_token"
end

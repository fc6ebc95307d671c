require "aws-sdk-secretsmanager"
require "json"

def example_token
  Aws::SecretsManager::Client.new.get_secret_value(secret_id: "example-provider").then do |answer|
    JSON.parse(answer.secret_string).fetch("example_token")
  end
rescue Aws::Errors::ServiceError => e
  raise "example-provider cannot be read from AWS Secrets Manager: #{e.class}"
rescue KeyError, JSON::ParserError
  raise "example-provider holds no field example_token"
end

require "conjur-api"

# Conjur takes CONJUR_APPLIANCE_URL and CONJUR_ACCOUNT from the environment.
def example_token
  login = ENV.fetch("CONJUR_AUTHN_LOGIN")
  client = Conjur::API.new_from_key(login, ENV.fetch("CONJUR_AUTHN_API_KEY"))
  client.resource("#{Conjur.configuration.account}:variable:example-provider/example_token").value
rescue KeyError => e
  raise "#{e.key} is not set"
rescue RestClient::Exception => e
  raise "example-provider/example_token cannot be read from Conjur: #{e.class}"
end

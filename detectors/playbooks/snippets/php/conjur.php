<?php

require 'vendor/autoload.php';

use GuzzleHttp\Client;
use GuzzleHttp\Exception\GuzzleException;

function conjur_setting(string $name): string
{
    return getenv($name) ?: throw new RuntimeException("$name is not set");
}

function example_token(): string
{
    $account = conjur_setting('CONJUR_ACCOUNT');
    $login = rawurlencode(conjur_setting('CONJUR_AUTHN_LOGIN'));
    $name = rawurlencode('example-provider/example_token');
    try {
        $client = new Client(['base_uri' => conjur_setting('CONJUR_APPLIANCE_URL'), 'timeout' => 10]);
        $session = $client->post("/authn/$account/$login/authenticate", ['body' => conjur_setting('CONJUR_AUTHN_API_KEY')]);
        $token = base64_encode((string) $session->getBody());
        $answer = $client->get("/secrets/$account/variable/$name", [
            'headers' => ['Authorization' => "Token token=\"$token\""],
        ]);
    } catch (GuzzleException $error) {
        throw new RuntimeException('example-provider/example_token cannot be read from Conjur', 0, $error);
    }
    return (string) $answer->getBody();
}

<?php

require 'vendor/autoload.php';

use GuzzleHttp\Client;
use GuzzleHttp\Exception\GuzzleException;

function example_token(): string
{
    $address = getenv('VAULT_ADDR');
    $token = getenv('VAULT_TOKEN');
    if (!$address || !$token) {
        throw new RuntimeException('VAULT_ADDR or VAULT_TOKEN is not set');
    }
    try {
        $client = new Client(['base_uri' => $address, 'timeout' => 10]);
        $answer = $client->get('/v1/secret/data/example-provider', ['headers' => ['X-Vault-Token' => $token]]);
    } catch (GuzzleException $error) {
        throw new RuntimeException('secret/example-provider cannot be read from Vault', 0, $error);
    }
    $fields = json_decode((string) $answer->getBody(), true)['data']['data'] ?? [];
    if (empty($fields['example_token'])) {
        throw new RuntimeException('secret/example-provider holds no field example_token');
    }
    return $fields['example_token'];
}

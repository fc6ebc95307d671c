<?php

require 'vendor/autoload.php';

use Aws\Exception\AwsException;
use Aws\SecretsManager\SecretsManagerClient;

function example_token(): string
{
    try {
        $client = new SecretsManagerClient(['version' => '2017-10-17', 'region' => getenv('AWS_REGION')]);
        $answer = $client->getSecretValue(['SecretId' => 'example-provider']);
    } catch (AwsException $error) {
        throw new RuntimeException('example-provider cannot be read from AWS Secrets Manager', 0, $error);
    }
    $fields = json_decode($answer['SecretString'], true);
    if (empty($fields['example_token'])) {
        throw new RuntimeException('example-provider holds no field example_token');
    }
    return $fields['example_token'];
}

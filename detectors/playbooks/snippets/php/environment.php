<?php

function example_token(): string
{
    $value = getenv('EXAMPLE_TOKEN');
    if ($value === false || $value === '') {
        throw new RuntimeException('EXAMPLE_TOKEN is not set');
    }
    return $value;
}

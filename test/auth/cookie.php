<?php

// Signs a cookie for a test: its argument is a JSON object of user, secret and maxAge.
require __DIR__ . '/../../tcp-client/php/signalbox-cookie.php';

$given = json_decode($argv[1], true);
try {
    echo Signalbox\signCookie($given['user'], $given['secret'], $given['maxAge']);
} catch (InvalidArgumentException $error) {
    fwrite(STDERR, $error->getMessage());
    exit(2);
}

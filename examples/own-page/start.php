<?php
// What the page's button calls: starts the job in the background and hands it the page's UUID.
$uuid = $_GET['uuid'] ?? '';
if (!preg_match('/^[0-9a-f-]{36}$/', $uuid)) {
    http_response_code(400);
    exit('Expected a UUID.');
}
exec('bash ' . escapeshellarg(__DIR__ . '/job.sh') . ' ' . escapeshellarg($uuid) . ' >/dev/null 2>&1 &');
echo 'started';

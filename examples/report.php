<?php
// Reports to a page with nothing but PHP:  php report.php UUID [HOST PORT]
[, $uuid, $host, $port] = $argv + [1 => '', 2 => '127.0.0.1', 3 => '8097'];

/** PHP's own exit("text") would be a success, on standard output. */
function fail(string $message): never
{
    fwrite(STDERR, "$message\n");
    exit(1);
}

/** One packet a line, one answer a line. */
function ask($hub, array $packet): array
{
    fwrite($hub, json_encode($packet, JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR) . "\n");
    return json_decode(fgets($hub) ?: fail('The hub closed the connection.'), true);
}

if ($uuid === '') {
    fail('usage: php report.php UUID [HOST PORT]');
}
$hub = @stream_socket_client("tcp://$host:$port", $code, $error, 10) ?: fail("No hub at $host:$port: $error");

for ($step = 1; $step <= 3; $step++) {
    $message = ['percent' => intdiv($step * 100, 3), 'text' => "Schritt $step – ä😀"];
    $answer = ask($hub, ['opcode' => 'feedback', 'uuid' => $uuid, 'message' => $message]);
    // held: the page is reloading, it gets it then.
    if ($answer['status'] !== 'sent' && $answer['status'] !== 'held') {
        fail("Not sent: {$answer['status']} " . ($answer['error']['message'] ?? ''));
    }
}
fwrite($hub, "{\"opcode\":\"quit\"}\n");

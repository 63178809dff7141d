<?php
// Reports to a page with nothing but PHP:  php report.php UUID [HOST PORT]
[, $uuid, $host, $port] = $argv + [1 => '', 2 => '127.0.0.1', 3 => '8097'];

$hub = stream_socket_client("tcp://$host:$port", $code, $error, 10) or exit("No hub at $host:$port: $error\n");

/** One packet a line, one answer a line. */
function ask($hub, array $packet): array
{
    fwrite($hub, json_encode($packet, JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR) . "\n");
    return json_decode(fgets($hub) ?: exit("The hub closed the connection.\n"), true);
}

for ($step = 1; $step <= 3; $step++) {
    $answer = ask($hub, ['opcode' => 'feedback', 'uuid' => $uuid, 'message' => ['at' => $step, 'of' => 3, 'text' => 'Schritt – ä😀']]);
    if ($answer['status'] !== 'sent') {
        exit("Not sent: {$answer['status']}\n");
    }
}
fwrite($hub, "{\"opcode\":\"quit\"}\n");

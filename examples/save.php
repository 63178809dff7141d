<?php
// Saves a text only while the page that sent it still has the lock:  php save.php SPACE ID FENCE FILE TEXT [HOST PORT]
// The page got the fence with its lock, and sends it along. Exit code: 0 saved; 4 not saved, the lock has been lost; 1 anything else.
[, $space, $id, $fence, $file, $text, $host, $port] = $argv + [1 => '', '', '', '', '', '127.0.0.1', '8097'];

/** PHP's own exit("text") would be a success, on standard output. */
function fail(string $message, int $code = 1): never
{
    fwrite(STDERR, "$message\n");
    exit($code);
}

if ($file === '') {
    fail('usage: php save.php SPACE ID FENCE FILE TEXT [HOST PORT]');
}
$hub = @stream_socket_client("tcp://$host:$port", $code, $error, 10) ?: fail("No hub at $host:$port: $error");
$check = ['opcode' => 'check', 'space' => $space, 'id' => $id, 'fence' => (int) $fence];
fwrite($hub, json_encode($check, JSON_THROW_ON_ERROR) . "\n{\"opcode\":\"quit\"}\n");
$answer = json_decode(fgets($hub) ?: fail('The hub closed the connection.'), true);

// Without this line the lock is advice: a page can have lost it and not have heard of it yet.
if ($answer['status'] !== 'done') {
    $error = $answer['error'] ?? ['code' => $answer['status'], 'message' => $answer['status']];
    fail("Not saved: {$error['message']}", $error['code'] === 'stale' ? 4 : 1);
}
if (@file_put_contents($file, $text) === false) {
    fail("Not saved: $file cannot be written.");
}

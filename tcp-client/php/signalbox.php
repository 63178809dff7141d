<?php

declare(strict_types=1);

namespace Signalbox;

/**
 * A job that reports to the page that started it, through a signalbox hub (PROTOCOL.md, chapter 16). This file is all there
 * is: PHP 7.4 or newer, no extension, no Composer.
 *
 *     require 'signalbox.php';
 *
 *     $job = new Signalbox\Job($uuid, 'import', ['title' => 'Import']);
 *     foreach ($rows as $at => $row) {
 *         if (!$job->progress($at, count($rows), "Reading $row")) {
 *             $job->aborted();
 *             exit;
 *         }
 *     }
 *     $job->done(['rows' => count($rows)]);
 *
 * A report never ends the job and never holds it up for longer than `timeout`: without a hub, or without the page, the job goes on. A
 * script that ends without saying its end is shown as `lost`.
 */
final class Job
{
    private const OPTIONS = ['hub', 'key', 'title', 'cancellable', 'timeout', 'tls'];
    private const DEFAULT_HUB = 'tcp://127.0.0.1:8097';
    /** Refusals that say nothing about what was reported. */
    private const TROUBLES = ['unavailable', 'app-error', 'app-timeout', 'over-budget'];
    /** Between two attempts, s: of a report, and of an end. */
    private const PAUSE = 1.0;
    /** Below the 5 s after which the hub takes a job without a connection for lost, together with SHORT. */
    private const MAX_PAUSE = 3.0;
    private const SHORT = 0.5;
    private const END_PAUSE = 0.2;
    /** A hub that hangs costs the job a tenth of its time, not more. */
    private const PAUSE_FACTOR = 10;
    /** UTF-16 units of a text that the hub takes [JOB-2]. */
    private const MAX_TEXT = 1000;

    private Line $line;
    /** @var array<string, string> what every packet says: which job, which run [JOB-7] */
    private array $about;
    /** @var array<string, mixed> what every report says: a run that was lost is a new one, which knows nothing */
    private array $description;
    private float $timeout;
    private ?string $reason = null;
    private bool $gone = false;
    private bool $over = false;
    private bool $complained = false;
    private float $putOffUntil = 0.0;

    /**
     * Says nothing yet: the first report does.
     *
     * @param string $uuid of the page
     * @param string $name of the job; several jobs of one page have several names
     * @param array<string, mixed> $options
     *  - `hub`: `tcp://HOST:PORT`, `unix:PATH` or `tls://HOST:PORT`; default: the environment's SIGNALBOX_HUB, else tcp://127.0.0.1:8097
     *  - `key`: where the hub is on another host, its `backendKey`, or an application key, `['id' => …, 'secret' => …]`, whose secret
     *    is shown without being said; default: the environment's SIGNALBOX_APPLICATION_KEY (`ID:SECRET`), else its SIGNALBOX_BACKEND_KEY
     *  - `title`: what the job is, for people
     *  - `cancellable`: false where it cannot be stopped; default: true
     *  - `timeout`: seconds for which a report may hold the job up, and for which its end is tried; default: 5
     *  - `tls`: PHP's SSL context options, such as `cafile` and `local_cert`
     * @throws \InvalidArgumentException for another option, and for an address or a key that is none
     */
    public function __construct(string $uuid, string $name = 'job', array $options = [])
    {
        $unknown = array_diff(array_keys($options), self::OPTIONS);
        if ($unknown !== []) {
            $expected = implode(', ', self::OPTIONS);
            throw new \InvalidArgumentException("Expected the options $expected, got " . implode(', ', $unknown) . '.');
        }
        $hub = $options['hub'] ?? (getenv('SIGNALBOX_HUB') ?: self::DEFAULT_HUB);
        $this->line = new Line((string) $hub, self::shown($options), $options['tls'] ?? []);
        $this->about = ['uuid' => $uuid, 'job' => $name === '' ? 'job' : $name, 'run' => bin2hex(random_bytes(16))];
        $title = isset($options['title']) ? self::text((string) $options['title']) : null;
        $this->description = self::given(['title' => $title, 'cancellable' => $options['cancellable'] ?? null]);
        $this->timeout = (float) ($options['timeout'] ?? 5);
    }

    /**
     * Says how far the job is. What is null stays as it was. Cheap: report as often as you like, the hub tells the page ten times a second.
     *
     * Where there is no hub this says so once in the error log, tries again at most once a second, and the job goes on.
     *
     * @param int|float|string|null $at how much is done, 0 or more
     * @param int|float|string|null $of how much there is, above 0
     * @param string|null $message what it is doing now; a line end becomes a blank, 1,000 characters are kept
     * @return bool false once the user wants the job to stop, and from then on; else true
     * @throws JobError what was reported is wrong (`bad-message`), the job was ended by somebody else or by you (`job-ended`), the
     *  hub never let it in (`forbidden`, `unauthorized`, …); PROTOCOL.md, chapter 10, has the codes
     */
    public function progress($at = null, $of = null, ?string $message = null): bool
    {
        if ($this->over) {
            throw new JobError('job-ended', 'Expected no report behind the end of the job.');
        }
        $began = Line::now();
        if ($began < $this->putOffUntil) {
            return $this->reason === null;
        }
        $report = ['at' => self::number($at), 'of' => self::number($of), 'message' => self::text($message)];
        $packet = ['opcode' => 'progress'] + $this->about + $this->description + self::given($report);
        try {
            // A hub that hung just now may hold the job up for a moment, not for all of its patience again.
            $this->ask($packet, $began + ($this->putOffUntil > 0 ? min($this->timeout, self::SHORT) : $this->timeout));
            $this->putOffUntil = 0.0;
        } catch (Trouble $trouble) {
            $this->putOff($trouble, Line::now() - $began);
        } finally {
            $this->lookForCancel();
        }
        return $this->reason === null;
    }

    /**
     * Says that the job is done. The first end counts, what is said behind it is not sent.
     *
     * @param mixed $result what the job has to say at its end: at most 8 KiB of JSON; null: nothing
     * @return bool true where the page hears of it, now or when it is back; false where it has gone, or the end had been said already
     * @throws JobError refused (the job has not ended then), or there was no hub for `timeout` (`unreachable`)
     */
    public function done($result = null, ?string $message = null): bool
    {
        return $this->end('done', $message, $result);
    }

    /** Says that the job has failed; else as `done`. */
    public function failed(string $message): bool
    {
        return $this->end('failed', $message);
    }

    /** Says that the job has stopped because its user wanted it to; else as `done`. */
    public function aborted(?string $message = null): bool
    {
        return $this->end('aborted', $message);
    }

    /** Why the user wants the job to stop: `user`, or what the page said; null while nobody does. */
    public function reason(): ?string
    {
        return $this->reason;
    }

    /** Has the page left for good? Whether the job goes on then is its own affair. */
    public function gone(): bool
    {
        return $this->gone;
    }

    /** @param mixed $result */
    private function end(string $state, ?string $message, $result = null): bool
    {
        if ($this->over) {
            return false;
        }
        $said = self::given(['message' => self::text($message), 'result' => $result]);
        $status = $this->insist(['opcode' => 'end', 'state' => $state] + $this->about + $said, Line::now() + $this->timeout);
        $this->over = true;
        $this->line->quit();
        return $status !== 'gone';
    }

    /** @throws JobError */
    private function insist(array $packet, float $deadline): string
    {
        for ($attempt = 1; ; $attempt++) {
            try {
                return $this->attempt($packet, $deadline);
            } catch (Trouble $trouble) {
                if (Line::now() + self::END_PAUSE >= $deadline) {
                    $this->over = true;
                    throw new JobError('unreachable', "The end of the job was not told: {$trouble->getMessage()}");
                }
                usleep((int) (self::END_PAUSE * 1e6));
            } catch (JobError $error) {
                // The attempt before had arrived, only its answer was lost.
                if ($attempt > 1 && $error->getCode() === 'job-ended') {
                    return 'sent';
                }
                throw $error;
            }
        }
    }

    /** @throws Trouble|JobError */
    private function ask(array $packet, float $deadline): string
    {
        if (!$this->line->isOpen()) {
            return $this->attempt($packet, $deadline);
        }
        try {
            return $this->attempt($packet, $deadline);
        } catch (Trouble $trouble) {
            // Only this connection may have ended: a hub that was started anew is there already.
            return $this->attempt($packet, $deadline);
        }
    }

    /** @throws Trouble|JobError */
    private function attempt(array $packet, float $deadline): string
    {
        $answer = $this->line->ask($packet, $deadline);
        $status = $answer['status'] ?? '';
        if ($status === 'refused') {
            $this->refused($answer['error']['code'] ?? 'refused', $answer['error']['message'] ?? '');
        }
        if ($status === 'cancel') {
            $this->reason = $this->reason ?? (string) ($answer['reason'] ?? 'user');
        }
        $this->gone = $status === 'gone';
        return $status;
    }

    /** The hub says it at once [JOB-5]; the connection may have ended behind it, before any answer. */
    private function lookForCancel(): void
    {
        foreach ($this->line->takePushes() as $push) {
            $own = ($push['uuid'] ?? null) === $this->about['uuid'] && ($push['job'] ?? null) === $this->about['job'];
            if ($own && $push['opcode'] === 'cancel') {
                $this->reason = $this->reason ?? (string) ($push['reason'] ?? 'user');
            }
        }
    }

    /** @throws Trouble|JobError */
    private function refused(string $code, string $message): void
    {
        if (in_array($code, self::TROUBLES, true)) {
            throw new Trouble("$code: $message");
        }
        if ($code === 'job-ended') {
            $this->over = true;
            $this->line->quit();
        }
        throw new JobError($code, $message);
    }

    /** @param float $lost seconds that the attempt took */
    private function putOff(Trouble $trouble, float $lost): void
    {
        $this->putOffUntil = Line::now() + min(self::MAX_PAUSE, max(self::PAUSE, self::PAUSE_FACTOR * $lost));
        if (!$this->complained) {
            error_log("signalbox: job {$this->about['job']} goes on without its hub: {$trouble->getMessage()}");
        }
        $this->complained = true;
    }

    /**
     * By what the hub is to know the job. The secret stands in an array throughout: of those a stack trace shows nothing.
     *
     * @return array<string, string> `id` and `secret`, or a `token`, or nothing
     * @throws \InvalidArgumentException
     */
    private static function shown(array $options): array
    {
        $key = $options['key'] ?? self::environmentKey();
        if ($key === null || is_string($key)) {
            return self::given(['token' => $key]);
        }
        if (!is_array($key) || !self::isText($key['id'] ?? null) || !self::isText($key['secret'] ?? null)) {
            throw new \InvalidArgumentException("Expected the option key to be a string, or ['id' => …, 'secret' => …] with two texts in UTF-8.");
        }
        return ['id' => $key['id'], 'secret' => $key['secret']];
    }

    /** @return array<string, string>|string|null @throws \InvalidArgumentException */
    private static function environmentKey()
    {
        $given = (string) getenv('SIGNALBOX_APPLICATION_KEY');
        if ($given === '') {
            return getenv('SIGNALBOX_BACKEND_KEY') ?: null;
        }
        if (!preg_match('/^([^:]+):(.+)$/suD', $given, $parts)) {
            throw new \InvalidArgumentException('Expected SIGNALBOX_APPLICATION_KEY to be ID:SECRET.');
        }
        return ['id' => $parts[1], 'secret' => $parts[2]];
    }

    /** @param mixed $value */
    private static function isText($value): bool
    {
        return is_string($value) && preg_match('/./su', $value) === 1;
    }

    /** What a database or a command line gives is a string. @param mixed $value @return mixed */
    private static function number($value)
    {
        return is_string($value) && is_numeric($value) ? $value + 0 : $value;
    }

    /** One line, as long as the hub takes it, and UTF-8 whatever a file was called: a report is no reason to fail. */
    private static function text(?string $text): ?string
    {
        if ($text === null) {
            return null;
        }
        $utf8 = json_decode((string) json_encode($text, JSON_INVALID_UTF8_SUBSTITUTE));
        $line = preg_replace('/[\r\n]+/', ' ', $utf8);
        $wide = preg_match_all('/[\x{10000}-\x{10FFFF}]/u', $line);
        if (preg_match_all('/./us', $line) + $wide <= self::MAX_TEXT) {
            return $line;
        }
        // Characters beyond the basic plane count twice; that many less are certainly short enough.
        preg_match('/^.{0,' . max(0, self::MAX_TEXT - 1 - min($wide, self::MAX_TEXT / 2)) . '}/us', $line, $kept);
        return $kept[0] . '…';
    }

    private static function given(array $fields): array
    {
        return array_filter($fields, static function ($value): bool {
            return $value !== null;
        });
    }
}

/** What was reported is wrong, or there is no way to report it. `getCode()` is a word: `bad-message`, `job-ended`, `unreachable`, … */
final class JobError extends \RuntimeException
{
    public function __construct(string $code, string $message)
    {
        parent::__construct("$code: $message");
        $this->code = $code;
    }
}

/** @internal The hub cannot be reached now; it may be later. */
final class Trouble extends \RuntimeException
{
}

/** @internal A connection to the hub, opened when it is needed: one packet a line, one answer a line. Nothing here waits without an end. */
final class Line
{
    /** Seconds to connect and be let in. */
    private const CONNECT_TIMEOUT = 2.0;
    /** Bytes of a packet: no report that the hub accepts is longer. */
    private const MAX_PACKET = 65536;
    /** Bytes of a line of the hub: above this it is no hub. */
    private const MAX_LINE = 16777216;
    /** Ends for which another attempt is of no use (PROTOCOL.md, chapter 10). */
    private const FINAL = [1002 => 'protocol', 4003 => 'forbidden', 4401 => 'unauthorized', 4404 => 'no-resource'];

    private string $address;
    /** @var array<string, mixed> */
    private array $tls;
    private string $hello;
    /** @var array<string, string>|null `id` and `secret` of the key of which it can show a proof [AUTH-6] */
    private ?array $key = null;
    /** @var resource|null */
    private $socket = null;
    /** What has come of the next line. */
    private string $read = '';
    /** @var list<array<string, mixed>> */
    private array $pushes = [];
    private bool $wasLetIn = false;

    /** @param array<string, string> $shown to the hub: `id` and `secret` of a key, or a `token`, or nothing */
    public function __construct(string $hub, array $shown, array $tls)
    {
        if (preg_match('~^(t(?:cp|ls)://(?:\[[^]/]+\]|[^:/]+):\d+)(/.*)?$~', $hub, $parts)) {
            $this->address = $parts[1];
        } elseif (preg_match('~^unix:(.+)$~', $hub, $parts)) {
            $this->address = "unix://$parts[1]";
        } else {
            throw new \InvalidArgumentException("Expected a hub's address, tcp://HOST:PORT, tls://HOST:PORT or unix:PATH, got `$hub`.");
        }
        $this->tls = $tls;
        $hello = ['opcode' => 'hello', 'resource' => rawurldecode($parts[2] ?? '/')];
        if (isset($shown['secret'])) {
            $this->key = $shown;
            $shown = ['key' => $shown['id']];
        }
        $this->hello = self::encode($hello + $shown);
    }

    /** Seconds of a clock that is never set. */
    public static function now(): float
    {
        return hrtime(true) / 1e9;
    }

    public function isOpen(): bool
    {
        return $this->socket !== null;
    }

    /**
     * @return array<string, mixed> the answer
     * @throws Trouble|JobError
     */
    public function ask(array $packet, float $deadline): array
    {
        $line = self::encode($packet);
        try {
            if (!$this->isOpen()) {
                $this->open(min($deadline, self::now() + self::CONNECT_TIMEOUT));
            }
            $this->write($line, $deadline);
            return $this->readUntil(['next'], $deadline);
        } catch (Trouble $trouble) {
            $this->close();
            throw $trouble;
        }
    }

    /** @return list<array<string, mixed>> what the hub said unasked, once */
    public function takePushes(): array
    {
        $pushes = $this->pushes;
        $this->pushes = [];
        return $pushes;
    }

    /** Ends the connection on purpose: it has not died [JOB-6]. */
    public function quit(): void
    {
        if ($this->socket !== null) {
            @fwrite($this->socket, "{\"opcode\":\"quit\"}\n");
        }
        $this->close();
    }

    private function open(float $deadline): void
    {
        $context = stream_context_create(['ssl' => $this->tls]);
        $seconds = max(0.001, $deadline - self::now());
        $socket = @stream_socket_client($this->address, $_, $error, $seconds, STREAM_CLIENT_CONNECT, $context);
        if ($socket === false) {
            throw new Trouble("No hub at {$this->address}" . ($error === '' ? '.' : ": $error."));
        }
        $this->socket = $socket;
        stream_set_blocking($socket, false);
        $this->write($this->hello, $deadline);
        $this->beLetIn($deadline);
        $this->wasLetIn = true;
    }

    /** A hub that trusts this host greets it at once; any other may ask for a proof, and nothing is said before that [AUTH-6]. */
    private function beLetIn(float $deadline): void
    {
        $packet = $this->readUntil($this->key === null ? ['ready'] : ['ready', 'challenge'], $deadline);
        if ($packet['opcode'] === 'challenge') {
            $this->write($this->proof($packet['nonce'] ?? null), $deadline);
            $this->readUntil(['ready'], $deadline);
        }
    }

    /** @param mixed $nonce @throws Trouble */
    private function proof($nonce): string
    {
        if (!is_string($nonce)) {
            throw new Trouble("What listens at {$this->address} is no hub.");
        }
        $mac = hash_hmac('sha256', "signalbox.1\n{$this->key['id']}\n$nonce", $this->key['secret']);
        return self::encode(['opcode' => 'proof', 'mac' => $mac]);
    }

    private function close(): void
    {
        if ($this->socket !== null) {
            fclose($this->socket);
        }
        $this->socket = null;
        $this->read = '';
    }

    private function write(string $line, float $deadline): void
    {
        while ($line !== '') {
            $written = @fwrite($this->socket, $line);
            if ($written === false) {
                throw new Trouble('The connection to the hub broke.');
            }
            $line = substr($line, $written);
            if ($line !== '') {
                $this->wait('write', $deadline);
            }
        }
    }

    /** What comes in front of it was not asked for and is kept aside. */
    private function readUntil(array $opcodes, float $deadline): array
    {
        while (true) {
            $packet = json_decode($this->readLine($deadline), true);
            $said = is_array($packet) ? ($packet['opcode'] ?? null) : null;
            if (!is_string($said)) {
                throw new Trouble("What listens at {$this->address} is no hub.");
            }
            if (in_array($said, $opcodes, true)) {
                return $packet;
            }
            if ($said === 'close') {
                $this->closed((int) ($packet['code'] ?? 0), (string) ($packet['error'] ?? ''));
            }
            $this->pushes[] = $packet;
        }
    }

    /** A job that was let in once goes on, whatever the hub thinks of it later. */
    private function closed(int $code, string $error): void
    {
        if (isset(self::FINAL[$code]) && !$this->wasLetIn) {
            $this->close();
            throw new JobError(self::FINAL[$code], $error);
        }
        throw new Trouble("The hub closed the connection: $code $error");
    }

    private function readLine(float $deadline): string
    {
        $searched = 0;
        while (($end = strpos($this->read, "\n", $searched)) === false) {
            $searched = strlen($this->read);
            if ($searched > self::MAX_LINE) {
                throw new Trouble("What listens at {$this->address} is no hub.");
            }
            // First read, then wait: TLS may hold what no longer shows at the socket.
            $bytes = @fread($this->socket, 65536);
            if ($bytes !== false && $bytes !== '') {
                $this->read .= $bytes;
            } elseif ($bytes === false || feof($this->socket)) {
                throw new Trouble('The hub closed the connection.');
            } else {
                $this->wait('read', $deadline);
            }
        }
        $line = substr($this->read, 0, $end);
        $this->read = substr($this->read, $end + 1);
        return $line;
    }

    private function wait(string $for, float $deadline): void
    {
        $seconds = $deadline - self::now();
        if ($seconds <= 0) {
            throw new Trouble('The hub did not answer in time.');
        }
        $read = $for === 'read' ? [$this->socket] : null;
        $write = $for === 'write' ? [$this->socket] : null;
        $except = null;
        // A signal ends it early; who called looks again.
        @stream_select($read, $write, $except, (int) $seconds, (int) (fmod($seconds, 1) * 1e6));
    }

    /** @throws JobError */
    private static function encode(array $packet): string
    {
        $json = json_encode($packet, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_PRESERVE_ZERO_FRACTION);
        if ($json === false) {
            throw new JobError('bad-json', 'This cannot be said in JSON: ' . json_last_error_msg());
        }
        if (strlen($json) > self::MAX_PACKET) {
            throw new JobError('too-big', 'Expected a result of at most 8 KiB of JSON, got ' . strlen($json) . ' bytes.');
        }
        return "$json\n";
    }
}

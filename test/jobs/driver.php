<?php

// Lets a test decide when a job does what: a line of standard input is a step, a line of standard output says what came of it.
require __DIR__ . '/../../tcp-client/php/signalbox.php';

function say(string $line): void
{
    fwrite(STDOUT, "$line\n");
}

function step(Signalbox\Job $job, string $step, array $words): bool
{
    $message = isset($words[2]) ? str_replace('\n', "\r\n", $words[2]) : null;
    if ($step !== 'progress') {
        $job->{$step}(...($step === 'done' ? [['rows' => 7], $message] : [$message]));
        say('ended');
        return false;
    }
    [$at, $of] = array_map(static fn ($word) => $word === '-' ? null : $word, $words);
    if ($job->progress($at, $of, $message)) {
        say($job->gone() ? 'gone' : 'go');
        return true;
    }
    $job->aborted();
    say("stop {$job->reason()}");
    return false;
}

try {
    $job = new Signalbox\Job($argv[1], $argv[2] ?? 'job', ['title' => 'Driven', 'timeout' => 1]);
    do {
        $words = explode(' ', rtrim((string) fgets(STDIN), "\n"), 4);
        $step = array_shift($words);
    } while ($step !== '' && step($job, $step, $words));
} catch (Exception $error) {
    say("error {$error->getMessage()}");
    exit(1);
}

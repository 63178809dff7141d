<?php
// A job with nothing but PHP and one file:  php job.php UUID
require __DIR__ . '/../tcp-client/php/signalbox.php';

if (!isset($argv[1])) {
    fwrite(STDERR, "usage: php job.php UUID\n");
    exit(2);
}
$books = ['Börne', 'Čapek', 'Σαπφώ', 'Emoji 😀'];
$job = new Signalbox\Job($argv[1], 'import', ['title' => 'Import of authors']);

foreach ($books as $at => $book) {
    if (!$job->progress($at, count($books), "Reading $book")) {
        $job->aborted("Stopped at $book");
        exit;
    }
    usleep((int) (1e6 * (float) (getenv('JOB_STEP') ?: 0.5)));
}
$job->done(['authors' => count($books)]);

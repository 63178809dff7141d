#!/usr/bin/env bash
# A job with nothing but bash and one file:  job.sh UUID
set -euo pipefail
. "${BASH_SOURCE%/*}/../tcp-client/bash/signalbox.sh"
books=("Börne" "Čapek" "Σαπφώ" "Emoji 😀")

signalbox_open "${1:?usage: job.sh UUID}" import
signalbox_trap # whatever ends the script, the page is told

at=0
for book in "${books[@]}"; do
  signalbox_progress "$at/${#books[@]}" "Reading $book" || exit # 3: the user wants it to stop
  sleep "${JOB_STEP:-0.5}"
  at=$((at + 1))
done
signalbox_end 'done' "$at authors"

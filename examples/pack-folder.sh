#!/usr/bin/env bash
# Packs a folder and prints how far it is, a line for each file: `signalbox run` makes a job of that, with Abort.
#   signalbox run --uuid UUID -- bash pack-folder.sh FOLDER ARCHIVE
set -euo pipefail

folder=$1
archive=$2
cd "$folder"
total=$(find . -type f | wc -l)
at=0

find . -type f -print0 |
  tar --create --gzip --file="$archive" --verbose --null --files-from=- --warning=no-file-changed |
  while IFS= read -r file; do
    at=$((at + 1))
    [ "$at" -gt "$total" ] && total=$at # it grows while it is packed
    echo "$at/$total ${file#./}"
  done

echo "$total/$total Packed into $(($(wc -c <"$archive") / 1024)) KiB."

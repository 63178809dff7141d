#!/usr/bin/env bash
# The job: whatever you like, as long as it says a line now and then.   job.sh UUID [PORT]
set -eu
uuid=${1:?usage: job.sh UUID [PORT]}

exec 3<>"/dev/tcp/127.0.0.1/${2:-8097}"

report() { # PERCENT TEXT: ends the job when nobody listens any more; `held` is a page that reloads, it gets it then
  printf '{"opcode":"feedback","uuid":"%s","message":{"percent":%d,"text":"%s"}}\n' "$uuid" "$1" "$2" >&3
  IFS= read -r answer <&3 || answer="The hub closed the connection."
  case $answer in
    *'"status":"sent"'* | *'"status":"held"'*) ;;
    *) echo "$answer" >&2; exit 1 ;;
  esac
}

for percent in 0 20 40 60 80; do
  report "$percent" "Working, $percent % done"
  sleep "${JOB_STEP:-0.5}"
done
report 100 "Finished"
printf '{"opcode":"quit"}\n' >&3

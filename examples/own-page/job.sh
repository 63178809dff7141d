#!/usr/bin/env bash
# The job: whatever you like, as long as it says a line now and then.   job.sh UUID [PORT]
exec 3<>"/dev/tcp/127.0.0.1/${2:-8097}"

report() { # PERCENT TEXT
  printf '{"opcode":"feedback","uuid":"%s","message":{"percent":%d,"text":"%s"}}\n' "$uuid" "$1" "$2" >&3
  read -r answer <&3
}

uuid=$1
for percent in 0 20 40 60 80; do
  report "$percent" "Working, $percent % done"
  sleep "${JOB_STEP:-0.5}"
done
report 100 "Finished"
printf 'quit\n' >&3

#!/usr/bin/env bash
# Reports to a page with nothing but bash:  report.sh UUID [HOST PORT]
set -eu
uuid=$1 host=${2:-127.0.0.1} port=${3:-8097}

exec 3<>"/dev/tcp/$host/$port"

report() { # TEXT: one line out, one line in; ends the script when nobody listens any more
  printf 'feedback %s %s\n' "$uuid" "$1" >&3
  IFS= read -r answer <&3
  case $answer in
    "next sent "*) ;;
    *) echo "$answer" >&2; exit 1 ;;
  esac
}

for step in 1 2 3; do
  report "Step $step of 3 – ä😀"
done

printf 'quit\n' >&3

#!/usr/bin/env bash
# The shortest report there is, with netcat, as for a cron job:  report-nc.sh UUID TEXT [HOST PORT]
# Exit code: 0 sent, or held for a page that is reloading; 3 the page has gone; 1 anything else.
set -euo pipefail
usage="usage: report-nc.sh UUID TEXT [HOST PORT]"
uuid=${1:?$usage} text=${2:?$usage} host=${3:-127.0.0.1} port=${4:-8097}

# One line is one message: a line end in the text would be a second one.
answer=$(printf 'feedback %s %s\nquit\n' "$uuid" "${text//$'\n'/ }" | nc -N "$host" "$port") || {
  echo "No hub at $host:$port." >&2
  exit 1
}
echo "$answer"
case $answer in
  "next sent"* | "next held"*) ;;
  "next gone"*) exit 3 ;;
  *) exit 1 ;;
esac

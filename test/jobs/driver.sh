#!/usr/bin/env bash
# Lets a test decide when a job does what: a line of standard input is a step, a line of standard output says what came of it.
set -euo pipefail
. "${BASH_SOURCE%/*}/../../tcp-client/bash/signalbox.sh"
export SIGNALBOX_TIMEOUT=1

fail() { # what the client complains of is on standard error already
  echo error
  exit 1
}

signalbox_open "$@" || fail

while read -r step at of message; do
  message=${message//'\n'/$'\r\n'}
  if [[ $step != progress ]]; then
    signalbox_end "$step" "$message" || fail
    echo ended
    exit
  fi
  amount=$at/$of rc=0
  [[ $at != - ]] || amount=
  signalbox_progress ${amount:+"$amount"} "$message" || rc=$?
  case $rc in
    0) if [[ -n $SIGNALBOX_GONE ]]; then echo gone; else echo go; fi ;;
    3)
      signalbox_end aborted || fail
      echo "stop $SIGNALBOX_REASON"
      exit
      ;;
    *) fail ;;
  esac
done

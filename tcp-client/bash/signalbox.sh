# shellcheck shell=bash
# A job that reports to the page that started it, through a signalbox hub of this host (PROTOCOL.md, chapters 8 and 16). To be
# sourced; bash 4.4 or newer, no other tool.
#
#     . signalbox.sh
#     signalbox_open "$uuid" import || exit
#     signalbox_trap
#     for at in {1..2400}; do
#       signalbox_progress "$at/2400" "Reading $at" || exit
#     done
#     signalbox_end done
#
# Set before signalbox_open, if at all:
#   SIGNALBOX_HUB      tcp://HOST:PORT; default: tcp://127.0.0.1:8097. Plain words show no key: only a hub of this host takes them [OPEN-8]
#   SIGNALBOX_TIMEOUT  whole seconds for which a report may hold the script up, and for which its end is tried; default: 5
# To be read:
#   SIGNALBOX_REASON   why the user wants the job to stop: `user`, or what the page said; empty while nobody does
#   SIGNALBOX_GONE     1 once the page has left for good, else empty; whether the job goes on then is its own affair
#   SIGNALBOX_FD       the connection's file descriptor, empty without one
#
# A report never ends the script for lack of a hub: that is said once on standard error, tried again at most once a second, and the
# script goes on. Subshells and the loops behind a pipe use the same connection, one at a time. What runs side by side needs a job and a
# signalbox_open each. A script that was killed is `lost` when the programs it had started have ended, too, for they hold its
# connection; one that is to outlive the script is started with {SIGNALBOX_FD}>&- behind it.

# signalbox_open UUID [NAME]: the job begins, and the page is told. NAME, without blanks and ~, tells several jobs of one page apart; default: job
# Returns 0, also without a hub; 1 and a sentence on standard error where something is wrong.
signalbox_open() {
  SIGNALBOX_REASON='' SIGNALBOX_GONE='' SIGNALBOX_FD=''
  _signalbox_over='' _signalbox_let_in='' _signalbox_complained='' _signalbox_put_off=0
  local uuid=${1-} name=${2:-job} address=${SIGNALBOX_HUB:-tcp://127.0.0.1:8097} timeout=${SIGNALBOX_TIMEOUT:-5}
  # A run of its own name: what is said again over another connection is the same [JOB-7].
  printf -v _signalbox_about '%s~%s~%x.%x.%x' "$uuid" "$name" "$$" "${EPOCHREALTIME//[!0-9]/}" "$((RANDOM * 32768 + RANDOM))"
  [[ ${#uuid} -eq 36 && $uuid != *[[:space:]]* ]] || _signalbox_fail "Expected the page's UUID of 36 characters, got \`$uuid\`." || return 1
  [[ $name != *[[:space:]~]* ]] || _signalbox_fail "Expected a name without blanks and ~: plain words cannot say \`$name\`." || return 1
  [[ $timeout =~ ^[1-9][0-9]*$ ]] || _signalbox_fail "Expected SIGNALBOX_TIMEOUT to be whole seconds, got \`$timeout\`." || return 1
  [[ $address =~ ^tcp://(\[([^]]+)\]|([^]/:[]+)):([0-9]+)(/.*)?$ ]] ||
    _signalbox_fail "Expected SIGNALBOX_HUB to be tcp://HOST:PORT, for bash can do no other, got \`$address\`." || return 1
  _signalbox_host=${BASH_REMATCH[2]}${BASH_REMATCH[3]} _signalbox_port=${BASH_REMATCH[4]}
  # Said here, and not in a loop behind a pipe: subshells can use its connection, but not hand theirs back.
  signalbox_progress || [[ $? -eq 3 ]]
}

# signalbox_progress [AT/OF|N%] [MESSAGE…]: how far the job is. What is left out stays as it was. A line end becomes a blank, 1,000
# bytes of the message are kept.
# Returns 3 once the user wants the job to stop, 1 and a sentence on standard error where what was reported is wrong or the job has
# been ended, else 0.
signalbox_progress() {
  [[ -n ${_signalbox_about-} ]] || _signalbox_fail "Expected signalbox_open first." || return 1
  [[ -z $_signalbox_over ]] || _signalbox_fail "job-ended Expected no report behind the end of the job." || return 1
  local began answer line rc=0
  printf -v began '%(%s)T' -1
  if ((began >= _signalbox_put_off)); then
    _signalbox_line progress "$@"
    # A hub that hung just now may hold the job up for a second, not for all of its patience again.
    _signalbox_ask "$((began + (_signalbox_put_off > 0 ? 1 : ${SIGNALBOX_TIMEOUT:-5})))" || rc=$?
    case $rc in
      0) _signalbox_put_off=0 ;;
      1) return 1 ;;
      2) _signalbox_wait_with_it "$began" ;;
    esac
  fi
  [[ -z $SIGNALBOX_REASON ]] || return 3
}

# signalbox_end done|failed|aborted [MESSAGE…]: how the job ended. The first end counts, what is said behind it is not sent.
# Returns 0, also where the page has gone; 1 and a sentence on standard error where it was refused, or there was no hub.
signalbox_end() {
  [[ -n ${_signalbox_about-} ]] || _signalbox_fail "Expected signalbox_open first." || return 1
  [[ -z $_signalbox_over ]] || return 0
  local now deadline answer line rc
  _signalbox_line end "$@"
  printf -v deadline '%(%s)T' -1
  deadline=$((deadline + ${SIGNALBOX_TIMEOUT:-5}))
  while true; do
    rc=0
    _signalbox_ask "$deadline" || rc=$?
    case $rc in
      0) break ;;
      1) return 1 ;;
    esac
    printf -v now '%(%s)T' -1
    if ((now >= deadline)); then
      _signalbox_over=1
      _signalbox_fail "The end of the job was not told: $answer" || return 1
    fi
    # A pause without any tool: nothing ever comes from there. In a subshell, as all that would change the script's `$!`.
    (read -r -t 0.2 _ <> <(:)) || :
  done
  _signalbox_over=1
  (printf 'quit\n' >&"$SIGNALBOX_FD") 2>/dev/null || :
  _signalbox_close
}

# signalbox_trap: however the script ends, the page is told: `aborted` where the user wanted it to stop, `failed` where it ends with
# another exit code than 0 or by HUP, INT or TERM, else `done`. A script with an EXIT trap of its own calls `signalbox_at_exit $?`
# there, first, and has traps that exit for those signals: else bash calls it with the exit code of whatever ran last.
signalbox_trap() {
  [[ -z $(trap -p EXIT) ]] || _signalbox_fail "There is an EXIT trap already: call \`signalbox_at_exit \$?\` there, first." || return 1
  trap 'signalbox_at_exit $?' EXIT
  # Without these, EXIT sees the exit code of whatever ran last: a script that was killed would be done.
  [[ -n $(trap -p HUP) ]] || trap 'exit 129' HUP
  [[ -n $(trap -p INT) ]] || trap 'exit 130' INT
  [[ -n $(trap -p TERM) ]] || trap 'exit 143' TERM
}

# signalbox_at_exit CODE: what signalbox_trap does.
signalbox_at_exit() {
  [[ -n ${_signalbox_about-} && -z $_signalbox_over ]] || return 0
  # A loop behind a pipe knows that the user wants it to stop, but cannot tell; the hub knows, too.
  if [[ $1 -ne 0 && -z $SIGNALBOX_REASON ]]; then signalbox_progress || :; fi
  if [[ -n $SIGNALBOX_REASON ]]; then
    signalbox_end aborted
  elif [[ $1 -eq 0 ]]; then
    signalbox_end 'done'
  else
    signalbox_end failed "It ended with exit code $1."
  fi
}

# ── Inside ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

_signalbox_fail() {
  echo "signalbox: $1" >&2
  return 1
}

# WORD ARGUMENTS…: puts together the `line` to say. A line end would begin another one, and a line that ends like that of a browser
# is not obeyed [OPEN-9].
_signalbox_line() {
  local IFS=' ' LC_ALL=C word=$1
  shift
  local text="$*"
  text=${text//$'\r\n'/ }
  text=${text//[$'\r\n']/ }
  if ((${#text} > 1000)); then
    text=${text:0:997}
    # Bytes of which the last character may not be whole.
    while [[ $text == *[$'\x80'-$'\xbf'] ]]; do text=${text%?}; done
    text=${text%[$'\xc0'-$'\xff']}...
  fi
  [[ $text =~ \ HTTP/[0-9](\.[0-9])?$ ]] && text+=' '
  line="$word $_signalbox_about $text"
}

# BEGAN: no report for a while, after one that was not answered, but not so long that the hub takes the job for lost.
_signalbox_wait_with_it() {
  local now
  printf -v now '%(%s)T' -1
  # Whole seconds: the next one may begin at once.
  _signalbox_put_off=$((now + ($1 < now ? 3 : 2)))
  [[ -n $_signalbox_complained ]] || echo "signalbox: $_signalbox_about goes on without its hub: $answer" >&2
  _signalbox_complained=1
}

# DEADLINE: says the `line`, and puts what came of it into `answer`; opens a connection where there is none, and where the one there was has
# ended. Returns 0, 1 where it was refused, 2 for trouble that may pass.
_signalbox_ask() {
  local had=$SIGNALBOX_FD rc=0
  _signalbox_attempt "$@" || rc=$?
  if [[ $rc -eq 2 && -n $had ]]; then
    rc=0
    _signalbox_attempt "$@" || rc=$?
  fi
  return $rc
}

_signalbox_attempt() {
  answer="No hub at $_signalbox_host:$_signalbox_port."
  [[ -n $SIGNALBOX_FD ]] || _signalbox_connect "$1" || return 2
  # In a subshell, for bash dies of writing where nobody reads.
  if ! (printf '%s\n' "$line" >&"$SIGNALBOX_FD") 2>/dev/null || ! _signalbox_read "$1"; then
    _signalbox_close
    answer='The hub did not answer in time, or closed the connection.'
    return 2
  fi
  [[ $answer != 'next '* ]] || _signalbox_let_in=1
  case $answer in
    'next refused unavailable '* | 'next refused app-error '* | 'next refused app-timeout '* | 'next refused over-budget '*) return 2 ;;
    'next refused job-ended '*) _signalbox_over=1 && _signalbox_close && _signalbox_fail "${answer#next refused }" ;;
    'next refused '*) _signalbox_fail "${answer#next refused }" ;;
    'next cancel'*) SIGNALBOX_REASON=${answer#next cancel} && SIGNALBOX_REASON=${SIGNALBOX_REASON# } ;;
    'next gone'*) SIGNALBOX_GONE=1 ;;
    'next '*) SIGNALBOX_GONE='' ;;
    *) _signalbox_closed ;;
  esac
}

# The last line was no answer. A job that was let in once goes on, whatever the hub thinks of it later.
_signalbox_closed() {
  _signalbox_close
  [[ $answer == 'close '@(1002|4003|4404)' '* && -z $_signalbox_let_in ]] || return 2
  _signalbox_fail "${answer#close }"
}

# DEADLINE: opens a connection, in 2 s at most. Bash cannot limit how long that takes: somebody else tries first.
_signalbox_connect() {
  local connected left
  _signalbox_left "$1"
  connected=$(
    exec {probe}< <(exec 2>/dev/null; : <>"/dev/tcp/$_signalbox_host/$_signalbox_port" && echo yes)
    IFS= read -r -t "$((left > 2 ? 2 : left))" answer <&"$probe" || kill "$!" 2>/dev/null || :
    echo "$answer"
  )
  [[ $connected == yes ]] || return 2
  { exec {SIGNALBOX_FD}<>"/dev/tcp/$_signalbox_host/$_signalbox_port"; } 2>/dev/null && return
  SIGNALBOX_FD=''
  return 2
}

_signalbox_close() {
  [[ -z $SIGNALBOX_FD ]] || exec {SIGNALBOX_FD}>&-
  SIGNALBOX_FD=''
}

# DEADLINE: the next line, into `answer`.
_signalbox_read() {
  local left
  _signalbox_left "$1"
  IFS= read -r -t "$left" answer <&"$SIGNALBOX_FD"
}

# DEADLINE: the seconds that are `left`, at least one, for `read` takes none as a question.
_signalbox_left() {
  local now
  printf -v now '%(%s)T' -1
  left=$(($1 - now))
  ((left > 0)) || left=1
}

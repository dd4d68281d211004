#!/bin/sh
# switch VERB ROOT [GENERATION SECONDS]: written by overlayctl. Outlives the connection of the deploy that starts it.
# go: the old generation's deactivate, one rename, activate, check; then waits to be confirmed, and else goes back.
# settle: goes back from a generation that was never confirmed. at-boot calls it with `boot`, where nothing runs yet.
set -u; umask 022; export LC_ALL=C PATH="$PATH:/usr/bin:/bin:/usr/sbin:/sbin"
verb=$1 R=$2 out=pending/output; cd "$R" || exit 1
if sleep 0.1 2>/dev/null; then nap=0.1 a_second=10; else nap=1 a_second=1; fi
state() { echo "$*" > pending/state.new && mv pending/state.new pending/state; }
point() {
  rm -f next/current
  if [ "$1" = none ]; then [ ! -L current ] || mv -f current next/; rm -f next/current
  else sync; ln -s "generations/$1" next/current && mv -f next/current "$R/"; fi
  sync
  [ "$(readlink current || echo generations/none)" = "generations/$1" ]
}
# A command of the workspace, for as long as there is time left.
limited() {
  [ -f "generations/$1/$2" ] || return 0
  if command -v setsid >/dev/null; then group=-; set -- setsid sh "generations/$1/$2"
  else group=; set -- sh "generations/$1/$2"; fi
  "$@" </dev/null >>"$out" 2>&1 &
  p=$!
  while kill -0 $p 2>/dev/null; do
    [ "$left" -gt 0 ] || { kill -9 "$group$p"; return 124; }
    sleep $nap; left=$((left - 1))
  done
  wait $p
}
word() { [ "$1" = 124 ] && echo "did not end in time" || echo "failed with status $1"; }
back() {
  old=$(cat pending/old 2>/dev/null)
  case $old in none | [0-9]*) ;; *) finish; return ;; esac
  if [ "$verb" != boot ]; then left=$((10 * a_second)); limited "$(cat pending/new)" deactivate; fi
  point "$old" || { state "stuck $1"; return 1; }
  if [ "$verb" != boot ] && [ "$old" != none ]; then left=$((60 * a_second)); limited "$old" activate; fi
  state "back $1"; finish
}
confirmed() {
  : > "generations/$(cat pending/new)/confirmed" || return 1
  if [ -f pending/line ]; then
    { cat ledger 2>/dev/null; cat pending/line; } > next/ledger && mv -f next/ledger "$R/" && rm pending/line || return 1
  fi
  state confirmed; finish
}
finish() { rm -rf last; mv pending last; sync; }
case $verb in
go)
  N=$3 left=$(($4 * a_second))
  old=$(readlink current) && old=${old#generations/} || old=none
  mkdir next/pending && echo "$old" > next/pending/old && echo "$N" > next/pending/new || exit 1
  echo "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo none) $$" > next/pending/who
  echo switching > next/pending/state; sync; mv next/pending "$R/"; sync
  [ "$old" = none ] || limited "$old" deactivate
  point "$N" || { back "the switch failed"; exit; }
  limited "$N" activate || { back "activate $(word $?)"; exit; }
  limited "$N" check || { back "check $(word $?)"; exit; }
  state checked
  while [ ! -d pending/decided ]; do
    [ "$left" -gt 0 ] || { mkdir pending/decided 2>/dev/null || [ ! -d pending/decided ] && back "nobody confirmed it in time"; exit; }
    sleep $nap; left=$((left - 1))
  done ;;
off)
  out=/dev/null left=$((60 * a_second)); old=$(readlink current) && limited "${old#generations/}" deactivate
  point none; rm -rf pending ;;
settle|boot)
  [ -d pending ] || exit 0
  if [ -e pending/decided/yes ]; then confirmed; else back "it was not confirmed when the board lost power or the wait ended"; fi ;;
esac

# hold ROOT TOKEN WHO: takes the lock and keeps it until standard input ends; settles what a power cut left.
made=
d=$R; while [ ! -d "$d" ]; do made="$d
$made"; d=${d%/*}; d=${d:-/}; done
mkdir -p "$R" || die "cannot make $R"
if [ ! -e "$R/made" ]; then
  # Every name that is ever removed.
  for n in store generations current next pending last incoming gone ledger switch at-boot lock; do
    [ ! -e "$R/$n" ] && [ ! -L "$R/$n" ] || die "$R/$n is there, and no deploy made it"
  done
  printf %s "$made" > "$R/made.new" && mv "$R/made.new" "$R/made" || die "cannot write to $R"
fi
take() { mkdir "$R/lock" 2>/dev/null && echo "$T $boot $$ $1" > "$R/lock/owner"; }
if ! take "$1"; then
  [ -f "$R/lock/owner" ] || sleep 2
  t='' b='' p=0 w=''; [ ! -f "$R/lock/owner" ] || read -r t b p w < "$R/lock/owner"
  if alive "$b" "$p"; then echo "busy $p $w"; exit 0; fi
  mv "$R/lock" "$R/lock.$$" && rm -rf "$R/lock.$$"
  take "$1" || die "cannot take the lock in $R"
fi
trap 'read -r t b < "$R/lock/owner" 2>/dev/null && [ "$t" = "$T" ] && rm -rf "$R/lock"' EXIT; trap 'exit 1' HUP INT TERM
if [ -d "$R/pending" ]; then
  b=none p=0; [ ! -f "$R/pending/who" ] || read -r b p < "$R/pending/who"
  if alive "$b" "$p"; then echo "busy $p a deploy that waits for its confirmation"; exit 0; fi
  sh "$R/switch" settle "$R" && echo "settled $(cat "$R/last/state")"
fi
echo held
cat >/dev/null

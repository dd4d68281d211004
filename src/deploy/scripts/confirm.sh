# confirm ROOT - GENERATION: confirms the switch; standard input is the line of the ledger.
N=$1; cd "$R" || die "there is no $R"
full="that generation $N was confirmed cannot be noted (is $R full?)"
[ -d pending ] && [ "$(cat pending/new)" = "$N" ] || die "too late: it has gone back"
cat > pending/line.new && mv pending/line.new pending/line || die "$full: it goes back by itself"
if ! mkdir pending/decided 2>/dev/null; then
  [ ! -d pending/decided ] || die "too late: it has gone back"
  die "$full: it goes back by itself"
fi
: > pending/decided/yes; sync
sh switch settle "$R" || die "$full: it runs, and the next deploy notes it"
[ "$(readlink current)" = "generations/$N" ] || die "too late: it has gone back"
echo confirmed

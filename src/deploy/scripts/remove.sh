# remove ROOT TOKEN STORE: takes all that deploys made off the board.
owns
S=$1; cd "$R" || die "there is no $R"
mkdir -p next
[ ! -f switch ] || sh switch off "$R" || die "the current generation cannot be taken out"
[ ! -L current ] || die "the current generation cannot be taken out"
[ ! -d store ] || ls store | while IFS= read -r p; do
  if [ "$(readlink "$S/$p")" = "$R/store/$p" ]; then rm -f "$S/$p"; fi
done
sync
rm -rf generations store incoming gone next last pending ledger switch at-boot made.new || die "cannot remove what is in $R"
made=$(cat made 2>/dev/null) || made=$R
sync; cd /; rm -rf "$R/lock" "$R/made"
# The deepest was made last.
r=; for d in $(printf '%s\n' "$made" | grep -n . | sort -rn -t: -k1 | { IFS=:; while read -r n d; do printf '%s\n' "$d"; done; }); do rmdir "$d" 2>/dev/null; done
sync; echo removed

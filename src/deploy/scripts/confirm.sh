# confirm ROOT - GENERATION KEEP STORE: confirms the switch; standard input is the line of the ledger. Then removes what nothing needs.
N=$1 keep=$2 S=$3; cd "$R" || die "there is no $R"
[ -d pending ] && [ "$(cat pending/new)" = "$N" ] || die "too late: it has gone back"
cat > pending/line.new && mv pending/line.new pending/line
mkdir pending/decided 2>/dev/null || die "too late: it has gone back"
echo yes > pending/decided/yes; sync
sh switch settle "$R" || die "cannot write to $R"
echo confirmed
c=$(readlink current); i=0
mkdir -p gone; sync
for g in $(ls generations | sort -rn); do
  [ "generations/$g" != "$c" ] || { i=$((i + 1)); continue; }
  if [ -e "generations/$g/confirmed" ] && [ $i -lt "$keep" ]; then i=$((i + 1)); else mv "generations/$g" gone/; fi
done
cat generations/*/paths | sort -u > next/used
ls store | while IFS= read -r p; do
  grep -qxF -e "$p" next/used && continue
  if [ "$(readlink "$S/$p")" = "$R/store/$p" ]; then rm -f "$S/$p"; fi
  mv "store/$p" gone/; echo "removed $p"
done
rm -rf gone; sync

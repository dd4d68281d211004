# clean ROOT TOKEN KEEP STORE: removes generations beyond KEEP, and store paths that none of those that stay needs. What cannot be read
# or written keeps everything.
owns
keep=$1 S=$2 i=0; cd "$R" || die "there is no $R"
c=$(readlink current) || die "nothing is current"
mkdir -p gone next && sync || die "cannot write to $R"
for g in $(ls generations | sort -rn); do
  [ "generations/$g" != "$c" ] || { i=$((i + 1)); continue; }
  if [ -e "generations/$g/confirmed" ] && [ $i -lt "$keep" ]; then i=$((i + 1)); else mv "generations/$g" gone/; fi
done
# The last line says that the list is whole.
( for g in generations/*; do cat "$g/paths" || exit 1; done; echo . ) > next/used 2>/dev/null && grep -qxF . next/used || die "cannot tell what is needed (is $R full?)"
ls store | while IFS= read -r p; do
  grep -qxF -e "$p" next/used
  [ $? = 1 ] || continue
  owns
  if [ "$(readlink "$S/$p")" = "$R/store/$p" ]; then rm -f "$S/$p"; fi
  mv "store/$p" gone/ && echo "removed $p"
done
rm -rf gone; sync

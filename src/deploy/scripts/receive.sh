# receive ROOT TOKEN GENERATION UNPACK DIGEST STORE LINK: unpacks standard input aside, checks it by hash, puts it in place.
owns
N=$1 how=$2 want=$3 S=$4 link=$5
rm -rf "$R/incoming" "$R/gone" && mkdir -p "$R/incoming" "$R/store" "$R/generations" "$R/next" && cd "$R/incoming" || die "cannot write to $R"
unpack() { case $how in xz) xz -dc;; zstd) zstd -dc;; gzip) gzip -dc;; *) cat;; esac; }
unpack | tar -xof - || die "what was sent cannot be unpacked (is $R full?)"
got=$(sha256sum < sums) || die "cannot read what was sent"
[ "${got%% *}" = "$want" ] || die "the list of hashes is not what was sent"
sha256sum -c sums > checked 2>&1 || die "not what was sent: $(grep -v ': OK$' checked | { read -r l; echo "$l"; })"
say() { w=$(printf '%b.' "$1"); w=${w%.}; }
while read -r kind a b; do
  say "$b"; n=$w; say "$a"
  case $kind in
    file) h=$(sha256sum < "$n"); [ "${h%% *}" = "$a" ] ;;
    link) h=$(readlink "$n" && echo .); [ "$h" = "$w
." ] ;;
    exec) [ -x "$n" ] ;;
    *) false ;;
  esac || die "not what was sent: $b"
done < odd
sync
# A store path may be a link to another one.
there() { [ -e "$1" ] || [ -L "$1" ]; }
for p in store/*; do
  there "$p" && { there "$R/$p" || mv "$p" "$R/store/" || die "cannot put $p in place"; }
done
while IFS= read -r p; do there "$R/store/$p" || die "$p is not on the board"; done < generation/paths
if [ "$link" = yes ]; then
  d=$S new=; while [ ! -d "$d" ]; do new="$d
$new"; d=${d%/*}; d=${d:-/}; done
  [ -z "$new" ] || { { cat "$R/made"; printf %s "$new"; } > "$R/made.new" && mv "$R/made.new" "$R/made"; }
  mkdir -p "$S" || die "cannot make $S"
  while IFS= read -r p; do
    if [ "$(readlink "$S/$p")" = "$R/store/$p" ]; then continue; fi
    ! there "$S/$p" || die "$S/$p is there, and no deploy made it"
    ln -s "$R/store/$p" "$S/$p" || die "cannot link $S/$p"
  done < generation/paths
fi
mv -f switch at-boot "$R/" && mv generation "$R/generations/$N" || die "cannot put the generation in place"
rm -rf "$R/incoming"; sync; echo received

# The phases of nixpkgs' generic builder, by their names and with their messages, over the tools of the machine.
export PATH=/usr/bin:/bin LC_ALL=C SOURCE_DATE_EPOCH=315532800
here=$NIX_BUILD_TOP
export CC="gcc -ffile-prefix-map=$here=/build"
LINK=""
if [ -n "$isStatic" ]; then
  LINK="-static"
elif [ -n "$libc" ]; then
  LINK="-Wl,--dynamic-linker=$(echo "$libc"/lib/ld-*) -Wl,-rpath,$libc/lib"
fi
for dir in ${buildInputs:-}; do
  CC="$CC -I$dir/include"
  LINK="$LINK -L$dir/lib"
  if [ -z "$isStatic" ]; then LINK="$LINK -Wl,-rpath,$dir/lib"; fi
done

hook() { eval "text=\${$1:-}"; if [ -n "$text" ]; then eval "$text"; fi; }

default_unpackPhase() {
  echo "unpacking sources"
  mkdir source
  if [ -n "${src:-}" ]; then cp -r "$src/." source; fi
  chmod -R u+w source
  cd source
}
default_patchPhase() {
  hook prePatch
  for file in $patches; do
    echo "applying patch $file"
    patch ${patchFlags:--p1} <"$file"
  done
  hook postPatch
}
default_configurePhase() { echo "configuring"; }
default_buildPhase() { :; }
default_installPhase() { mkdir -p "$out"; }

for phase in ${phases:-unpackPhase patchPhase configurePhase buildPhase installPhase}; do
  if [ "$phase" = patchPhase ] && [ -n "${dontPatch:-}" ]; then continue; fi
  if [ "$phase" = buildPhase ]; then hook preBuild; echo "building"; fi
  eval "text=\${$phase:-}"
  if [ -n "$text" ]; then eval "$text"; else "default_$phase"; fi
done

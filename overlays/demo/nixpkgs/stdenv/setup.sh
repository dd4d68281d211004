# shellcheck shell=bash disable=SC2154,SC2086
# The generic builder: nixpkgs' phases, by their names and with their messages, over Debian's tools.
set -eu -o pipefail
: "${NIX_LOG_FD:=2}"
export PATH=/usr/bin:/bin LC_ALL=C TZ=UTC SOURCE_DATE_EPOCH=315532800
umask 022

for dir in $stdenvCC $nativeBuildInputs; do PATH=$dir/bin:$PATH; done
targetPrefix=$(cat "$stdenvCC/nix-support/target-prefix")
export CC=${targetPrefix}gcc AR=${targetPrefix}ar RANLIB=${targetPrefix}ranlib NM=${targetPrefix}nm \
  LD=${targetPrefix}ld STRIP=${targetPrefix}strip

# Read by the compiler wrapper, so that no build system has to pass it on.
export NIX_CFLAGS_COMPILE="-ffile-prefix-map=$NIX_BUILD_TOP=/build ${NIX_CFLAGS_COMPILE:-}" NIX_CFLAGS_LINK=${NIX_CFLAGS_LINK:-}
for dir in $buildInputs $propagatedBuildInputs; do
  if [ -d "$dir/include" ]; then NIX_CFLAGS_COMPILE+=" -isystem $dir/include"; fi
  if [ -d "$dir/lib" ]; then
    NIX_CFLAGS_LINK+=" -L$dir/lib"
    if [ -z "$stdenvStatic" ]; then NIX_CFLAGS_LINK+=" -Wl,-rpath,$dir/lib"; fi
  fi
done
if [ -n "$stdenvStatic" ]; then NIX_CFLAGS_LINK+=" -static"; fi

# Runs $NAME if the derivation has it, and does nothing otherwise.
runHook() { if [ -n "${!1:-}" ]; then eval "${!1}"; fi; }

unpackPhase_() {
  if [ -z "$src" ]; then mkdir source; cd source; return; fi
  echo "unpacking source archive $src"
  mkdir source
  if [ -d "$src" ]; then cp -r "$src/." source; else tar -xf "$src" -C source --strip-components=1; fi
  chmod -R u+w source
  cd source
}

patchPhase_() {
  local file
  for file in $patches; do
    echo "applying patch $file"
    patch ${patchFlags:--p1} <"$file"
  done
}

configurePhase_() {
  if [ ! -x ./configure ]; then echo "no configure script, doing nothing"; return; fi
  echo "configure flags: --prefix=$out $configureFlags"
  ./configure --prefix="$out" $configureFlags
}

buildPhase_() { make -j"$NIX_BUILD_CORES" $makeFlags; }

installPhase_() { make install $makeFlags; }

fixupPhase_() {
  if [ -n "${dontStrip:-}" ]; then return; fi
  local file
  while IFS= read -r -d '' file; do
    case $(head -c 4 "$file" | od -An -tx1) in
      *"7f 45 4c 46"*) "$STRIP" "$file" ;;
    esac
  done < <(find "$out" -type f \( -path '*/bin/*' -o -name '*.so*' \) -print0)
  find "$out" -name '*.a' -exec "$STRIP" --strip-debug --enable-deterministic-archives {} +
}

genericBuild() {
  local phase hook
  for phase in unpackPhase patchPhase configurePhase buildPhase installPhase fixupPhase; do
    echo "@nix { \"action\": \"setPhase\", \"phase\": \"$phase\" }" >&"$NIX_LOG_FD"
    case $phase in
      unpackPhase) echo "unpacking sources" ;;
      patchPhase) echo "patching sources" ;;
      configurePhase) echo "configuring" ;;
      buildPhase) echo "building" ;;
      installPhase) echo "installing" ;;
      fixupPhase) echo "post-installation fixup" ;;
    esac
    hook=${phase%Phase}
    runHook "pre${hook^}"
    if [ -n "${!phase:-}" ]; then eval "${!phase}"; else "${phase}_"; fi
    runHook "post${hook^}"
  done
}

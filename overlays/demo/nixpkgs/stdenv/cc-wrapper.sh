# shellcheck shell=bash disable=SC2154
# Builds the compiler wrapper; see cc-wrapper.nix for what and why.
for tool in gcc ld ar; do
  if [ ! -x "/usr/bin/$debianPrefix$tool" ]; then
    echo "/usr/bin/$debianPrefix$tool is not there: run the demo's setup.sh (--all for every board)," >&2
    echo "and see that overlayctl.toml's sandbox-paths has /usr in it" >&2
    exit 1
  fi
done
mkdir -p "$out/bin" "$out/nix-support"

compile_flags='' link_flags=''
case $kind in
  musl)
    loader=$(cd "$libc/lib" && echo ld-musl-*.so.1)
    sed -e "s|@libc@|$libc|g" -e "s|@loader@|$libc/lib/$loader|g" "$specs" >"$out/nix-support/musl.specs"
    # Debian's gcc makes position-independent programs unless told otherwise; a static one would want static-pie.
    compile_flags="-specs=$out/nix-support/musl.specs -no-pie"
    link_flags="-Wl,-rpath,$libc/lib"
    ;;
  glibc) link_flags="-Wl,-dynamic-linker,$libc/lib/$loader -Wl,-rpath,$libc/lib" ;;
esac

cat >"$out/bin/${prefix}gcc" <<WRAPPER
#!/bin/bash
link="$link_flags \$NIX_CFLAGS_LINK"
for argument; do
  case \$argument in
    -c | -S | -E | -M | -MM | -fsyntax-only | -print-* | -dump* | --version | -r | -V) link= ;;
  esac
done
if [ \$# -eq 0 ] || [ "\$*" = -v ]; then link=; fi
exec /usr/bin/${debianPrefix}gcc $compile_flags \$NIX_CFLAGS_COMPILE "\$@" \$link
WRAPPER
chmod +x "$out/bin/${prefix}gcc"
ln -s "${prefix}gcc" "$out/bin/${prefix}cc"
for tool in ar as ld nm objcopy objdump ranlib readelf size strings strip; do
  ln -s "/usr/bin/$debianPrefix$tool" "$out/bin/$prefix$tool"
done
printf '%s' "$prefix" >"$out/nix-support/target-prefix"
printf '%s' "$libc" >"$out/nix-support/orig-libc"

# A compiler that cannot link would be found out much later, in the middle of some configure script.
if [ -n "$libc" ]; then
  echo 'int main(void) { return 0; }' >test.c
  "$out/bin/${prefix}gcc" test.c -o test
fi

# Debian's rustc with std for the target, and the target's gcc as its linker.
#
# For musl targets rustc prefers a musl that it carries over the toolchain's. Here it is told not to; only
# rustc-self-contained has one and uses it (all-packages.nix tells why anyone would want that).
{ lib, stdenv, gcc, toolchain, targetPackages, selfContainedMusl ? null }:
let
  inherit (stdenv) buildPlatform targetPlatform;
in
stdenv.mkDerivation {
  pname = "${targetPlatform.config}-rustc" + lib.optionalString (selfContainedMusl != null) "-self-contained";
  version = toolchain.rustVersion;
  toolchainId = toolchain.rustId;
  inherit selfContainedMusl;
  linker = "${gcc}/bin/${gcc.targetPrefix}gcc";
  # Targets without a musl to carry do not know the option.
  linkFlags = lib.optionalString targetPlatform.isMusl
    "-Clink-self-contained=${if selfContainedMusl == null then "no" else "yes"}";
  rustTarget = targetPlatform.rust.rustcTarget;
  buildTarget = buildPlatform.rust.rustcTarget;
  std = targetPackages.rust-std;

  buildPhase = ''
    mkdir -p $out/bin $out/lib/rustlib/$rustTarget/lib
    ln -s $std/lib/rustlib/$rustTarget/lib/* $out/lib/rustlib/$rustTarget/lib/
    if [ -n "$selfContainedMusl" ]; then
      mkdir $out/lib/rustlib/$rustTarget/lib/self-contained
      cp $selfContainedMusl/lib/{libc.a,crt1.o,crti.o,crtn.o} $($linker -print-file-name=crtbegin.o) \
        $($linker -print-file-name=crtend.o) $out/lib/rustlib/$rustTarget/lib/self-contained/
    fi
    # Build scripts run here and use Debian's std.
    if [ $buildTarget != $rustTarget ]; then ln -s /usr/lib/rustlib/$buildTarget $out/lib/rustlib/$buildTarget; fi
  '';
  installPhase = ''
    cat >$out/bin/rustc <<WRAPPER
    #!/bin/bash
    export LD_LIBRARY_PATH=/usr/lib/${buildPlatform.parsed.cpu.debian}
    flags=
    case " \$* " in
      *" --target $rustTarget "* | *" --target=$rustTarget "*)
        flags="-Clinker=$linker $linkFlags" ;;
    esac
    exec /usr/bin/rustc --sysroot $out \$flags "\$@"
    WRAPPER
    chmod +x $out/bin/rustc
  '';
  dontStrip = true;
}

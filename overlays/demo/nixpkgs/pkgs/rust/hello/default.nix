# A Rust program whose output depends on the C library.
{ lib, stdenv, rustc, libgcc-eh, toolchain, pname ? "rust-hello", crtStatic ? stdenv.hostPlatform.isStatic }:
let
  inherit (stdenv) hostPlatform;
in
stdenv.mkDerivation {
  inherit pname;
  version = "0.1.0";
  src = ./src;

  nativeBuildInputs = [ rustc ];
  # Not in buildInputs: it is linked in, and no program needs to find it when it runs.
  unwinder = if hostPlatform.isMusl then libgcc-eh else null;
  toolchainId = toolchain.rustId;
  rustTarget = hostPlatform.rust.rustcTarget;

  buildPhase = ''
    export HOME=$NIX_BUILD_TOP CARGO_HOME=$NIX_BUILD_TOP/cargo RUSTC=$(type -P rustc)
    export RUSTFLAGS="-Ctarget-feature=${if crtStatic then "+" else "-"}crt-static -Crelocation-model=static"
    RUSTFLAGS+=" --remap-path-prefix=$NIX_BUILD_TOP=/build ''${unwinder:+-Lnative=$unwinder/lib}"
    /usr/bin/cargo build --offline --release --target $rustTarget --target-dir target
  '';
  installPhase = ''
    mkdir -p $out/bin
    cp target/$rustTarget/release/rust-hello $out/bin/
  '';

  meta = {
    description = "Shows what the C library has to say";
    mainProgram = "rust-hello";
  };
}

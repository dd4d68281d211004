# Rust's standard library for this platform, from the source that Debian packages with its compiler.
#
# These are archives of object code with nothing linked in yet, so the C library is no input here: patching musl does not
# rebuild std (37 s saved), only what links.
{ stdenvNoLibc, toolchain }:
let
  inherit (stdenvNoLibc) hostPlatform buildPlatform;
in
stdenvNoLibc.mkDerivation {
  pname = "rust-std";
  version = toolchain.rustVersion;
  toolchainId = toolchain.rustId;
  rustTarget = hostPlatform.rust.rustcTarget;

  buildPhase = ''
    library=/usr/src/rustc-$version/library
    if [ ! -d $library ] || [ ! -x /usr/bin/cargo ]; then
      echo "Debian's rustc, cargo and Rust source are not there: run the demo's setup.sh" >&2
      exit 1
    fi
    # RUSTC_BOOTSTRAP: building std is not a stable feature. LD_LIBRARY_PATH: in the sandbox /lib is mounted by itself;
    # rustc would find its own library there and take / for its sysroot.
    export RUSTC_BOOTSTRAP=1 LD_LIBRARY_PATH=/usr/lib/${buildPlatform.parsed.cpu.debian}
    export HOME=$NIX_BUILD_TOP CARGO_HOME=$NIX_BUILD_TOP/cargo RUSTC=/usr/bin/rustc
    export RUSTFLAGS="--remap-path-prefix=$NIX_BUILD_TOP=/build"
    mkdir -p src .cargo
    echo '#![no_std]' >src/lib.rs
    printf '%s\n' '[package]' 'name = "empty"' 'version = "0.0.0"' >Cargo.toml
    printf '%s\n' '[source.crates-io]' 'replace-with = "vendored"' '[source.vendored]' "directory = '$library/vendor'" >.cargo/config.toml
    /usr/bin/cargo build --offline --release -j$NIX_BUILD_CORES -Zbuild-std=std,panic_unwind --target $rustTarget --target-dir target
  '';
  installPhase = ''
    mkdir -p $out/lib/rustlib/$rustTarget/lib
    rm -f target/$rustTarget/release/deps/libempty-*
    cp target/$rustTarget/release/deps/lib*.rlib $out/lib/rustlib/$rustTarget/lib/
  '';
  dontStrip = true;
}

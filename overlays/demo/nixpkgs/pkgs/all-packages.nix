# All packages, as an overlay over the stdenv's.
final: prev:
let inherit (final) callPackage; in
{
  sources = import ./sources.nix { inherit (final) fetchurl; };

  # C libraries. Which of them a platform has is `stdenv.cc.libc`.
  musl = callPackage ./musl { };
  glibc = callPackage ./glibc { };

  bzip2 = callPackage ./bzip2 { };
  lua = callPackage ./lua { };
  pcre2 = callPackage ./pcre2 { };

  libgcc-eh = callPackage ./libgcc-eh { };
  rust-std = callPackage ./rust/std.nix { };
  rustc = callPackage ./rust/rustc.nix { };
  rust-hello = callPackage ./rust/hello { };

  # THE SILENT FAILURE, on purpose. Rust's own builds for musl targets carry a musl of their own and link it
  # ("self-contained") whatever C library the toolchain has. Then a patch of musl builds, everything that depends on it is
  # rebuilt, and the program still contains the old libc. `overlayctl verify` has to notice.
  #
  # Debian's rustc has no such copy to be caught with, so rust-musl plays it: musl from the same source, called straight
  # from the recipe. Overlays change the attribute `musl`; this one they do not reach, no more than a downloaded binary.
  rust-musl = callPackage ./musl { pname = "rust-musl"; };
  rustc-self-contained = callPackage ./rust/rustc.nix {
    selfContainedMusl =
      if final.stdenv.targetPlatform.isMusl then final.targetPackages.rust-musl
      else throw "rustc-self-contained: Rust carries a C library for musl targets only";
  };
  rust-hello-self-contained = callPackage ./rust/hello {
    pname = "rust-hello-self-contained";
    rustc = final.buildPackages.rustc-self-contained;
    crtStatic = true;
  };
}

{ lib, config }:
final: prev:
let
  inherit (final) callPackage;
  # Each package has a source of its own, and the same text in it.
  source = pname: version: builtins.path { path = ../source; name = "${pname}-${version}-source"; };
  library = pname: version: more: callPackage ({ stdenv }: stdenv.mkDerivation ({
    inherit pname version;
    src = source pname version;
  } // more)) { };
  python = callPackage ({ stdenv, pkgs, packageOverrides ? (final: prev: { }) }:
    let
      python = stdenv.mkDerivation {
        pname = "python3";
        version = "3.13";
        src = source "python3" "3.13";
        passthru.pkgs = set;
      };
      packages = self: {
        inherit python;
        callPackage = self.newScope { };
        buildPythonPackage = attrs: stdenv.mkDerivation (attrs // { buildInputs = (attrs.buildInputs or [ ]) ++ [ python ]; });
        six = self.buildPythonPackage { pname = "python3.13-six"; version = "1.17"; src = source "six" "1.17"; };
        requests = self.buildPythonPackage { pname = "python3.13-requests"; version = "2.32"; src = source "requests" "2.32"; buildInputs = [ self.six ]; };
      };
      set = (lib.makeScope pkgs.newScope
        (lib.extends (lib.composeManyExtensions (pkgs.pythonPackagesExtensions ++ [ packageOverrides ])) packages));
    in python);
in
{
  zlib = library "zlib" "1.3" { };
  perl = library "perl" "5.40" { };
  openssl = library "openssl" "3.0" { nativeBuildInputs = [ final.buildPackages.perl ]; };
  pkg-config = library "pkg-config" "0.29" { buildInputs = [ final.zlib ]; };
  gcc = library "gcc" "14" { buildInputs = [ final.zlib ]; target = final.stdenv.targetPlatform.config; };
  curl = callPackage ({ stdenv, zlib, openssl, zlibSupport ? true }: stdenv.mkDerivation {
    pname = "curl";
    version = "8.11";
    src = source "curl" "8.11";
    nativeBuildInputs = [ final.buildPackages.pkg-config ];
    buildInputs = [ openssl ] ++ lib.optional zlibSupport zlib;
  }) { };
  jq = library "jq" "1.7" { };
  hello = library "hello" "2.12" { };
  busybox = library "busybox" "1.37" { };

  python313 = python { };
  python3 = final.python313;
  python313Packages = final.python313.pkgs;
  python3Packages = final.python313Packages;
  pythonPackagesExtensions = [ ];

  xfce = lib.makeScope final.newScope (self: {
    libxfce4ui = final.stdenv.mkDerivation { pname = "libxfce4ui"; version = "4.20"; src = source "libxfce4ui" "4.20"; };
    thunar = final.stdenv.mkDerivation { pname = "thunar"; version = "4.20"; src = source "thunar" "4.20"; buildInputs = [ self.libxfce4ui ]; };
  });

  linux = callPackage ({ stdenv, kernelPatches ? [ ] }: stdenv.mkDerivation {
    pname = "linux";
    version = "6.12";
    src = source "linux" "6.12";
    patches = map (p: p.patch) kernelPatches;
    passthru = { inherit kernelPatches; };
  }) { };
  linuxPackages = final.linuxPackagesFor final.linux;
  linuxPackagesFor = kernel: lib.makeExtensible (self: { inherit kernel; });
}

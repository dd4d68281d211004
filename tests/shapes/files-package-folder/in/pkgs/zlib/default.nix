{ stdenv, hello }:
stdenv.mkDerivation {
  pname = "zlib";
  version = "1.4";
  inherit (hello) src;
  patches = [
    ./fix.patch
  ];
}

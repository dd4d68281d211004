final: prev:
let
  inherit (import ../lib.nix { inherit (prev) lib; }) patched;
in
{
  zlib = patched prev.zlib [ ../patches/zlib/0001-zlib-a.patch ../patches/zlib/0002-zlib-b.patch ];
}

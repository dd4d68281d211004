final: prev: {
  # Not to be touched.
  hello = prev.hello.overrideAttrs (_: { doCheck = false; });
  zlib = prev.zlib.overrideAttrs (import ./attributes.nix);
}

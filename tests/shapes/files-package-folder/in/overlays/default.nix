final: prev: {
  # Not to be touched.
  hello = prev.hello.overrideAttrs (_: { doCheck = false; });
  zlib = final.callPackage ../pkgs/zlib { };
}

final: prev: {
  # Not to be touched.
  # Größe: ü€𝄞
  hello = prev.hello.overrideAttrs (_: { doCheck = false; });
  zlib = prev.zlib.overrideAttrs (old: {
    patches = (old.patches or [ ]) ++ [
      (../. + "/flicken/größe/0001-zlib-a.patch")
    ];
  });
}

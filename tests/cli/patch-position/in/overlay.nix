final: prev: {
  musl = prev.musl.overrideAttrs (old: {
    patches = (old.patches or [ ]) ++ [
      ./last.patch
    ];
  });
}

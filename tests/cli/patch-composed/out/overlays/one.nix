final: prev: {
  musl = prev.musl.overrideAttrs (oldAttrs: {
    patches = (oldAttrs.patches or [ ]) ++ [
      ../patches/musl/0001-fix-the-frobnicator.patch
    ];
  });
}

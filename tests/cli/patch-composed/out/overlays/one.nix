final: prev: {
  musl = (prev.musl).overrideAttrs (old: {
    patches = (old.patches or [ ]) ++ [
      ../patches/musl/0001-fix-the-frobnicator.patch
    ];
  });
}

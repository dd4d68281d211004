final: prev: {
  musl = prev.musl.overrideAttrs (o: {
    patches = (o.patches or [ ]) ++ [ ./old.patch ./patches/musl/0001-fix-the-frobnicator.patch ];
  });
}

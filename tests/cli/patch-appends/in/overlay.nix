final: prev: {
  musl = prev.musl.overrideAttrs (o: {
    patches = (o.patches or [ ]) ++ [ ./old.patch ];
  });
}

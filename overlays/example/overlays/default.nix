# Two patched packages, in the shape that `overlayctl patch` writes: what was patched before stays, ours goes last.
final: prev: {
  busybox = prev.busybox.overrideAttrs (old: {
    patches = (old.patches or [ ]) ++ [ ../patches/busybox/0001-login-wait-five-minutes-for-a-password.patch ];
  });

  musl = prev.musl.overrideAttrs (old: {
    patches = (old.patches or [ ]) ++ [ ../patches/musl/0001-pthread-give-threads-1-MiB-of-stack-by-default.patch ];
  });
}

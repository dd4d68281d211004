# The overlay of this workspace.
final: prev: {
  # Nothing is patched yet: `overlayctl patch musl fixes/musl-strerror.patch` puts the patch in the queue
  # (patches/musl/) and an entry here.
}

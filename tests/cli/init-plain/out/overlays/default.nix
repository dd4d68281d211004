final: prev: {
  # Patched packages; `overlayctl patch PACKAGE FILE` writes here.
}

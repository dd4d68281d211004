# Patched packages. `overlayctl patch PACKAGE FILE` writes here.
final: prev: {
}

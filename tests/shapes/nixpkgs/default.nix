# A stand-in for nixpkgs: its interface and the way in which its overlays, stages and scopes compose, over a dozen packages
# that are never built. For the shapes of tests/shapes.rs.
import ./pkgs/top-level

//! Git through libgit2: what changed, a tree at a revision, worktrees, commits.
//!
//! Must not know overlays or Nix.

import ./board.nix { board = "pi"; }

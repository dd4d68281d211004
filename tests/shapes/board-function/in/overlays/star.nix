import ./board.nix { board = "star"; }

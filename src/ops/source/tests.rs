//! Sources as archives and folders: what unpacks, what is refused, what is left out.

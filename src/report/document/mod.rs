//! What people are shown of the outcome of each command, a file each.

mod build;
mod cache;
mod cause;
mod explain;
mod graph;
mod header;
mod impact;
mod impact_all;
mod init;
mod ldd;
mod lint;
mod platforms;
mod predict;
mod rebuild;
mod recover;
mod refresh;
mod scopes;
mod verify;
mod why;

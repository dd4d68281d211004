//! Says where it runs and what the C library calls a missing file, and shows that threads and unwinding work.

use std::{fs, panic, thread};

fn main() {
    let missing = fs::read("/nonexistent").unwrap_err();
    println!("hello from {}: {missing}", std::env::consts::ARCH);

    let product: u64 = thread::spawn(|| (1..=10).product()).join().unwrap();
    panic::set_hook(Box::new(|_| {}));
    let caught = panic::catch_unwind(|| assert_eq!(product, 0)).is_err();
    println!("thread: {product}, panic caught: {caught}");
}

#![no_std]
//! Map keys and values shared with the kernel.

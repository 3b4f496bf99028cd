//! What the privileged process and the proxy say to each other, with descriptors.
